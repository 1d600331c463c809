//! Plots of results, as SVG beside the page: rates, latencies against load, and what an order costs.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use crate::figures::Results;
use crate::report::{LOADS, QUANTILES};

const SIZE: (u32, u32) = (760, 380);
const FONT: (&str, u32) = ("sans-serif", 14);
/// Distinct for those who see colours otherwise, too (Okabe and Ito).
const COLOURS: [RGBColor; 4] =
    [RGBColor(0, 114, 178), RGBColor(230, 159, 0), RGBColor(0, 158, 115), RGBColor(204, 121, 167)];

/// A bar: its name and its length.
type Bar = (String, f64);

/// Writes all plots into `dir`; what each shows, and its file.
pub(crate) fn write(results: &Results, dir: &Path) -> Result<Vec<(&'static str, String)>> {
    let mut written = Vec::new();
    let mut keep = |what: &'static str, file: &str, drawn: Result<bool>| -> Result<()> {
        if drawn? {
            written.push((what, file.to_owned()));
        }
        Ok(())
    };
    let rates = rates(results);
    keep("Orders per second", "rates.svg", bars(&dir.join("rates.svg"), "orders per second", &rates))?;
    let file = "latencies.svg";
    keep("Latency against load", file, latencies(&dir.join(file), results))?;
    for (what, figure, unit, file) in [
        ("CPU per order", "orders_cpu_us", "CPU per order, µs", "cpu.svg"),
        ("Bytes written per order", "written_bytes", "bytes written to the disk per order", "bytes.svg"),
        ("Memory per order", "kept_bytes", "resident bytes per order of an import", "memory.svg"),
    ] {
        let each = results.runs.iter().filter_map(|run| Some((run.name.clone(), run.median(figure)?)));
        keep(what, file, bars(&dir.join(file), unit, &each.collect::<Vec<_>>()))?;
    }
    Ok(written)
}

fn rates(results: &Results) -> Vec<Bar> {
    let mut all = Vec::new();
    let first = results.runs.first();
    all.extend(first.and_then(|run| Some(("a handler that does nothing".to_owned(), run.median("ceiling_per_s")?))));
    for (figure, what) in [("orders_per_s", ""), ("hot_per_s", ", one item")] {
        let of_run = |run: &crate::figures::Figures| Some((format!("{}{what}", run.name), run.median(figure)?));
        all.extend(results.runs.iter().filter_map(of_run));
    }
    for (figure, name) in [
        ("postgres_direct_per_s", "Postgres, directly"),
        ("postgres_per_s", "Postgres over HTTP"),
        ("postgres_hot_per_s", "Postgres over HTTP, one item"),
        ("restate_per_s", "Restate"),
        ("restate_hot_per_s", "Restate, one item"),
    ] {
        all.extend(results.peers.median(figure).map(|rate| (name.to_owned(), rate)));
    }
    all
}

/// Horizontal bars; whether there was anything to draw.
fn bars(path: &Path, unit: &str, bars: &[Bar]) -> Result<bool> {
    if bars.is_empty() {
        return Ok(false);
    }
    let longest = bars.iter().map(|(_, length)| *length).fold(f64::MIN_POSITIVE, f64::max);
    let height = 70 + 34 * bars.len() as u32;
    let area = SVGBackend::new(path, (SIZE.0, height)).into_drawing_area();
    let draw = || -> Result<(), Box<dyn std::error::Error>> {
        area.fill(&WHITE)?;
        let rows = 0_f64..bars.len() as f64;
        let mut chart =
            ChartBuilder::on(&area).margin(12).x_label_area_size(40).build_cartesian_2d(0.0..longest * 1.25, rows)?;
        chart.configure_mesh().disable_y_axis().disable_y_mesh().x_desc(unit).label_style(FONT).draw()?;
        for (at, (name, length)) in bars.iter().rev().enumerate() {
            let at = at as f64;
            let colour = COLOURS[0];
            chart.draw_series([Rectangle::new([(0.0, at + 0.12), (*length, at + 0.55)], colour.filled())])?;
            let text = format!("{name}: {}", crate::report::number(*length, usize::from(*length < 100.0)));
            chart.draw_series([Text::new(text, (longest * 0.004, at + 0.95), FONT)])?;
        }
        area.present()?;
        Ok(())
    };
    draw().map_err(|error| anyhow!("{} cannot be drawn: {error}", path.display()))?;
    Ok(true)
}

/// Quantiles of the first run's latency against the load; whether there was anything to draw.
fn latencies(path: &Path, results: &Results) -> Result<bool> {
    let mut lines = Vec::new();
    for run in &results.runs {
        for (ending, name, _) in &QUANTILES[..3] {
            let at = |load: &u32| Some((f64::from(*load), run.median(&format!("open{load}_{ending}"))?));
            let points: Vec<(f64, f64)> = LOADS.iter().filter_map(at).collect();
            lines.push((format!("{}, {name}", run.name), points));
        }
    }
    lines.retain(|(_, points)| !points.is_empty());
    let highest = lines.iter().flat_map(|(_, points)| points).map(|(_, ms)| *ms).fold(0.0, f64::max);
    if highest <= 0.0 {
        return Ok(false);
    }
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    let draw = || -> Result<(), Box<dyn std::error::Error>> {
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .margin(12)
            .x_label_area_size(40)
            .y_label_area_size(56)
            .build_cartesian_2d(20.0..95.0, (0.1_f64..highest * 2.0).log_scale())?;
        chart.configure_mesh().x_desc("load, % of the peak rate").y_desc("latency, ms").label_style(FONT).draw()?;
        for (at, (name, points)) in lines.iter().enumerate() {
            let colour = COLOURS[at % 3].mix(if at < 3 { 1.0 } else { 0.45 });
            let style = colour.stroke_width(if at < 3 { 2 } else { 1 });
            let drawn = chart.draw_series(LineSeries::new(points.clone(), style).point_size(3))?;
            drawn.label(name).legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
        }
        chart.configure_series_labels().position(SeriesLabelPosition::UpperLeft).label_font(FONT).draw()?;
        area.present()?;
        Ok(())
    };
    draw().map_err(|error| anyhow!("{} cannot be drawn: {error}", path.display()))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Figures;

    #[test]
    fn what_was_measured_is_drawn_and_nothing_else() {
        let dir = tempfile::tempdir().expect("a directory can be made");
        assert_eq!(write(&Results::default(), dir.path()).expect("nothing to draw"), []);
        let mut run = Figures::new("1 shard");
        for (figure, value) in [("orders_per_s", 24_000.0), ("open25_p99_ms", 2.0), ("open50_p99_ms", 4.0)] {
            run.add(figure, value);
        }
        let results = Results { runs: vec![run], ..Results::default() };
        let written = write(&results, dir.path()).expect("plots");
        let files: Vec<&str> = written.iter().map(|(_, file)| file.as_str()).collect();
        assert_eq!(files, ["rates.svg", "latencies.svg"]);
        let rates = std::fs::read_to_string(dir.path().join("rates.svg")).expect("a plot");
        assert!(rates.contains("1 shard: 24,000"), "{rates}");
    }
}

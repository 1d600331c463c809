//! Two runs side by side: each figure's median of the second as a ratio to the first.

use std::path::PathBuf;

use anyhow::Result;
use comfy_table::Table;
use comfy_table::presets;

use crate::figures::{Figures, Results};
use crate::report::number;

/// What is compared.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The results of the first run, as JSON.
    before: PathBuf,
    /// The results of the second.
    after: PathBuf,
}

/// Prints the comparison.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let (before, after) = (Results::read(&arguments.before)?, Results::read(&arguments.after)?);
    if before.machine != after.machine {
        println!("Two machines: {}; {}. Only ratios within one run can be compared.", before.machine, after.machine);
    }
    println!("{}", table(&before, &after));
    Ok(())
}

fn table(before: &Results, after: &Results) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["of", "figure", "before", "after", "ratio", ""]);
    for (first, second) in before.all().filter_map(|first| Some((first, of_name(after, &first.name)?))) {
        for figure in first.names() {
            let (Some(was), Some(is)) = (first.spread(figure), second.spread(figure)) else { continue };
            // Where the rounds of one overlap those of the other, the machine explains the difference as well.
            let apart = was[2] < is[1] || is[2] < was[1];
            let show = |value: f64| number(value, if value.abs() < 100.0 { 3 } else { 0 });
            table.add_row([
                first.name.clone(),
                figure.to_owned(),
                show(was[0]),
                show(is[0]),
                format!("{:.2}", is[0] / was[0]),
                if apart { "rounds apart" } else { "" }.to_owned(),
            ]);
        }
    }
    table
}

fn of_name<'a>(results: &'a Results, name: &str) -> Option<&'a Figures> {
    results.all().find(|figures| figures.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(values: &[f64]) -> Results {
        let mut run = Figures::new("1 shard");
        values.iter().for_each(|value| run.add("orders_per_s", *value));
        Results { runs: vec![run], ..Results::default() }
    }

    #[test]
    fn a_difference_within_the_spread_of_the_rounds_is_not_called_one() {
        let text = |before: &[f64], after: &[f64]| table(&results(before), &results(after)).to_string();
        let clear = text(&[100.0, 110.0, 120.0], &[220.0, 230.0, 250.0]);
        assert!(clear.contains("2.09") && clear.contains("rounds apart"), "{clear}");
        let noise = text(&[100.0, 110.0, 120.0], &[115.0, 130.0, 150.0]);
        assert!(noise.contains("1.18") && !noise.contains("rounds apart"), "{noise}");
    }
}

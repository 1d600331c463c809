//! Measures embedded key-value engines on Ordermill's records and rows; see README.md.
//!
//! Each measurement is a process of its own, so that memory, CPU time and bytes written are that
//! measurement's; the rounds go through all of them in turn, so that a busy moment hits no one alone.

mod engine;
mod faults;
#[cfg(feature = "rocksdb")]
mod rocks;
mod segments;
mod shape;

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::sync_channel;
use std::time::Instant;

use engine::{Engine, MARK, Result, open, setting};
use segments::{Log, Segments};
use shape::{ORDERS_PER_BATCH, ORDERS_PER_FLUSH, Rows};

/// Flushes between two calls that make them durable.
const FLUSHES_PER_PERSIST: u64 = 4;
const READS: u64 = 50_000;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["fill", journal, engine, dir] => fill(journal, engine, Path::new(dir)),
        ["read", engine, dir] => read(engine, Path::new(dir)),
        ["full-disk", engine, dir] => faults::full_disk(engine, Path::new(dir)),
        ["damage", engine, dir] => faults::damage(engine, Path::new(dir)),
        ["all", dir, rounds, ref cells @ ..] => all(Path::new(dir), rounds.parse()?, cells),
        _ => Err("usage: see README.md".into()),
    }
}

fn orders() -> u64 {
    setting("ORDERS", 1_000_000)
}

/// Writes all orders; ends without closing anything.
fn fill(journal: &str, name: &str, dir: &Path) -> Result<()> {
    let engine = open(name, &dir.join("rows"))?;
    let segments = match journal {
        "engine" => None,
        "append" => Some(Segments::Append),
        "fallocate" => Some(Segments::Fallocate),
        "zero-ahead" => Some(Segments::ZeroAhead),
        "recycled" => Some(Segments::Recycled),
        _ => return Err(format!("no journal {journal}").into()),
    };
    let mut log = segments.map(|segments| Log::create(&dir.join("journal"), segments)).transpose()?;
    let (mut record_bytes, mut row_bytes) = (0, 0);
    let mut appends = Vec::new();
    let (cpu, written) = (cpu_seconds(), written_bytes(dir));
    let begun = Instant::now();
    std::thread::scope(|scope| -> Result<()> {
        let (flushes, flush) = sync_channel::<(u64, Rows)>(0);
        let flusher = scope.spawn(|| flush_all(&*engine, flush));
        let mut changed = Rows::new();
        for number in 0..orders() / ORDERS_PER_BATCH {
            let rows = shape::batch(number);
            let record = shape::record(&rows);
            record_bytes += record.len();
            changed.extend(rows);
            let append = Instant::now();
            match &mut log {
                Some(log) => log.append(&record)?,
                None => engine.append(number, &record)?,
            }
            appends.push(append.elapsed().as_secs_f64() * 1e3);
            if (number + 1) * ORDERS_PER_BATCH / ORDERS_PER_FLUSH > number * ORDERS_PER_BATCH / ORDERS_PER_FLUSH {
                row_bytes += changed.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
                if flushes.send((number, std::mem::take(&mut changed))).is_err() {
                    break;
                }
            }
        }
        drop(flushes);
        flusher.join().map_err(|_| "the flusher panicked")?
    })?;
    let seconds = begun.elapsed().as_secs_f64();
    engine.settle();
    appends.sort_by(f64::total_cmp);
    let orders = orders() as f64;
    show("orders_per_s", orders / seconds);
    show("append_wait_s", appends.iter().sum::<f64>() / 1e3);
    show("append_p50_ms", appends[appends.len() / 2]);
    show("append_p99_ms", appends[appends.len() * 99 / 100]);
    show("append_max_ms", appends[appends.len() - 1]);
    show("cpu_s", cpu_seconds() - cpu);
    let written = written_bytes(dir) - written;
    show("written_per_order", written / orders);
    show("written_factor", written / (record_bytes + row_bytes) as f64);
    show("encoded_per_order", (record_bytes + row_bytes) as f64 / orders);
    show("settled_after_s", begun.elapsed().as_secs_f64() - seconds);
    show("peak_mib", status_kib("VmHWM:") / 1024.0);
    show("disk_mib", disk_mib(dir)?);
    std::process::exit(0);
}

fn flush_all(engine: &dyn Engine, flushes: std::sync::mpsc::Receiver<(u64, Rows)>) -> Result<()> {
    let mut longest_ms = 0.0f64;
    for (at, (mark, rows)) in flushes.into_iter().enumerate() {
        let begun = Instant::now();
        engine.flush(&rows, mark)?;
        if (at as u64 + 1).is_multiple_of(FLUSHES_PER_PERSIST) {
            engine.persist()?;
        }
        longest_ms = longest_ms.max(begun.elapsed().as_secs_f64() * 1e3);
    }
    engine.persist()?;
    show("flush_max_ms", longest_ms);
    Ok(())
}

/// Opens what `fill` left behind and looks things up.
fn read(name: &str, dir: &Path) -> Result<()> {
    let begun = Instant::now();
    let engine = open(name, &dir.join("rows"))?;
    let mark = engine.get(&[MARK.to_vec()])?.remove(0).ok_or("no mark")?;
    show("reopen_ms", begun.elapsed().as_secs_f64() * 1e3);
    let orders = (u64::from_be_bytes(mark[..].try_into()?) + 1) * ORDERS_PER_BATCH;
    let order = |at: u64, salt: u64| shape::mix(at, 77 + salt) % orders;
    let looked = |what: &str, salt: u64, look: &dyn Fn(u64) -> Result<bool>| -> Result<()> {
        let mut times = Vec::new();
        for at in 0..READS {
            let begun = Instant::now();
            if !look(order(at, salt))? {
                return Err(format!("{what}: not as written").into());
            }
            times.push(begun.elapsed().as_secs_f64() * 1e6);
        }
        times.sort_by(f64::total_cmp);
        show(&format!("{what}_p50_us"), times[times.len() / 2]);
        show(&format!("{what}_p99_us"), times[times.len() * 99 / 100]);
        Ok(())
    };
    let one = |key: Vec<u8>| Ok::<_, engine::Failure>(engine.get(&[key])?.remove(0));
    looked("first_hit", 0, &|n| Ok(one(shape::order_key(n))? == Some(shape::order_value(n))))?;
    looked("hit", 1, &|n| Ok(one(shape::order_key(n))? == Some(shape::order_value(n))))?;
    looked("hit_idempotency", 2, &|n| Ok(one(shape::idempotency_key(n, 0))?.is_some()))?;
    looked("miss", 3, &|n| Ok(one(shape::idempotency_key(n, 5))?.is_none()))?;
    looked("scan", 4, &|n| Ok(engine.scan(&shape::customer_prefix(n))?.iter().any(|(key, _)| *key == shape::order_key(n))))?;
    let mixed = |first: u64| -> Result<bool> {
        let new = (0..64).map(|at| shape::idempotency_key(shape::mix(first, at) % orders, 6));
        let items = (0..48).map(|at| shape::item_key(first + at, at % 2));
        let old = (0..16).map(|at| shape::order_key(shape::mix(first, at) % orders));
        let mut keys: Vec<_> = new.chain(items).chain(old).collect();
        keys.sort();
        Ok(engine.get(&keys)?.iter().flatten().count() >= 16)
    };
    let begun = Instant::now();
    for at in 0..READS / 50 {
        mixed(order(at, 5))?;
    }
    show("mixed_128_us", begun.elapsed().as_secs_f64() * 1e6 / (READS / 50) as f64);
    show("read_peak_mib", status_kib("VmHWM:") / 1024.0);
    std::process::exit(0);
}

/// Runs `journal/engine` cells in turn, `rounds` times, and shows the medians.
fn all(dir: &Path, rounds: usize, cells: &[&str]) -> Result<()> {
    let mut figures: BTreeMap<&str, BTreeMap<String, Vec<f64>>> = BTreeMap::new();
    for round in 0..rounds {
        for at in 0..cells.len() {
            let cell = cells[(at + round) % cells.len()];
            let (journal, engine) = cell.split_once('/').ok_or("a cell is journal/engine")?;
            let place = dir.join("cell");
            let _ = std::fs::remove_dir_all(&place);
            let text = place.to_str().ok_or("a path that is no text")?;
            let runs = [vec!["fill", journal, engine, text], vec!["read", engine, text]];
            for arguments in runs.iter().take(if engine == "none" { 1 } else { 2 }) {
                let ran = Command::new(std::env::current_exe()?).args(arguments).output()?;
                eprintln!("{cell} {}: {}", arguments[0], if ran.status.success() { "ok" } else { "FAILED" });
                eprint!("{}", String::from_utf8_lossy(&ran.stderr));
                for line in String::from_utf8(ran.stdout)?.lines() {
                    let (name, value) = line.split_once(' ').ok_or("a line without a value")?;
                    figures.entry(cell).or_default().entry(name.to_owned()).or_default().push(value.parse()?);
                }
            }
            std::fs::remove_dir_all(&place)?;
        }
    }
    for (cell, figures) in &mut figures {
        println!("{cell}");
        for (name, values) in figures {
            values.sort_by(f64::total_cmp);
            println!("  {name:20} {:12.2}   of {values:.1?}", values[values.len() / 2]);
        }
    }
    Ok(())
}

fn show(name: &str, value: f64) {
    println!("{name} {value:.3}");
}

/// User and system time of this process so far: fields 14 and 15 of its stat, in hundredths.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    after_name.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// Bytes written to the disk of `dir`, by whomever, once all is on it. The process's own counter
/// (`write_bytes`) counts a whole large folio for each page of it that is overwritten.
fn written_bytes(dir: &Path) -> f64 {
    let _ = Command::new("sync").status();
    let device = std::fs::metadata(dir).map_or(0, |found| found.dev());
    let (major, minor) = ((device >> 8 & 0xfff).to_string(), (device & 0xff).to_string());
    let disks = std::fs::read_to_string("/proc/diskstats").unwrap_or_default();
    let disks = disks.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let sectors = disks.filter(|fields| fields[..2] == [&major, &minor]).map(|fields| fields[9].parse().unwrap_or(0.0));
    sectors.sum::<f64>() * 512.0
}

fn status_kib(name: &str) -> f64 {
    number_after(&std::fs::read_to_string("/proc/self/status").unwrap_or_default(), name)
}

fn number_after(text: &str, name: &str) -> f64 {
    let rest = text.split(name).nth(1).unwrap_or_default();
    rest.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or_default()
}

fn disk_mib(dir: &Path) -> Result<f64> {
    let output = Command::new("du").args(["-sk"]).arg(dir).output()?;
    Ok(number_after(&format!("\n{}", String::from_utf8(output.stdout)?), "\n") / 1024.0)
}

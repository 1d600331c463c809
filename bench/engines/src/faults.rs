//! What an engine does when the disk is full, when it is opened twice, and when a byte is wrong.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use crate::engine::{Engine, MARK, Result, open};
use crate::shape::{self, Rows};

const BALLAST_BYTES: usize = 24 << 20;
const BATCHES_PER_FLUSH: u64 = 64;

fn rows(number: u64) -> Rows {
    (0..BATCHES_PER_FLUSH).flat_map(|at| shape::batch(number * BATCHES_PER_FLUSH + at)).collect()
}

fn short(error: impl std::fmt::Display) -> String {
    error.to_string().chars().take(100).collect()
}

fn said<T>(done: Result<T>) -> String {
    done.map_or_else(short, |_| "ok".to_owned())
}

/// The flush whose mark is stored, and how many of the rows up to it are not as written.
fn state(engine: &dyn Engine) -> Result<(u64, usize)> {
    let mark = engine.get(&[MARK.to_vec()])?.remove(0);
    let Some(mark) = mark else { return Ok((0, 0)) };
    let mark = u64::from_be_bytes(mark[..].try_into()?);
    let mut expected = Rows::new();
    (0..=mark).for_each(|number| expected.extend(rows(number)));
    let found = engine.get(&expected.keys().cloned().collect::<Vec<_>>())?;
    let wrong = expected.values().zip(found).filter(|(value, found)| found.as_ref() != Some(value)).count();
    Ok((mark, wrong))
}

/// Writes until the file system of `dir`, a small one, is full; then makes room.
pub fn full_disk(name: &str, dir: &Path) -> Result<()> {
    let ballast = dir.join("ballast");
    std::fs::write(&ballast, vec![1; BALLAST_BYTES])?;
    let at = dir.join("rows");
    let engine = open(name, &at)?;
    let mut flushed = 0;
    for number in 0..2_000 {
        let done = engine.flush(&rows(number), number).and_then(|()| engine.persist());
        if let Err(error) = done {
            println!("{name}: flush {number} on a full disk: {}", short(error));
            break;
        }
        flushed = number;
    }
    let again = || said(engine.flush(&rows(flushed + 1), flushed + 1).and_then(|()| engine.persist()));
    println!("  again, still full: {}", again());
    println!("  mark and wrong rows: {:?} (answered: {flushed})", state(&*engine).map_err(short));
    std::fs::remove_file(&ballast)?;
    println!("  again, with room: {}", again());
    std::thread::sleep(std::time::Duration::from_secs(1));
    println!("  a second later: {}", again());
    drop(engine);
    let engine = open(name, &at)?;
    println!("  mark and wrong rows after opening again: {:?}", state(&*engine).map_err(short));
    println!("  flush after opening again: {}", said(engine.flush(&rows(flushed + 2), flushed + 2)));
    Ok(())
}

fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() { found.extend(files(&path)?) } else { found.push(path) }
    }
    found.sort();
    Ok(found)
}

/// Opens twice; then flips one byte, in many places of each file, and says what comes of it.
pub fn damage(name: &str, dir: &Path) -> Result<()> {
    let (good, copy) = (dir.join("good"), dir.join("copy"));
    let engine = open(name, &good)?;
    println!("{name}: opened twice: {}", said(open(name, &good)));
    for number in 0..4 {
        engine.flush(&rows(number), number)?;
        engine.persist()?;
    }
    engine.settle();
    let copied = |to: &Path| -> Result<()> {
        let _ = std::fs::remove_dir_all(to);
        for file in files(&good)? {
            let target = to.join(file.strip_prefix(&good)?);
            std::fs::create_dir_all(target.parent().ok_or("no parent")?)?;
            std::fs::copy(&file, target)?;
        }
        Ok(())
    };
    // What an abrupt end would leave behind is the base, not what closing makes of it.
    let base = dir.join("base");
    copied(&base)?;
    drop(engine);
    let mut outcomes: BTreeMap<(String, String), usize> = BTreeMap::new();
    std::panic::set_hook(Box::new(|_| {}));
    for file in files(&base)? {
        let inside = file.strip_prefix(&base)?;
        let kind = inside.to_string_lossy().replace(|letter: char| letter.is_ascii_digit(), "");
        let length = file.metadata()?.len();
        for place in 0..length.min(40) {
            let _ = std::fs::remove_dir_all(&copy);
            for file in files(&base)? {
                let target = copy.join(file.strip_prefix(&base)?);
                std::fs::create_dir_all(target.parent().ok_or("no parent")?)?;
                std::fs::copy(&file, target)?;
            }
            let at = if length > 40 { shape::mix(place, 9) % length } else { place };
            let damaged = File::options().read(true).write(true).open(copy.join(inside))?;
            let mut byte = [0];
            damaged.read_exact_at(&mut byte, at)?;
            damaged.write_all_at(&[byte[0] ^ 0x20], at)?;
            let outcome = catch_unwind(AssertUnwindSafe(|| match open(name, &copy) {
                Err(_) => "refused to open",
                Ok(engine) => match state(&*engine) {
                    Err(_) => "opened, error when read",
                    Ok((3, 0)) => "no harm",
                    Ok((_, 0)) => "SILENT: an earlier mark, whole",
                    Ok(_) => "SILENT: rows wrong or missing",
                },
            }));
            *outcomes.entry((kind.clone(), outcome.unwrap_or("panic").to_owned())).or_default() += 1;
        }
    }
    outcomes.iter().for_each(|((kind, outcome), count)| println!("  {kind}: {outcome}: {count}"));
    Ok(())
}

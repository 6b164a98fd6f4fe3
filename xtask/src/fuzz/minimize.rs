//! Few of the inputs that were found, which reach the same code as all of them.

use std::{collections::BTreeSet, ffi::OsString, fs, path::Path};

use super::{KEPT, Plan, Target};
use crate::tool::{self, Failure};

/// The kind of inputs that is written here.
pub(super) const MINIMIZED: &str = "minimized";

/// What libFuzzer makes of itself is no longer, and a reader of a finding wants it short.
const LONGEST: u64 = 4096;

/// How often code is reached does not count: that would be four times as many inputs.
const FLAGS: &[&str] = &["-set_cover_merge=1", "-use_counters=0"];

/// Writes the minimized inputs of targets anew, out of those that were there and of the corpus.
pub(super) fn minimize(plan: &Plan, targets: &[Target]) -> Result<(), Failure> {
    println!(
        "{:<24} {:>6} {:>6} {:>9}",
        "target", "found", "kept", "bytes"
    );
    for target in targets {
        let row = minimize_one(plan, target)?;
        let Row { found, kept, bytes } = row;
        println!("{:<24} {found:>6} {kept:>6} {bytes:>9}", target.name);
    }
    Ok(())
}

struct Row {
    found: usize,
    kept: usize,
    bytes: u64,
}

fn minimize_one(plan: &Plan, target: &Target) -> Result<Row, Failure> {
    let work = tool::target_dir().join("fuzz/minimize").join(&target.name);
    let (base, found) = (work.join("base"), work.join("found"));
    for folder in [&base, &found] {
        empty(folder)?;
    }
    let minimized = target.inputs(MINIMIZED);
    for kind in KEPT.iter().filter(|kind| **kind != MINIMIZED) {
        copy_short(&target.inputs(kind), &base)?;
    }
    copy_short(&minimized, &found)?;
    copy_short(&target.inputs("corpus"), &found)?;

    // To what is in the first folder it adds as little as reaches all that the second one does.
    let before = names(&base)?;
    let found_before = names(&found)?.len();
    let (passed, _) = plan.run(target, &[base.clone(), found], FLAGS)?;
    if !passed {
        return Err(Failure::new(format!("{} was not minimized", target.name)));
    }
    let added: Vec<_> = names(&base)?.difference(&before).cloned().collect();
    empty(&minimized)?;
    let mut bytes = 0;
    for name in &added {
        bytes += fs::copy(base.join(name), minimized.join(name))?;
    }
    Ok(Row {
        found: found_before,
        kept: added.len(),
        bytes,
    })
}

fn empty(folder: &Path) -> Result<(), Failure> {
    if folder.is_dir() {
        fs::remove_dir_all(folder)?;
    }
    Ok(fs::create_dir_all(folder)?)
}

/// Copies the inputs that are not too long, if there are any.
fn copy_short(from: &Path, to: &Path) -> Result<(), Failure> {
    if !from.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.metadata()?.len() <= LONGEST {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

fn names(folder: &Path) -> Result<BTreeSet<OsString>, Failure> {
    fs::read_dir(folder)?
        .map(|entry| Ok(entry?.file_name()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_inputs_are_left_behind() {
        let work = std::env::temp_dir().join(format!("xtask-minimize-{}", std::process::id()));
        let (from, to) = (work.join("from"), work.join("to"));
        for folder in [&from, &to] {
            empty(folder).expect("an empty folder");
        }
        fs::write(from.join("short"), [0; LONGEST as usize]).expect("written");
        fs::write(from.join("long"), [0; LONGEST as usize + 1]).expect("written");
        copy_short(&from, &to).expect("copied");
        copy_short(&work.join("none"), &to).expect("nothing to copy");
        assert_eq!(names(&to).expect("names"), ["short".into()].into());
        fs::remove_dir_all(work).expect("removed");
    }
}

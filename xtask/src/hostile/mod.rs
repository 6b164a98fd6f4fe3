//! `cargo xtask hostile`: published defects of others → our tests.
//!
//! `crates/ws-conformance/HOSTILE.md` names for each the tests that would notice it, as
//! `crate/file.rs#function`, and the faults that show that they do.

mod plant;
mod table;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use lexopt::{Arg, Parser};
use table::Row;

use crate::{
    faulty::Fault,
    tool::{self, Failure, Outcome},
};

pub(crate) const HELP: &str = "
cargo xtask hostile [--plant]

Checks that every test that crates/ws-conformance/HOSTILE.md names exists, and that every row names one or says why
there is none.

  --plant    run the tests of each row with each of its faults planted: every fault is noticed by one
             of them, and every test notices one
";

pub(crate) fn run(mut arguments: Parser) -> Result<Outcome, Failure> {
    let mut plants = false;
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Long("plant") => plants = true,
            _ => return Err(argument.unexpected().into()),
        }
    }
    let document = tool::read(&tool::root().join("crates/ws-conformance/HOSTILE.md"))?;
    let rows = Row::all(&document);
    let faults: Vec<_> = Fault::all()?.into_iter().map(|fault| fault.name).collect();
    let mut wrong = wrong_names(&rows, &faults);
    for complaint in &wrong {
        println!("{complaint}");
    }
    let tests: usize = rows.iter().map(|row| row.tests.len()).sum();
    println!(
        "{} rows name {tests} tests; {} are wrong",
        rows.len(),
        wrong.len()
    );
    if plants && wrong.is_empty() {
        wrong = plant::run(&rows)?;
    }
    Ok(Outcome::from_passed(wrong.is_empty() && tests > 0))
}

/// How much there is of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Rows: a published defect, or several of one kind.
    pub(crate) defects: usize,
    pub(crate) tests: usize,
    /// Guards that are taken out to see that tests notice it.
    pub(crate) faults: usize,
}

/// Counts what HOSTILE.md names.
pub(crate) fn counts() -> Result<Counts, Failure> {
    let document = tool::read(&tool::root().join("crates/ws-conformance/HOSTILE.md"))?;
    let rows = Row::all(&document);
    let named = |of: &dyn Fn(&Row<'_>) -> Vec<String>| {
        rows.iter().flat_map(of).collect::<BTreeSet<_>>().len()
    };
    let tests = |row: &Row<'_>| row.tests.iter().map(|test| format!("{test:?}")).collect();
    Ok(Counts {
        defects: rows.len(),
        tests: named(&tests),
        faults: named(&|row| row.faults().map(str::to_owned).collect()),
    })
}

/// What rows name that is not there, and what they do not name.
fn wrong_names(rows: &[Row<'_>], faults: &[String]) -> Vec<String> {
    let crates = tool::root().join("crates");
    let mut sources = BTreeMap::new();
    let mut wrong = Vec::new();
    for row in rows {
        if !row.has_test_or_reason() {
            wrong.push(format!("neither a test nor a reason: {}", row.line));
        }
        if !row.has_fault_or_reason() {
            wrong.push(format!("neither a fault nor a reason: {}", row.line));
        }
        for fault in row.faults() {
            if !faults.iter().any(|name| name == fault) {
                wrong.push(format!("no such fault: {fault}"));
            }
        }
        for test in &row.tests {
            let source = sources
                .entry(test.file)
                .or_insert_with(|| read_if_there(&crates.join(test.file)));
            if !has_test(source, test.function) {
                wrong.push(format!("no such test: {}#{}", test.file, test.function));
            }
        }
    }
    wrong
}

fn read_if_there(file: &Path) -> String {
    tool::read(file).unwrap_or_default()
}

/// Tells whether a source has a test of that name.
fn has_test(source: &str, function: &str) -> bool {
    let head = format!("fn {function}(");
    source
        .match_indices(&head)
        .any(|(at, _)| is_test(&source[..at]))
}

/// Tells whether the attributes that a source ends with make what follows a test.
fn is_test(before: &str) -> bool {
    let mut lines = before.trim_end().lines().rev();
    lines
        .by_ref()
        .map(str::trim)
        .take_while(|line| line.starts_with('#') || line.starts_with("//"))
        .any(|line| line == "#[test]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_found_by_name_and_attribute() {
        let source =
            "#[test]\nfn one() {}\nfn two() {}\n    #[test]\n    // Why.\n    fn three() {}\n";
        assert!(has_test(source, "one") && has_test(source, "three"));
        assert!(!has_test(source, "two") && !has_test(source, "on"));
    }
}

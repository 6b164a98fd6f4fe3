//! `cargo xtask hostile`: published defects of others → our tests.
//!
//! `crates/ws-conformance/HOSTILE.md` names for each the tests that would notice it, as `crate/file.rs#function`.

use std::collections::BTreeMap;
use std::path::Path;

use lexopt::Parser;

use crate::tool::{self, Failure, Outcome};

pub(crate) const HELP: &str = "
cargo xtask hostile

Checks that every test that crates/ws-conformance/HOSTILE.md names exists, and that every row names one or says why
there is none.
";

pub(crate) fn run(mut arguments: Parser) -> Result<Outcome, Failure> {
    if let Some(argument) = arguments.next()? {
        return Err(argument.unexpected().into());
    }
    let root = tool::root();
    let table = tool::read(&root.join("crates/ws-conformance/HOSTILE.md"))?;
    let mut sources = BTreeMap::new();
    let (mut rows, mut tests, mut wrong) = (0, 0, 0);
    for row in rows_of(&table) {
        rows += 1;
        let named: Vec<_> = tests_of(row).collect();
        if named.is_empty() && !is_reasoned(row) {
            println!("neither a test nor a reason: {row}");
            wrong += 1;
        }
        for (file, function) in named {
            tests += 1;
            let source = sources
                .entry(file)
                .or_insert_with(|| read_if_there(&root.join("crates").join(file)));
            if !has_test(source, function) {
                println!("no such test: {file}#{function}");
                wrong += 1;
            }
        }
    }
    println!("{rows} rows name {tests} tests; {wrong} are wrong");
    Ok(Outcome::from_passed(wrong == 0 && tests > 0))
}

fn rows_of(table: &str) -> impl Iterator<Item = &str> {
    let is_row = |line: &&str| line.starts_with("| ") && !line.starts_with("| Id |");
    table
        .lines()
        .filter(is_row)
        .filter(|line| !line.starts_with("| Failure |") && !line.starts_with("| Peer |"))
}

/// The tests that a row names, each a file below `crates` and a function.
fn tests_of(row: &str) -> impl Iterator<Item = (&str, &str)> {
    row.split('`')
        .skip(1)
        .step_by(2)
        .filter_map(|code| code.split_once('#'))
        .filter(|(file, _)| file.ends_with(".rs"))
}

/// Tells whether the last cell is a sentence.
fn is_reasoned(row: &str) -> bool {
    let cell = row.trim_end_matches(['|', ' ']).rsplit('|').next();
    cell.is_some_and(|cell| cell.trim().ends_with('.'))
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

    #[test]
    fn row_names_tests_or_a_reason() {
        let row = "| A | B | uses `unsafe` | `ws-proto/src/a.rs#b` `c/d.rs#e` |";
        let named: Vec<_> = tests_of(row).collect();
        assert_eq!(named, [("ws-proto/src/a.rs", "b"), ("c/d.rs", "e")]);
        assert!(is_reasoned("| A | B | It cannot be. |"));
        assert!(!is_reasoned("| A | B | C |"));
        assert_eq!(rows_of("| Id | x |\n|---|---|\n| A | b |\n").count(), 1);
    }
}

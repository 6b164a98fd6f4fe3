//! `cargo xtask coverage`: which share of its lines the tests of a crate run.

use std::path::Path;

use lexopt::Parser;

use super::{Bar, Share};
use crate::tool::{self, Failure, Outcome};

pub(crate) const HELP: &str = "
cargo xtask coverage [-p CRATE]...

Tells which share of the lines of each crate below crates/ (or of the named ones) its own tests run,
and which lines they do not. Lines of tests themselves do not count. Fails when a share is below its
bar. Needs cargo-llvm-cov, which is installed when missing, and the component llvm-tools.
";

const BARS: [Bar; 5] = [
    ("ws-proto", 97.0),
    ("ws-handshake", 95.0),
    ("ws-tls", 85.0),
    ("ws-mio", 85.0),
    ("ws-smol", 85.0),
];

pub(crate) fn run(mut arguments: Parser) -> Result<Outcome, Failure> {
    let chosen = super::chosen(&mut arguments, &BARS)?;
    super::require("llvm-cov", "cargo-llvm-cov")?;
    let mut shares = Vec::new();
    for (package, bar) in chosen {
        // Each by its own tests: what others happen to call is not tested.
        let report = tool::output_of(
            tool::rustup_cargo()
                .args(["llvm-cov", "--package", package, "--all-features"])
                // Functions that are inlined into another crate are not counted.
                .args(["--profile", "deep"])
                .arg("--lcov"),
        )?;
        let mut share = Share {
            package,
            bar,
            part: 0,
            whole: 0,
        };
        println!("{package}: lines that no test runs");
        for file in files(
            &report,
            &tool::root().join("crates").join(package).join("src"),
        ) {
            let lines = file.lines(tests_start(&tool::read(Path::new(file.path))?));
            share.whole += lines.len();
            share.part += lines.iter().filter(|(_, runs)| *runs > 0).count();
            let missed: Vec<_> = lines
                .iter()
                .filter(|(_, runs)| *runs == 0)
                .map(|(line, _)| line.to_string())
                .collect();
            if !missed.is_empty() {
                println!(
                    "  {}: {}",
                    tool::relative(Path::new(file.path)),
                    missed.join(" ")
                );
            }
        }
        shares.push(share);
    }
    Ok(Outcome::from_passed(super::all_pass(
        "lines", "run", &shares,
    )))
}

/// One file of a report in the format of lcov.
#[derive(Debug)]
struct File<'a> {
    path: &'a str,
    records: Vec<&'a str>,
}

impl File<'_> {
    /// The lines before `end`, each with how often it ran.
    fn lines(&self, end: u32) -> Vec<(u32, u64)> {
        let lines = self.records.iter().filter_map(|record| {
            let mut numbers = record.strip_prefix("DA:")?.split(',');
            Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
        });
        lines.filter(|(line, _)| *line < end).collect()
    }
}

/// The files of a report that are below `dir`.
fn files<'a>(report: &'a str, dir: &Path) -> Vec<File<'a>> {
    let files = report.split("end_of_record").filter_map(|file| {
        let mut records = file.trim().lines();
        Some(File {
            path: records.next()?.strip_prefix("SF:")?,
            records: records.collect(),
        })
    });
    files
        .filter(|file| Path::new(file.path).starts_with(dir))
        .collect()
}

/// The line at which the tests of a file start: they are the end of it.
fn tests_start(source: &str) -> u32 {
    let mut lines = (1..).zip(source.lines());
    lines
        .find(|(_, line)| *line == "#[cfg(test)]")
        .map_or(u32::MAX, |(line, _)| line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn report_counts_lines_of_code_below_a_folder() {
        let report = "SF:/w/crates/a/src/lib.rs\nFN:1,f\nDA:1,3\nDA:2,0\nDA:9,1\nend_of_record\n\
                      SF:/w/crates/b/src/lib.rs\nDA:1,1\nend_of_record\n";
        let files = files(report, Path::new("/w/crates/a/src"));
        assert_eq!(files.len(), 1);
        assert_eq!(files[0].lines(9), [(1, 3), (2, 0)]);
    }

    #[test]
    fn tests_are_the_end_of_a_file() {
        assert_eq!(tests_start("fn f() {}\n\n#[cfg(test)]\nmod tests {}\n"), 3);
        assert_eq!(tests_start("fn f() {}\n"), u32::MAX);
    }
}

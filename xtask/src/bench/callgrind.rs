//! `cargo xtask callgrind`: instructions of the hot paths, against those of the last time.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use lexopt::{Arg, Parser};

use super::{machine, subject};
use crate::tool::{self, Failure, Outcome};

pub(crate) const HELP: &str = "
cargo xtask callgrind [--update]

Counts the instructions of the hot paths with valgrind and compares them with benches/callgrind.toml:
3 % more is a failure, 3 % less is told. With --update, writes the file instead.

The counts are of one compiler and one kind of machine, which the file names. With another compiler
15 % more is a failure; on another kind of machine the comparison is shown and never fails.
";

/// What is counted: the crates without I/O, and the adapters.
const PROGRAMS: [&str; 2] = ["hot-paths", "hot-adapters"];

/// How far a count may be from the one that is written down: the same code counts alike to 0.1 %.
const TOLERANCE: f64 = 0.03;
/// The same for code that another compiler made.
const TOLERANCE_OF_COMPILERS: f64 = 0.15;
/// How often a path is gone; the same again on top is what is counted.
const TIMES: u64 = 500;

pub(crate) fn run(mut arguments: Parser) -> Result<Outcome, Failure> {
    let mut update = false;
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Long("update") => update = true,
            other => return Err(other.unexpected().into()),
        }
    }
    if !tool::is_installed("valgrind") {
        return Err(Failure::new(
            "valgrind is not installed (on Debian: apt-get install valgrind)",
        ));
    }
    let mut build = tool::cargo();
    build.args(["build", "--release", "--package", "benches"]);
    for program in PROGRAMS {
        build.args(["--bin", program]);
    }
    tool::run(&mut build)?;
    let mut counts = Vec::new();
    for program in PROGRAMS.map(subject::our_program) {
        let names = tool::output_of(&mut Command::new(&program))?;
        for name in names.lines() {
            // What a process needs to start and end is in both, and so in neither.
            let once = instructions(&program, name, TIMES)?;
            let twice = instructions(&program, name, 2 * TIMES)?;
            let each = twice.saturating_sub(once) as f64 / TIMES as f64;
            counts.push((name.to_owned(), each.round() as i64));
        }
    }
    if update {
        return write(&counts);
    }
    compare(&counts)
}

fn instructions(program: &PathBuf, name: &str, times: u64) -> Result<u64, Failure> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        // Else some machines copy with one instruction, which counts as one a byte.
        .env(
            "GLIBC_TUNABLES",
            "glibc.cpu.x86_rep_movsb_threshold=1000000000",
        )
        .arg(program)
        .args([name, &times.to_string()])
        .stdin(Stdio::null())
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(Failure::new(format!("valgrind failed: {said}")));
    }
    said.lines()
        .find_map(|line| line.split("Collected :").nth(1))
        .and_then(|count| count.trim().parse().ok())
        .ok_or_else(|| Failure::new(format!("valgrind tells no count: {said}")))
}

fn write(counts: &[(String, i64)]) -> Result<Outcome, Failure> {
    let mut text = format!(
        "# Instructions of each hot path, once; `cargo xtask callgrind --update` writes them.\n\n\
         rustc = {:?}\nmachine = {:?}\n\n[counts]\n",
        machine::compiler(),
        machine::kind(),
    );
    for (name, count) in counts {
        println!("{name:<16} {count:>8}");
        text.push_str(&format!("{name} = {count}\n"));
    }
    fs::write(file(), text)?;
    println!("wrote {}", tool::relative(&file()));
    Ok(Outcome::Passed)
}

fn compare(counts: &[(String, i64)]) -> Result<Outcome, Failure> {
    let recorded: toml::Table = tool::read(&file())?
        .parse()
        .map_err(|error| Failure::new(format!("benches/callgrind.toml: {error}")))?;
    let is_same =
        |name: &str, now: &str| recorded.get(name).and_then(toml::Value::as_str) == Some(now);
    let tolerance = if is_same("rustc", &machine::compiler()) {
        TOLERANCE
    } else {
        println!(
            "the counts are of another compiler than {}",
            machine::compiler()
        );
        TOLERANCE_OF_COMPILERS
    };
    let mut complaints = Vec::new();
    for (name, count) in counts {
        let before = recorded
            .get("counts")
            .and_then(|counts| counts.get(name)?.as_integer());
        let (line, complaint) = verdict(name, *count, before, tolerance);
        println!("{line}");
        complaints.extend(complaint);
    }
    if complaints.is_empty() {
        return Ok(Outcome::Passed);
    }
    println!();
    for complaint in &complaints {
        println!("{complaint}");
    }
    println!("{ADVICE}");
    if !is_same("machine", &machine::kind()) {
        println!(
            "not judged: the counts are of another machine than {}",
            machine::kind()
        );
        return Ok(Outcome::Passed);
    }
    Ok(Outcome::Failed)
}

/// A line of the table, and what is wrong with it, if anything is.
fn verdict(
    name: &str,
    count: i64,
    before: Option<i64>,
    tolerance: f64,
) -> (String, Option<String>) {
    let Some(before) = before else {
        let complaint = format!("{name}: {count} instructions, and none are written down");
        return (format!("{name:<16} {count:>8}  new"), Some(complaint));
    };
    let change = count as f64 / before as f64 - 1.0;
    let line = format!("{name:<16} {count:>8}  {:+.1} %", change * 100.0);
    if change < -tolerance {
        return (format!("{line}, less: --update writes it down"), None);
    }
    let complaint = (change > tolerance).then(|| {
        format!(
            "{name}: {count} instructions, where {before} are written down: {:.1} % more, and \
             {:.0} % are allowed",
            change * 100.0,
            tolerance * 100.0
        )
    });
    (line, complaint)
}

const ADVICE: &str = "\
Where they go:        valgrind --tool=callgrind target/release/hot-paths PATH 500; callgrind_annotate
If they are worth it: cargo xtask callgrind --update, and commit benches/callgrind.toml";

fn file() -> PathBuf {
    tool::root().join("benches/callgrind.toml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_is_a_complaint_that_names_both_counts_and_less_is_none() {
        let complaint = |count, before| verdict("echo", count, before, 0.03).1;
        assert_eq!(complaint(102, Some(100)), None);
        assert_eq!(complaint(50, Some(100)), None);
        let more = complaint(104, Some(100)).unwrap();
        assert!(
            more.contains("104") && more.contains("100 are written down"),
            "{more}"
        );
        assert!(complaint(100, None).unwrap().contains("none are"));
    }
}

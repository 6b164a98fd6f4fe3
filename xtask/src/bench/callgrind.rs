//! `cargo xtask callgrind`: instructions of the hot paths, against those of the last time.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use lexopt::{Arg, Parser};

use crate::tool::{self, Failure, Outcome};

use super::{machine, subject};

pub(crate) const HELP: &str = "
cargo xtask callgrind [--update]

Counts the instructions of the hot paths with valgrind and compares them with benches/callgrind.toml:
3 % more is a failure, 3 % less is told. With --update, writes the file instead.

The counts are of one compiler and one kind of machine, which the file names; with another compiler
the comparison is shown and never fails.
";

/// How far a count may be from the one that is written down.
const TOLERANCE: f64 = 0.03;
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
    tool::run(tool::cargo().args([
        "build",
        "--release",
        "--package",
        "benches",
        "--bin",
        "hot-paths",
    ]))?;
    let program = subject::our_program("hot-paths");
    let names = tool::output_of(&mut Command::new(&program))?;
    let mut counts = Vec::new();
    for name in names.lines() {
        // What a process needs to start and end is in both, and so in neither.
        let once = instructions(&program, name, TIMES)?;
        let twice = instructions(&program, name, 2 * TIMES)?;
        let each = twice.saturating_sub(once) as f64 / TIMES as f64;
        counts.push((name, each.round() as i64));
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

fn write(counts: &[(&str, i64)]) -> Result<Outcome, Failure> {
    let mut text = format!(
        "# Instructions of each hot path, once; `cargo xtask callgrind --update` writes them.\n\n\
         rustc = {:?}\n\n[counts]\n",
        machine::compiler()
    );
    for (name, count) in counts {
        println!("{name:<16} {count:>8}");
        text.push_str(&format!("{name} = {count}\n"));
    }
    fs::write(file(), text)?;
    println!("wrote {}", tool::relative(&file()));
    Ok(Outcome::Passed)
}

fn compare(counts: &[(&str, i64)]) -> Result<Outcome, Failure> {
    let recorded: toml::Table = tool::read(&file())?
        .parse()
        .map_err(|error| Failure::new(format!("benches/callgrind.toml: {error}")))?;
    let compiler = machine::compiler();
    let same_compiler = recorded.get("rustc").and_then(toml::Value::as_str) == Some(&compiler);
    let mut passed = true;
    for (name, count) in counts {
        let before = recorded
            .get("counts")
            .and_then(|counts| counts.get(name))
            .and_then(toml::Value::as_integer);
        let verdict = match before {
            None => {
                passed = false;
                "NEW: --update writes it down".to_owned()
            }
            Some(before) => {
                let change = *count as f64 / before as f64 - 1.0;
                if change > TOLERANCE {
                    passed = false;
                }
                let word = match change {
                    change if change > TOLERANCE => " MORE",
                    change if change < -TOLERANCE => " less: --update writes it down",
                    _ => "",
                };
                format!("{:+.1} %{word}", change * 100.0)
            }
        };
        println!("{name:<16} {count:>8}  {verdict}");
    }
    if !same_compiler {
        println!("not judged: the counts are of another compiler than {compiler}");
        return Ok(Outcome::Passed);
    }
    Ok(Outcome::from_passed(passed))
}

fn file() -> PathBuf {
    tool::root().join("benches/callgrind.toml")
}

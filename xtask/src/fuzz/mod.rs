//! `cargo xtask fuzz`: list, seed and run the fuzz targets.

mod minimize;
mod proxies;
mod seeds;

use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Command, Stdio},
    time::Instant,
};

use lexopt::{Arg, Parser, ValueExt};

use crate::tool::{self, Failure, Job, Outcome};

pub(crate) const HELP: &str = "
cargo xtask fuzz
cargo xtask fuzz TARGET|all [--seconds N] [--smoke] [--sanitizer NAME] [-- LIBFUZZER-ARGUMENTS]
cargo xtask fuzz seeds
cargo xtask fuzz minimize TARGET|all

Without arguments: lists the targets.
TARGET, all: fuzzes one target, or each in turn, for N seconds each (60 unless told).
seeds: writes fuzz/seeds/TARGET/ anew from the conformance vectors.
minimize: writes fuzz/minimized/TARGET/ anew: few of the inputs that earlier runs have found, which
reach the code that all of them do and the seeds do not.

  --seconds N        how long to fuzz each target
  --smoke            run each target on the inputs in the tree only
  --sanitizer NAME   address, leak, none, … (default: cargo-fuzz's own, address)

What runs find is kept in fuzz/corpus, which is not in the tree; fuzz/seeds, fuzz/failed and
fuzz/minimized are. The output of a run is in fuzz/ of the target folder. Needs cargo-fuzz, which is
installed when missing, and a nightly toolchain (rustup toolchain install nightly --profile minimal).
";

pub(crate) fn run(mut arguments: Parser) -> Result<Outcome, Failure> {
    let mut words: Vec<String> = Vec::new();
    let mut plan = Plan::default();
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Value(value) if words == ["minimize"] => words.push(value.string()?),
            Arg::Value(value) if words.is_empty() => {
                words.push(value.string()?);
                // What stands behind `--` is not ours to understand.
                let raw = arguments.raw_args()?;
                let all: Vec<_> = raw.collect();
                let split = all.iter().position(|word| word == "--");
                let (ours, theirs) = all.split_at(split.unwrap_or(all.len()));
                plan.libfuzzer = theirs
                    .iter()
                    .skip(1)
                    .map(|word| word.clone().string())
                    .collect::<Result<_, _>>()?;
                arguments = Parser::from_args(ours);
            }
            Arg::Long("seconds") => plan.seconds = arguments.value()?.parse()?,
            Arg::Long("smoke") => plan.is_smoke = true,
            Arg::Long("sanitizer") => plan.sanitizer = Some(arguments.value()?.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    match words[..] {
        [] => {
            list()?;
            Ok(Outcome::Passed)
        }
        ["seeds"] => {
            seeds::write()?;
            Ok(Outcome::Passed)
        }
        ["minimize"] => Err(Failure::new("which target? `all` is each of them")),
        ["minimize", name, ..] => {
            let targets = targets_named(name)?;
            require_tools()?;
            plan.build(&targets)?;
            minimize::minimize(&plan, &targets)?;
            Ok(Outcome::Passed)
        }
        [name, ..] => {
            let targets = targets_named(name)?;
            require_tools()?;
            plan.build(&targets)?;
            plan.fuzz(&targets)
        }
    }
}

#[derive(Debug)]
struct Target {
    name: String,
    summary: String,
}

impl Target {
    /// Where its inputs of a kind are.
    fn inputs(&self, kind: &str) -> PathBuf {
        fuzz_dir().join(kind).join(&self.name)
    }
}

fn fuzz_dir() -> PathBuf {
    tool::root().join("fuzz")
}

/// One target, or with `all` each of them.
fn targets_named(name: &str) -> Result<Vec<Target>, Failure> {
    let mut targets = targets()?;
    if name != "all" {
        targets.retain(|target| target.name == name);
        if targets.is_empty() {
            return Err(Failure::new(format!(
                "no fuzz target {name:?}; `cargo xtask fuzz` lists them"
            )));
        }
    }
    Ok(targets)
}

fn targets() -> Result<Vec<Target>, Failure> {
    let manifest: toml::Table = tool::read(&fuzz_dir().join("Cargo.toml"))?
        .parse()
        .map_err(|error| Failure::new(format!("fuzz/Cargo.toml: {error}")))?;
    let bins = manifest
        .get("bin")
        .and_then(toml::Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    bins.iter()
        .map(|bin| {
            let field = |name: &str| bin.get(name).and_then(toml::Value::as_str);
            let name = field("name")
                .ok_or_else(|| Failure::new("fuzz/Cargo.toml: a [[bin]] without a name"))?;
            let path =
                field("path").map_or_else(|| format!("fuzz_targets/{name}.rs"), str::to_owned);
            Ok(Target {
                name: name.to_owned(),
                summary: summary(&tool::read(&fuzz_dir().join(path))?),
            })
        })
        .collect()
}

/// The first line of a file's own documentation.
fn summary(source: &str) -> String {
    source
        .lines()
        .find_map(|line| line.strip_prefix("//!"))
        .unwrap_or_default()
        .trim()
        .to_owned()
}

fn list() -> Result<(), Failure> {
    for target in targets()? {
        println!("{:<24} {}", target.name, target.summary);
    }
    Ok(())
}

/// What a run of the fuzzer is asked to do.
#[derive(Debug)]
struct Plan {
    seconds: u64,
    is_smoke: bool,
    sanitizer: Option<String>,
    libfuzzer: Vec<String>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            seconds: 60,
            is_smoke: false,
            sanitizer: None,
            libfuzzer: Vec::new(),
        }
    }
}

impl Plan {
    fn build(&self, targets: &[Target]) -> Result<(), Failure> {
        let mut build = self.cargo_fuzz("build");
        if let [target] = targets {
            build.arg(&target.name);
        }
        tool::run(&mut build)
    }

    fn fuzz(&self, targets: &[Target]) -> Result<Outcome, Failure> {
        let job = |target| -> Job<'_, _> { Box::new(move || self.fuzz_one(target)) };
        let rows = tool::at_once(tool::processors(), targets.iter().map(job).collect());
        let rows = rows.into_iter().collect::<Result<Vec<_>, _>>()?;
        println!(
            "\n{:<24} {:>12} {:>10} {:>7}  result",
            "target", "executions", "exec/s", "s"
        );
        for row in &rows {
            println!(
                "{:<24} {:>12} {:>10} {:>7}  {}",
                row.target,
                row.executions,
                row.per_second,
                row.seconds,
                if row.passed { "passed" } else { "FAILED" }
            );
        }
        for row in rows.iter().filter(|row| !row.passed) {
            println!("\n{} failed:\n{}", row.target, row.cause);
        }
        Ok(Outcome::from_passed(rows.iter().all(|row| row.passed)))
    }

    fn fuzz_one(&self, target: &Target) -> Result<Row, Failure> {
        let corpus = target.inputs("corpus");
        fs::create_dir_all(&corpus)?;
        let mut folders: Vec<_> = KEPT.iter().map(|kind| target.inputs(kind)).collect();
        folders.retain(|folder| folder.is_dir());
        let flag = if self.is_smoke {
            "-runs=0".to_owned()
        } else {
            // New findings go to the first folder.
            folders.insert(0, corpus);
            format!("-max_total_time={}", self.seconds)
        };
        let started = Instant::now();
        let (passed, log_text) = self.run(target, &folders, &[&flag])?;
        Ok(Row {
            target: target.name.clone(),
            executions: statistic(&log_text, "number_of_executed_units"),
            per_second: statistic(&log_text, "average_exec_per_sec"),
            seconds: started.elapsed().as_secs(),
            passed,
            cause: cause(&log_text),
        })
    }

    /// Runs a target; tells whether it passed, and what it printed.
    fn run(
        &self,
        target: &Target,
        folders: &[PathBuf],
        flags: &[&str],
    ) -> Result<(bool, String), Failure> {
        let logs = tool::target_dir().join("fuzz");
        fs::create_dir_all(&logs)?;
        let log = logs.join(format!("{}.log", target.name));
        let status = self
            .cargo_fuzz("run")
            .arg(&target.name)
            .args(folders)
            .args(["--", "-print_final_stats=1", "-timeout=10"])
            .args(flags)
            .args(&self.libfuzzer)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .status()
            .map_err(|error| Failure::new(format!("cannot run cargo fuzz: {error}")))?;
        let log_text = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
        if !status.success() {
            println!("failed; the log is {}", tool::relative(&log));
        }
        Ok((status.success(), log_text))
    }

    fn cargo_fuzz(&self, verb: &str) -> Command {
        let mut command = tool::rustup_cargo();
        command.args(["+nightly", "fuzz", verb]);
        if let Some(sanitizer) = &self.sanitizer {
            command.args(["--sanitizer", sanitizer]);
        }
        command
    }
}

#[derive(Debug)]
struct Row {
    target: String,
    executions: String,
    per_second: String,
    seconds: u64,
    passed: bool,
    cause: String,
}

/// A number that libFuzzer prints when it ends, as `stat::average_exec_per_sec: 1234`.
fn statistic(log: &str, name: &str) -> String {
    log.lines()
        .find_map(|line| {
            line.strip_prefix("stat::")?
                .strip_prefix(name)?
                .strip_prefix(':')
        })
        .map_or_else(|| "?".to_owned(), |value| value.trim().to_owned())
}

/// What a log says of a failure: what was claimed and not so, and the input in base64.
fn cause(log: &str) -> String {
    let marks = ["panicked at ", "ERROR: ", "SUMMARY: ", "Base64: "];
    let mut cause = String::new();
    let mut lines = log.lines();
    while let Some(line) = lines.next() {
        if !marks.iter().any(|mark| line.contains(mark)) {
            continue;
        }
        cause += &format!("  | {line}\n");
        if line.contains(marks[0])
            && let Some(message) = lines.next()
        {
            cause += &format!("  | {message}\n");
        }
    }
    cause
}

fn require_tools() -> Result<(), Failure> {
    let nightly = tool::rustup_cargo()
        .args(["+nightly", "--version"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !nightly {
        return Err(Failure::new(
            "fuzzing needs a nightly toolchain: rustup toolchain install nightly --profile minimal",
        ));
    }
    let fuzz = tool::rustup_cargo()
        .args(["fuzz", "--version"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !fuzz {
        println!("cargo-fuzz is not installed; installing it");
        tool::run(tool::rustup_cargo().args(["install", "cargo-fuzz", "--locked"]))?;
    }
    Ok(())
}

/// The kinds of inputs that are in the tree: from the vectors, those that a target once failed at,
/// and those that runs have found.
const KEPT: [&str; 3] = ["seeds", "failed", minimize::MINIMIZED];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_the_documentation_is_the_summary() {
        assert_eq!(
            summary("#![no_main]\n//! Headers: any bytes.\n//! More.\n"),
            "Headers: any bytes."
        );
        assert_eq!(summary("fn main() {}\n"), "");
    }

    #[test]
    fn the_cause_of_a_failure_is_what_was_claimed_and_the_input() {
        let log = "#12 NEW cov: 3\nthread '<unnamed>' (7) panicked at src/utf8.rs:3:4:\nnot the same\nstack backtrace:\n\
                   SUMMARY: libFuzzer: deadly signal\nMS: 1 Copy-\nBase64: R0VU\n   9: _start\n";
        assert_eq!(
            cause(log),
            "  | thread '<unnamed>' (7) panicked at src/utf8.rs:3:4:\n  | not the same\n  | \
             SUMMARY: libFuzzer: deadly signal\n  | Base64: R0VU\n"
        );
        assert_eq!(cause("Done 12 runs in 1 second(s)\n"), "");
    }

    #[test]
    fn statistics_of_libfuzzer_are_read() {
        let log =
            "Done 12 runs\nstat::number_of_executed_units: 12\nstat::average_exec_per_sec:     6\n";
        assert_eq!(statistic(log, "number_of_executed_units"), "12");
        assert_eq!(statistic(log, "average_exec_per_sec"), "6");
        assert_eq!(statistic(log, "peak_rss_mb"), "?");
    }
}

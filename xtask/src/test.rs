//! `cargo xtask test`: the tests of the workspace, several programs at a time.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use lexopt::Parser;
use serde_json::Value;

use crate::tool::{self, Failure, Job, Outcome};

pub(crate) const HELP: &str = "
cargo xtask test [ARGUMENTS]

Builds all targets of the workspace as `cargo test --workspace --all-targets` does, and runs as many of
the programs at a time as there are processors, as some of them wait; benches run once. Says how long
each took, and what those printed that failed. ARGUMENTS go to every program that is no bench.
";

pub(crate) fn run(mut arguments: Parser) -> Result<Outcome, Failure> {
    let arguments: Vec<_> = arguments.raw_args()?.collect();
    let programs = programs(&mut tool::cargo())?;
    let run = |program: &'_ Program| {
        let began = Instant::now();
        let output = program
            .command()
            .args(arguments.iter().filter(|_| !program.is_bench))
            .stdin(Stdio::null())
            .output();
        (output, began.elapsed())
    };
    let run = &run;
    let job = |program| -> Job<'_, _> { Box::new(move || run(program)) };
    let done = tool::at_once(tool::processors(), programs.iter().map(job).collect());
    let mut rows: Vec<_> = programs.iter().zip(done).collect();
    rows.sort_by_key(|(_, (_, took))| *took);
    let mut passed = !rows.is_empty();
    for (program, (output, took)) in rows {
        passed &= program.tell(&output?, took);
    }
    Ok(Outcome::from_passed(passed))
}

/// A program that has tests in it.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) name: String,
    file: PathBuf,
    /// Of its package.
    pub(crate) folder: PathBuf,
    /// The file that it begins with.
    pub(crate) source: PathBuf,
    pub(crate) is_bench: bool,
}

impl Program {
    /// Runs it as Cargo does.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.file);
        command
            .current_dir(&self.folder)
            .env("CARGO_MANIFEST_DIR", &self.folder);
        command
    }

    /// Says how a run went; tells whether it passed.
    fn tell(&self, output: &Output, took: Duration) -> bool {
        let said = String::from_utf8_lossy(&output.stdout);
        let result = said.lines().find(|line| line.starts_with("test result: "));
        let passed = output.status.success();
        if !passed {
            let complaints = String::from_utf8_lossy(&output.stderr);
            println!(
                "{said}\n{complaints}\nFAILED {}: {}",
                self.name, output.status
            );
        }
        println!(
            "{:>8.1} s  {}  {}",
            took.as_secs_f64(),
            self.name,
            result.unwrap_or_default()
        );
        passed
    }
}

/// Builds all programs that have tests in them.
pub(crate) fn programs(cargo: &mut Command) -> Result<Vec<Program>, Failure> {
    let said = tool::output_of(
        cargo
            .args(["test", "--workspace", "--all-targets", "--no-run"])
            .args(["--message-format", "json-render-diagnostics"]),
    )?;
    Ok(said.lines().filter_map(program).collect())
}

/// Reads one of Cargo's messages.
fn program(line: &str) -> Option<Program> {
    let message: Value = serde_json::from_str(line).ok()?;
    if message["profile"]["test"] != true {
        return None;
    }
    let folder = PathBuf::from(message["manifest_path"].as_str()?);
    let folder = folder.parent()?;
    let package = folder.file_name()?.to_string_lossy();
    Some(Program {
        name: format!("{package}/{}", message["target"]["name"].as_str()?),
        file: message["executable"].as_str()?.into(),
        folder: folder.into(),
        source: message["target"]["src_path"].as_str()?.into(),
        is_bench: message["target"]["kind"][0] == "bench",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_of_cargo_names_a_program_with_tests() {
        let line = r#"{"reason":"compiler-artifact","manifest_path":"/w/crates/ws-a/Cargo.toml",
            "target":{"kind":["test"],"name":"b","src_path":"/w/b.rs"},"profile":{"test":true},"executable":"/w/b-1"}"#;
        let read = program(&line.replace('\n', " ")).unwrap();
        assert_eq!(read.name, "ws-a/b");
        assert_eq!(read.file, PathBuf::from("/w/b-1"));
        assert_eq!(read.folder, PathBuf::from("/w/crates/ws-a"));
        assert!(!read.is_bench);
        assert!(program(&line.replace("true", "false")).is_none());
        assert!(program("error").is_none());
    }
}

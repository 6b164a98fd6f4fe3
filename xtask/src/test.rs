//! `cargo xtask test`: the tests of the workspace, several programs at a time.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use lexopt::Parser;
use serde_json::Value;

use crate::tool::{self, Failure, Job, Outcome};

pub(crate) const HELP: &str = "
cargo xtask test [ARGUMENTS]

Builds all targets of the workspace as `cargo test --workspace --all-targets` does, and runs as many of
the programs at a time as there are processors, as some of them wait; benches run once. Says how long
each took, and what those printed that failed. A program that runs for five minutes is stopped and has
failed. ARGUMENTS go to every program that is no bench.
";

/// The longest program needs a tenth of it.
const LIMIT: Duration = Duration::from_secs(300);

pub(crate) fn run(mut arguments: Parser) -> Result<Outcome, Failure> {
    let arguments: Vec<_> = arguments.raw_args()?.collect();
    let programs = programs(&mut tool::cargo())?;
    let logs = tool::target_dir().join("test-logs");
    fs::create_dir_all(&logs)?;
    let run = |program: &'_ Program| -> Result<bool, Failure> {
        let log = logs.join(format!("{}.log", program.name.replace('/', "-")));
        let began = Instant::now();
        let mut command = program.command();
        command.args(arguments.iter().filter(|_| !program.is_bench));
        let status = logged(&mut command, &log, LIMIT)?;
        program.tell(status, &log, began.elapsed())
    };
    let run = &run;
    let job = |program| -> Job<'_, _> { Box::new(move || run(program)) };
    let done = tool::at_once(tool::processors(), programs.iter().map(job).collect());
    let mut passed = !done.is_empty();
    for program in done {
        passed &= program?;
    }
    Ok(Outcome::from_passed(passed))
}

/// Runs a command that prints to a file, which a process that it left behind may keep open; `None`
/// if it was stopped at the limit.
fn logged(
    command: &mut Command,
    log: &Path,
    limit: Duration,
) -> Result<Option<ExitStatus>, Failure> {
    let file = File::create(log)?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .spawn()?;
    tool::end_at_most(&mut child, limit)
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

    /// Says how a run went as soon as it is over; tells whether it passed.
    fn tell(
        &self,
        status: Option<ExitStatus>,
        log: &Path,
        took: Duration,
    ) -> Result<bool, Failure> {
        let said = String::from_utf8_lossy(&fs::read(log)?).into_owned();
        let result = said.lines().find(|line| line.starts_with("test result: "));
        let passed = status.is_some_and(|status| status.success());
        // In one piece: others tell at the same time.
        let mut told = String::new();
        if !passed {
            let how = status.map_or_else(
                || format!("stopped after {} s", took.as_secs()),
                |status| status.to_string(),
            );
            told = format!("{said}\nFAILED {}: {how}\n", self.name);
        }
        told += &format!(
            "{:>8.1} s  {}  {}\n",
            took.as_secs_f64(),
            self.name,
            result.unwrap_or_default()
        );
        std::io::stdout().lock().write_all(told.as_bytes())?;
        Ok(passed)
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
    fn command_that_does_not_end_is_stopped_and_its_log_is_kept() {
        let log = tool::target_dir().join(format!("log-{}", std::process::id()));
        let mut endless = Command::new("sh");
        endless.args(["-c", "echo begun; exec sleep 1000"]);
        let ended = logged(&mut endless, &log, Duration::from_millis(500)).unwrap();
        assert!(ended.is_none());
        assert_eq!(fs::read(&log).unwrap(), b"begun\n");
        // One that is left behind is not waited for.
        let mut leaving = Command::new("sh");
        leaving.args(["-c", "sleep 20 & exit 3"]);
        let ended = logged(&mut leaving, &log, Duration::from_secs(10)).unwrap();
        assert_eq!(ended.and_then(|status| status.code()), Some(3));
        fs::remove_file(&log).unwrap();
    }

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

//! What the commands share: outcome and failure, paths, and running other programs.

use std::{
    env,
    ffi::OsStr,
    fmt, fs,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::{Mutex, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

/// How a command that ran to its end turned out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Outcome {
    Passed,
    Failed,
}

impl Outcome {
    pub(crate) fn from_passed(passed: bool) -> Self {
        if passed { Self::Passed } else { Self::Failed }
    }
}

/// Why a command could not do its work at all, as one sentence for the person who called it.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<lexopt::Error> for Failure {
    fn from(error: lexopt::Error) -> Self {
        Self(format!("{error}; see --help"))
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self(error.to_string())
    }
}

/// The top of the repository.
pub(crate) fn root() -> PathBuf {
    // Cargo sets the variable for `cargo run` and `cargo test`; a binary called by hand falls back
    // on the place that it was built from.
    let manifest = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    manifest.parent().map(Path::to_path_buf).unwrap_or(manifest)
}

/// Where Cargo puts what it builds.
pub(crate) fn target_dir() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => root().join(dir),
        None => root().join("target"),
    }
}

/// The Cargo that runs this tool.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Builds programs of the workspace as its tests are built, so that there is one build for all.
pub(crate) fn build(programs: &[&str]) -> Result<(), Failure> {
    let programs = programs.iter().flat_map(|program| ["--bin", program]);
    run(cargo().args(["build", "--workspace"]).args(programs))
}

/// Where `build` puts a program.
pub(crate) fn program(name: &str) -> PathBuf {
    target_dir().join("debug").join(name)
}

/// Cargo as the person would call it, so that `+toolchain` works: rustup's proxy, and without the
/// variables that pin it to the toolchain of this process.
pub(crate) fn rustup_cargo() -> Command {
    let mut command = Command::new("cargo");
    command
        .current_dir(root())
        .env_remove("RUSTUP_TOOLCHAIN")
        .env_remove("CARGO")
        .env_remove("RUSTC")
        .env_remove("RUSTDOC");
    command
}

/// What [`at_once`] does beside others.
pub(crate) type Job<'a, T> = Box<dyn FnOnce() -> T + Send + 'a>;

/// Does all jobs, so many of them at a time; returns what became of each, in their order.
pub(crate) fn at_once<T: Send>(most: usize, jobs: Vec<Job<'_, T>>) -> Vec<T> {
    let next = Mutex::new(jobs.into_iter().enumerate());
    let done = Mutex::new(Vec::new());
    let take = || next.lock().unwrap_or_else(PoisonError::into_inner).next();
    thread::scope(|scope| {
        for _ in 0..most {
            scope.spawn(|| {
                while let Some((number, job)) = take() {
                    let result = job();
                    let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                    done.push((number, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}

/// How many jobs at a time keep the processors busy though each waits now and then.
pub(crate) fn processors() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

pub(crate) fn add_target(target: &str) -> Result<(), Failure> {
    let installed = Command::new("rustup")
        .args(["target", "list", "--installed"])
        .current_dir(root())
        .output();
    match installed {
        Ok(output) if output.status.success() => {
            let list = String::from_utf8_lossy(&output.stdout);
            if list.lines().any(|line| line.trim() == target) {
                return Ok(());
            }
            run(Command::new("rustup")
                .args(["target", "add", target])
                .current_dir(root()))
            .map_err(|failure| {
                Failure::new(format!(
                    "the target {target} is not installed and cannot be added: {failure}"
                ))
            })
        }
        // Without rustup the toolchain may still have the target: the build will tell.
        _ => {
            println!("rustup is not there; {target} has to be part of the toolchain");
            Ok(())
        }
    }
}

/// Whether `program` can be started at all.
pub(crate) fn is_installed(program: impl AsRef<OsStr>) -> bool {
    Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Where a program is, also among those of the system's administrator.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .map(|dir: PathBuf| dir.join(program))
        .find(|file| file.is_file())
}

/// Runs a command to its end and asks for success.
pub(crate) fn run(command: &mut Command) -> Result<(), Failure> {
    let line = line_of(command);
    println!("$ {line}");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::new(format!("`{line}` ended with {status}"))),
        Err(error) => Err(Failure::new(format!("cannot run `{line}`: {error}"))),
    }
}

/// Runs a command to its end and returns what it printed on its standard output.
pub(crate) fn output_of(command: &mut Command) -> Result<String, Failure> {
    let line = line_of(command);
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| Failure::new(format!("cannot run `{line}`: {error}")))?;
    if !output.status.success() {
        return Err(Failure::new(format!(
            "`{line}` ended with {}",
            output.status
        )));
    }
    String::from_utf8(output.stdout)
        .map_err(|_| Failure::new(format!("`{line}` printed something that is not UTF-8")))
}

fn line_of(command: &Command) -> String {
    // Without its folder: `cargo`, not where the toolchain keeps it.
    let program = Path::new(command.get_program());
    let mut line = program
        .file_name()
        .unwrap_or(program.as_os_str())
        .to_string_lossy()
        .into_owned();
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    line
}

/// Reads a text file; the failure names it.
pub(crate) fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path)
        .map_err(|error| Failure::new(format!("cannot read {}: {error}", path.display())))
}

/// The files below `dir` for which `wanted` holds, sorted; nothing when there is no such folder.
pub(crate) fn files_below(
    dir: &Path,
    wanted: &dyn Fn(&Path) -> bool,
) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_path_buf()];
    while let Some(dir) = open.pop() {
        if !dir.is_dir() {
            continue;
        }
        for entry in fs::read_dir(&dir)? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else if wanted(&path) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// A path as the repository sees it.
pub(crate) fn relative(path: &Path) -> String {
    let root = root();
    path.strip_prefix(&root)
        .unwrap_or(path)
        .display()
        .to_string()
}

/// A program that serves until it is stopped, and says on its standard output where it listens.
#[derive(Debug)]
pub(crate) struct Service {
    name: String,
    child: Child,
    port: u16,
    lines: mpsc::Receiver<String>,
}

impl Service {
    /// Starts `command` and waits for a line with `listening on`; the last `:PORT` in it counts. A
    /// Unix-domain socket has none: 0.
    pub(crate) fn start(name: &str, command: &mut Command) -> Result<Self, Failure> {
        let line = line_of(command);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| Failure::new(format!("cannot run `{line}`: {error}")))?;
        let lines = lines_of(child.stdout.take());
        let mut service = Self {
            name: name.to_owned(),
            child,
            port: 0,
            lines,
        };
        let deadline = Instant::now() + START_LIMIT;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match service.lines.recv_timeout(left) {
                Ok(line) if line.contains("listening on unix:") => return Ok(service),
                Ok(line) if line.contains("listening on") => {
                    service.port = last_port(&line)
                        .ok_or_else(|| Failure::new(format!("{name} names no port in {line:?}")))?;
                    return Ok(service);
                }
                Ok(_) => {}
                Err(_) => {
                    let ended = service.child.try_wait()?;
                    return Err(Failure::new(match ended {
                        Some(status) => format!("{name} (`{line}`) ended at once with {status}"),
                        None => format!(
                            "{name} (`{line}`) did not say within {START_LIMIT:?} where it listens"
                        ),
                    }));
                }
            }
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The number that the system knows the program by.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line that the program prints, or `None` when `limit` passes first.
    pub(crate) fn next_line(&self, limit: Duration) -> Option<String> {
        self.lines.recv_timeout(limit).ok()
    }

    /// Asks the program to end and says whether it did so cleanly.
    pub(crate) fn stop(mut self) -> Result<(), Failure> {
        if let Some(status) = self.child.try_wait()? {
            return Err(Failure::new(format!(
                "{} ended by itself with {status}",
                self.name
            )));
        }
        terminate(&self.child)?;
        self.stopped()
    }

    /// Waits for a program that was asked to end, and says whether it does so cleanly.
    pub(crate) fn stopped(mut self) -> Result<(), Failure> {
        match wait_at_most(&mut self.child, STOP_LIMIT)? {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(Failure::new(format!(
                "{} did not stop cleanly: {status}",
                self.name
            ))),
            None => Err(Failure::new(format!(
                "{} was still there {STOP_LIMIT:?} after SIGTERM",
                self.name
            ))),
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Waits for a child for `limit`; `None` if it is still running then.
pub(crate) fn wait_at_most(
    child: &mut Child,
    limit: Duration,
) -> Result<Option<std::process::ExitStatus>, Failure> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Waits for a child for `limit`, and kills it if it is still running then: `None`.
pub(crate) fn end_at_most(
    child: &mut Child,
    limit: Duration,
) -> Result<Option<std::process::ExitStatus>, Failure> {
    let ended = wait_at_most(child, limit)?;
    if ended.is_none() {
        child.kill()?;
        child.wait()?;
    }
    Ok(ended)
}

/// SIGTERM: the standard library can only kill.
pub(crate) fn terminate(child: &Child) -> Result<(), Failure> {
    let status = Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err(Failure::new(format!("kill ended with {status}")))
    }
}

/// The lines of a pipe, read to its end by a thread so that the writer never blocks on it.
fn lines_of(pipe: Option<ChildStdout>) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    if let Some(pipe) = pipe {
        thread::spawn(move || {
            for line in BufReader::new(pipe).lines() {
                let Ok(line) = line else { break };
                let _ = sender.send(line);
            }
        });
    }
    receiver
}

fn last_port(line: &str) -> Option<u16> {
    line.rmatch_indices(':').find_map(|(at, _)| {
        let digits = line[at + 1..]
            .split(|c: char| !c.is_ascii_digit())
            .next()
            .unwrap_or_default();
        digits.parse().ok()
    })
}

/// A Python interpreter that can make virtual environments.
pub(crate) fn python() -> Result<&'static str, Failure> {
    if is_installed("python3") {
        Ok("python3")
    } else {
        Err(Failure::new(
            "python3 is not installed (on Debian: apt-get install python3 python3-venv)",
        ))
    }
}

const START_LIMIT: Duration = Duration::from_secs(30);
const STOP_LIMIT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_that_are_done_at_once_answer_in_their_order() {
        let jobs = (0..100).map(|number| -> Job<'_, usize> { Box::new(move || number) });
        let done = at_once(3, jobs.collect());
        assert_eq!(done, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn the_last_port_of_a_line_counts() {
        assert_eq!(last_port("listening on ws://127.0.0.1:9001"), Some(9001));
        assert_eq!(
            last_port("12:30 listening on ws://[::1]:80/chat (mio)"),
            Some(80)
        );
        assert_eq!(last_port("listening on a socket"), None);
    }
}

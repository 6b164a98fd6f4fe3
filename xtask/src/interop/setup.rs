//! The outside implementations: what is installed, and what is put into the target folder.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::tls;
use crate::{
    log::Log,
    tool::{self, Failure, Job},
};

/// The outside implementations that are there.
#[derive(Debug, Default)]
pub(super) struct Peers {
    /// The interpreter of an environment with the pinned packages.
    pub(super) python: Option<PathBuf>,
    /// The folder with the packages of Node.js.
    pub(super) node: Option<PathBuf>,
    pub(super) chromium: Option<&'static str>,
    pub(super) has_openssl: bool,
    /// Where Java finds Netty, and `Netty.java` compiled.
    pub(super) netty: Option<OsString>,
    /// The program of `unmasked`.
    pub(super) unmasked: Option<PathBuf>,
    pub(super) nats: Option<PathBuf>,
    pub(super) haproxy: Option<PathBuf>,
}

impl Peers {
    /// Looks for all of them; without `allow_missing` all have to be there.
    pub(super) fn set_up(allow_missing: bool, log: &mut Log) -> Result<Self, Failure> {
        // Three of them wait for a registry.
        let made: Vec<Job<'_, Result<OsString, Failure>>> = vec![
            Box::new(|| set_up_unmasked().map(OsString::from)),
            Box::new(|| set_up_python().map(OsString::from)),
            Box::new(|| set_up_node().map(OsString::from)),
            Box::new(set_up_netty),
        ];
        let mut made = tool::at_once(made.len(), made).into_iter();
        let mut found = |name: &str, result: Result<OsString, Failure>| match result {
            Ok(found) => Ok(Some(found)),
            Err(failure) if allow_missing => {
                log.leave_out(name, &failure);
                Ok(None)
            }
            Err(failure) => Err(Failure::new(format!(
                "{name}: {failure}; --allow-missing goes on without"
            ))),
        };
        let mut next = |name| match made.next() {
            Some(result) => found(name, result),
            None => Ok(None),
        };
        Ok(Self {
            unmasked: next("fastwebsockets and wtx")?.map(PathBuf::from),
            python: next("Python's packages")?.map(PathBuf::from),
            node: next("the packages of Node.js")?.map(PathBuf::from),
            netty: next("Netty")?,
            has_openssl: found("OpenSSL", tls::find_openssl())?.is_some(),
            nats: found("NATS", find("nats-server", "nats-server"))?.map(PathBuf::from),
            haproxy: found("HAProxy", find("haproxy", "haproxy"))?.map(PathBuf::from),
            chromium: match find_chromium() {
                Ok(chromium) => Some(chromium),
                Err(failure) => found("Chromium", Err(failure))?.and(None),
            },
        })
    }
}

/// A program of the system, by the Debian package that has it.
fn find(program: &str, package: &str) -> Result<OsString, Failure> {
    match tool::find(program) {
        Some(program) => Ok(program.into()),
        None => Err(not_installed(program, package)),
    }
}

fn not_installed(program: &str, package: &str) -> Failure {
    Failure::new(format!(
        "{program} is not installed (on Debian: apt-get install {package})"
    ))
}

/// Builds the clients of other crates; returns their program.
fn set_up_unmasked() -> Result<PathBuf, Failure> {
    let dir = tool::target_dir().join("interop-unmasked");
    let mut build = tool::cargo();
    build.args(["build", "--quiet", "--locked", "--manifest-path"]);
    build.arg(script("unmasked/Cargo.toml"));
    tool::run(build.arg("--target-dir").arg(&dir))?;
    Ok(dir.join("debug/unmasked"))
}

/// Compiles the peer on Netty; returns its class path.
fn set_up_netty() -> Result<OsString, Failure> {
    if !tool::is_installed("javac") {
        return Err(not_installed("javac", "default-jdk-headless"));
    }
    let jars = NETTY.map(|jar| Path::new("/usr/share/java").join(format!("netty-{jar}.jar")));
    if let Some(missing) = jars.iter().find(|jar| !jar.is_file()) {
        return Err(not_installed(
            &missing.display().to_string(),
            "libnetty-java",
        ));
    }
    let dir = tool::target_dir().join("interop-netty");
    let paths = std::iter::once(dir.clone()).chain(jars);
    let class_path = std::env::join_paths(paths)
        .map_err(|error| Failure::new(format!("the class path of Netty: {error}")))?;
    let source = script("Netty.java");
    if !is_current(&dir, &source)? {
        let mut compile = Command::new("javac");
        compile.arg("-cp").arg(&class_path).arg("-d").arg(&dir);
        tool::run(compile.arg(&source))?;
        mark_current(&dir, &source)?;
    }
    Ok(class_path)
}

/// The parts of Netty that a WebSocket needs.
const NETTY: [&str; 7] = [
    "buffer",
    "codec",
    "codec-http",
    "common",
    "handler",
    "resolver",
    "transport",
];

/// A file of `xtask/interop`.
pub(super) fn script(name: &str) -> PathBuf {
    tool::root().join("xtask/interop").join(name)
}

/// Node.js with a script, which finds its packages.
pub(super) fn node(modules: &Path, name: &str) -> Command {
    let mut command = Command::new("node");
    command.arg(script(name)).env("NODE_PATH", modules);
    command
}

/// Makes a virtual environment with the pinned packages; returns its interpreter.
pub(crate) fn set_up_python() -> Result<PathBuf, Failure> {
    let python = tool::python()?;
    let venv = tool::target_dir().join("interop-python");
    let wanted = script("requirements.txt");
    if !is_current(&venv, &wanted)? {
        tool::run(
            Command::new(python)
                .args(["-m", "venv", "--clear"])
                .arg(&venv),
        )?;
        tool::run(
            Command::new(venv.join("bin/python"))
                .args([
                    "-m",
                    "pip",
                    "install",
                    "--quiet",
                    "--disable-pip-version-check",
                    "-r",
                ])
                .arg(&wanted),
        )?;
        mark_current(&venv, &wanted)?;
    }
    Ok(venv.join("bin/python"))
}

/// Installs the pinned packages; returns the folder that Node.js is to look into.
fn set_up_node() -> Result<PathBuf, Failure> {
    for program in ["node", "npm"] {
        if !tool::is_installed(program) {
            return Err(Failure::new(format!(
                "{program} is not installed (on Debian: apt-get install nodejs npm)"
            )));
        }
    }
    let dir = tool::target_dir().join("interop-node");
    let wanted = script("package.json");
    if !is_current(&dir, &wanted)? {
        fs::create_dir_all(&dir)?;
        fs::copy(&wanted, dir.join("package.json"))?;
        tool::run(
            Command::new("npm")
                .args([
                    "install",
                    "--silent",
                    "--no-audit",
                    "--no-fund",
                    "--no-package-lock",
                ])
                .current_dir(&dir),
        )?;
        mark_current(&dir, &wanted)?;
    }
    Ok(dir.join("node_modules"))
}

fn find_chromium() -> Result<&'static str, Failure> {
    ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find(|name| tool::is_installed(name))
        .ok_or_else(|| {
            Failure::new("chromium is not installed (on Debian: apt-get install chromium)")
        })
}

/// Whether `dir` was set up from `wanted` as it is today.
fn is_current(dir: &Path, wanted: &Path) -> Result<bool, Failure> {
    let mark = fs::read(dir.join(MARK)).unwrap_or_default();
    Ok(!mark.is_empty() && mark == fs::read(wanted)?)
}

fn mark_current(dir: &Path, wanted: &Path) -> Result<(), Failure> {
    fs::copy(wanted, dir.join(MARK))?;
    Ok(())
}

const MARK: &str = "set-up-from";

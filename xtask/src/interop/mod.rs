//! `cargo xtask interop`: the examples against WebSocket implementations of other people.

mod chat;
mod deflate;
mod relay;
mod targets;
mod tls;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use lexopt::{Arg, Parser};

use crate::certs::Certificates;
use crate::log::Log;
use crate::tool::{self, Failure, Job, Outcome, Service};

pub(crate) const HELP: &str = "
cargo xtask interop [--allow-missing] [--self-check | --tls | --targets | --chat]

Checks the example `echo`, on both adapters, with clients of PyPI websockets, npm ws and headless
Chromium; and the example `client`, with both ways of masking, with servers of the first two. Then
the same with permessage-deflate and each set of its parameters, through a relay that sees what is
agreed and counts bytes.
And every such client, with npm undici besides, connects with a list of odd targets, which `echo` has
to get as the client's own URL parser writes them.
Several tabs of Chromium use the page of the example `chat`.
Then all of it over TLS 1.2 and 1.3, with and without certificates of clients, and with OpenSSL as
one more client; and `client` with servers whose certificates it is to refuse. Chromium is told to
trust the server's key, the others trust its authority.
Needs python3 with venv, node with npm, openssl and chromium; packages go to the target folder.

  --allow-missing   leave out peers whose tools are not there, and say so
  --tls             only what is over TLS
  --targets         only the list of targets
  --chat            only the page of the chat
  --self-check      check the scripts against each other, without the examples
";

pub(crate) fn run(mut arguments: Parser) -> Result<Outcome, Failure> {
    let (mut allow_missing, mut self_check, mut part) = (false, false, Part::All);
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Long("allow-missing") => allow_missing = true,
            Arg::Long("self-check") => self_check = true,
            Arg::Long("tls") => part = Part::Tls,
            Arg::Long("targets") => part = Part::Targets,
            Arg::Long("chat") => part = Part::Chat,
            other => return Err(other.unexpected().into()),
        }
    }
    let mut log = Log::default();
    let peers = Peers::set_up(allow_missing, &mut log)?;
    let certificates = tls::set_up()?;
    if self_check {
        peers.check_each_other(&mut log)?;
        tls::check_each_other(&peers, &certificates, &mut log)?;
    } else {
        tool::build(&["chat", "client", "echo"])?;
        let checks = checks(&peers, &certificates, part);
        // Much of their time they wait for programs that start.
        for checked in tool::at_once(tool::processors() + 2, checks) {
            log.add(checked?);
        }
    }
    Ok(log.finish())
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    All,
    Tls,
    Targets,
    Chat,
}

impl Part {
    fn holds(self, part: Self) -> bool {
        self == Self::All || self == part
    }
}

const ADAPTERS: [&str; 2] = ["mio", "smol"];

/// All that is checked, in parts that know nothing of each other, the longest first.
fn checks<'a>(
    peers: &'a Peers,
    certificates: &'a Certificates,
    part: Part,
) -> Vec<Job<'a, Result<Log, Failure>>> {
    fn check<'a>(
        check: impl FnOnce(&mut Log) -> Result<(), Failure> + Send + 'a,
    ) -> Job<'a, Result<Log, Failure>> {
        Box::new(|| {
            let mut log = Log::default();
            check(&mut log)?;
            Ok(log)
        })
    }
    let mut checks = Vec::new();
    if part.holds(Part::Tls) {
        for version in tls::VERSIONS {
            checks.push(check(move |log| {
                tls::check_client(peers, certificates, version, log)
            }));
        }
    }
    for adapter in ADAPTERS {
        if part == Part::All {
            checks.push(check(move |log| deflate::check_echo(peers, adapter, log)));
            checks.push(check(move |log| peers.check_echo(adapter, log)));
        }
        if part.holds(Part::Targets) {
            checks.push(check(move |log| targets::check_echo(peers, adapter, log)));
        }
        if part.holds(Part::Tls) {
            checks.push(check(move |log| {
                tls::check_echo(peers, certificates, adapter, log)
            }));
        }
    }
    if part.holds(Part::Chat) {
        checks.push(check(|log| chat::check(peers, log)));
    }
    if part == Part::All {
        checks.push(check(|log| deflate::check_client(peers, log)));
        checks.push(check(|log| peers.check_client(log)));
    }
    if part.holds(Part::Tls) {
        checks.push(check(|log| tls::check_refusals(peers, certificates, log)));
    }
    checks
}

/// The outside implementations that are there.
#[derive(Debug)]
struct Peers {
    python: Option<PathBuf>,
    node: Option<PathBuf>,
    chromium: Option<&'static str>,
    has_openssl: bool,
}

impl Peers {
    fn set_up(allow_missing: bool, log: &mut Log) -> Result<Self, Failure> {
        let mut present = |name: &str, failure: Failure| {
            if !allow_missing {
                return Err(Failure::new(format!(
                    "{name}: {failure}; --allow-missing goes on without"
                )));
            }
            log.leave_out(name, &failure);
            Ok(())
        };
        let mut peers = Self {
            python: None,
            node: None,
            chromium: None,
            has_openssl: tls::has_openssl(),
        };
        match set_up_python() {
            Ok(python) => peers.python = Some(python),
            Err(failure) => present("PyPI websockets", failure)?,
        }
        match set_up_node() {
            Ok(modules) => peers.node = Some(modules),
            Err(failure) => present("npm ws", failure)?,
        }
        match find_chromium() {
            Ok(chromium) => peers.chromium = Some(chromium),
            Err(failure) => present("Chromium", failure)?,
        }
        if !peers.has_openssl {
            let failure = Failure::new("it is not installed (on Debian: apt-get install openssl)");
            present("OpenSSL", failure)?;
        }
        Ok(peers)
    }

    /// Every client here against an echo server.
    fn check_server(&self, server: &str, url: &str, log: &mut Log) -> Result<(), Failure> {
        for (name, mut client) in self.clients(url, "")? {
            log.note(&format!("{name} with {server}"), tool::run(&mut client));
        }
        Ok(())
    }

    /// The clients that are there; with parameters of permessage-deflate those that can ask for
    /// them.
    fn clients(&self, url: &str, params: &str) -> Result<Vec<(&'static str, Command)>, Failure> {
        let mut clients = Vec::new();
        if let Some(python) = &self.python {
            let mut client = Command::new(python);
            client.arg(script("python_client.py")).args([url, params]);
            clients.push(("PyPI websockets", client));
        }
        if let Some(modules) = &self.node {
            let mut client = node(modules, "node_client.cjs");
            client.args([url, params]);
            clients.push(("npm ws", client));
        }
        if let Some(chromium) = self.chromium
            && params.is_empty()
        {
            let mut client = Command::new(tool::python()?);
            client.arg(script("browser.py")).args([url, chromium]);
            clients.push(("Chromium", client));
        }
        Ok(clients)
    }

    fn check_echo(&self, adapter: &str, log: &mut Log) -> Result<(), Failure> {
        let name = format!("echo --adapter {adapter}");
        let service = Service::start(&name, &mut echo(adapter))?;
        self.check_server(&name, &url(&service), log)?;
        log.note(&format!("{name} stops when asked to"), service.stop());
        Ok(())
    }

    /// The servers that are there, started with the arguments.
    fn servers(&self, arguments: &[String]) -> Result<Vec<(&'static str, Service)>, Failure> {
        let mut servers = Vec::new();
        if let Some(python) = &self.python {
            let mut server = Command::new(python);
            server.arg(script("python_server.py")).args(arguments);
            servers.push((
                "a PyPI websockets server",
                Service::start("python_server.py", &mut server)?,
            ));
        }
        if let Some(modules) = &self.node {
            let mut server = node(modules, "node_server.cjs");
            server.args(arguments);
            servers.push((
                "an npm ws server",
                Service::start("node_server.cjs", &mut server)?,
            ));
        }
        Ok(servers)
    }

    fn check_client(&self, log: &mut Log) -> Result<(), Failure> {
        let dir = messages_dir()?;
        for (name, service) in self.servers(&[])? {
            for masking in [&[][..], &["--set-mask-to-zero"]] {
                let line = ["client"]
                    .iter()
                    .chain(masking)
                    .copied()
                    .collect::<Vec<_>>();
                println!("== {} with {name}", line.join(" "));
                let base = format!("ws://127.0.0.1:{}", service.port());
                let result = send_all(&dir, &service, masking, &base, &|_| Ok(()));
                log.note(&format!("{} with {name}", line.join(" ")), result);
            }
            log.note(&format!("{name} stops when asked to"), service.stop());
        }
        Ok(())
    }

    fn check_each_other(&self, log: &mut Log) -> Result<(), Failure> {
        for (name, service) in self.servers(&[])? {
            self.check_server(name, &url(&service), log)?;
            deflate::check_asking_clients(self, &service, log)?;
            log.note(&format!("{name} stops when asked to"), service.stop());
        }
        Ok(())
    }
}

/// Sends every message of the list with the example `client` to `base`, which leads to the service,
/// compares the replies, and asks `check` about each.
fn send_all(
    dir: &Path,
    service: &Service,
    flags: &[&str],
    base: &str,
    check: &dyn Fn(&Message) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut count = 0;
    for message in messages() {
        let paths: &[&str] = if message.is_everywhere {
            &["/", "/fragments", "/ping"]
        } else {
            &["/"]
        };
        for path in paths {
            let url = format!("{base}{path}");
            send(dir, service, flags, &message, &url)
                .and_then(|()| check(&message))
                .map_err(|failure| {
                    Failure::new(format!("{} at {path}: {failure}", message.name))
                })?;
            count += 1;
        }
    }
    println!("{count} messages came back as they were sent");
    Ok(())
}

fn send(
    dir: &Path,
    service: &Service,
    flags: &[&str],
    message: &Message,
    url: &str,
) -> Result<(), Failure> {
    // What an earlier connection left, if it went wrong.
    while service.next_line(Duration::ZERO).is_some() {}
    let file = dir.join(format!("message-{}", service.port()));
    fs::write(&file, &message.bytes)?;
    let mut command = Command::new(tool::program("client"));
    command.args(flags).arg("--send").arg(&file);
    if message.is_text {
        command.arg("--text");
    }
    let output = command
        .arg(url)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| Failure::new(format!("cannot run client: {error}")))?;
    if !output.status.success() {
        return Err(Failure::new(format!("client ended with {}", output.status)));
    }
    if output.stdout != message.bytes {
        return Err(Failure::new(format!(
            "{} bytes came back that are not the {} bytes sent",
            output.stdout.len(),
            message.bytes.len()
        )));
    }
    match service.next_line(CLOSE_LIMIT) {
        Some(line) if line == "closed 1000" => Ok(()),
        Some(line) => Err(Failure::new(format!(
            "the server says {line:?}, not closed 1000"
        ))),
        None => Err(Failure::new("the server saw no end of the connection")),
    }
}

/// A message to be echoed.
#[derive(Debug)]
struct Message {
    name: &'static str,
    bytes: Vec<u8>,
    is_text: bool,
    /// Whether to send it to the server's other ways of answering too.
    is_everywhere: bool,
    /// Whether it must become shorter where it is compressed.
    is_compressible: bool,
}

fn messages() -> Vec<Message> {
    let message = |name, bytes, is_text, is_everywhere| Message {
        name,
        bytes,
        is_text,
        is_everywhere,
        is_compressible: false,
    };
    // Without a short period, so that a piece in the wrong place is seen.
    let noise = |length: u32| {
        (0..length)
            .map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect::<Vec<_>>()
    };
    let rows = (0..1000)
        .map(|id| {
            format!(
                r#"{{"id":{id},"name":"row {id}","value":{}}},"#,
                id * 37 % 101
            )
        })
        .collect::<String>();
    vec![
        Message {
            is_compressible: true,
            ..message("rows of JSON", rows.into_bytes(), true, true)
        },
        message("text", b"Hello".to_vec(), true, true),
        message("unicode", "Grüße, κόσμε, 世界, 🙂".into(), true, false),
        message("empty text", Vec::new(), true, false),
        message("binary", (0..=255).collect(), false, true),
        message("empty binary", Vec::new(), false, true),
        message("125 bytes", noise(125), false, false),
        message("126 bytes", noise(126), false, false),
        message("65,535 bytes", noise(65_535), false, false),
        message("65,536 bytes", noise(65_536), false, false),
        message("1 MiB", noise(1024 * 1024), false, true),
        message("16 MiB", noise(16 * 1024 * 1024), false, false),
    ]
}

fn url(service: &Service) -> String {
    format!("ws://127.0.0.1:{}/", service.port())
}

/// The example `echo`, as it is to be started.
fn echo(adapter: &str) -> Command {
    let mut echo = Command::new(tool::program("echo"));
    echo.args(["--listen", "127.0.0.1:0", "--adapter", adapter]);
    echo
}

/// The folder for what `client` is to send.
fn messages_dir() -> Result<PathBuf, Failure> {
    let dir = tool::target_dir().join("interop");
    fs::create_dir_all(&dir)?;
    Ok(dir)
}

fn script(name: &str) -> PathBuf {
    tool::root().join("xtask/interop").join(name)
}

fn node(modules: &Path, name: &str) -> Command {
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
const CLOSE_LIMIT: Duration = Duration::from_secs(10);

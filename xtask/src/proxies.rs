//! `cargo xtask proxies`: the examples behind real proxies, in front of the server and of the
//! client.

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use lexopt::{Arg, Parser};

use crate::{
    log::Log,
    tool::{self, Failure, Outcome, Service},
};

pub(crate) const HELP: &str = "
cargo xtask proxies [--allow-missing]

Puts real proxies between the examples `client` and `echo`:

  HAProxy      in front of echo, with versions 1 and 2 of the PROXY protocol and without
  nginx        in front of echo
  tinyproxy    in front of client, for HTTP CONNECT, without and with a password
  Dante        in front of client, for SOCKS5
  microsocks   in front of client, for SOCKS5 with a password

Each message must come back as it was sent, and echo must know where its clients are. On Debian:
apt-get install haproxy nginx-light tinyproxy dante-server microsocks.

  --allow-missing   leave out proxies that are not there, and say so
";

pub(crate) fn run(mut arguments: Parser) -> Result<Outcome, Failure> {
    let mut allow_missing = false;
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Long("allow-missing") => allow_missing = true,
            other => return Err(other.unexpected().into()),
        }
    }
    let missing = PROXIES
        .iter()
        .find(|(_, program, _)| tool::find(program).is_none());
    if let (Some((name, ..)), false) = (missing, allow_missing) {
        return Err(Failure::new(format!(
            "{name} is not installed; --allow-missing goes on without, --help says how to get it"
        )));
    }
    tool::build(&["echo", "client"])?;
    let dir = tool::target_dir().join("proxies");
    fs::create_dir_all(&dir)?;
    let mut log = Log::default();
    for (name, program, check) in PROXIES {
        match tool::find(program) {
            Some(program) => {
                if let Err(failure) = check(&Bench { program, dir: &dir }, &mut log) {
                    log.note(name, Err(failure));
                }
            }
            None => log.leave_out(name, &"it is not installed"),
        }
    }
    Ok(log.finish())
}

type Check = fn(&Bench<'_>, &mut Log) -> Result<(), Failure>;

const PROXIES: &[(&str, &str, Check)] = &[
    ("HAProxy", "haproxy", check_haproxy),
    ("nginx", "nginx", check_nginx),
    ("tinyproxy", "tinyproxy", check_tinyproxy),
    ("Dante", "danted", check_dante),
    ("microsocks", "microsocks", check_microsocks),
];

/// A proxy that is there, and a folder for its files.
struct Bench<'a> {
    program: PathBuf,
    dir: &'a Path,
}

impl Bench<'_> {
    /// Starts the proxy with a configuration in which it listens at `port`.
    fn start(&self, port: u16, config: &str, arguments: &[&str]) -> Result<Proxy, Failure> {
        let file = self.dir.join("config");
        fs::write(&file, config)?;
        let mut command = Command::new(&self.program);
        command.args(arguments).current_dir(self.dir);
        Proxy::start(&mut command, port)
    }
}

fn check_haproxy(bench: &Bench<'_>, log: &mut Log) -> Result<(), Failure> {
    for (send, adapter, flags) in [
        ("", "mio", &[][..]),
        ("", "smol", &[]),
        (" send-proxy", "mio", BEHIND_PROXY),
        (" send-proxy-v2", "mio", BEHIND_PROXY),
        (" send-proxy", "smol", BEHIND_PROXY),
        (" send-proxy-v2", "smol", BEHIND_PROXY),
    ] {
        let name = format!("HAProxy{send} in front of echo --adapter {adapter}");
        println!("== {name}");
        let echo = echo(adapter, flags)?;
        let port = free_port()?;
        // Its health checks have a header that names no client.
        let check = match send {
            "" => "check inter 100ms",
            _ => "check check-send-proxy inter 100ms",
        };
        let config = format!(
            "defaults\n mode tcp\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n\
             frontend front\n bind 127.0.0.1:{port}\n default_backend back\n\
             backend back\n server echo 127.0.0.1:{}{send} {check}\n",
            echo.port()
        );
        let proxy = bench.start(port, &config, &["-db", "-f", "config"])?;
        log.note(&name, send_all(bench.dir, port, &[]));
        let expected = match send {
            "" => Address::OfProxy,
            _ => Address::OfClient,
        };
        log.note(
            &format!("{name}: the address of the client"),
            check_address(port, expected),
        );
        drop(proxy);
        log.note(&format!("{name} stops when asked to"), echo.stop());
    }
    let echo = echo("mio", BEHIND_PROXY)?;
    let direct = send_all(bench.dir, echo.port(), &[]);
    let name = "echo that believes a proxy takes nobody without a header";
    log.note(
        name,
        match direct {
            Ok(()) => Err(Failure::new("it did")),
            Err(_) => Ok(()),
        },
    );
    Ok(())
}

fn check_nginx(bench: &Bench<'_>, log: &mut Log) -> Result<(), Failure> {
    for adapter in ["mio", "smol"] {
        let name = format!("nginx in front of echo --adapter {adapter}");
        println!("== {name}");
        let echo = echo(adapter, &[])?;
        let port = free_port()?;
        let config = format!(
            "daemon off; pid nginx.pid; error_log stderr;\n\
             events {{}}\n\
             http {{\n access_log off;\n\
             client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3;\n\
             uwsgi_temp_path t4; scgi_temp_path t5;\n\
             server {{\n listen 127.0.0.1:{port};\n\
             location / {{\n proxy_pass http://127.0.0.1:{};\n proxy_http_version 1.1;\n\
             proxy_set_header Host $http_host;\n proxy_set_header Upgrade $http_upgrade;\n\
             proxy_set_header Connection upgrade;\n\
             proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n}}\n}}\n}}\n",
            echo.port()
        );
        let dir = bench.dir.to_string_lossy();
        let proxy = bench.start(port, &config, &["-p", &dir, "-e", "stderr", "-c", "config"])?;
        log.note(&name, send_all(bench.dir, port, &[]));
        let unbelieved = check_address(port, Address::OfProxy);
        log.note(
            &format!("{name}: X-Forwarded-For is not believed"),
            unbelieved,
        );
        drop(proxy);
        log.note(&format!("{name} stops when asked to"), echo.stop());
    }
    Ok(())
}

fn check_tinyproxy(bench: &Bench<'_>, log: &mut Log) -> Result<(), Failure> {
    let echo = echo("mio", &[])?;
    for password in ["", "BasicAuth user secret\n"] {
        let port = free_port()?;
        let config = format!(
            "Port {port}\nListen 127.0.0.1\nMaxClients 50\nTimeout 60\nLogLevel Critical\n\
             ConnectPort {}\n{password}",
            echo.port()
        );
        let proxy = bench.start(port, &config, &["-d", "-c", "config"])?;
        let through = |proxy: &str| send_all(bench.dir, echo.port(), &["--proxy", proxy]);
        if password.is_empty() {
            let url = format!("http://127.0.0.1:{port}");
            log.note("client through tinyproxy", through(&url));
            let elsewhere = send_all(bench.dir, 1, &["--proxy", &url]);
            log.note(
                "client that tinyproxy does not let through",
                refused(elsewhere, "403"),
            );
        } else {
            let url = format!("http://user:secret@127.0.0.1:{port}");
            log.note("client through tinyproxy with a password", through(&url));
            let wrong = through(&format!("http://user:wrong@127.0.0.1:{port}"));
            log.note(
                "client with a password that tinyproxy does not know",
                refused(wrong, "401"),
            );
            let without = through(&format!("http://127.0.0.1:{port}"));
            log.note(
                "client without the password of tinyproxy",
                refused(without, "407"),
            );
        }
        drop(proxy);
    }
    log.note("echo stops when asked to", echo.stop());
    Ok(())
}

fn check_dante(bench: &Bench<'_>, log: &mut Log) -> Result<(), Failure> {
    let echo = echo("mio", &[])?;
    let port = free_port()?;
    let config = format!(
        "errorlog: stderr\ninternal: 127.0.0.1 port = {port}\nexternal: 127.0.0.1\n\
         clientmethod: none\nsocksmethod: none\n\
         client pass {{ from: 127.0.0.0/8 to: 0.0.0.0/0 }}\n\
         socks block {{ from: 127.0.0.0/8 to: 0.0.0.0/0 port = 1 }}\n\
         socks pass {{ from: 127.0.0.0/8 to: 0.0.0.0/0 }}\n"
    );
    let proxy = bench.start(port, &config, &["-f", "config", "-p", "dante.pid"])?;
    let url = format!("socks5h://127.0.0.1:{port}");
    let through = send_all(bench.dir, echo.port(), &["--proxy", &url]);
    log.note("client through Dante", through);
    let elsewhere = send_all(bench.dir, 1, &["--proxy", &url]);
    let name = "client that Dante does not let through";
    log.note(name, refused(elsewhere, "not allowed"));
    drop(proxy);
    log.note("echo stops when asked to", echo.stop());
    Ok(())
}

fn check_microsocks(bench: &Bench<'_>, log: &mut Log) -> Result<(), Failure> {
    let echo = echo("mio", &[])?;
    let port = free_port()?;
    let digits = port.to_string();
    let arguments = ["-i", "127.0.0.1", "-p", &digits, "-u", "user", "-P", "p@ss"];
    let proxy = bench.start(port, "", &arguments)?;
    let through = |user: &str, to| {
        let url = format!("socks5://{user}127.0.0.1:{port}");
        send_all(bench.dir, to, &["--proxy", &url])
    };
    let with = through("user:p%40ss@", echo.port());
    log.note("client through microsocks with a password", with);
    let wrong = through("user:wrong@", echo.port());
    log.note(
        "client with a password that microsocks does not know",
        refused(wrong, "password"),
    );
    let without = through("", echo.port());
    log.note(
        "client without the password of microsocks",
        refused(without, "methods"),
    );
    let nobody = through("user:p%40ss@", free_port()?);
    log.note(
        "client through microsocks to a port where nobody listens",
        refused(nobody, "refused"),
    );
    drop(proxy);
    log.note("echo stops when asked to", echo.stop());
    Ok(())
}

/// Asks for a failure that says something.
fn refused(result: Result<(), Failure>, what: &str) -> Result<(), Failure> {
    match result {
        Ok(()) => Err(Failure::new("it went through")),
        Err(failure) if failure.to_string().contains(what) => Ok(()),
        Err(failure) => Err(failure),
    }
}

fn echo(adapter: &str, flags: &[&str]) -> Result<Service, Failure> {
    let mut command = Command::new(tool::program("echo"));
    command
        .args(["--listen", "127.0.0.1:0", "--adapter", adapter])
        .args(flags);
    Service::start(&format!("echo --adapter {adapter}"), &mut command)
}

/// Sends messages of many lengths with the example `client`, each over a connection of its own, and
/// compares what comes back.
fn send_all(dir: &Path, port: u16, flags: &[&str]) -> Result<(), Failure> {
    for length in [0, 5, 125, 126, 65_535, 65_536, 4 * 1024 * 1024] {
        let bytes: Vec<u8> = (0..length as u32)
            .map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect();
        let file = dir.join("message");
        fs::write(&file, &bytes)?;
        let output = Command::new(tool::program("client"))
            .args(flags)
            .arg("--send")
            .arg(&file)
            .arg(format!("ws://localhost:{port}/"))
            .stdin(Stdio::null())
            .output()
            .map_err(|error| Failure::new(format!("cannot run client: {error}")))?;
        if !output.status.success() {
            let error = String::from_utf8_lossy(&output.stderr);
            return Err(Failure::new(format!("{length} bytes: {}", error.trim())));
        }
        if output.stdout != bytes {
            return Err(Failure::new(format!("{length} bytes came back otherwise")));
        }
    }
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Address {
    OfClient,
    OfProxy,
}

/// Asks the example `echo`, through its proxy, where the client is.
fn check_address(port: u16, expected: Address) -> Result<(), Failure> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.write_all(
        b"GET /address HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 192.0.2.1\r\n\
          Connection: close\r\n\r\n",
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let told = answer.lines().last().unwrap_or_default();
    let told: SocketAddr = told
        .parse()
        .map_err(|_| Failure::new(format!("no address in {answer:?}")))?;
    let own = stream.local_addr()?;
    let is_as_expected = match expected {
        Address::OfClient => told == own,
        Address::OfProxy => told != own && told.ip() == own.ip(),
    };
    if is_as_expected {
        Ok(())
    } else {
        Err(Failure::new(format!(
            "{told} is not {expected:?}; ours is {own}"
        )))
    }
}

/// A proxy that runs until this is dropped.
#[derive(Debug)]
pub(crate) struct Proxy(Child);

impl Proxy {
    /// Starts it, and waits until somebody listens at `port`.
    pub(crate) fn start(command: &mut Command, port: u16) -> Result<Self, Failure> {
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command
            .stdin(Stdio::null())
            .spawn()
            .map_err(|error| Failure::new(format!("cannot run {program}: {error}")))?;
        let mut proxy = Self(child);
        let deadline = Instant::now() + LIMIT;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if let Some(status) = proxy.0.try_wait()? {
                return Err(Failure::new(format!("{program} ended with {status}")));
            }
            if Instant::now() > deadline {
                return Err(Failure::new(format!("{program} does not listen")));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(proxy)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(Some(_))) {
            return;
        }
        // Asked first, so that it ends its helpers too.
        let _ = tool::terminate(&self.0);
        if !matches!(tool::wait_at_most(&mut self.0, STOP_LIMIT), Ok(Some(_))) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> Result<u16, Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}

const BEHIND_PROXY: &[&str] = &["--proxy-protocol", "127.0.0.0/8"];
const LIMIT: Duration = Duration::from_secs(20);
const STOP_LIMIT: Duration = Duration::from_secs(5);

//! One end of a connection, which tells what becomes of it: for `cargo xtask faults`, that does
//! things to the other end and to the way between.
//!
//! Prints a line for each thing that happens:
//!
//! - `listening on ADDRESS`
//! - `open`
//! - `over CODE: CAUSE`, or `failed: CAUSE` if it never was open; that is the last.

mod on_loop;
mod on_smol;
mod on_socket;

use std::{
    error::Error,
    fmt::Display,
    io::{self, BufRead, Write},
    net::SocketAddr,
    process::ExitCode,
    thread,
    time::Duration,
};

use bench_rig::{Arguments, finish};
use ws_handshake::UriError;
use ws_mio::{ClientRequest, KeepaliveConfig, TimeLimits, Uri};

const HELP: &str = "\
witness --adapter mio|socket|smol|net (--listen ADDRESS | --connect ADDRESS) [OPTIONS]

Adapters: the loop of ws-mio, its Socket (a client), ws-smol on async-io and on its own reactor (a
server). Without an option, the limit is the adapter's own.

  --ping S         keepalive.ping_interval
  --pong S         keepalive.pong_timeout
  --write S        time_limits.write_progress
  --close S        close_timeout
  --handshake S    handshake_timeout, and connect_timeout where there is one
  --flood          send without end, as fast as the peer takes it
  --deaf           serve nobody: connections are accepted, and never heard

On the standard input: `say` sends a message, `close` begins the closing handshake.
";

fn main() -> ExitCode {
    finish(run())
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut arguments = Arguments::from_env();
    if arguments.flag("--help") || arguments.flag("-h") {
        print!("{HELP}");
        return Ok(());
    }
    let adapter: String = arguments.value("--adapter")?.unwrap_or_default();
    let listen: Option<SocketAddr> = arguments.value("--listen")?;
    let connect: Option<SocketAddr> = arguments.value("--connect")?;
    let is_deaf = arguments.flag("--deaf");
    let mut seconds = |name: &str| -> Result<Option<Duration>, Box<dyn Error>> {
        let seconds = arguments.value::<f64>(name)?;
        Ok(seconds.map(Duration::try_from_secs_f64).transpose()?)
    };
    let limits = Limits {
        ping: seconds("--ping")?,
        pong: seconds("--pong")?,
        write: seconds("--write")?,
        close: seconds("--close")?,
        handshake: seconds("--handshake")?,
    };
    let floods = arguments.flag("--flood");
    arguments.end()?;
    let task = Task { limits, floods };
    match (&*adapter, listen, connect) {
        (_, Some(address), None) if is_deaf => deaf(address),
        ("mio", Some(address), None) => on_loop::serve(address, &task),
        ("mio", None, Some(address)) => on_loop::call(address, &task),
        ("socket", None, Some(address)) => on_socket::call(address, &task),
        ("smol", Some(address), None) => on_smol::serve(address, task),
        ("net", Some(address), None) => on_smol::serve_on_net(address, task),
        ("smol", None, Some(address)) => on_smol::call(address, task),
        _ => Err("no such end; see --help".into()),
    }
}

/// What an end is to do.
#[derive(Clone, Copy, Debug)]
struct Task {
    limits: Limits,
    floods: bool,
}

/// Limits that are not the adapter's own.
#[derive(Clone, Copy, Debug)]
struct Limits {
    ping: Option<Duration>,
    pong: Option<Duration>,
    write: Option<Duration>,
    close: Option<Duration>,
    handshake: Option<Duration>,
}

impl Limits {
    fn apply(&self, keepalive: &mut KeepaliveConfig, time_limits: &mut TimeLimits) {
        keepalive.ping_interval = self.ping.or(keepalive.ping_interval);
        keepalive.pong_timeout = self.pong.or(keepalive.pong_timeout);
        time_limits.write_progress = self.write.or(time_limits.write_progress);
    }
}

/// A message of a flood.
const MESSAGE: &[u8] = &[7; 16 * 1024];

/// What is asked for on the standard input.
#[derive(Clone, Copy, Debug)]
enum Command {
    Say,
    Close,
}

/// Reads commands until there are no more.
fn obey(mut command: impl FnMut(Command) + Send + 'static) {
    thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            match line.trim() {
                "say" => command(Command::Say),
                "close" => command(Command::Close),
                _ => {}
            }
        }
    });
}

fn request(address: SocketAddr) -> Result<ClientRequest, UriError> {
    Ok(ClientRequest::new(Uri::parse(&format!("ws://{address}/"))?))
}

/// Prints a line, for whoever watches.
fn tell(what: impl Display) {
    let mut out = io::stdout().lock();
    // Who does not watch any more need not be told.
    let _ = writeln!(out, "{what}").and_then(|()| out.flush());
}

fn deaf(address: SocketAddr) -> Result<(), Box<dyn Error>> {
    let listener = std::net::TcpListener::bind(address)?;
    tell(format_args!("listening on {}", listener.local_addr()?));
    loop {
        thread::park();
    }
}

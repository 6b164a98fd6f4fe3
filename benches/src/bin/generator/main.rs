//! The load generator of `cargo xtask bench`: `ws-load`, and what only servers of this repository
//! are put to.
//!
//! Prints one line of JSON. `cargo xtask bench` drives it.

mod attack;
mod load;
mod memory;
mod storm;
mod stream;
mod topics;
mod trickle;
mod verify;

use std::{error::Error, process::ExitCode, sync::Arc, time::Duration};

use bench_rig::{Arguments, Deflate, Masks, client_tls, finish, rustls::ClientConfig};

const HELP: &str = "\
generator --port PORT [--pid PID] MODE [OPTIONS]

PID is that of the server, whose CPU time and memory are to be told.

Modes:
  --load               send, wait for all the replies, send again
  --rate N             send N messages a second, whatever the server does
  --broadcast          one connection sends, all count what is delivered
  --churn              connect, upgrade, close
  --memory             open connections, and echo once over each
  --storm              --connections handshakes of TLS at once, while 64 others echo
  --topics N           one connection publishes to N topics, all count what is delivered; beside
                       --never-read others
  --trickle BYTES      --connections send so many of a request --every so often, while 64 others
                       echo
  --attack KIND        --connections attack while 64 others echo: holders (each begins a compressed
                       message), lines (each sends blank lines without end), interim:PORT (each
                       answers who calls it there with interim replies without end)
  --verify             check payloads, fragments, text and the closing handshake

Options:
  --size BYTES         of a message                                  [125]
  --connections N                                                    [64]
  --pipelined N        frames sent at once over a connection         [1]
  --masks M            random, zero or none                          [random]
  --seconds S          how long to measure                           [1]
  --warm-up S          how long not to, before                       [0.3]
  --raw                the server speaks no WebSocket: no opening handshake
  --deflate LEVEL      send text, compressed with permessage-deflate
  --takeover           with context takeover, in both directions
  --never-read N       connections that take nothing                [0]
  --counters PORT      where the server of --topics tells its counters
  --every S            how long one that trickles waits             [0.2]
  --tls CA             speak TLS 1.3, with servers that the authority in the file CA stands for
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
    let options = Options {
        port: arguments.value("--port")?.ok_or("--port is missing")?,
        pid: arguments.value("--pid")?,
        size: arguments.value("--size")?.unwrap_or(125),
        connections: arguments.value("--connections")?.unwrap_or(64).max(1),
        pipelined: arguments.value("--pipelined")?.unwrap_or(1).max(1),
        masks: arguments.value("--masks")?.unwrap_or(Masks::Random),
        measured: seconds(&mut arguments, "--seconds", 1.0)?,
        warm_up: seconds(&mut arguments, "--warm-up", 0.3)?,
        raw: arguments.flag("--raw"),
        deflate: Deflate::from_arguments(&mut arguments)?,
        tls: client_tls(&mut arguments)?,
    };
    let rate = arguments.value::<f64>("--rate")?;
    let topics = match arguments.value("--topics")? {
        None => None,
        Some(topics) => Some(topics::Plan {
            topics,
            never_read: arguments.value("--never-read")?.unwrap_or(0),
            counters: arguments
                .value("--counters")?
                .ok_or("--counters is missing")?,
        }),
    };
    let trickle = arguments.value("--trickle")?;
    let attack = arguments.value("--attack")?;
    let every = seconds(&mut arguments, "--every", 0.2)?;
    let modes = [
        "--load",
        "--broadcast",
        "--churn",
        "--memory",
        "--storm",
        "--verify",
    ];
    let mode: Vec<_> = modes
        .into_iter()
        .filter(|mode| arguments.flag(mode))
        .collect();
    arguments.end()?;
    if let Some(attack) = attack {
        return attack::run(&options, attack);
    }
    match (rate, topics, trickle, &mode[..]) {
        (Some(rate), None, None, []) => load::at_rate(&options, rate),
        (None, Some(plan), None, []) => topics::run(&options, &plan),
        (None, None, Some(bytes), []) => trickle::run(&options, bytes, every),
        (None, None, None, ["--load"]) => load::closed_loop(&options),
        (None, None, None, ["--broadcast"]) => load::broadcast(&options),
        (None, None, None, ["--churn"]) => load::churn(&options),
        (None, None, None, ["--memory"]) => memory::run(&options),
        (None, None, None, ["--storm"]) => storm::run(&options),
        (None, None, None, ["--verify"]) => verify::run(&options),
        _ => Err("one mode, please; --help lists them".into()),
    }
}

/// What a run is to do.
#[derive(Clone)]
struct Options {
    port: u16,
    pid: Option<u32>,
    size: usize,
    connections: usize,
    pipelined: u64,
    masks: Masks,
    measured: Duration,
    warm_up: Duration,
    raw: bool,
    deflate: Option<Deflate>,
    tls: Option<Arc<ClientConfig>>,
}

fn seconds(
    arguments: &mut Arguments,
    name: &str,
    default: f64,
) -> Result<Duration, Box<dyn Error>> {
    let seconds = arguments.value(name)?.unwrap_or(default);
    // No run is longer, whatever was asked for.
    Ok(Duration::try_from_secs_f64(seconds)?.min(Duration::from_secs(600)))
}

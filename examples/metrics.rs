//! An echo server on `ws-mio`, and its counters for Prometheus: another thread
//! reads them and serves them as a page of plain HTTP, on a port of its own.
//!
//! ```sh
//! cargo run --release -p examples --bin metrics
//! curl http://127.0.0.1:9100/metrics
//! ```

use std::{
    error::Error,
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::ExitCode,
    thread,
    time::Duration,
};

use lexopt::{Arg, Parser, ValueExt as _};
use ws_handshake::Response;
use ws_mio::{Config, Handler, Message, OriginPolicy, Peer, Remote, Server};

const HELP: &str = "
An echo server that shows its counters.

Usage: metrics [OPTIONS]

  --listen ADDRESS:PORT   where to listen for WebSockets; port 0 is any free one
                          (default: 127.0.0.1:9001)
  --metrics ADDRESS:PORT  where to answer GET /metrics (default: 127.0.0.1:9100)
  --threads N             on how many threads to serve (default: 1)
  -h, --help              print this
";

struct Options {
    listen: String,
    metrics: String,
    threads: usize,
}

struct Echo;

impl Handler for Echo {
    type Data = ();

    fn on_message(&mut self, peer: &mut Peer<'_, ()>, message: Message<'_>) {
        peer.send(message);
    }
}

fn main() -> ExitCode {
    examples::finish(Options::from_arguments().map_err(Box::from).and_then(serve))
}

fn serve(options: Options) -> Result<(), Box<dyn Error + Send + Sync>> {
    // Any page may connect: an echo has no users that it could act for.
    let mut config = Config::new(OriginPolicy::Any);
    config.threads = options.threads;
    let server = Server::bind(&*options.listen, config)
        .map_err(examples::cannot_listen("--listen", &options.listen))?;
    let pages = TcpListener::bind(&*options.metrics)
        .map_err(examples::cannot_listen("--metrics", &options.metrics))?;
    println!("listening on ws://{}", server.local_addr()?);
    println!("counters at http://{}/metrics", pages.local_addr()?);

    let remote = server.remote();
    thread::spawn(move || serve_pages(&pages, &remote));
    let remote = server.remote();
    examples::on_stop(move || drop(remote.stop()))?;
    server.run_with(|_| Echo)?;
    Ok(())
}

/// Answers one request after the other, for as long as the process lives.
fn serve_pages(pages: &TcpListener, remote: &Remote<Echo>) {
    for stream in pages.incoming() {
        // One that goes away early, or says nothing, is not worth a word.
        let _ = stream.and_then(|stream| answer(&stream, remote));
    }
}

fn answer(mut stream: &TcpStream, remote: &Remote<Echo>) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut lines = BufReader::new(stream.take(MAX_HEAD)).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    // The rest of the head is read too: closing a stream with something unread
    // in it would reset it, and take the answer along.
    while lines
        .next()
        .transpose()?
        .is_some_and(|line| !line.is_empty())
    {}

    let response = match request.strip_suffix(" HTTP/1.1") {
        Some("GET /metrics") => Response::new(200)
            .header("Content-Type", "text/plain; version=0.0.4")
            .map_err(io::Error::other)?
            // No loop is stopped for this, and none is asked.
            .body(remote.metrics().to_prometheus()),
        Some(request) if request.starts_with("GET ") => Response::new(404),
        Some(_) => Response::new(405),
        None => Response::new(400),
    };
    let mut bytes = Vec::new();
    response.write_to(&mut bytes);
    stream.write_all(&bytes)
}

const PATIENCE: Duration = Duration::from_secs(1);
const MAX_HEAD: u64 = 8192;

impl Options {
    fn from_arguments() -> Result<Self, lexopt::Error> {
        let mut options = Self {
            listen: "127.0.0.1:9001".to_owned(),
            metrics: "127.0.0.1:9100".to_owned(),
            threads: 1,
        };
        let mut arguments = Parser::from_env();
        while let Some(argument) = arguments.next()? {
            match argument {
                Arg::Long("listen") => options.listen = arguments.value()?.string()?,
                Arg::Long("metrics") => options.metrics = arguments.value()?.string()?,
                Arg::Long("threads") => {
                    options.threads = examples::value(&mut arguments, "--threads")?
                }
                argument => return Err(examples::unexpected(argument, HELP)),
            }
        }
        Ok(options)
    }
}

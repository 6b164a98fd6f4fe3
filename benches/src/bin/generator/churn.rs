//! Connect, upgrade, close, and again.

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use bench_rig::{Histogram, Masks, OPCODE_CLOSE, Usage, address, append_frame, upgrade_request};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Protocol, Socket, Type};

use crate::Options;

/// How long a server may do nothing at all.
const PATIENCE: Duration = Duration::from_secs(10);
/// Source addresses taken in turn, so that ports do not run out.
const ADDRESSES: usize = 64;

/// Keeps as many connections on their way as `--connections` says; a raw server gets the request
/// as well, and closes when it has read it.
pub(crate) fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let mut churn = Churn::new(options)?;
    let mut events = Events::with_capacity(1024);
    for key in 0..options.connections {
        churn.connect(key)?;
    }
    let begin = Instant::now() + options.warm_up;
    let mut then = None;
    let (done, server, own, seconds) = loop {
        churn.poll.poll(&mut events, Some(PATIENCE))?;
        if events.is_empty() {
            return Err("the server stalls".into());
        }
        for event in &events {
            churn.advance(event.token().0)?;
        }
        let now = Instant::now();
        match then {
            None if now >= begin => {
                churn.done = 0;
                churn.latencies.clear();
                let server = options.pid.map(Usage::of).transpose()?;
                then = Some((server, Usage::of(std::process::id())?, now));
            }
            Some((server_then, own_then, began)) if now >= began + options.measured => {
                let server = options.pid.map(Usage::of).transpose()?.zip(server_then);
                let own = Usage::of(std::process::id())?.busy_since(&own_then);
                let seconds = now.duration_since(began).as_secs_f64();
                break (churn.done, server, own, seconds);
            }
            _ => {}
        }
    };
    let server = server.map_or(String::new(), |(now, then)| {
        format!(
            r#""cpu_ns":{},"busy":{:.4},"#,
            now.cpu_since(&then).as_nanos(),
            now.busy_since(&then)
        )
    });
    println!(
        r#"{{"mode":"churn","messages":{done},"seconds":{seconds:.6},{server}"generator_busy":{own:.4},"p50_ns":{},"p99_ns":{},"p999_ns":{}}}"#,
        churn.latencies.quantile(0.5),
        churn.latencies.quantile(0.99),
        churn.latencies.quantile(0.999),
    );
    Ok(())
}

struct Churn {
    poll: Poll,
    target: SocketAddr,
    visits: Vec<Option<Visit>>,
    request: Vec<u8>,
    close: Vec<u8>,
    raw: bool,
    started: usize,
    done: u64,
    latencies: Histogram,
    buffer: Vec<u8>,
}

struct Visit {
    stream: TcpStream,
    began: Instant,
    step: Step,
    /// The tail of the reply's head, in case that comes in pieces.
    tail: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq)]
enum Step {
    Connecting,
    Upgrading,
    Closing,
}

impl Churn {
    fn new(options: &Options) -> io::Result<Self> {
        let mut close = Vec::new();
        let code = 1000u16.to_be_bytes();
        append_frame(&mut close, true, OPCODE_CLOSE, Masks::Random, 1, &code);
        Ok(Self {
            poll: Poll::new()?,
            target: (Ipv4Addr::LOCALHOST, options.port).into(),
            visits: (0..options.connections).map(|_| None).collect(),
            request: upgrade_request(options.port),
            close,
            raw: options.raw,
            started: 0,
            done: 0,
            latencies: Histogram::new(),
            buffer: vec![0; 4096],
        })
    }

    fn connect(&mut self, key: usize) -> io::Result<()> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        // A connection that both ends are done with leaves no trace that would hold its port.
        socket.set_linger(Some(Duration::ZERO))?;
        socket.bind(&address(self.started % ADDRESSES * 4096).into())?;
        self.started += 1;
        match socket.connect(&self.target.into()) {
            // EINPROGRESS has no kind of its own.
            Err(error) if error.raw_os_error() != Some(EINPROGRESS) => return Err(error),
            _ => {}
        }
        let mut stream = TcpStream::from_std(socket.into());
        self.poll.registry().register(
            &mut stream,
            Token(key),
            Interest::READABLE | Interest::WRITABLE,
        )?;
        self.visits[key] = Some(Visit {
            stream,
            began: Instant::now(),
            step: Step::Connecting,
            tail: Vec::new(),
        });
        Ok(())
    }

    fn advance(&mut self, key: usize) -> Result<(), Box<dyn Error>> {
        let Some(visit) = &mut self.visits[key] else {
            return Ok(());
        };
        if visit.step == Step::Connecting {
            match visit.stream.write(&self.request) {
                Ok(len) if len == self.request.len() => visit.step = Step::Upgrading,
                Ok(_) => return Err("the transport took half of a request".into()),
                Err(error) if is_connecting(&error) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
            return Ok(());
        }
        loop {
            let len = match visit.stream.read(&mut self.buffer) {
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            if len == 0 {
                if visit.step == Step::Upgrading && !self.raw {
                    return Err("the server closed before it upgraded".into());
                }
                self.latencies.record(visit.began.elapsed());
                self.done += 1;
                self.visits[key] = None;
                return Ok(self.connect(key)?);
            }
            if visit.step == Step::Upgrading {
                visit.tail.extend_from_slice(&self.buffer[..len]);
                if visit.tail.windows(4).any(|four| four == b"\r\n\r\n") {
                    visit.stream.write_all(&self.close)?;
                    visit.step = Step::Closing;
                }
            }
            if len < self.buffer.len() && visit.step == Step::Upgrading {
                return Ok(());
            }
        }
    }
}

const EINPROGRESS: i32 = 115;

fn is_connecting(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected
    )
}

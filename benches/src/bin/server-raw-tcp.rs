//! The floor: what the kernel alone costs, with one read and one write a wake-up.
//!
//! Edge-triggered, registered once, the buffer placed as carefully as that of `ws-mio`.

use std::{
    error::Error,
    io::{self, Read, Write},
    net::Ipv4Addr,
    process::ExitCode,
};

use bench_rig::{Arguments, Placed, finish};
use mio::{
    Events, Interest, Poll, Registry, Token,
    net::{TcpListener, TcpStream},
};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use ws_handshake::{OriginPolicy, ServerConfig};

const HELP: &str = "\
server-raw-tcp [--mode MODE]

Modes:
  echo        sends back what it reads
  broadcast   sends to every connection what it reads
  close       reads once and closes
  exchange    as a WebSocket server does when a client comes and goes: reads, writes, reads, writes
              and closes
  sink        answers the request with which a WebSocket begins, and throws the rest away
";

const LISTENER: Token = Token(usize::MAX);
const BUFFER: usize = 512 * 1024;

fn main() -> ExitCode {
    finish(run())
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut arguments = Arguments::from_env();
    if arguments.flag("--help") || arguments.flag("-h") {
        print!("{HELP}");
        return Ok(());
    }
    let mode = arguments.value::<String>("--mode")?;
    arguments.end()?;
    let mode = match mode.as_deref() {
        None | Some("echo") => Mode::Echo,
        Some("broadcast") => Mode::Broadcast,
        Some("close") => Mode::Close,
        Some("exchange") => Mode::Exchange,
        Some("sink") => Mode::Sink,
        Some(other) => return Err(format!("no mode {other:?}").into()),
    };
    Ok(serve(mode)?)
}

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Echo,
    Broadcast,
    Close,
    Exchange,
    Sink,
}

fn serve(mode: Mode) -> io::Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.listen(4096)?;
    socket.set_nonblocking(true)?;
    // Inherited by the connections that are accepted.
    SockRef::from(&socket).set_tcp_nodelay(true)?;
    let mut listener = TcpListener::from_std(socket.into());
    let mut poll = Poll::new()?;
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    println!("listening on {}", listener.local_addr()?);

    let mut server = Server {
        mode,
        listener,
        connections: Vec::new(),
        free: Vec::new(),
        buffer: Placed::new(BUFFER),
    };
    let mut events = Events::with_capacity(1024);
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in &events {
            match event.token() {
                LISTENER => server.accept(poll.registry())?,
                Token(key) => {
                    if server.serve(key).is_err() {
                        server.remove(key);
                    }
                }
            }
        }
    }
}

struct Server {
    mode: Mode,
    listener: TcpListener,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    buffer: Placed,
}

struct Connection {
    stream: TcpStream,
    /// What the transport did not take.
    pending: Vec<u8>,
    /// Whether it is past its first read.
    is_upgraded: bool,
}

impl Server {
    fn accept(&mut self, registry: &Registry) -> io::Result<()> {
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let key = self.free.pop().unwrap_or_else(|| {
                self.connections.push(None);
                self.connections.len() - 1
            });
            let interest = match self.mode {
                Mode::Close | Mode::Exchange => Interest::READABLE,
                _ => Interest::READABLE | Interest::WRITABLE,
            };
            registry.register(&mut stream, Token(key), interest)?;
            self.connections[key] = Some(Connection {
                stream,
                pending: Vec::new(),
                is_upgraded: false,
            });
        }
    }

    fn remove(&mut self, key: usize) {
        if self.connections[key].take().is_some() {
            self.free.push(key);
        }
    }

    /// Does what a wake-up is for; an error ends the connection.
    fn serve(&mut self, key: usize) -> io::Result<()> {
        let Self {
            mode,
            connections,
            buffer,
            ..
        } = self;
        let buffer = buffer.as_mut_slice();
        loop {
            let Some(connection) = connections.get_mut(key).and_then(Option::as_mut) else {
                return Ok(());
            };
            // Nothing more is read from a peer that does not read.
            if !connection.flush()? {
                return Ok(());
            }
            let len = match connection.stream.read(buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let input = &buffer[..len];
            match mode {
                Mode::Echo => connection.send(input)?,
                Mode::Close => return Err(io::ErrorKind::ConnectionAborted.into()),
                Mode::Exchange if connection.is_upgraded => {
                    connection.send(input)?;
                    return Err(io::ErrorKind::ConnectionAborted.into());
                }
                Mode::Exchange => {
                    connection.is_upgraded = true;
                    connection.send(input)?;
                }
                Mode::Sink => connection.swallow(input)?,
                Mode::Broadcast => {
                    for connection in connections.iter_mut().flatten() {
                        // One that is gone is told so by its own event.
                        let _ = connection.send(input);
                    }
                }
            }
            if len < buffer.len() {
                return Ok(());
            }
        }
    }
}

impl Connection {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = match self.pending.is_empty() {
            true => match self.stream.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                result => result?,
            },
            false => 0,
        };
        self.pending.extend_from_slice(&bytes[written..]);
        Ok(())
    }

    /// Tells whether nothing waits any more.
    fn flush(&mut self) -> io::Result<bool> {
        if self.pending.is_empty() {
            return Ok(true);
        }
        match self.stream.write(&self.pending) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => {
                self.pending.drain(..result?);
            }
        }
        Ok(self.pending.is_empty())
    }

    fn swallow(&mut self, input: &[u8]) -> io::Result<()> {
        if self.is_upgraded {
            return Ok(());
        }
        self.is_upgraded = true;
        let config = ServerConfig::new(OriginPolicy::Any);
        let mut reply = Vec::new();
        let mut reader = config.head_reader();
        let head = reader.receive(input).map_err(io::Error::other)?;
        let head = head.ok_or(io::ErrorKind::UnexpectedEof)?;
        let request = head.request().map_err(io::Error::other)?;
        let acceptance = config.negotiate(&request).map_err(io::Error::other)?;
        acceptance.write_to(&mut reply);
        self.stream.write_all(&reply)
    }
}

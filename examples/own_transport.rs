//! A transport of one's own, and a loop that neither polls nor reads a clock:
//! a client and a server in one process, over a line that counts its bytes and
//! delivers them late. The time is made up, so the end is there at once.
//!
//! ```sh
//! cargo run -p examples --bin own_transport
//! ```

use std::{
    cell::Cell,
    collections::VecDeque,
    error::Error,
    io::{self, IoSlice},
    process::ExitCode,
    rc::Rc,
    time::Duration,
};

use mio::event::Source;
use ws_mio::{
    ClientConfig, ClientRequest, CloseCode, Config, EventLoop, Handler, Message, OriginPolicy,
    Peer, PeerAddr, Ready, Socket, SocketState, Transport, Uri,
    memory::{self, Duplex},
};

fn main() -> ExitCode {
    examples::demonstrate("A transport of one's own; it takes no arguments.", run)
}

/// What comes through it is counted, and can be read after a while only.
struct Line {
    inner: Duplex,
    /// What has come, and from when on it can be read.
    coming: VecDeque<(Duration, u8)>,
    time: Rc<Cell<Duration>>,
    counted: Rc<Cell<usize>>,
}

/// How long a byte takes, in each direction.
const DELAY: Duration = Duration::from_millis(120);

impl Line {
    fn new(inner: Duplex, time: &Rc<Cell<Duration>>, counted: &Rc<Cell<usize>>) -> Self {
        Self {
            inner,
            coming: VecDeque::new(),
            time: Rc::clone(time),
            counted: Rc::clone(counted),
        }
    }
}

impl Transport for Line {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let now = self.time.get();
        while let Ok(len @ 1..) = self.inner.read(buffer) {
            self.counted.set(self.counted.get() + len);
            let there = buffer[..len].iter().map(|byte| (now + DELAY, *byte));
            self.coming.extend(there);
        }
        let due = self.coming.iter().take_while(|(at, _)| *at <= now);
        let len = due.count().min(buffer.len());
        for (place, (_, byte)) in buffer.iter_mut().zip(self.coming.drain(..len)) {
            *place = byte;
        }
        match len {
            // The end of the stream comes behind the last byte.
            0 if self.coming.is_empty() => self.inner.read(buffer),
            0 => Err(io::ErrorKind::WouldBlock.into()),
            len => Ok(len),
        }
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.inner.write(slices)
    }

    fn shutdown(&mut self) -> io::Result<()> {
        self.inner.shutdown()
    }

    fn peer_addr(&self) -> PeerAddr {
        self.inner.peer_addr()
    }

    fn source(&mut self) -> Option<&mut dyn Source> {
        self.inner.source()
    }
}

/// The server's side of the conversation.
struct Echo;

impl Handler for Echo {
    type Data = ();

    fn on_message(&mut self, peer: &mut Peer<'_, ()>, message: Message<'_>) {
        peer.send(message);
    }
}

/// The client's side of the conversation.
struct Greeter {
    time: Rc<Cell<Duration>>,
}

impl Handler for Greeter {
    type Data = ();

    fn on_open(&mut self, peer: &mut Peer<'_, ()>) {
        println!("{:?}: open", self.time.get());
        peer.send_text("Hello");
    }

    fn on_message(&mut self, peer: &mut Peer<'_, ()>, message: Message<'_>) {
        println!("{:?}: the server says {message:?}", self.time.get());
        peer.close(CloseCode::NORMAL, "that was all");
    }
}

fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    let time = Rc::new(Cell::new(Duration::ZERO));
    let (sent, received) = (Rc::default(), Rc::default());
    let (near, far) = memory::pair(1024);

    // Whoever asks gets an echo, so it does not matter whose page it is.
    let mut server = EventLoop::new(Config::new(OriginPolicy::Any), Echo, || Ok(()))?;
    let far = Line::new(far, &time, &sent);
    let key = server.admit(far).ok_or("the server is full")?;

    let request = ClientRequest::new(Uri::parse("ws://localhost/")?);
    let near = Line::new(near, &time, &received);
    let mut client = Socket::client(near, request, &ClientConfig::default())?;
    let mut greeter = Greeter {
        time: Rc::clone(&time),
    };

    // Something may have changed at any time. To be woken for nothing does no
    // harm; a loop that is in a hurry asks `Duplex::take_ready`.
    let ready = Ready {
        readable: true,
        writable: true,
        read_closed: false,
    };
    while client.state() != SocketState::Closed {
        client.ready(ready, &mut greeter)?;
        server.start_turn(time.get());
        server.wake(key, ready);
        server.finish_turn();
        time.set(time.get() + Duration::from_millis(10));
    }
    println!(
        "{:?}: closed, with {} bytes to the server and {} back",
        time.get(),
        sent.get(),
        received.get()
    );
    Ok(())
}

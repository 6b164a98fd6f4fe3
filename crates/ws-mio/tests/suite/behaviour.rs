//! What a server does over time, by the loop and by a `Socket`: the cases of
//! `ws_testkit::behaviour`, which `ws-smol` passes too.

use std::{
    io::{self, IoSlice},
    net,
    sync::Arc,
    time::Instant,
};

use mio::{Events, Interest, Poll, Token, event::Source, net::TcpStream};
use ws_mio::{
    CloseCode, Closed, Config, ControlledNetwork, EventLoop, Handler, Message, OriginPolicy, Peer,
    PeerAddr, Socket, SocketState, Transport,
};
use ws_testkit::behaviour::{Server, Settings, check, check_handshake};

/// Sends messages back, closes after "bye", and keeps what it is told in the end.
#[derive(Default)]
struct Echo(Option<String>);

impl Handler for Echo {
    type Data = ();

    fn on_message(&mut self, peer: &mut Peer<'_, ()>, message: Message<'_>) {
        peer.send(message);
        if message == Message::Text("bye") {
            peer.close(CloseCode::NORMAL, "");
        }
    }

    fn on_close(&mut self, _: &mut Peer<'_, ()>, closed: Closed<'_>) {
        self.0 = Some(closed.cause.name().to_owned());
    }
}

/// A socket that says of its peer what it is told to.
struct Located(TcpStream, PeerAddr);

impl Transport for Located {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Transport::read(&mut self.0, buffer)
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Transport::write(&mut self.0, slices)
    }

    fn shutdown(&mut self) -> io::Result<()> {
        Transport::shutdown(&mut self.0)
    }

    fn peer_addr(&self) -> PeerAddr {
        self.1
    }

    fn source(&mut self) -> Option<&mut dyn Source> {
        self.0.source()
    }
}

fn located(stream: net::TcpStream, settings: &Settings) -> Located {
    stream.set_nonblocking(true).unwrap();
    Located(TcpStream::from_std(stream), settings.peer)
}

fn config(settings: &Settings) -> Config {
    let mut config = Config::new(OriginPolicy::Any);
    config.limits = settings.endpoint.limits;
    config.time_limits = settings.endpoint.time_limits;
    config.keepalive = settings.endpoint.keepalive;
    config.close_timeout = settings.endpoint.close_timeout;
    config.max_backpressure = settings.endpoint.max_backpressure;
    config.handshake_timeout = settings.handshake_timeout;
    if settings.unmasked_from_loopback {
        config.accept_unmasked_frame = ControlledNetwork::new().loopback();
    }
    config
}

struct Loop;

impl Server for Loop {
    fn default_times(&self) -> [std::time::Duration; 2] {
        let config = Config::new(OriginPolicy::Any);
        [config.handshake_timeout, config.close_timeout]
    }

    fn serve(&self, stream: net::TcpStream, settings: &Settings) -> Result<String, String> {
        let (mut poll, mut events) = (Poll::new().unwrap(), Events::with_capacity(8));
        let inner = EventLoop::new(config(settings), Echo::default(), || Ok(())).unwrap();
        let mut inner = inner.with_registry(poll.registry().try_clone().unwrap());
        let started = Instant::now();
        inner.admit(located(stream, settings)).unwrap();
        while inner.lend().connections() > 0 {
            let next = inner.next_timeout();
            let wait = next.map(|at| at.saturating_sub(started.elapsed()));
            poll.poll(&mut events, wait).unwrap();
            inner.start_turn(started.elapsed());
            for event in &events {
                inner.wake(event.token().0, event.into());
            }
            inner.finish_turn();
        }
        let told = inner.lend().handler().0.clone();
        told.ok_or_else(|| "refused".into())
    }
}

struct Alone;

impl Server for Alone {
    fn serve(&self, stream: net::TcpStream, settings: &Settings) -> Result<String, String> {
        let (mut poll, mut events) = (Poll::new().unwrap(), Events::with_capacity(8));
        let config = Arc::new(config(settings));
        let mut socket = Socket::accept(located(stream, settings), config).unwrap();
        let both = Interest::READABLE | Interest::WRITABLE;
        let registry = poll.registry();
        registry.register(&mut socket, Token(0), both).unwrap();
        let mut echo = Echo::default();
        while socket.state() != SocketState::Closed {
            let next = socket.next_timeout();
            let wait = next.map(|at| at.saturating_duration_since(Instant::now()));
            poll.poll(&mut events, wait).unwrap();
            let text = |error: ws_mio::OpenError| error.to_string();
            for event in &events {
                socket.ready(event, &mut echo).map_err(text)?;
            }
            socket.handle_timeout(&mut echo).map_err(text)?;
        }
        echo.0.ok_or_else(|| "refused".into())
    }
}

#[test]
fn every_deadline_and_limit_ends_a_connection_of_a_loop() {
    check(&Loop);
}

#[test]
fn every_deadline_and_limit_ends_a_connection_of_a_socket() {
    check(&Alone);
}

#[test]
fn bad_request_is_answered_by_a_loop() {
    check_handshake(&Loop);
}

#[test]
fn bad_request_is_answered_by_a_socket() {
    check_handshake(&Alone);
}

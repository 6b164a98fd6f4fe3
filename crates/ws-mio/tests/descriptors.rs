//! A server that runs out of file descriptors, in a process of its own.
#![cfg(unix)]

use std::{
    io::Write,
    net::SocketAddr,
    sync::mpsc::{self, Sender},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{
    Registry,
    layer::{Context, Layer, SubscriberExt},
};

mod common;

use common::{CLOSE, Echo, REPLY, REQUEST, Running, config, expect, masked, rest};

/// Tells of every warning.
struct Warnings(Sender<()>);

impl<S: Subscriber> Layer<S> for Warnings {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() == Level::WARN {
            let _ = self.0.send(());
        }
    }
}

#[test]
fn server_out_of_descriptors_serves_on_and_accepts_again() {
    let (warnings, warned) = mpsc::channel();
    let subscriber = Registry::default().with(Warnings(warnings));
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let server = Running::start(Echo, config());
    let mut open = server.connect();
    // Connecting takes no descriptor of a socket that is there.
    let waiting = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let before = getrlimit(Resource::Nofile);
    let none = Rlimit {
        current: Some(3),
        ..before
    };
    setrlimit(Resource::Nofile, none).unwrap();
    let address: SocketAddr = server.address;
    waiting.connect(&address.into()).unwrap();
    // It is tried more than once, and others are served meanwhile.
    warned.recv().unwrap();
    warned.recv().unwrap();
    open.write_all(&masked(0x81, b"still?")).unwrap();
    expect(&mut open, b"\x81\x06still?");
    setrlimit(Resource::Nofile, before).unwrap();
    let mut stream = std::net::TcpStream::from(waiting);
    stream.write_all(REQUEST).unwrap();
    expect(&mut stream, REPLY);
    stream.write_all(CLOSE).unwrap();
    assert_eq!(rest(stream), b"\x88\x02\x03\xe8");
}

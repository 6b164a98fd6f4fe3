//! What is told to `tracing`: a span for each connection, and a warning where
//! a flag of [MS-WSPE] is used in plaintext with another machine.

use std::{
    fmt::{self, Write as _},
    io::Write,
    sync::{Arc, Mutex},
};

use tracing::{
    Event, Id, Level, Subscriber,
    field::{Field, Visit},
    span::Attributes,
};
use tracing_subscriber::{
    Registry,
    layer::{Context, Layer, SubscriberExt},
    registry::LookupSpan,
};
use ws_mio::{ClientConfig, ControlledNetwork, PeerAddr, Server};

#[path = "suite/common/mod.rs"]
mod common;

use common::{CLOSE, Echo, REQUEST, config, dial, head, located, rest};

/// Writes down spans as they begin and end, and events with the span they are
/// in.
#[derive(Clone, Default)]
struct Collect(Arc<Mutex<Vec<String>>>);

impl Collect {
    fn note(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }
}

struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Collect {
    fn on_new_span(&self, attributes: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        let mut line = format!("new {}", attributes.metadata().name());
        attributes.record(&mut Fields(&mut line));
        self.note(line);
    }

    fn on_close(&self, _: Id, _: Context<'_, S>) {
        self.note("end".into());
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let level = event.metadata().level();
        if !event.metadata().target().starts_with("ws_mio") || *level > Level::DEBUG {
            return;
        }
        let span = context
            .event_span(event)
            .map_or("nowhere", |span| span.name());
        let mut line = format!("{level} in {span}:");
        event.record(&mut Fields(&mut line));
        self.note(line);
    }
}

#[test]
fn connection_has_a_span_and_what_happens_to_it_is_told_within() {
    //= RFC6455-7.1.7-4
    let collect = Collect::default();
    let subscriber = Registry::default().with(collect.clone());
    let server = Server::bind("127.0.0.1:0", config()).unwrap();
    let (address, remote) = (server.local_addr().unwrap(), server.remote());
    let client = std::thread::spawn(move || {
        let mut peers = Vec::new();
        for wire in [CLOSE, b"\x81\x05Hello", b""] {
            let mut stream = dial(address);
            peers.push(stream.local_addr().unwrap());
            if wire.is_empty() {
                stream.write_all(b"nonsense\n").unwrap();
            } else {
                stream.write_all(REQUEST).unwrap();
                head(&mut stream);
                stream.write_all(wire).unwrap();
            }
            rest(stream);
        }
        remote.stop().unwrap();
        peers
    });
    tracing::subscriber::with_default(subscriber, || server.run(Echo).unwrap());
    let peers = client.join().unwrap();
    let lines = collect.0.lock().unwrap();
    let begun: Vec<&String> = lines
        .iter()
        .filter(|line| line.starts_with("new"))
        .collect();
    let expected: Vec<String> = peers
        .iter()
        .map(|peer| format!("new websocket role=\"server\" peer={peer}"))
        .collect();
    assert_eq!(begun, expected.iter().collect::<Vec<_>>());
    assert_eq!(lines.iter().filter(|line| *line == "end").count(), 3);
    let events: Vec<&str> = lines
        .iter()
        .filter(|line| line.starts_with("DEBUG"))
        .map(|line| line.split(" error=").next().unwrap())
        .collect();
    assert_eq!(
        events,
        [
            "DEBUG in websocket: message=open",
            "DEBUG in websocket: message=open",
            "DEBUG in websocket: message=the peer broke the protocol",
            "DEBUG in websocket: message=refused status=400",
        ]
    );
}

#[test]
fn tls_on_a_plaintext_port_is_told_in_one_line() {
    let collect = Collect::default();
    let subscriber = Registry::default().with(collect.clone());
    let server = Server::bind("127.0.0.1:0", config()).unwrap();
    let (address, remote) = (server.local_addr().unwrap(), server.remote());
    let client = std::thread::spawn(move || {
        let mut stream = dial(address);
        stream.write_all(b"\x16\x03").unwrap();
        assert!(rest(stream).starts_with(b"HTTP/1.1 400 "));
        remote.stop().unwrap();
    });
    tracing::subscriber::with_default(subscriber, || server.run(Echo).unwrap());
    client.join().unwrap();
    let lines = collect.0.lock().unwrap();
    let mut events = lines.iter().filter(|line| line.starts_with("INFO"));
    let line = "INFO in websocket: message=TLS spoken to a plaintext port";
    assert_eq!(events.next().map(String::as_str), Some(line));
    assert_eq!(events.next(), None);
}

#[test]
fn flag_in_plaintext_with_another_machine_is_warned_of_once() {
    //= MSWS-1.6-2, MSWS-5.1-2, MSWS-5.2-1
    let collect = Collect::default();
    let subscriber = Registry::default().with(collect.clone());
    let remote = PeerAddr::Socket("192.0.2.1:80".parse().unwrap());
    tracing::subscriber::with_default(subscriber, || {
        let open = |peer, network: ControlledNetwork| {
            let mut client = ClientConfig::default();
            client.set_mask_to_zero = network;
            drop(located::open(peer, |stream| stream, &client, config()));
        };
        open(
            PeerAddr::Socket("127.0.0.1:80".parse().unwrap()),
            true.into(),
        );
        open(PeerAddr::Local, true.into());
        open(remote, ControlledNetwork::new().loopback());
        assert!(
            !collect
                .0
                .lock()
                .unwrap()
                .iter()
                .any(|line| line.starts_with("WARN"))
        );
        open(remote, true.into());
        open(remote, true.into());
    });
    let lines = collect.0.lock().unwrap();
    let warnings: Vec<&String> = lines
        .iter()
        .filter(|line| line.starts_with("WARN"))
        .collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("set_mask_to_zero") && warnings[0].contains("192.0.2.1"));
    // Five spans on each side, all of them over.
    assert_eq!(
        lines
            .iter()
            .filter(|line| line.starts_with("new websocket role=\"client\""))
            .count(),
        5
    );
    assert_eq!(lines.iter().filter(|line| *line == "end").count(), 10);
}

#[cfg(feature = "tls")]
#[test]
fn failure_of_a_tls_handshake_is_told_with_its_cause() {
    use ws_mio::{EventLoop, Ready, ServerTls, Tls, Transport as _, memory};
    use ws_testkit::certificates::{Identity, self_signed};

    let Identity { cert, key } = self_signed("localhost");
    let tls = ServerTls::from_pem(cert.as_bytes(), key.as_bytes()).unwrap();
    let collect = Collect::default();
    let subscriber = Registry::default().with(collect.clone());
    tracing::subscriber::with_default(subscriber, || {
        let mut inner = EventLoop::new(config(), Echo, || Ok(())).unwrap();
        let (mut client, server) = memory::pair(4096);
        let key = inner.admit(Tls::server(server, &tls).unwrap()).unwrap();
        client.write(&[std::io::IoSlice::new(REQUEST)]).unwrap();
        inner.wake(key, Ready::default());
        inner.finish_turn();
    });
    let lines = collect.0.lock().unwrap();
    assert!(
        lines.iter().any(|line| line.starts_with(
            "DEBUG in websocket: message=the transport's handshake failed \
             error=what the peer sends is not TLS cause=received corrupt message"
        )),
        "{lines:?}"
    );
}

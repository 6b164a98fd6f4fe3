//! What is told to `tracing`: a span for each connection, and one warning
//! where a flag of [MS-WSPE] is used in plaintext with another machine.

use std::{
    fmt::{self, Write as _},
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use smol::{
    future::zip,
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tracing::{
    Event, Id, Subscriber,
    field::{Field, Visit},
    span::Attributes,
};
use tracing_subscriber::{
    Registry,
    layer::{Context, Layer, SubscriberExt},
    registry::LookupSpan,
};
use ws_smol::{
    Acceptor, ClientRequest, CloseCode, Connector, Decision, Error, MaybeTls, OriginPolicy,
    PeerAddr, Uri, WebSocket,
};

/// Writes down spans as they begin and end, and events with the span they are
/// in.
#[derive(Clone, Default)]
struct Collect(Arc<Mutex<Vec<String>>>);

impl Collect {
    fn note(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }

    fn count(&self, wanted: impl Fn(&str) -> bool) -> usize {
        let lines = self.0.lock().unwrap();
        lines.iter().filter(|line| wanted(line)).count()
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
        if attributes.metadata().target().starts_with("ws_smol") {
            let mut line = format!("new {}", attributes.metadata().name());
            attributes.record(&mut Fields(&mut line));
            self.note(line);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if event.metadata().target().starts_with("ws_smol") {
            let span = context.event_span(event).map_or("nowhere", |s| s.name());
            let mut line = format!("{} in {span}:", event.metadata().level());
            event.record(&mut Fields(&mut line));
            self.note(line);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let is_ours = |span: &str| span == "websocket";
        if context.span(&id).is_some_and(|span| is_ours(span.name())) {
            self.note("end".into());
        }
    }
}

/// Connects over loopback TCP; the server takes the client for `peer`.
async fn pair(acceptor: &Acceptor, peer: PeerAddr) -> [WebSocket<MaybeTls<TcpStream>>; 2] {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let request = ClientRequest::new(Uri::parse(&url).unwrap());
    let server = async {
        let (stream, _) = listener.accept().await?;
        acceptor
            .accept_with(MaybeTls::from(stream), peer, async |_, _| {
                Decision::accept()
            })
            .await
    };
    let connector = Connector::new();
    let (client, server) = zip(connector.connect(request), server).await;
    [client.unwrap(), server.unwrap()]
}

/// Goes through the closing handshake.
async fn close([mut client, mut server]: [WebSocket<MaybeTls<TcpStream>>; 2]) {
    let closing = client.close(CloseCode::NORMAL, "");
    let (closed, end) = zip(closing, server.receive()).await;
    closed.unwrap();
    assert!(matches!(end, Ok(None)));
}

#[test]
fn connection_has_a_span_and_what_happens_to_it_is_told_within() {
    let collect = Collect::default();
    let subscriber = Registry::default().with(collect.clone());
    tracing::subscriber::with_default(subscriber, || {
        smol::block_on(async {
            let acceptor = Acceptor::new(OriginPolicy::Any);
            close(pair(&acceptor, PeerAddr::Local).await).await;
            Ok::<(), Error>(())
        })
        .unwrap();
    });
    for role in ["client", "server"] {
        let begin = format!("new websocket role=\"{role}\"");
        assert_eq!(collect.count(|line| line.starts_with(&begin)), 1, "{role}");
    }
    assert_eq!(collect.count(|line| line == "end"), 2);
    let told = |what: &str| collect.count(|line| line.starts_with(what));
    assert_eq!(told("DEBUG in websocket: message=open"), 2);
    assert_eq!(told("DEBUG in websocket: message=closed"), 2);
    assert_eq!(told("WARN"), 0);
}

#[test]
fn tls_on_a_plaintext_port_is_told_in_one_line() {
    let collect = Collect::default();
    let subscriber = Registry::default().with(collect.clone());
    tracing::subscriber::with_default(subscriber, || {
        smol::block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let client = async {
                let mut stream = TcpStream::connect(address).await.unwrap();
                stream.write_all(b"\x16\x03").await.unwrap();
                let mut answer = [0; 13];
                stream.read_exact(&mut answer).await.unwrap();
                assert_eq!(&answer, b"HTTP/1.1 400 ");
            };
            let server = async {
                let (stream, _) = listener.accept().await.unwrap();
                let acceptor = Acceptor::new(OriginPolicy::Any);
                assert!(acceptor.accept(stream, PeerAddr::Local).await.is_err());
            };
            zip(client, server).await;
        });
    });
    let told = collect.count(|line| line.starts_with("INFO in websocket:"));
    assert_eq!(told, 1);
    assert_eq!(
        collect.count(|line| line.contains("TLS spoken to a plaintext port")),
        1
    );
}

#[test]
fn flag_in_plaintext_with_another_machine_is_warned_of_once() {
    //= MSWS-1.6-2, MSWS-1.6-3, MSWS-5.2-1
    let collect = Collect::default();
    let subscriber = Registry::default().with(collect.clone());
    let elsewhere = PeerAddr::from(SocketAddr::from(([192, 0, 2, 1], 5)));
    tracing::subscriber::with_default(subscriber, || {
        smol::block_on(async {
            let acceptor = Acceptor::new(OriginPolicy::Any).accept_unmasked_frame(true);
            close(pair(&acceptor, PeerAddr::Local).await).await;
            assert_eq!(collect.count(|line| line.starts_with("WARN")), 0);
            for _ in 0..2 {
                close(pair(&acceptor, elsewhere).await).await;
            }
        });
    });
    assert_eq!(
        collect.count(|line| line.starts_with("WARN in websocket:")),
        1
    );
}

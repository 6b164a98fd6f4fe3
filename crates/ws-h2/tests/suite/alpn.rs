//! HTTP/2 and HTTP/1.1 on one TLS port.

use smol::future::zip;
use ws_h2::{Accepted, Config, Connected, Error, PROTOCOLS, accept_tls, connect_tls};
use ws_smol::{Acceptor, ClientRequest, Connector, Duplex, OriginPolicy, PeerAddr, Uri, duplex};
use ws_testkit::{
    certificates::Ca,
    tls::{client_of, server_of},
};

use crate::support::{Socket, run};

type Streams = smol::channel::Receiver<Duplex>;

fn request() -> ClientRequest {
    ClientRequest::new(Uri::parse("wss://localhost/chat").unwrap())
}

/// Sends back what comes, over whichever version.
async fn echo<S>(mut websocket: ws_smol::WebSocket<S>) -> Result<(), ws_smol::Error>
where
    S: smol::io::AsyncRead + smol::io::AsyncWrite + Unpin,
{
    while let Some(message) = websocket.receive().await? {
        websocket.send(&message).await?;
    }
    Ok(())
}

/// Serves what comes, with those protocols; returns how each connection began.
async fn serve(ca: &Ca, protocols: &[&[u8]], streams: Streams) -> Vec<&'static str> {
    let acceptor = Acceptor::new(OriginPolicy::SameHost).under_tls();
    let tls = acceptor
        .clone()
        .tls(server_of(&ca.issue("localhost")).protocols(protocols));
    let mut begun = Vec::new();
    while let Ok(stream) = streams.recv().await {
        let config = Config::default();
        match accept_tls(&tls, &acceptor, stream, PeerAddr::Unknown, &config).await {
            Ok(Accepted::Http1(websocket)) => {
                begun.push("http/1.1");
                smol::spawn(echo(*websocket)).detach();
            }
            Ok(Accepted::Http2(mut server)) => {
                begun.push("h2");
                let acceptor = acceptor.clone();
                smol::spawn(async move {
                    while let Some(incoming) = server.accept().await? {
                        let websocket = incoming.accept(&acceptor, PeerAddr::Unknown)?;
                        smol::spawn(echo(websocket)).detach();
                    }
                    Ok::<(), Error>(())
                })
                .detach();
            }
            // The client has gone.
            Err(_) => begun.push("nothing"),
        }
    }
    begun
}

/// Connects with those protocols, and talks; how it went, and how the server saw it.
async fn meet(
    offered: &[&[u8]],
    served: &[&[u8]],
    falls_back: bool,
) -> (Result<&'static str, Error>, Vec<&'static str>) {
    let ca = Ca::new("testing");
    let connector = Connector::new().tls(client_of(&ca).protocols(offered));
    let fallback = Connector::new().tls(client_of(&ca));
    let (streams, to_serve) = smol::channel::unbounded();
    let client = async {
        let dial = async || {
            let (near, far) = duplex(64 * 1024);
            streams.send(far).await.unwrap();
            Ok(near)
        };
        let fallback = falls_back.then_some(&fallback);
        let config = Config::default();
        let peer = PeerAddr::Unknown;
        let connected = connect_tls(dial, &connector, fallback, peer, request(), &config).await;
        streams.close();
        Ok(match connected? {
            Connected::Http1(mut websocket) => {
                websocket.send("Hi").await?;
                assert_eq!(websocket.receive().await?, Some("Hi".into()));
                "http/1.1"
            }
            Connected::Http2 {
                mut websocket,
                client,
                connection,
            } => {
                let driver = smol::spawn(connection);
                let other = client
                    .connect(&connector.clone().under_tls(), peer, request())
                    .await?;
                let both: [&mut Socket; 2] = [&mut websocket, &mut { other }];
                for websocket in both {
                    websocket.send("Hi").await?;
                    assert_eq!(websocket.receive().await?, Some("Hi".into()));
                }
                drop(driver);
                "h2"
            }
        })
    };
    zip(client, serve(&ca, served, to_serve)).await
}

const HTTP1: [&[u8]; 1] = [b"http/1.1"];

#[test]
fn port_serves_the_version_that_the_client_chooses() {
    run(async {
        let (client, server) = meet(&PROTOCOLS, &PROTOCOLS, false).await;
        assert_eq!((client.unwrap(), server), ("h2", vec!["h2"]));
        let (client, server) = meet(&HTTP1, &PROTOCOLS, true).await;
        assert_eq!((client.unwrap(), server), ("http/1.1", vec!["http/1.1"]));
    });
}

#[test]
fn client_falls_back_to_http_1_1_only_if_told_to() {
    run(async {
        let (client, server) = meet(&PROTOCOLS, &HTTP1, true).await;
        assert_eq!((client.unwrap(), server), ("http/1.1", vec!["http/1.1"]));
        let (client, server) = meet(&PROTOCOLS, &HTTP1, false).await;
        assert!(matches!(client, Err(Error::Http1Chosen)), "{client:?}");
        assert_eq!(server, ["nothing"]);
    });
}

#[test]
fn client_of_a_server_without_extended_connect_falls_back_over_a_new_connection() {
    /// Serves HTTP/2 as a plain web server does, and then HTTP/1.1.
    async fn plain_h2(ca: &Ca, streams: Streams) -> usize {
        let acceptor = Acceptor::new(OriginPolicy::SameHost).under_tls();
        let tls = acceptor
            .clone()
            .tls(server_of(&ca.issue("localhost")).protocols(&PROTOCOLS));
        let mut count = 0;
        while let Ok(stream) = streams.recv().await {
            count += 1;
            let stream = tls.encrypt(stream).await.unwrap();
            let chosen = stream.tls().unwrap().state().alpn_protocol();
            if chosen == Some(b"h2") {
                // SETTINGS that allow nothing, and then whatever comes.
                smol::spawn(async move {
                    use smol::io::{AsyncReadExt as _, AsyncWriteExt as _};
                    let mut stream = stream;
                    stream.write_all(b"\0\0\0\x04\0\0\0\0\0").await.unwrap();
                    let _ = stream.read_to_end(&mut Vec::new()).await;
                })
                .detach();
            } else {
                let websocket = acceptor.accept(stream, PeerAddr::Unknown).await.unwrap();
                smol::spawn(echo(websocket)).detach();
            }
        }
        count
    }
    run(async {
        let ca = Ca::new("testing");
        for falls_back in [true, false] {
            let connector = Connector::new().tls(client_of(&ca).protocols(&PROTOCOLS));
            let fallback = Connector::new().tls(client_of(&ca));
            let (streams, to_serve) = smol::channel::unbounded();
            let client = async {
                let dial = async || {
                    let (near, far) = duplex(64 * 1024);
                    streams.send(far).await.unwrap();
                    Ok(near)
                };
                let fallback = falls_back.then_some(&fallback);
                let (config, peer) = (Config::default(), PeerAddr::Unknown);
                let connected =
                    connect_tls(dial, &connector, fallback, peer, request(), &config).await;
                streams.close();
                match connected {
                    Ok(Connected::Http1(mut websocket)) => {
                        websocket.send("Hi").await.unwrap();
                        assert_eq!(websocket.receive().await.unwrap(), Some("Hi".into()));
                        true
                    }
                    Err(Error::ExtendedConnectNotSupported) => false,
                    other => panic!("{other:?}"),
                }
            };
            let (is_open, count) = zip(client, plain_h2(&ca, to_serve)).await;
            assert_eq!((is_open, count), (falls_back, 1 + usize::from(falls_back)));
        }
    });
}

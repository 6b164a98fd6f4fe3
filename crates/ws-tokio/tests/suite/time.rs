//! Time is tokio's, which a test can stop.

use std::time::Duration;

use tokio::time::Instant;
use ws_tokio::{
    Acceptor, Backoff, ClientRequest, Config, Connector, Error, Gate, KeepaliveConfig,
    OriginPolicy, PeerAddr, Reconnect, ServerMasking, Stream, Timeout, Tokio, Uri, WebSocket,
};

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn request_that_does_not_come_is_waited_for_in_tokios_time() {
    let (stream, _silent) = tokio::io::duplex(1000);
    let acceptor = Acceptor::new(OriginPolicy::Any)
        .timer(Tokio)
        .handshake_timeout(HOUR);
    let started = Instant::now();
    let outcome = acceptor
        .accept(Stream::new(stream), PeerAddr::Unknown)
        .await;
    assert!(
        matches!(outcome, Err(Error::Timeout(Timeout::Handshake))),
        "{outcome:?}"
    );
    assert!(started.elapsed() >= HOUR);
}

#[tokio::test(start_paused = true)]
async fn keepalive_passes_in_tokios_time() {
    let (stream, _silent) = tokio::io::duplex(1000);
    let mut config = Config::default();
    config.keepalive = KeepaliveConfig::OFF;
    config.keepalive.ping_interval = Some(HOUR);
    config.keepalive.pong_timeout = Some(HOUR);
    let started = Instant::now();
    let masking = ServerMasking::new();
    let websocket =
        WebSocket::after_handshake(Stream::new(stream), masking, Vec::new(), &config).unwrap();
    let outcome = websocket.with_timer(Tokio).receive().await;
    assert!(
        matches!(outcome, Err(Error::Timeout(Timeout::Pong))),
        "{outcome:?}"
    );
    assert!(started.elapsed() >= 2 * HOUR);
}

#[tokio::test(start_paused = true)]
async fn drain_ends_in_tokios_time() {
    let gate = Gate::new(10, 10).timer(Tokio);
    let pass = gate.admit(PeerAddr::Unknown).unwrap();
    let started = Instant::now();
    gate.drain(HOUR, 2 * HOUR);
    pass.drained().await;
    assert!(started.elapsed() <= HOUR);
    assert!(!gate.gone().await);
    assert!(started.elapsed() >= 2 * HOUR);
}

#[tokio::test(start_paused = true)]
async fn client_that_comes_back_waits_in_tokios_time() {
    // Nobody listens: attempts fail at once.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    drop(listener);
    let request = ClientRequest::new(Uri::parse(&url).unwrap());
    let started = Instant::now();
    let outcome = Reconnect::new(Connector::on(Tokio), request)
        .backoff(Backoff::new(HOUR, HOUR))
        .max_attempts(3)
        .connect()
        .await;
    assert!(matches!(outcome, Err(Error::Io(_))), "{outcome:?}");
    assert!(started.elapsed() >= HOUR);
}

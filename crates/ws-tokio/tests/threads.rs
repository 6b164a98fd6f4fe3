//! Which threads there are under tokio, in a process of its own.
#![cfg(target_os = "linux")]

use std::time::Duration;

use tokio::net::TcpListener;
use ws_tokio::{
    Acceptor, ClientRequest, CloseCode, Config, Connector, Error, Gate, OriginPolicy, PeerAddr,
    Stream, Tokio, Uri,
};

fn threads() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.map(|name| name.trim().to_owned()).collect()
}

#[test]
fn no_thread_is_started_under_tokio() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let before = threads();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(30), talk())
            .await
            .expect("it is over in time")
    });
    assert_eq!(threads(), before);
}

/// Has every kind of timer set: of both handshakes, keepalive, closing and a drain.
async fn talk() {
    let gate = Gate::new(10, 10).timer(Tokio);
    let acceptor = Acceptor::new(OriginPolicy::Any).timer(Tokio).gate(&gate);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let pass = gate.admit(PeerAddr::Unknown).unwrap();
    let server = tokio::spawn(async move {
        let (stream, peer) = listener.accept().await.unwrap();
        let mut websocket = acceptor.accept(Stream::new(stream), peer).await?;
        tokio::select! {
            outcome = websocket.receive() => outcome.map(drop),
            () = pass.drained() => websocket.close(CloseCode::GOING_AWAY, "").await,
        }
    });
    let mut config = Config::default();
    config.keepalive.ping_interval = Some(Duration::from_millis(2));
    let connector = Connector::on(Tokio).config(config);
    let request = ClientRequest::new(Uri::parse(&url).unwrap());
    let mut websocket = connector.connect(request).await.unwrap();
    // A Ping and its Pong, by the clock.
    while websocket.round_trip_time().is_none() {
        let waited = tokio::time::timeout(Duration::from_millis(5), websocket.receive()).await;
        assert!(waited.is_err());
    }
    gate.drain(Duration::from_millis(5), Duration::from_secs(5));
    let outcome = websocket.receive().await;
    assert!(
        matches!(outcome, Ok(None) | Err(Error::ClosedByPeer { .. })),
        "{outcome:?}"
    );
    server.await.unwrap().unwrap();
    assert!(gate.gone().await);
}

//! Servers on the reactor of their thread.

use std::{
    net::SocketAddr,
    sync::mpsc,
    thread::{self, JoinHandle},
    time::Duration,
};

use smol::LocalExecutor;
use ws_smol::{
    Acceptor, ClientRequest, CloseCode, Config, Connector, Error, KeepaliveConfig, Message,
    OriginPolicy, Timeout, Uri, WebSocket,
    net::{TcpListener, TcpStream, block_on},
};

/// Serves `count` connections on a thread of their own.
fn serve<F>(
    count: usize,
    serve: fn(Acceptor, TcpStream, SocketAddr) -> F,
) -> (String, JoinHandle<()>)
where
    F: Future<Output = ()> + 'static,
{
    let (told, url) = mpsc::channel();
    let server = thread::spawn(move || {
        let executor = LocalExecutor::new();
        let serving = executor.run(async {
            let listener = TcpListener::bind(([127, 0, 0, 1], 0).into()).unwrap();
            told.send(format!("ws://{}/", listener.local_addr().unwrap()))
                .unwrap();
            let acceptor = Acceptor::new(OriginPolicy::Any)
                .accept_unmasked_frame(true)
                .handshake_timeout(Duration::from_millis(20));
            let mut tasks = Vec::new();
            for _ in 0..count {
                let (stream, peer) = listener.accept().await.unwrap();
                tasks.push(executor.spawn(serve(acceptor.clone(), stream, peer)));
            }
            for task in tasks {
                task.await;
            }
        });
        block_on(serving).unwrap();
    });
    (url.recv().unwrap(), server)
}

async fn echo(acceptor: Acceptor, stream: TcpStream, peer: SocketAddr) {
    let acceptor = acceptor.handshake_timeout(Duration::from_secs(30));
    let mut websocket = acceptor.accept(stream, peer).await.unwrap();
    while websocket
        .receive_with(|message, replies| replies.queue(message))
        .await
        .unwrap()
    {}
    assert_eq!(websocket.close_status().unwrap().code, 1000);
}

#[test]
fn clients_are_echoed_whatever_they_send() {
    //= MSWS-3.1.4-6, MSWS-3.2.5-4
    const CLIENTS: usize = 20;
    let (url, server) = serve(CLIENTS, echo);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let request = ClientRequest::new(Uri::parse(&url).unwrap());
            smol::spawn(async move {
                let connector = Connector::new().set_mask_to_zero(number % 2 == 0);
                let mut websocket = connector.connect(request).await.unwrap();
                for len in [0, 1, 1000, 5000, 70_000, 5_000_000 / (1 + number)] {
                    let bytes = (0..len).map(|i| (i % 255) as u8).collect();
                    let message = Message::Binary(bytes);
                    websocket.send(&message).await.unwrap();
                    assert!(websocket.receive().await.unwrap().unwrap() == message);
                }
                for i in 0..100 {
                    websocket.queue(&*format!("{number} {i}")).unwrap();
                }
                for i in 0..100 {
                    let expected = Message::from(format!("{number} {i}"));
                    assert_eq!(websocket.receive().await.unwrap(), Some(expected));
                }
                websocket.close(CloseCode::NORMAL, "").await.unwrap();
            })
        })
        .collect();
    smol::block_on(async {
        for client in clients {
            client.await;
        }
    });
    server.join().unwrap();
}

#[test]
fn timers_are_those_of_the_thread() {
    let (url, server) = serve(1, |acceptor, stream, peer| async move {
        let outcome = acceptor.accept(stream, peer).await;
        assert!(matches!(outcome, Err(Error::Timeout(Timeout::Handshake))));
    });
    let address = url.trim_start_matches("ws://").trim_end_matches('/');
    // It connects and says nothing, until it was answered.
    let mut silent = std::net::TcpStream::connect(address).unwrap();
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut silent, &mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    drop(silent);
    server.join().unwrap();
}

#[test]
fn waiting_goes_on_elsewhere_when_the_reactor_stops() {
    let mut config = Config::default();
    config.keepalive = KeepaliveConfig::OFF;
    config.keepalive.ping_interval = Some(Duration::from_millis(30));
    config.keepalive.pong_timeout = Some(Duration::from_millis(30));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let stream = smol::Async::new(listener.accept().unwrap().0).unwrap();
    let masking = ws_smol::ServerMasking::new();
    let mut websocket = WebSocket::after_handshake(stream, masking, Vec::new(), &config).unwrap();
    // Its timer is set here, and is over with the reactor.
    let waited = block_on(smol::future::poll_once(websocket.receive())).unwrap();
    assert!(waited.is_none());
    let error = smol::block_on(websocket.receive()).unwrap_err();
    assert!(matches!(error, Error::Timeout(Timeout::Pong)), "{error:?}");
    drop(silent);
}

#[test]
fn other_threads_and_reactors_wake_it_and_it_runs_within_itself() {
    let slept = block_on(async {
        let (tell, told) = smol::channel::bounded(1);
        let teller = thread::spawn(move || {
            smol::block_on(smol::Timer::after(Duration::from_millis(5)));
            tell.send_blocking("told").unwrap();
        });
        assert_eq!(block_on(async { 1 }).unwrap(), 1);
        let heard = told.recv().await.unwrap();
        teller.join().unwrap();
        smol::Timer::after(Duration::from_millis(1)).await;
        heard
    });
    assert_eq!(slept.unwrap(), "told");
}

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
    net::{TcpListener, TcpStream, block_on, spawn},
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
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
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

/// Drops, and tells so.
struct Tell(mpsc::Sender<&'static str>);

impl Drop for Tell {
    fn drop(&mut self) {
        self.0.send("dropped").unwrap();
    }
}

#[test]
fn tasks_run_beside_the_future_and_end_with_it() {
    let (tell, told) = mpsc::channel();
    let (first, second, never) = (tell.clone(), tell.clone(), Tell(tell));
    let output = block_on(async move {
        let (sender, receiver) = smol::channel::bounded(1);
        spawn(async move {
            first.send("ran").unwrap();
            // A task may start another.
            spawn(async move {
                smol::future::yield_now().await;
                second.send("ran too").unwrap();
                sender.send(7).await.unwrap();
            });
        });
        spawn(async move {
            let _never = never;
            std::future::pending::<()>().await;
        });
        receiver.recv().await.unwrap()
    });
    assert_eq!(output.unwrap(), 7);
    let told: Vec<_> = told.iter().collect();
    assert_eq!(told, ["ran", "ran too", "dropped"]);
}

#[test]
fn task_is_woken_by_other_threads_while_the_thread_sleeps() {
    let (sender, receiver) = smol::channel::bounded(1);
    let (answer, answered) = smol::channel::bounded(1);
    let teller = thread::spawn(move || {
        for number in 0..100 {
            sender.send_blocking(number).unwrap();
            assert_eq!(answered.recv_blocking(), Ok(number));
        }
    });
    block_on(async move {
        let (done, is_done) = smol::channel::bounded::<()>(1);
        spawn(async move {
            while let Ok(number) = receiver.recv().await {
                answer.send(number).await.unwrap();
            }
            drop(done);
        });
        is_done.recv().await.unwrap_err();
    })
    .unwrap();
    teller.join().unwrap();
}

#[test]
fn task_that_is_always_ready_does_not_keep_sockets_waiting() {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        spawn(async {
            loop {
                smol::future::yield_now().await;
            }
        });
        let client = thread::spawn(move || std::net::TcpStream::connect(address).unwrap());
        listener.accept().await.unwrap();
        client.join().unwrap();
    })
    .unwrap();
}

#[test]
#[should_panic(expected = "net::spawn is called within net::block_on")]
fn spawning_outside_is_a_mistake() {
    spawn(async {});
}

#[cfg(unix)]
#[test]
fn unix_domain_sockets_are_served_by_several_threads_with_one_listener() {
    use std::os::unix::net;

    use ws_smol::{ControlledNetwork, PeerAddr, net::UnixListener};

    const THREADS: usize = 2;
    let path = std::env::temp_dir().join(format!("ws-smol-net-{}", std::process::id()));
    let listener = net::UnixListener::bind(&path).unwrap();
    let acceptor = Acceptor::new(OriginPolicy::SameHost)
        .accept_unmasked_frame(ControlledNetwork::new().loopback());
    // It is closed once all clients were served.
    let (stop, stopped) = smol::channel::bounded::<()>(1);
    let serve = |listener: net::UnixListener| {
        let listener = UnixListener::from_std(listener).unwrap();
        block_on(async {
            let accepting = async {
                loop {
                    let (stream, peer) = listener.accept().await.unwrap();
                    assert_eq!(peer, PeerAddr::Local);
                    let acceptor = acceptor.clone();
                    spawn(async move {
                        let mut websocket = acceptor.accept(stream, peer).await.unwrap();
                        while websocket
                            .receive_with(|message, replies| replies.queue(message))
                            .await
                            .unwrap()
                        {}
                    });
                }
            };
            let stopped = async {
                let _ = stopped.recv().await;
            };
            smol::future::or(accepting, stopped).await;
        })
        .unwrap();
    };
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| serve(listener.try_clone().unwrap()));
        }
        smol::block_on(async {
            for number in 0..4 * THREADS {
                let connector =
                    Connector::new().set_mask_to_zero(ControlledNetwork::new().loopback());
                let request = ClientRequest::new(Uri::parse("ws://localhost/").unwrap());
                let stream = smol::net::unix::UnixStream::connect(&path).await.unwrap();
                let mut websocket = connector
                    .handshake(stream, PeerAddr::Local, request)
                    .await
                    .unwrap();
                let message = Message::from(format!("{number}"));
                websocket.send(&message).await.unwrap();
                assert_eq!(websocket.receive().await.unwrap(), Some(message));
                websocket.close(CloseCode::NORMAL, "").await.unwrap();
            }
        });
        drop(stop);
    });
    std::fs::remove_file(&path).unwrap();
}

//! Streams whose WebSockets are served by loops of `ws-mio`.

use std::{io, sync::mpsc, thread};

use smol::future::FutureExt as _;
use ws_h2::{Client, Config, Server, StreamTransport};
use ws_mio::{Handler, Message, NoListener, Peer, Remote};
use ws_smol::{CloseCode, Connector, Decision, Duplex, Message as Said, OriginPolicy, PeerAddr};

use crate::support::{Socket, acceptor, connect, connection, echo, request, run, served};

/// Sends every message back.
struct Echo;

impl Handler for Echo {
    type Data = ();

    fn on_message(&mut self, peer: &mut Peer<'_, ()>, message: Message<'_>) {
        peer.send(message);
    }
}

/// Loops on threads of their own, which are stopped at the end of the test.
struct Loops<H: Handler> {
    remote: Remote<H, StreamTransport>,
    thread: Option<thread::JoinHandle<io::Result<()>>>,
}

impl<H: Handler + Send + 'static> Loops<H> {
    fn start(handler: H, config: ws_mio::Config) -> Self {
        let server = ws_mio::Server::with_listener(NoListener::new(), config).unwrap();
        let remote = server.remote();
        let thread = Some(thread::spawn(move || server.run(handler)));
        Self { remote, thread }
    }
}

impl<H: Handler> Drop for Loops<H> {
    fn drop(&mut self) {
        self.remote.stop().unwrap();
        let ended = self.thread.take().unwrap().join();
        if !thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}

fn config() -> ws_mio::Config {
    ws_mio::Config::new(OriginPolicy::Any)
}

/// Hands all that comes over to the loops.
fn hand_over<H>(mut server: Server<Duplex>, loops: &Loops<H>) -> Task
where
    H: Handler<Data = ()> + 'static,
{
    let remote = loops.remote.clone();
    smol::spawn(async move {
        while let Some(incoming) = server.accept().await? {
            let (acceptor, peer) = (acceptor(), PeerAddr::Unknown);
            let handover = incoming.hand_over(&acceptor, peer, Decision::accept(), ())?;
            let told = remote.adopt(handover, |adopted| {
                if let Err(refused) = adopted {
                    refused.turn_away();
                }
            });
            told.unwrap();
        }
        Ok(())
    })
}

/// A client, and the loops that serve it.
async fn adopted(config: ws_mio::Config) -> (Client, Loops<Echo>, [Task; 2]) {
    let (client, driver, server) = connection(&Config::default()).await;
    let loops = Loops::start(Echo, config);
    let task = hand_over(server, &loops);
    (client, loops, [driver, task])
}

type Task = smol::Task<Result<(), ws_h2::Error>>;

async fn talk(socket: &mut Socket, messages: &[Said]) {
    for message in messages {
        socket.send(message).await.unwrap();
        let answer = socket.receive().await.unwrap();
        assert!(answer.as_ref() == Some(message));
    }
}

#[test]
fn loop_serves_many_streams_of_one_connection() {
    run(async {
        let (client, loops, _tasks) = adopted(config()).await;
        let mut sockets = Vec::new();
        for _ in 0..50 {
            sockets.push(connect(&client).await.unwrap());
        }
        // Far more than a window, so that both directions wait for room.
        let messages = [0, 125, 70_000, 1_000_000].map(|len| Said::Binary(vec![7; len]));
        for socket in &mut sockets {
            talk(socket, &messages[..2]).await;
        }
        talk(&mut sockets[7], &messages).await;
        assert_eq!(loops.remote.metrics().adopted, 50);
        sockets[3].close(CloseCode::NORMAL, "done").await.unwrap();
        sockets.remove(5);
        talk(&mut sockets[0], &messages).await;
        // A stop tells each of them.
        loops.remote.stop().unwrap();
        sockets.remove(3);
        for mut socket in sockets {
            assert_eq!(socket.receive().await.unwrap(), None);
            assert_eq!(socket.close_status().unwrap().code, 1001);
        }
    });
}

#[test]
fn stream_that_is_not_read_stops_its_peer_and_nobody_else_in_the_loop() {
    run(async {
        let (client, _loops, _tasks) = adopted(config()).await;
        let mut stuck = connect(&client).await.unwrap();
        let mut other = connect(&client).await.unwrap();
        // Echoes that nobody reads fill the window, and then the loop stops reading.
        let fill = async {
            loop {
                stuck.send(vec![7; 16_000]).await.unwrap();
            }
        };
        let talk = async {
            talk(&mut other, &vec![Said::Binary(vec![1; 10_000]); 200]).await;
        };
        fill.or(talk).await;
    });
}

#[test]
fn loop_that_is_full_tells_the_peer_so() {
    run(async {
        let mut config = config();
        config.max_connections = 1;
        let (client, _loops, _tasks) = adopted(config).await;
        let mut first = connect(&client).await.unwrap();
        talk(&mut first, &["Hi".into()]).await;
        let mut second = connect(&client).await.unwrap();
        let _ = second.receive().await;
        assert_eq!(second.close_status().unwrap().code, 1013);
        talk(&mut first, &["Hi".into()]).await;
    });
}

#[test]
fn lost_connection_ends_each_of_its_streams_once() {
    /// Tells of each end.
    struct Ends(mpsc::Sender<u16>);
    impl Handler for Ends {
        type Data = ();
        fn on_close(&mut self, _: &mut Peer<'_, ()>, closed: ws_mio::Closed<'_>) {
            self.0.send(closed.code).unwrap();
        }
    }
    run(async {
        let (tell, told) = mpsc::channel();
        let loops = Loops::start(Ends(tell), config());
        let (client, driver, server) = connection(&Config::default()).await;
        let task = hand_over(server, &loops);
        let mut sockets = Vec::new();
        for _ in 0..10 {
            sockets.push(connect(&client).await.unwrap());
        }
        while loops.remote.metrics().opened < 10 {
            smol::future::yield_now().await;
        }
        driver.cancel().await;
        task.cancel().await;
        let ends: Vec<u16> = smol::unblock(move || told.iter().take(10).collect()).await;
        assert_eq!(ends, [1006; 10]);
    });
}

#[test]
fn loop_is_the_client_of_many_streams() {
    /// Says something, and ends when that is back.
    struct Hello(mpsc::Sender<String>);
    impl Handler for Hello {
        type Data = usize;
        fn on_connected(&mut self, peer: &mut Peer<'_, usize>, _: &ws_mio::Agreed) {
            assert!(peer.is_server());
            peer.send_text(&format!("Hello from {}", peer.data()));
        }
        fn on_message(&mut self, peer: &mut Peer<'_, usize>, message: Message<'_>) {
            self.0.send(format!("{message:?}")).unwrap();
            peer.close(CloseCode::NORMAL, "");
        }
    }
    run(async {
        let (client, sockets, _tasks) = served(&Config::default()).await;
        let echoes = smol::spawn(async move {
            while let Ok(socket) = sockets.recv().await {
                smol::spawn(echo(socket)).detach();
            }
        });
        let (tell, told) = mpsc::channel();
        let loops = Loops::start(Hello(tell), config());
        for number in 0..20 {
            let (connector, peer) = (Connector::new(), PeerAddr::Unknown);
            let handover = client.hand_over(&connector, peer, request(), number).await;
            let told = loops
                .remote
                .adopt(handover.unwrap(), |adopted| assert!(adopted.is_ok()));
            told.unwrap();
        }
        let mut heard: Vec<String> = smol::unblock(move || told.iter().take(20).collect()).await;
        heard.sort_unstable();
        assert!(
            heard.contains(&"Text(\"Hello from 19\")".to_owned()),
            "{heard:?}"
        );
        heard.dedup();
        assert_eq!(heard.len(), 20);
        drop(echoes);
    });
}

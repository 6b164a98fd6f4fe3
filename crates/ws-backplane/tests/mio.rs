//! Connections of a server of `ws-mio` that join while others publish.
#![cfg(feature = "mio")]

use std::{sync::mpsc, thread, time::Duration};

use ws_backplane::{
    Discontinuity, History, Limits, Memory, Position, Publish, Recovery,
    mio::{Encode, Hub, spawn},
};
use ws_mio::{Closed, Config, Handler, Message, OriginPolicy, Peer, Prepared, Remote, Server};

/// A test that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(100);

struct Lines;

impl Encode for Lines {
    fn message(&mut self, _: &str, position: Position, _: &[u8]) -> Prepared {
        text(position)
    }

    fn discontinuity(&mut self, _: &str, discontinuity: &Discontinuity) -> Prepared {
        panic!("{discontinuity:?}")
    }
}

fn text(position: Position) -> Prepared {
    Prepared::new(Message::Text(&position.to_string()))
}

struct Room(Hub<Self, mio::net::TcpStream>);

impl Handler for Room {
    type Data = ();

    fn on_message(&mut self, peer: &mut Peer<'_, ()>, message: Message<'_>) {
        let Message::Text(since) = message else {
            panic!("{message:?}");
        };
        self.0
            .join(peer.id(), "room", since.parse().ok(), |recovery| {
                let Ok(Recovery::Recovered { messages, position }) = recovery else {
                    panic!("{recovery:?}");
                };
                let mut lines: Vec<_> = messages
                    .iter()
                    .map(|message| text(message.position))
                    .collect();
                if lines.is_empty() {
                    lines.push(text(*position));
                }
                lines
            });
    }

    fn on_close(&mut self, _: &mut Peer<'_, ()>, _: Closed<'_>) {
        self.0.leave("room");
    }
}

#[test]
fn peer_that_joins_while_messages_come_misses_nothing_and_gets_nothing_twice() {
    let mut config = Config::new(OriginPolicy::Any);
    config.threads = 2;
    let server: Server<Room> = Server::bind("127.0.0.1:0", config).unwrap();
    let address = format!("ws://{}/", server.local_addr().unwrap());
    let remote: Remote<Room> = server.remote();
    let engine = Memory::new().engine();
    let mut stream = Some(engine.stream());
    let connect = move || {
        let stream = stream.take().ok_or(std::io::ErrorKind::NotConnected);
        async move { stream.map_err(Into::into) }
    };
    // Everything is kept, however slowly the clients come back.
    let mut limits = Limits::default();
    limits.history = u32::MAX;
    let mut publish = Publish::default();
    publish.history = History::new(limits.history, Duration::from_secs(300));
    let (hub, node) = spawn(engine, limits, connect, remote.clone(), Lines).unwrap();
    let running = {
        let hub = hub.clone();
        thread::spawn(move || server.run_with(move |_| Room(hub.clone())))
    };
    let (stop, stopped) = mpsc::channel::<()>();
    let publisher = {
        let node = hub.node().clone();
        thread::spawn(move || {
            // As fast as the positions come back.
            while let Err(mpsc::TryRecvError::Empty) = stopped.try_recv() {
                let (sender, receiver) = mpsc::channel::<()>();
                let then = move |_| drop(sender);
                if node
                    .publish_then("room", "x", publish.clone(), then)
                    .is_ok()
                {
                    let _ = receiver.recv_timeout(PATIENCE);
                }
            }
        })
    };
    let hangs = async {
        smol::Timer::after(PATIENCE).await;
        panic!("nothing more comes");
    };
    let clients = async {
        let mut since: Option<Position> = None;
        for _ in 0..100 {
            let mut socket = ws_smol::connect(&address).await.unwrap();
            let words = since.map_or_else(|| "new".into(), |since| since.to_string());
            socket.send(&*words).await.unwrap();
            for _ in 0..20 {
                let Some(ws_smol::Message::Text(line)) = socket.receive().await.unwrap() else {
                    panic!("no text");
                };
                let position: Position = line.parse().unwrap();
                let last = since.replace(position);
                let step = last.map_or(1, |last| position.offset - last.offset);
                // Only the position that answers a join may be the same again.
                assert!(
                    step == 1 || last == Some(position),
                    "{position} after {last:?}"
                );
            }
        }
    };
    smol::block_on(smol::future::or(clients, hangs));
    drop(stop);
    publisher.join().unwrap();
    hub.node().stop();
    node.join().unwrap();
    remote.stop().unwrap();
    running.join().unwrap().unwrap();
}

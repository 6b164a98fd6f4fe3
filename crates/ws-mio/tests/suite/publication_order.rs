//! The order of publications, over several loops and publishers.

use std::{
    io::Write,
    net::TcpStream,
    sync::{Arc, Mutex},
    thread,
};

use ws_mio::{Config, Handler, Message, Peer, Prepared, Remote};

use crate::{
    common,
    common::{CLOSE, Running, config, expect, masked, unmasked},
};

/// What was published to the room before, in its order.
type History = Arc<Mutex<Vec<u32>>>;

/// A room with a history. Words in a message, separated by spaces: `join`
/// joins; `say:N` says a number; `me:TEXT` sends text back, after what was
/// asked before it.
struct Room {
    history: History,
}

impl Handler for Room {
    type Data = ();

    fn on_message(&mut self, peer: &mut Peer<'_, ()>, message: Message<'_>) {
        let Message::Text(text) = message else { return };
        for word in text.split(' ') {
            match word.split_once(':') {
                Some(("say", number)) => {
                    let number = number.parse().unwrap();
                    say(&self.history, number, |said| {
                        peer.publish_to_all("room", said)
                    });
                }
                Some(("me", text)) => {
                    let text = text.to_owned();
                    let id = peer.id();
                    let sent = peer.with_peer(id, move |peer| {
                        peer.send(text);
                    });
                    sent.unwrap();
                }
                _ => self.join(peer),
            }
        }
    }
}

impl Room {
    /// The recipe of `Peer::subscribe`.
    fn join(&self, peer: &mut Peer<'_, ()>) {
        let history = self.history.lock().unwrap();
        peer.subscribe("room");
        let history: Vec<u8> = history
            .iter()
            .flat_map(|number| number.to_be_bytes())
            .collect();
        peer.send_binary(&history);
    }
}

fn say(history: &History, number: u32, publish: impl FnOnce(&Prepared)) {
    let mut history = history.lock().unwrap();
    history.push(number);
    publish(&Prepared::new(Message::Binary(&number.to_be_bytes())));
}

fn start(threads: usize) -> (Running<Room>, History) {
    let mut config: Config = config();
    config.threads = threads;
    // No reader is too slow for a test.
    config.max_backpressure = 64 << 20;
    let history = History::default();
    let of_loops = Arc::clone(&history);
    let room = move |_| Room {
        history: Arc::clone(&of_loops),
    };
    (
        Running::start_with(config, move |server| server.run_with(room)),
        history,
    )
}

fn join(server: &Running<Room>) -> TcpStream {
    let mut stream = server.connect();
    stream.write_all(&masked(0x81, b"join")).unwrap();
    stream
}

/// Reads binary messages, and returns the first `count` numbers in them.
fn numbers(stream: &mut TcpStream, count: usize) -> Vec<u32> {
    use std::io::{BufReader, Read};

    let mut stream = BufReader::new(stream);
    let mut numbers = Vec::new();
    while numbers.len() < count {
        let mut head = [0; 2];
        stream.read_exact(&mut head).unwrap();
        assert_eq!(head[0], 0x82);
        let len = match head[1] {
            126 => {
                let mut len = [0; 2];
                stream.read_exact(&mut len).unwrap();
                u16::from_be_bytes(len).into()
            }
            127 => {
                let mut len = [0; 8];
                stream.read_exact(&mut len).unwrap();
                u64::from_be_bytes(len) as usize
            }
            len => usize::from(len),
        };
        let mut payload = vec![0; len];
        stream.read_exact(&mut payload).unwrap();
        numbers.extend(
            payload
                .chunks(4)
                .map(|n| u32::from_be_bytes(n.try_into().unwrap())),
        );
    }
    numbers
}

/// Says `count` numbers from `first` on, through a connection.
fn peer_says(mut stream: TcpStream, first: u32, count: u32) -> TcpStream {
    for number in first..first + count {
        let word = format!("say:{number}");
        stream.write_all(&masked(0x81, word.as_bytes())).unwrap();
    }
    stream
}

fn remote_says(remote: &Remote<Room>, history: &History, first: u32, count: u32) {
    for number in first..first + count {
        say(history, number, |said| {
            remote.publish("room", said).unwrap()
        });
    }
}

/// Has two peers and two remotes publish `count` numbers each, and returns
/// what each of `subscribers` gets.
fn publish(
    server: &Running<Room>,
    history: &History,
    subscribers: Vec<TcpStream>,
    count: u32,
) -> Vec<Vec<u32>> {
    let all = 4 * count as usize;
    thread::scope(|scope| {
        for publisher in 0..2 {
            let stream = server.connect();
            scope.spawn(move || peer_says(stream, publisher * count, count));
        }
        for publisher in 2..4 {
            scope.spawn(move || remote_says(&server.remote, history, publisher * count, count));
        }
        let readers: Vec<_> = subscribers
            .into_iter()
            .map(|mut stream| scope.spawn(move || numbers(&mut stream, all)))
            .collect();
        readers
            .into_iter()
            .map(|reader| reader.join().unwrap())
            .collect()
    })
}

#[test]
fn all_subscribers_of_all_loops_get_a_topic_in_one_order() {
    let (mut server, history) = start(2);
    let subscribers = (0..4).map(|_| {
        let mut stream = join(&server);
        // The empty history.
        expect(&mut stream, &unmasked(0x82, b""));
        stream
    });
    let subscribers = subscribers.collect();
    let seen = publish(&server, &history, subscribers, 25_000);
    let history = history.lock().unwrap().clone();
    for seen in seen {
        // Not assert_eq: nobody reads 100,000 numbers.
        assert!(seen == history, "a subscriber saw another order");
    }
    for publisher in 0..4 {
        let of_publisher = |n: &&u32| **n / 25_000 == publisher;
        assert!(history.iter().filter(of_publisher).is_sorted());
    }
    server.stop();
}

#[test]
fn who_joins_with_the_history_misses_nothing_and_gets_nothing_twice() {
    for threads in [1, 2] {
        let (mut server, history) = start(threads);
        let all = 4 * 2_000;
        let joined = thread::scope(|scope| {
            let published = scope.spawn(|| publish(&server, &history, Vec::new(), 2_000));
            let mut readers = Vec::new();
            while history.lock().unwrap().len() < all && readers.len() < 40 {
                let mut stream = join(&server);
                readers.push(scope.spawn(move || numbers(&mut stream, all)));
            }
            published.join().unwrap();
            let readers = readers.into_iter().map(|reader| reader.join().unwrap());
            readers.collect::<Vec<_>>()
        });
        let history = history.lock().unwrap().clone();
        for seen in joined {
            assert!(
                seen == history,
                "a subscriber missed something, or got it twice"
            );
        }
        server.stop();
    }
}

#[test]
fn publication_from_before_a_subscription_is_not_delivered_to_it() {
    let (mut server, history) = start(2);
    let mut publisher = server.connect();
    for round in 0..40 {
        publisher = peer_says(publisher, round, 1);
        while history.lock().unwrap().len() <= round as usize {
            thread::yield_now();
        }
        // Published, and perhaps delivered nowhere yet.
        let mut late = server.connect();
        late.write_all(&masked(0x81, b"join me:joined")).unwrap();
        let mut expected = Vec::new();
        let numbers: Vec<u8> = (0..=round).flat_map(u32::to_be_bytes).collect();
        expected.extend(unmasked(0x82, &numbers));
        expected.extend(unmasked(0x81, b"joined"));
        expect(&mut late, &expected);
        late.write_all(CLOSE).unwrap();
        assert_eq!(common::rest(late), b"\x88\x02\x03\xe8");
    }
    drop(publisher);
    server.stop();
}

#[test]
fn what_a_peer_asks_for_after_its_publication_comes_behind_it() {
    for threads in [1, 2] {
        let (mut server, _) = start(threads);
        let mut peer = server.connect();
        peer.write_all(&masked(0x81, b"join me:a say:7 me:b say:8 say:9 me:c"))
            .unwrap();
        let parts: [(u8, &[u8]); 7] = [
            (0x82, b""),
            (0x81, b"a"),
            (0x82, &[0, 0, 0, 7]),
            (0x81, b"b"),
            (0x82, &[0, 0, 0, 8]),
            (0x82, &[0, 0, 0, 9]),
            (0x81, b"c"),
        ];
        for (first, payload) in parts {
            expect(&mut peer, &unmasked(first, payload));
        }
        drop(peer);
        server.stop();
    }
}

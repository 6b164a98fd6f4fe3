//! One message to many peers.

use std::{io::Write, net::TcpStream, sync::mpsc};

use ws_mio::{Config, Handler, Loop, Message, Peer, Prepared};

use crate::common::{CLOSE, Running, config, expect, masked, rest, unmasked};

/// Does what messages say, in order and separated by spaces: `+topic`
/// subscribes, `-topic` unsubscribes, `topic:text` publishes, `*:text`
/// broadcasts, `?topic` asks for the number of subscribers, `!` aborts; and any other word is sent
/// back.
#[derive(Debug)]
struct Obedient;

impl Handler for Obedient {
    type Data = ();

    fn on_message(&mut self, peer: &mut Peer<'_, ()>, message: Message<'_>) {
        let Message::Text(text) = message else { return };
        for word in text.split(' ') {
            if let Some(topic) = word.strip_prefix('+') {
                peer.subscribe(topic);
            } else if let Some(topic) = word.strip_prefix('-') {
                peer.unsubscribe(topic);
            } else if let Some(topic) = word.strip_prefix('?') {
                peer.send(peer.subscriber_count(topic).to_string());
            } else if let Some(text) = word.strip_prefix("*:") {
                peer.broadcast(&Prepared::new(Message::Text(text)));
            } else if let Some((topic, text)) = word.split_once(':') {
                peer.publish(topic, &Prepared::new(Message::Text(text)));
            } else if word == "!" {
                peer.abort();
            } else {
                peer.send_text(word);
            }
        }
    }
}

fn start(threads: usize) -> Running<Obedient> {
    let mut config: Config = config();
    config.threads = threads;
    Running::start_with(config, |server| server.run_with(|_| Obedient))
}

/// Has a peer do something, and waits until it is done.
#[track_caller]
fn tell(stream: &mut TcpStream, words: &str) {
    let words = format!("{words} done");
    stream.write_all(&masked(0x81, words.as_bytes())).unwrap();
    hear(stream, "done");
}

#[track_caller]
fn hear(stream: &mut TcpStream, text: &str) {
    expect(stream, &unmasked(0x81, text.as_bytes()));
}

/// Closes connections, none of which has got anything more.
fn finish(streams: impl IntoIterator<Item = TcpStream>) {
    for mut stream in streams {
        stream.write_all(CLOSE).unwrap();
        assert_eq!(
            rest(stream).escape_ascii().to_string(),
            "\\x88\\x02\\x03\\xe8"
        );
    }
}

#[test]
fn publication_goes_to_the_subscribers_but_the_sender() {
    for threads in [1, 3] {
        let mut server = start(threads);
        let mut streams: Vec<TcpStream> = (0..7).map(|_| server.connect()).collect();
        for stream in &mut streams[..5] {
            tell(stream, "+gold +silver");
        }
        tell(&mut streams[0], "gold:1 silver:2 gold:3");
        for stream in &mut streams[1..5] {
            for text in ["1", "2", "3"] {
                hear(stream, text);
            }
        }
        // One who is not subscribed may publish too.
        tell(&mut streams[6], "silver:4");
        for stream in &mut streams[..5] {
            hear(stream, "4");
        }
        finish(streams);
        server.stop();
    }
}

#[test]
fn broadcast_goes_to_everybody() {
    for threads in [1, 2] {
        let mut server = start(threads);
        let mut streams: Vec<TcpStream> = (0..5).map(|_| server.connect()).collect();
        for stream in &mut streams {
            tell(stream, "-a");
        }
        let message = masked(0x81, b"*:all");
        streams[1].write_all(&message).unwrap();
        for stream in &mut streams {
            hear(stream, "all");
        }
        finish(streams);
        server.stop();
    }
}

#[test]
fn commands_are_carried_out_in_the_order_of_the_calls() {
    let mut server = start(1);
    let (mut ada, mut ben) = (server.connect(), server.connect());
    tell(&mut ada, "+b -b +b");
    tell(&mut ben, "b:1");
    hear(&mut ada, "1");
    tell(&mut ada, "-b +b -b");
    tell(&mut ben, "b:2 *:3 b:4");
    hear(&mut ada, "3");
    hear(&mut ben, "3");
    finish([ada, ben]);
    server.stop();
}

#[test]
fn subscribing_twice_is_subscribing_once() {
    let mut server = start(1);
    let (mut ada, mut ben) = (server.connect(), server.connect());
    tell(&mut ada, "+a +a -b");
    tell(&mut ben, "a:1");
    hear(&mut ada, "1");
    tell(&mut ada, "-a -a");
    tell(&mut ben, "a:2");
    finish([ada, ben]);
    server.stop();
}

#[test]
fn subscription_ends_with_the_connection() {
    let mut server = start(1);
    let mut publisher = server.connect();
    for words in ["+a", "+a !"] {
        let mut stream = server.connect();
        // Subscribes, and is gone before that is carried out or after.
        stream.write_all(&masked(0x81, words.as_bytes())).unwrap();
        if words == "+a" {
            stream.write_all(CLOSE).unwrap();
        }
        rest(stream);
        // This one takes its place.
        let stream = server.connect();
        tell(&mut publisher, "a:1");
        finish([stream]);
    }
    finish([publisher]);
    server.stop();
}

#[test]
fn subscribers_of_all_loops_are_counted() {
    let mut server = start(2);
    let mut streams: Vec<TcpStream> = (0..5).map(|_| server.connect()).collect();
    // They are not all in one loop.
    for stream in &mut streams {
        tell(stream, "+a +a +b");
    }
    tell(&mut streams[0], "-b");
    wait_for_all_loops(&server);
    for stream in &mut streams {
        stream.write_all(&masked(0x81, b"?a ?b ?c")).unwrap();
        for count in ["5", "4", "0"] {
            hear(stream, count);
        }
    }
    assert_eq!(server.remote.subscriber_count("a"), 5);
    finish(streams.drain(..2));
    wait_for_all_loops(&server);
    assert_eq!(server.remote.subscriber_count("a"), 3);
    let remote = server.remote.clone();
    finish(streams);
    server.stop();
    assert_eq!(remote.subscriber_count("a"), 0);
}

/// Waits until each loop has done what earlier turns asked for.
fn wait_for_all_loops(server: &Running<Obedient>) {
    for index in 0..server.remote.loops() {
        let (tell, told) = mpsc::channel();
        let task = move |_: &mut Loop<'_, _>| tell.send(()).unwrap();
        server.remote.run(index, task).unwrap();
        told.recv().unwrap();
    }
}

#[test]
fn remote_publishes_and_broadcasts_to_all_loops() {
    let mut server = start(2);
    let mut streams: Vec<TcpStream> = (0..4).map(|_| server.connect()).collect();
    for stream in &mut streams {
        tell(stream, "+a");
    }
    let message = |text| Prepared::new(Message::Text(text));
    server.remote.publish("a", &message("1")).unwrap();
    server.remote.publish("b", &message("2")).unwrap();
    server.remote.broadcast(&message("3")).unwrap();
    server
        .remote
        .run(1, move |context| {
            context.publish("a", &message("4"));
            context.broadcast(&message("5"));
        })
        .unwrap();
    for stream in &mut streams {
        for text in ["1", "3", "4", "5"] {
            hear(stream, text);
        }
    }
    finish(streams);
    server.stop();
}

#[test]
fn publications_keep_their_order_under_load() {
    let mut server = start(2);
    let mut subscribers: Vec<TcpStream> = (0..4).map(|_| server.connect()).collect();
    for stream in &mut subscribers {
        tell(stream, "+a");
    }
    let mut publisher = server.connect();
    let numbers = || (0..2000).map(|n| n.to_string());
    for number in numbers() {
        let words = format!("a:{number}");
        publisher
            .write_all(&masked(0x81, words.as_bytes()))
            .unwrap();
    }
    let expected: Vec<u8> = numbers()
        .flat_map(|number| unmasked(0x81, number.as_bytes()))
        .collect();
    for stream in &mut subscribers {
        expect(stream, &expected);
    }
    finish(subscribers);
    finish([publisher]);
    server.stop();
}

//! The engine Redis, with a server whose words are written here.

use std::{sync::Arc, time::Instant};

use ws_backplane::{
    Backplane, Discontinuity, EngineError, Handler, Limits, Position, Publish, PublishError, Redis,
    Ticket,
};

#[derive(Default)]
struct Told {
    messages: Vec<(String, Position, Vec<u8>)>,
    published: Vec<(Ticket, Result<Position, PublishError>)>,
}

impl Handler for Told {
    fn on_message(&mut self, topic: &Arc<str>, position: Position, payload: &[u8]) {
        self.messages
            .push((topic.to_string(), position, payload.to_vec()));
    }

    fn on_discontinuity(&mut self, _: &Arc<str>, _: &Discontinuity) {}

    fn on_published(&mut self, ticket: Ticket, result: Result<Position, PublishError>) {
        self.published.push((ticket, result));
    }
}

struct Node {
    backplane: Backplane<Redis>,
    told: Told,
    now: Instant,
}

impl Node {
    fn new(engine: Redis) -> Self {
        let mut node = Self {
            backplane: Backplane::new(engine, Limits::default()),
            told: Told::default(),
            now: Instant::now(),
        };
        node.backplane.handle_connected(node.now);
        node
    }

    /// A node that may ask.
    fn open() -> Self {
        let mut node = Self::new(Redis::new());
        node.sent();
        node.hear("%1\r\n+server\r\n+redis\r\n").unwrap();
        node.hear("=21\r\ntxt:\r\nrun_id:abcdef\r\n\r\n").unwrap();
        for digest in ["p1", "r1", "m1"] {
            assert!(!node.backplane.is_up());
            node.hear(&format!("$2\r\n{digest}\r\n")).unwrap();
        }
        assert!(node.backplane.is_up());
        node
    }

    fn hear(&mut self, reply: &str) -> Result<(), EngineError> {
        let used = self
            .backplane
            .handle_bytes(self.now, reply.as_bytes(), &mut self.told)?;
        assert_eq!(used, reply.len());
        Ok(())
    }

    /// What was sent, without lengths.
    fn sent(&mut self) -> Vec<String> {
        let sent = String::from_utf8(std::mem::take(self.backplane.output())).unwrap();
        let words = sent.split("\r\n").filter(|word| !word.is_empty());
        words
            .filter(|word| !word.starts_with(['*', '$']))
            .map(str::to_owned)
            .collect()
    }
}

#[test]
fn password_is_sent_with_the_first_words_and_not_shown() {
    let mut node = Node::new(Redis::new().user("ann").password("secret"));
    let sent = node.sent();
    assert_eq!(
        sent[..8],
        [
            "HELLO",
            "3",
            "AUTH",
            "ann",
            "secret",
            "SETNAME",
            "ws-backplane",
            "INFO"
        ]
    );
    assert!(!format!("{:?}", node.backplane).contains("secret"));
}

#[test]
fn refusal_of_the_connection_is_told_in_the_words_of_the_server() {
    let mut node = Node::new(Redis::new());
    let error = node.hear("-WRONGPASS invalid username-password pair\r\n");
    let words = "WRONGPASS invalid username-password pair".into();
    assert_eq!(error, Err(EngineError::Refused(words)));
}

#[test]
fn server_without_a_run_is_refused() {
    let mut node = Node::new(Redis::new());
    node.hear("%0\r\n").unwrap();
    let error = node.hear("$5\r\nother\r\n");
    assert!(matches!(error, Err(EngineError::Protocol(_))));
}

#[test]
fn message_is_taken_from_its_channel_after_the_history_was_read() {
    let mut node = Node::open();
    node.backplane.subscribe(node.now, &"t:{x}".into()).unwrap();
    assert_eq!(node.sent(), ["SUBSCRIBE", "ws:t:{x}"]);
    node.hear(">3\r\n$9\r\nsubscribe\r\n$8\r\nws:t:{x}\r\n:1\r\n")
        .unwrap();
    let sent = node.sent();
    assert_eq!(
        sent[..6],
        [
            "EVALSHA",
            "r1",
            "2",
            "ws:{t:{x}}:m",
            "ws:{t:{x}}:s",
            "abcdef"
        ]
    );
    let message = |offset: u64| {
        let text = format!("m00000000000000ff:{offset}:0:a:b");
        format!(
            ">3\r\n$7\r\nmessage\r\n$8\r\nws:t:{{x}}\r\n${}\r\n{text}\r\n",
            text.len()
        )
    };
    node.hear(&message(8)).unwrap();
    assert_eq!(node.told.messages, []);
    node.hear("*6\r\n$16\r\n00000000000000ff\r\n$1\r\n7\r\n$0\r\n\r\n$1\r\n0\r\n$0\r\n\r\n*0\r\n")
        .unwrap();
    let position = Position::new("ff".parse().unwrap(), 8);
    assert_eq!(
        node.told.messages,
        [("t:{x}".into(), position, b"a:b".to_vec())]
    );
    // What others publish to the channel is no message.
    node.hear(">3\r\n$7\r\nmessage\r\n$8\r\nws:t:{x}\r\n$5\r\nhello\r\n")
        .unwrap();
    assert_eq!(node.told.messages.len(), 1);
}

#[test]
fn publication_is_sent_again_behind_the_scripts_when_their_cache_was_flushed() {
    let mut node = Node::open();
    let topic = "t".into();
    for payload in ["a", "b"] {
        node.backplane
            .publish(
                node.now,
                &topic,
                payload,
                Publish::default(),
                &mut node.told,
            )
            .unwrap();
    }
    assert_eq!(
        node.sent().iter().filter(|word| *word == "EVALSHA").count(),
        2
    );
    node.hear("-NOSCRIPT No matching script.\r\n-NOSCRIPT No matching script.\r\n")
        .unwrap();
    let sent = node.sent();
    let commands: Vec<_> = sent
        .iter()
        .filter(|word| ["SCRIPT", "EVALSHA"].contains(&&***word))
        .collect();
    assert_eq!(
        commands,
        ["SCRIPT", "SCRIPT", "SCRIPT", "EVALSHA", "EVALSHA"]
    );
    node.hear("$2\r\np1\r\n$2\r\nr1\r\n$2\r\nm1\r\n").unwrap();
    node.hear("$18\r\n00000000000000ff-1\r\n$18\r\n00000000000000ff-2\r\n")
        .unwrap();
    let offsets = node
        .told
        .published
        .iter()
        .map(|(_, result)| result.as_ref().unwrap().offset);
    assert_eq!(offsets.collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn refused_publication_is_told_in_the_words_of_the_server() {
    let mut node = Node::open();
    node.backplane
        .publish(
            node.now,
            &"t".into(),
            "a",
            Publish::default(),
            &mut node.told,
        )
        .unwrap();
    node.hear("-OOM command not allowed\r\n").unwrap();
    let words = "OOM command not allowed".into();
    assert_eq!(node.told.published[0].1, Err(PublishError::Refused(words)));
}

#[test]
fn reply_that_nothing_asked_for_ends_the_connection() {
    let mut node = Node::open();
    assert!(matches!(
        node.hear("+OK\r\n"),
        Err(EngineError::Protocol(_))
    ));
}

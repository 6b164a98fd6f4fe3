//! The engine NATS, with a server whose words are written here.

use std::{sync::Arc, time::Instant};

use ws_backplane::{
    Backplane, Discontinuity, EngineError, Handler, History, Limits, Nats, Position, Publish,
    PublishError, Ticket,
    client_protocol::{Operation, parse},
};

#[derive(Default)]
struct Told {
    messages: Vec<(String, Position, Vec<u8>)>,
    published: Vec<(Ticket, Result<Position, PublishError>)>,
    discontinuities: usize,
}

impl Handler for Told {
    fn on_message(&mut self, topic: &Arc<str>, position: Position, payload: &[u8]) {
        self.messages
            .push((topic.to_string(), position, payload.to_vec()));
    }

    fn on_discontinuity(&mut self, _: &Arc<str>, _: &Discontinuity) {
        self.discontinuities += 1;
    }

    fn on_published(&mut self, ticket: Ticket, result: Result<Position, PublishError>) {
        self.published.push((ticket, result));
    }
}

struct Node {
    backplane: Backplane<Nats>,
    told: Told,
    now: Instant,
}

const INFO: &str = "INFO {\"server_id\":\"RUN\",\"headers\":true,\"max_payload\":10000}\r\n";

impl Node {
    fn new(engine: Nats) -> Self {
        let mut node = Self {
            backplane: Backplane::new(engine, Limits::default()),
            told: Told::default(),
            now: Instant::now(),
        };
        node.backplane.handle_connected(node.now);
        node
    }

    /// A node that may ask.
    fn open(engine: Nats) -> Self {
        let mut node = Self::new(engine);
        assert!(node.sent().is_empty());
        node.hear(INFO).unwrap();
        assert!(!node.backplane.is_up());
        node.hear("PONG\r\n").unwrap();
        assert!(node.backplane.is_up());
        node.sent();
        node
    }

    fn hear(&mut self, text: &str) -> Result<(), EngineError> {
        let used = self
            .backplane
            .handle_bytes(self.now, text.as_bytes(), &mut self.told)?;
        assert_eq!(used, text.len());
        Ok(())
    }

    /// The lines that were sent.
    fn sent(&mut self) -> Vec<String> {
        let sent = String::from_utf8(std::mem::take(self.backplane.output())).unwrap();
        sent.split("\r\n")
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect()
    }

    fn publish(&mut self, topic: &str, payload: &str, publish: Publish) {
        self.backplane
            .publish(
                self.now,
                &topic.into(),
                payload.to_owned(),
                publish,
                &mut self.told,
            )
            .unwrap();
    }

    /// Answers what was asked last, with this JSON.
    fn answer(&mut self, line: &str, json: &str) {
        let reply = line.split(' ').nth(2).unwrap().to_owned();
        self.hear(&format!("MSG {reply} 1 {}\r\n{json}\r\n", json.len()))
            .unwrap();
    }

    fn no_responders(&mut self, line: &str) {
        let reply = line.split(' ').nth(2).unwrap().to_owned();
        self.hear(&format!("HMSG {reply} 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n"))
            .unwrap();
    }
}

const ABSENT: &str = r#"{"error":{"code":404,"err_code":10059,"description":"stream not found"}}"#;

/// The stream of the topic `t`, as a server describes it.
fn stream(description: &str, first: u64, last: u64) -> String {
    let messages = last + 1 - first;
    format!(
        r#"{{"config":{{"name":"ws-t-t","description":"{description}","subjects":["ws.h.t"],"max_msgs":100,"max_age":300000000000,"allow_direct":true,"republish":{{"src":"ws.h.t","dest":"ws.t.t"}}}},"created":"2026","state":{{"messages":{messages},"bytes":100,"first_seq":{first},"last_seq":{last}}}}}"#
    )
}

#[test]
fn password_is_sent_after_the_first_line_of_the_server_and_not_shown() {
    let mut node = Node::new(Nats::new().password("ann", "secret"));
    assert!(node.sent().is_empty());
    node.hear(INFO).unwrap();
    let sent = node.sent();
    assert!(
        sent[0].starts_with("CONNECT {") && sent[0].contains(r#""pass":"secret""#),
        "{sent:?}"
    );
    assert!(
        sent[1].starts_with("SUB _INBOX.") && sent[1].ends_with(".* 1"),
        "{sent:?}"
    );
    assert_eq!(sent[2], "PING");
    assert!(!format!("{:?}", node.backplane).contains("secret"));
}

#[test]
fn refusal_of_the_connection_is_told_in_the_words_of_the_server() {
    let mut node = Node::new(Nats::new().token("wrong"));
    node.hear(INFO).unwrap();
    let error = node.hear("-ERR 'Authorization Violation'\r\n");
    assert_eq!(
        error,
        Err(EngineError::Refused("Authorization Violation".into()))
    );
}

#[test]
fn server_of_a_cluster_is_refused() {
    let mut node = Node::new(Nats::new());
    let error = node.hear("INFO {\"server_id\":\"RUN\",\"headers\":true,\"cluster\":\"c\"}\r\n");
    assert!(matches!(error, Err(EngineError::Refused(_))), "{error:?}");
}

#[test]
fn ping_of_the_server_is_answered() {
    let mut node = Node::open(Nats::new());
    node.hear("PING\r\n").unwrap();
    assert_eq!(node.sent(), ["PONG"]);
}

#[test]
fn stream_is_made_before_the_first_publication_and_numbers_it() {
    let mut node = Node::open(Nats::new());
    let mut keyed = Publish::default();
    keyed.key = Some("a key".into());
    node.publish("t", "one", keyed);
    let sent = node.sent();
    assert!(
        sent[0].starts_with("PUB $JS.API.STREAM.INFO.ws-t-t "),
        "{sent:?}"
    );
    node.answer(&sent[0], ABSENT);
    let sent = node.sent();
    assert!(
        sent[0].starts_with("PUB $JS.API.STREAM.CREATE.ws-t-t "),
        "{sent:?}"
    );
    assert!(sent[1].contains(r#""max_msgs":100"#), "{sent:?}");
    node.answer(&sent[0], &stream("ws-backplane ID RUN", 1, 0));
    let sent = node.sent();
    assert!(sent[0].starts_with("HPUB ws.h.t "), "{sent:?}");
    assert_eq!(sent[1..], ["NATS/1.0", "Nats-Msg-Id: a=20key", "one"]);
    node.answer(&sent[0], r#"{"stream":"ws-t-t","seq":1}"#);
    let position = node.told.published[0].1.clone().unwrap();
    assert_eq!(position.offset, 1);
    // The next needs no look at the stream.
    node.publish("t", "two", Publish::default());
    let sent = node.sent();
    assert!(sent[0].starts_with("PUB ws.h.t "), "{sent:?}");
    node.answer(&sent[0], r#"{"stream":"ws-t-t","seq":2,"duplicate":true}"#);
    let next = node.told.published[1].1.clone().unwrap();
    assert!(position < next);
}

#[test]
fn other_history_changes_the_limits_of_the_stream() {
    let mut node = Node::open(Nats::new());
    let mut publish = Publish::default();
    publish.history = History {
        messages: 7,
        ..publish.history
    };
    node.publish("t", "one", publish);
    let sent = node.sent();
    node.answer(&sent[0], &stream("ws-backplane ID RUN", 1, 5));
    let sent = node.sent();
    assert!(
        sent[0].starts_with("PUB $JS.API.STREAM.UPDATE.ws-t-t "),
        "{sent:?}"
    );
    assert!(sent[1].contains(r#""max_msgs":7"#), "{sent:?}");
}

#[test]
fn publication_to_a_stream_that_was_removed_makes_it_anew() {
    let mut node = Node::open(Nats::new());
    node.publish("t", "one", Publish::default());
    let sent = node.sent();
    node.answer(&sent[0], &stream("ws-backplane ID RUN", 1, 5));
    let sent = node.sent();
    node.no_responders(&sent[0]);
    let sent = node.sent();
    assert!(
        sent[0].starts_with("PUB $JS.API.STREAM.INFO.ws-t-t "),
        "{sent:?}"
    );
}

#[test]
fn refused_publication_is_told_in_the_words_of_the_server() {
    let mut node = Node::open(Nats::new());
    node.publish("t", "one", Publish::default());
    let sent = node.sent();
    node.answer(
        &sent[0],
        r#"{"error":{"code":500,"err_code":10047,"description":"no room"}}"#,
    );
    assert_eq!(
        node.told.published[0].1,
        Err(PublishError::Refused("no room".into()))
    );
    node.publish("t", "two", Publish::default());
    let sent = node.sent();
    node.no_responders(&sent[0]);
    let Err(PublishError::Refused(words)) = &node.told.published[1].1 else {
        panic!("{:?}", node.told.published[1]);
    };
    assert!(words.contains("JetStream"), "{words}");
}

#[test]
fn payload_that_the_server_does_not_take_is_refused_before_it_is_sent() {
    let mut node = Node::open(Nats::new());
    node.publish("t", &"x".repeat(10_000), Publish::default());
    assert_eq!(node.sent(), ["PING"]);
    node.hear("PONG\r\n").unwrap();
    assert!(matches!(
        node.told.published[0].1,
        Err(PublishError::Refused(_))
    ));
}

/// A node that is subscribed to `t`, up to where this stream is.
fn subscribed(description: &str, last: u64) -> Node {
    let mut node = Node::open(Nats::new());
    node.backplane.subscribe(node.now, &"t".into()).unwrap();
    assert_eq!(node.sent(), ["SUB ws.t.t 2", "PING"]);
    node.hear("PONG\r\n").unwrap();
    let sent = node.sent();
    assert!(
        sent[0].starts_with("PUB $JS.API.STREAM.INFO.ws-t-t "),
        "{sent:?}"
    );
    node.answer(&sent[0], &stream(description, 1, last));
    node
}

fn live(sequence: u64, payload: &str) -> String {
    let headers = format!("NATS/1.0\r\nNats-Stream: ws-t-t\r\nNats-Sequence: {sequence}\r\n\r\n");
    let total = headers.len() + payload.len();
    format!(
        "HMSG ws.t.t 2 {} {total}\r\n{headers}{payload}\r\n",
        headers.len()
    )
}

#[test]
fn messages_are_told_by_the_numbers_of_the_stream_and_a_gap_is_read() {
    let mut node = subscribed("ws-backplane ID RUN", 7);
    node.hear(&live(8, "eight")).unwrap();
    assert_eq!(node.told.messages.len(), 1);
    assert_eq!(node.told.messages[0].1.offset, 8);
    node.hear(&live(10, "ten")).unwrap();
    assert_eq!(node.told.messages.len(), 1);
    let sent = node.sent();
    node.answer(&sent[0], &stream("ws-backplane ID RUN", 1, 10));
    let sent = node.sent();
    let gets: Vec<_> = sent
        .iter()
        .filter(|line| line.starts_with("PUB $JS.API.DIRECT.GET"))
        .collect();
    assert_eq!(gets.len(), 2, "{sent:?}");
    // The answers need no order.
    for (line, payload) in gets.iter().zip(["nine", "ten"]).rev() {
        let reply = line.split(' ').nth(2).unwrap();
        let headers = "NATS/1.0\r\nNats-Sequence: 0\r\n\r\n";
        let total = headers.len() + payload.len();
        node.hear(&format!(
            "HMSG {reply} 1 {} {total}\r\n{headers}{payload}\r\n",
            headers.len()
        ))
        .unwrap();
    }
    let told: Vec<_> = node
        .told
        .messages
        .iter()
        .map(|(_, at, text)| (at.offset, &**text))
        .collect();
    assert_eq!(told, [(8, &b"eight"[..]), (9, b"nine"), (10, b"ten")]);
    assert_eq!(node.told.discontinuities, 0);
}

#[test]
fn message_that_is_gone_from_the_stream_is_told_as_a_discontinuity() {
    let mut node = subscribed("ws-backplane ID RUN", 7);
    node.hear(&live(9, "nine")).unwrap();
    let sent = node.sent();
    node.answer(&sent[0], &stream("ws-backplane ID RUN", 1, 9));
    let sent = node.sent();
    for (line, answer) in sent.iter().filter(|line| line.starts_with("PUB")).zip([
        "26 26\r\nNATS/1.0 404 Not Found\r\n\r\n\r\n",
        "12 16\r\nNATS/1.0\r\n\r\nnine\r\n",
    ]) {
        let reply = line.split(' ').nth(2).unwrap();
        node.hear(&format!("HMSG {reply} 1 {answer}")).unwrap();
    }
    assert_eq!(node.told.discontinuities, 1);
    assert_eq!(node.told.messages.last().unwrap().1.offset, 9);
}

#[test]
fn first_node_in_another_run_of_the_server_notes_it_in_the_stream() {
    let mut node = subscribed("ws-backplane ID OLD", 7);
    let sent = node.sent();
    assert!(
        sent[0].starts_with("PUB $JS.API.STREAM.UPDATE.ws-t-t "),
        "{sent:?}"
    );
    assert!(
        sent[1].contains(r#""description":"ws-backplane ID RUN OLD 7""#),
        "{sent:?}"
    );
    node.answer(&sent[0], &stream("ws-backplane ID RUN OLD 7", 1, 7));
    node.hear(&live(8, "eight")).unwrap();
    assert_eq!(node.told.messages.len(), 1);
}

#[test]
fn stream_of_another_is_left_alone() {
    let mut node = Node::open(Nats::new());
    node.publish("t", "one", Publish::default());
    let sent = node.sent();
    let other = stream("ws-backplane ID RUN", 1, 0).replace("ws.h.t", "orders");
    node.answer(&sent[0], &other);
    assert!(matches!(
        node.told.published[0].1,
        Err(PublishError::Refused(_))
    ));
}

#[test]
fn topic_without_history_is_core_nats_and_numbered_by_the_node() {
    let mut node = Node::open(Nats::new().without_history("typing"));
    node.backplane
        .subscribe(node.now, &"typing in a".into())
        .unwrap();
    assert_eq!(node.sent(), ["SUB ws.t.typing=20in=20a 2", "PING"]);
    node.hear("PONG\r\n").unwrap();
    assert_eq!(node.sent(), ["PING"]);
    node.hear("PONG\r\n").unwrap();
    node.hear("MSG ws.t.typing=20in=20a 2 1\r\nx\r\n").unwrap();
    node.publish("typing in a", "y", Publish::default());
    let sent = node.sent();
    assert!(
        sent[0].starts_with("HPUB ws.t.typing=20in=20a "),
        "{sent:?}"
    );
    let headers = format!("NATS/1.0\r\n{}\r\n\r\n", sent[2]);
    let (head, total) = (headers.len(), headers.len() + 1);
    node.hear(&format!(
        "HMSG ws.t.typing=20in=20a 2 {head} {total}\r\n{headers}y\r\nPONG\r\n"
    ))
    .unwrap();
    let offsets: Vec<_> = node
        .told
        .messages
        .iter()
        .map(|(_, at, _)| at.offset)
        .collect();
    assert_eq!(offsets, [1, 2]);
    // The position of the publication is that of its message.
    assert_eq!(node.told.published[0].1, Ok(node.told.messages[1].1));
}

#[test]
fn message_that_comes_while_the_end_of_a_topic_without_history_is_checked_is_told() {
    let mut node = Node::open(Nats::new().without_history("t"));
    node.backplane.subscribe(node.now, &"t".into()).unwrap();
    node.hear("PONG\r\n").unwrap();
    node.hear("PONG\r\n").unwrap();
    node.sent();
    node.now += Limits::default().check_interval;
    while node.sent().is_empty() {
        node.now += Limits::default().check_interval / 10;
        node.backplane.handle_timeout(node.now, &mut node.told);
    }
    node.hear("MSG ws.t.t 2 1\r\nx\r\n").unwrap();
    assert_eq!(node.told.messages.len(), 0);
    node.hear("PONG\r\n").unwrap();
    assert_eq!(
        (node.told.messages.len(), node.told.discontinuities),
        (1, 0)
    );
}

#[test]
fn key_of_a_publication_without_history_is_refused() {
    let mut node = Node::open(Nats::new().without_history(""));
    let mut keyed = Publish::default();
    keyed.key = Some("key".into());
    node.publish("t", "one", keyed);
    node.hear("PONG\r\n").unwrap();
    assert!(matches!(
        node.told.published[0].1,
        Err(PublishError::Refused(_))
    ));
}

const OPERATIONS: &[&str] = &[
    "INFO {\"server_id\":\"A\"} \r\n",
    "PING\r\n",
    "pong\r\n",
    "+OK\r\n",
    "-ERR 'Slow Consumer'\r\n",
    "MSG a.b 9 0\r\n\r\n",
    "MSG a.b 9 reply.to 5\r\na\r\nb\r\r\n",
    "HMSG a 1 34 39\r\nNATS/1.0 404 Not\r\nA: b\r\nA:  c \r\n\r\nhello\r\n",
    "HMSG a 1 r 12 12\r\nNATS/1.0\r\n\r\n\r\n",
];

#[test]
fn end_of_an_operation_is_found_wherever_it_is_split() {
    for operation in OPERATIONS {
        let bytes = [operation.as_bytes(), b"PING\r\n"].concat();
        for split in 0..operation.len() {
            assert_eq!(parse(&bytes[..split]), Ok(None), "{operation:?} {split}");
        }
        let (_, length) = parse(&bytes).unwrap().unwrap();
        assert_eq!(length, operation.len(), "{operation:?}");
    }
}

#[test]
fn message_is_read_with_its_headers() {
    let (operation, _) = parse(OPERATIONS[7].as_bytes()).unwrap().unwrap();
    let Operation::Message(message) = operation else {
        panic!("{operation:?}");
    };
    assert_eq!(message.headers.status(), Some(404));
    assert_eq!(
        message.headers.iter().collect::<Vec<_>>(),
        [("A", "b"), ("A", "c")]
    );
    assert_eq!((message.payload, message.reply), (&b"hello"[..], None));
    let (operation, _) = parse(OPERATIONS[6].as_bytes()).unwrap().unwrap();
    let Operation::Message(message) = operation else {
        panic!("{operation:?}");
    };
    assert_eq!(
        (message.payload, message.reply),
        (&b"a\r\nb\r"[..], Some("reply.to"))
    );
    assert_eq!(message.subscription, 9);
}

#[test]
fn what_is_not_the_protocol_is_refused() {
    for line in [
        "HTTP/1.1 400\r\n",
        "\r\n",
        "PING\n",
        "MSG a\r\n",
        "MSG a 1\r\n",
        "MSG a 1 b c 0\r\n",
        "MSG a 1 -1\r\n",
        "MSG a x 0\r\n\r\n",
        "MSG a 1 0\r\nxx",
        "MSG a 1 99999999\r\n",
        "HMSG a 1 0 0\r\n\r\n",
        "HMSG a 1 13 12\r\n",
        "HMSG a 1 4 4\r\nabcd\r\n",
    ] {
        let error = parse(line.as_bytes());
        assert!(
            matches!(error, Err(EngineError::Protocol(_))),
            "{line:?}: {error:?}"
        );
    }
    assert!(parse(&vec![b'x'; 100_000]).is_err());
}

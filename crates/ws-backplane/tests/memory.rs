//! Nodes on the memory engine, in virtual time.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use ws_backplane::{
    Backplane, Discontinuity, EngineError, Handler, History, Limits, Memory, MemoryEngine,
    Position, PresenceId, Publish, PublishError, RecoverId, Recovery, SubscribeError, Ticket, Why,
};

type Payloads = Vec<Vec<u8>>;

#[derive(Default)]
struct Told {
    messages: Vec<(Arc<str>, u64, Vec<u8>)>,
    discontinuities: Vec<Discontinuity>,
    recoveries: Vec<(RecoverId, Result<Payloads, Why>, Option<Position>)>,
    published: Vec<(Ticket, Result<Position, PublishError>)>,
    echoes: Vec<Vec<u8>>,
    members: Vec<Option<BTreeSet<Arc<str>>>>,
    moves: Vec<(bool, Arc<str>)>,
    ups: usize,
    downs: Vec<EngineError>,
}

impl Handler for Told {
    fn on_message(&mut self, topic: &Arc<str>, position: Position, payload: &[u8]) {
        self.messages
            .push((topic.clone(), position.offset, payload.to_vec()));
    }

    fn on_discontinuity(&mut self, _: &Arc<str>, discontinuity: &Discontinuity) {
        self.discontinuities.push(*discontinuity);
    }

    fn on_recovery(&mut self, id: RecoverId, _: &Arc<str>, recovery: &Recovery<'_>) {
        self.recoveries.push(match recovery {
            Recovery::Recovered { messages, position } => {
                let payloads = messages.iter().map(|message| message.payload.to_vec());
                (id, Ok(payloads.collect()), Some(*position))
            }
            Recovery::Lost { why, position } => (id, Err(*why), *position),
        });
    }

    fn on_published(&mut self, ticket: Ticket, result: Result<Position, PublishError>) {
        self.published.push((ticket, result));
    }

    fn on_echo(&mut self, _: &Arc<str>, payload: &[u8]) {
        self.echoes.push(payload.to_vec());
    }

    fn on_presence(&mut self, _: PresenceId, _: &Arc<str>, members: Option<&BTreeSet<Arc<str>>>) {
        self.members.push(members.cloned());
    }

    fn on_join(&mut self, _: &Arc<str>, member: &Arc<str>) {
        self.moves.push((true, member.clone()));
    }

    fn on_leave(&mut self, _: &Arc<str>, member: &Arc<str>) {
        self.moves.push((false, member.clone()));
    }

    fn on_up(&mut self) {
        self.ups += 1;
    }

    fn on_down(&mut self, why: &EngineError) {
        self.downs.push(why.clone());
    }
}

struct Node {
    backplane: Backplane<MemoryEngine>,
    told: Told,
    now: Instant,
    topic: Arc<str>,
}

impl Node {
    fn new(memory: &Memory, now: Instant, limits: Limits) -> Self {
        let mut node = Self::away(memory, now, limits);
        node.connect();
        node
    }

    fn away(memory: &Memory, now: Instant, limits: Limits) -> Self {
        Self {
            backplane: Backplane::new(memory.engine(), limits),
            told: Told::default(),
            now,
            topic: "room".into(),
        }
    }

    fn connect(&mut self) {
        self.backplane.handle_connected(self.now);
        self.turn();
    }

    fn disconnect(&mut self) {
        let why = EngineError::Ended("cut".into());
        self.backplane
            .handle_disconnected(self.now, &why, &mut self.told);
    }

    fn turn(&mut self) {
        self.backplane.handle_timeout(self.now, &mut self.told);
        loop {
            self.backplane
                .handle_bytes(self.now, &[], &mut self.told)
                .unwrap();
            if !self.backplane.engine().has_answers() {
                break;
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.turn();
    }

    fn subscribe(&mut self) {
        self.backplane
            .subscribe(self.now, &self.topic.clone())
            .unwrap();
        self.turn();
    }

    fn publish(&mut self, payload: &str) {
        self.publish_with(payload, Publish::default());
    }

    fn publish_with(&mut self, payload: &str, publish: Publish) {
        let payload = payload.as_bytes().to_vec();
        let topic = self.topic.clone();
        self.backplane
            .publish(self.now, &topic, payload, publish, &mut self.told)
            .unwrap();
        self.turn();
    }

    fn recover(&mut self, since: Option<Position>, id: u64) {
        let topic = self.topic.clone();
        let id = RecoverId(id);
        self.backplane
            .recover(self.now, &topic, since, id, &mut self.told)
            .unwrap();
    }

    fn position(&mut self) -> Position {
        self.recover(None, 99);
        self.turn();
        self.told.recoveries.pop().unwrap().2.unwrap()
    }

    fn payloads(&self) -> Vec<&str> {
        let payloads = self.told.messages.iter().map(|(_, _, payload)| payload);
        payloads
            .map(|payload| std::str::from_utf8(payload).unwrap())
            .collect()
    }
}

fn pair() -> (Memory, Node, Node) {
    let (memory, now) = (Memory::new(), Instant::now());
    let node = || Node::new(&memory, now, Limits::default());
    let (one, other) = (node(), node());
    (memory, one, other)
}

fn publish_with(change: impl FnOnce(&mut Publish)) -> Publish {
    let mut publish = Publish::default();
    change(&mut publish);
    publish
}

#[test]
fn message_reaches_every_subscribed_node_and_its_publisher_learns_its_position() {
    let (_memory, mut one, mut other) = pair();
    one.subscribe();
    other.subscribe();
    one.publish("hello");
    other.turn();
    assert_eq!(one.payloads(), ["hello"]);
    assert_eq!(other.payloads(), ["hello"]);
    let position = one.told.published[0].1.clone().unwrap();
    assert_eq!(position.offset, 1);
    assert_eq!(other.told.messages[0].1, 1);
}

#[test]
fn second_publication_with_a_key_is_the_first() {
    let (_memory, mut one, _) = pair();
    one.subscribe();
    let publish = || publish_with(|publish| publish.key = Some("order 7".into()));
    one.publish_with("a", publish());
    one.publish_with("b", publish());
    assert_eq!(one.payloads(), ["a"]);
    assert_eq!(one.told.published[0].1, one.told.published[1].1);
}

#[test]
fn echo_is_told_at_once_and_not_again() {
    let (_memory, mut one, mut other) = pair();
    one.subscribe();
    other.subscribe();
    let publish = publish_with(|publish| publish.echo = true);
    let topic = one.topic.clone();
    one.backplane
        .publish(one.now, &topic, "mine", publish, &mut one.told)
        .unwrap();
    assert_eq!(one.told.echoes, [b"mine"]);
    one.turn();
    one.publish("next");
    other.turn();
    assert_eq!(one.payloads(), ["next"]);
    assert_eq!(other.payloads(), ["mine", "next"]);
}

#[test]
fn publication_is_unavailable_at_once_while_the_engine_is_away() {
    let mut node = Node::away(&Memory::new(), Instant::now(), Limits::default());
    let topic = node.topic.clone();
    let publish = Publish::default();
    let result = node
        .backplane
        .publish(node.now, &topic, "x", publish, &mut node.told);
    assert_eq!(result, Err(PublishError::Unavailable));
    assert_eq!(node.backplane.metrics().pending_bytes, 0);
}

#[test]
fn publication_waits_for_the_engine_as_long_as_it_may() {
    let mut limits = Limits::default();
    limits.outage_wait = Duration::from_secs(1);
    let mut node = Node::away(&Memory::new(), Instant::now(), limits);
    node.backplane
        .publish(
            node.now,
            &"room".into(),
            "x",
            Publish::default(),
            &mut node.told,
        )
        .unwrap();
    node.now += Duration::from_secs(1);
    node.backplane.handle_timeout(node.now, &mut node.told);
    assert_eq!(node.told.published[0].1, Err(PublishError::Unavailable));

    node.backplane
        .publish(
            node.now,
            &"room".into(),
            "y",
            Publish::default(),
            &mut node.told,
        )
        .unwrap();
    node.connect();
    assert_eq!(node.told.published[1].1.as_ref().unwrap().offset, 1);
    assert_eq!(node.backplane.metrics().pending_bytes, 0);
}

#[test]
fn fate_of_a_publication_under_way_is_unknown_and_with_a_key_it_is_sent_again() {
    let mut limits = Limits::default();
    limits.outage_wait = Duration::from_secs(1);
    let mut node = Node::new(&Memory::new(), Instant::now(), limits);
    let topic = node.topic.clone();
    let keyed = publish_with(|publish| publish.key = Some("k".into()));
    for publish in [Publish::default(), keyed] {
        node.backplane
            .publish(node.now, &topic, "x", publish, &mut node.told)
            .unwrap();
    }
    node.disconnect();
    assert_eq!(node.told.published.len(), 1);
    assert_eq!(node.told.published[0].1, Err(PublishError::Unknown));
    node.connect();
    assert_eq!(node.told.published[1].1.as_ref().unwrap().offset, 2);
}

#[test]
fn limits_of_a_publication_are_named_with_what_was_offered() {
    let mut limits = Limits::default();
    (
        limits.payload,
        limits.pending_bytes,
        limits.history,
        limits.name,
    ) = (4, 6, 10, 5);
    let mut node = Node::new(&Memory::new(), Instant::now(), limits);
    let mut publish = |topic: &str, payload: &'static str, messages| {
        let publish =
            publish_with(|publish| publish.history = History::new(messages, Duration::MAX / 4));
        node.backplane
            .publish(node.now, &topic.into(), payload, publish, &mut node.told)
    };
    assert_eq!(
        publish("t", "12345", 1),
        Err(PublishError::TooLong {
            length: 5,
            limit: 4
        })
    );
    assert_eq!(
        publish("t", "1", 11),
        Err(PublishError::History {
            messages: 11,
            limit: 10
        })
    );
    assert!(matches!(publish("", "1", 1), Err(PublishError::Name(_))));
    assert!(matches!(
        publish("longer", "1", 1),
        Err(PublishError::Name(_))
    ));
    publish("t", "1234", 1).unwrap();
    assert_eq!(
        publish("t", "123", 1),
        Err(PublishError::Pending {
            pending: 4,
            limit: 6
        })
    );
}

#[test]
fn limit_of_topics_is_named() {
    let mut limits = Limits::default();
    limits.topics = 1;
    let mut node = Node::new(&Memory::new(), Instant::now(), limits);
    node.subscribe();
    let error = node.backplane.subscribe(node.now, &"other".into());
    assert_eq!(error, Err(SubscribeError::Topics(1)));
    node.subscribe();
}

#[test]
fn missed_messages_are_told_in_order_after_an_outage() {
    let (_memory, mut one, mut other) = pair();
    other.subscribe();
    one.publish("1");
    other.turn();
    other.disconnect();
    one.publish("2");
    one.publish("3");
    other.connect();
    one.publish("4");
    other.turn();
    assert_eq!(other.payloads(), ["1", "2", "3", "4"]);
    assert_eq!(other.told.discontinuities, []);
    assert_eq!(other.told.downs.len(), 1);
    assert_eq!(other.told.ups, 2);
}

#[test]
fn loss_is_told_once_when_the_history_does_not_reach_back() {
    let (_memory, mut one, mut other) = pair();
    other.subscribe();
    one.publish("1");
    other.turn();
    other.disconnect();
    for payload in ["2", "3"] {
        one.publish_with(
            payload,
            publish_with(|publish| publish.history = History::NONE),
        );
    }
    other.connect();
    one.publish("4");
    other.turn();
    assert_eq!(other.payloads(), ["1", "4"]);
    let [discontinuity] = other.told.discontinuities[..] else {
        panic!("{:?}", other.told.discontinuities);
    };
    assert_eq!(discontinuity.why, Why::Trimmed);
    assert_eq!((discontinuity.from.offset, discontinuity.to.offset), (1, 3));
}

#[test]
fn topic_without_history_is_no_loss_if_nothing_was_published() {
    let (_memory, mut one, mut other) = pair();
    other.subscribe();
    one.publish_with("1", publish_with(|publish| publish.history = History::NONE));
    other.turn();
    other.disconnect();
    other.connect();
    assert_eq!(other.told.discontinuities, []);
}

#[test]
fn data_that_the_engine_lost_is_a_new_epoch() {
    let (memory, mut one, mut other) = pair();
    other.subscribe();
    one.publish("1");
    other.turn();
    let old = other.position();
    memory.clear();
    // No message shows it: the check of the end does.
    other.pass(Duration::from_secs(1));
    other.pass(Duration::from_secs(5));
    assert_eq!(other.told.discontinuities[0].why, Why::Epoch);
    assert_eq!(other.told.discontinuities[0].from, old);
    other.recover(Some(old), 1);
    other.turn();
    assert_eq!(other.told.recoveries[0].1, Err(Why::Epoch));
}

#[test]
fn recovery_gives_exactly_what_is_missing() {
    let (_memory, mut one, mut other) = pair();
    other.subscribe();
    let start = other.position();
    one.publish("1");
    one.publish("2");
    other.turn();
    let now = other.position();
    other.recover(Some(start), 1);
    other.recover(Some(now), 2);
    other.turn();
    let payloads = vec![b"1".to_vec(), b"2".to_vec()];
    assert_eq!(
        other.told.recoveries,
        [
            (RecoverId(1), Ok(payloads), Some(now)),
            (RecoverId(2), Ok(vec![]), Some(now)),
        ]
    );
}

#[test]
fn storm_of_returning_clients_is_one_read() {
    let (memory, mut one, _) = pair();
    one.subscribe();
    let start = one.position();
    for payload in 0..20 {
        one.publish(&payload.to_string());
    }
    let mut node = Node::new(&memory, one.now, Limits::default());
    for client in 0..5_000 {
        // Older ones come later, too.
        let since = Position::new(start.epoch, 9 - client % 10);
        node.recover(Some(since), client);
        if client % 1_000 == 0 {
            node.turn();
        }
    }
    node.turn();
    assert_eq!(node.told.recoveries.len(), 5_000);
    assert_eq!(node.backplane.metrics().history_reads, 1);
    for (id, messages, _) in &node.told.recoveries {
        assert_eq!(messages.as_ref().unwrap().len() as u64, 11 + id.0 % 10);
    }
}

#[test]
fn storm_of_clients_that_missed_more_than_a_page_is_one_read() {
    let (memory, mut one, _) = pair();
    one.subscribe();
    let start = one.position();
    let kept = publish_with(|publish| publish.history.messages = 1_000);
    for payload in 0..700 {
        one.publish_with(&payload.to_string(), kept.clone());
    }
    let mut node = Node::new(&memory, one.now, Limits::default());
    for client in 0..5_000 {
        node.recover(Some(Position::new(start.epoch, 100 - client % 10)), client);
    }
    node.turn();
    assert_eq!(node.told.recoveries.len(), 5_000);
    assert_eq!(node.backplane.metrics().history_reads, 1);
    for (id, messages, _) in &node.told.recoveries {
        assert_eq!(messages.as_ref().unwrap().len() as u64, 600 + id.0 % 10);
    }
}

#[test]
fn recovery_of_more_than_the_limit_is_lost() {
    let (memory, mut one, _) = pair();
    one.subscribe();
    let start = one.position();
    for payload in 0..20 {
        one.publish(&payload.to_string());
    }
    let mut limits = Limits::default();
    limits.recover_messages = 10;
    let mut node = Node::new(&memory, one.now, limits);
    node.recover(Some(start), 1);
    node.recover(Some(Position::new(start.epoch, 10)), 2);
    node.turn();
    assert_eq!(node.told.recoveries[0].1, Err(Why::Limit));
    assert_eq!(node.told.recoveries[1].1.as_ref().unwrap().len(), 10);
}

#[test]
fn recovery_is_given_up_when_the_engine_stays_away() {
    let mut node = Node::away(&Memory::new(), Instant::now(), Limits::default());
    node.recover(None, 1);
    node.now += Duration::from_secs(9);
    node.backplane.handle_timeout(node.now, &mut node.told);
    assert_eq!(node.told.recoveries, []);
    node.now += Duration::from_secs(1);
    node.backplane.handle_timeout(node.now, &mut node.told);
    assert_eq!(
        node.told.recoveries,
        [(RecoverId(1), Err(Why::Unavailable), None)]
    );
    assert_eq!(node.backplane.metrics().waiting, 0);
}

#[test]
fn subscriptions_are_counted_and_linger_at_the_engine() {
    let (_memory, mut one, mut other) = pair();
    other.subscribe();
    other.subscribe();
    let topic = other.topic.clone();
    other.backplane.unsubscribe(other.now, &topic);
    one.publish("1");
    other.turn();
    other.backplane.unsubscribe(other.now, &topic);
    one.publish("2");
    other.turn();
    assert_eq!(other.payloads(), ["1"]);
    // Back within the linger, it is the same subscription.
    other.subscribe();
    one.publish("3");
    other.turn();
    assert_eq!(other.payloads(), ["1", "3"]);
    other.backplane.unsubscribe(other.now, &topic);
    for _ in 0..2 {
        other.pass(Limits::default().linger);
    }
    other.turn();
    let metrics = other.backplane.metrics();
    assert_eq!(
        (metrics.subscribes, metrics.unsubscribes, metrics.topics),
        (1, 1, 0)
    );
}

#[test]
fn joins_and_leaves_are_told_once_however_often_a_member_enters() {
    let (_memory, mut one, mut other) = pair();
    let topic = one.topic.clone();
    other.backplane.watch(other.now, &topic).unwrap();
    other.turn();
    for node in [&mut one, &mut other] {
        for _ in 0..2 {
            node.backplane
                .enter(node.now, &topic, &"ann".into())
                .unwrap();
        }
        node.turn();
    }
    other.turn();
    let id = other.backplane.presence(other.now, &topic);
    assert!(id.is_ok());
    other.turn();
    assert_eq!(other.told.members, [Some(BTreeSet::from(["ann".into()]))]);
    assert_eq!(other.told.moves, [(true, "ann".into())]);
    for node in [&mut one, &mut other] {
        for _ in 0..2 {
            node.backplane.leave(node.now, &topic, "ann");
        }
        node.turn();
    }
    other.turn();
    assert_eq!(
        other.told.moves,
        [(true, "ann".into()), (false, "ann".into())]
    );
}

#[test]
fn members_of_a_node_that_is_gone_leave_when_their_time_is_over() {
    let (_memory, mut one, mut other) = pair();
    let topic = one.topic.clone();
    other.backplane.watch(other.now, &topic).unwrap();
    other.turn();
    one.backplane.enter(one.now, &topic, &"ann".into()).unwrap();
    one.turn();
    drop(one);
    for _ in 0..4 {
        other.pass(Limits::default().presence_time / 3);
        other.turn();
    }
    assert_eq!(
        other.told.moves,
        [(true, "ann".into()), (false, "ann".into())]
    );
}

#[test]
fn members_stay_as_long_as_their_node_does() {
    let (_memory, mut one, mut other) = pair();
    let topic = one.topic.clone();
    other.backplane.watch(other.now, &topic).unwrap();
    other.turn();
    one.backplane.enter(one.now, &topic, &"ann".into()).unwrap();
    one.turn();
    for _ in 0..12 {
        one.pass(Limits::default().presence_time / 3);
        other.pass(Limits::default().presence_time / 3);
    }
    assert_eq!(other.told.moves, [(true, "ann".into())]);
}

#[test]
fn engine_that_does_not_answer_is_given_up() {
    let mut node = Node::new(&Memory::new(), Instant::now(), Limits::default());
    let topic = node.topic.clone();
    // Nobody takes the answer.
    node.backplane.subscribe(node.now, &topic).unwrap();
    for _ in 0..21 {
        node.now += Limits::default().answer_time / 20;
        node.backplane.handle_timeout(node.now, &mut node.told);
    }
    assert_eq!(node.backplane.failure(), Some(&EngineError::Silent));
}

#[test]
fn counters_are_written_for_prometheus() {
    let (_memory, mut one, _) = pair();
    one.subscribe();
    one.publish("1");
    let text = one.backplane.metrics().to_prometheus();
    for line in [
        "backplane_published_total 1",
        "backplane_delivered_total 1",
        "backplane_topics 1",
        "backplane_up 1",
        "# TYPE backplane_round_trip_seconds summary",
    ] {
        assert!(text.lines().any(|other| other == line), "{line} in {text}");
    }
}

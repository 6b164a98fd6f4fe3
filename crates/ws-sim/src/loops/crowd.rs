//! The application of several loops, and the books that it keeps.

use std::{cell::RefCell, ops::Range, rc::Rc};

use ws_mio::{
    Accept, Backpressure, Closed, Decision, Handler, Incoming, Message, Peer, PeerId, Prepared,
};

use crate::{
    app::{EVERYBODY, TOPICS},
    message::{Name, Row},
    peer::{ModelPeer, Seen, Talk},
    plan::Plan,
    random::Random,
    wire::Net,
};

pub(super) const TOPIC_NAMES: [&str; TOPICS] = ["", "news", "weather", "sports"];

/// What the loops know together.
#[derive(Debug, Default)]
pub(super) struct Books {
    pub(super) connections: Vec<Book>,
    /// Whom each message of a topic is not for.
    pub(super) published: [Vec<Option<u32>>; TOPICS],
    text: String,
}

/// What is known of a connection.
#[derive(Debug, Default)]
pub(super) struct Book {
    pub(super) is_open: bool,
    pub(super) id: Option<PeerId>,
    pub(super) received: u32,
    pub(super) sent: u32,
    /// Messages that were sent back, each with how many were sent before.
    echoes: Vec<(u32, u32)>,
    /// The first message of each topic that is for it.
    pub(super) since: [Option<u32>; TOPICS],
}

impl Book {
    /// Returns how many messages were sent, and how many sent back.
    pub(super) fn said(&self) -> (u32, u32) {
        (self.sent, self.echoes.len() as u32)
    }
}

impl Books {
    pub(super) fn of(&mut self, number: u32) -> &mut Book {
        let number = number as usize;
        if number >= self.connections.len() {
            self.connections.resize_with(number + 1, Book::default);
        }
        &mut self.connections[number]
    }

    /// Makes the next message to a topic.
    pub(super) fn publication(
        &mut self,
        topic: usize,
        except: Option<u32>,
        plan: &Plan,
        random: &mut Random,
    ) -> Prepared {
        let name = Name {
            row: Row::Topic,
            connection: topic as u32,
            number: self.published[topic].len() as u32,
        };
        self.published[topic].push(except);
        name.write(plan.len(random), &mut self.text);
        Prepared::new(name.message(&self.text))
    }

    /// Looks at what a peer has just seen.
    pub(super) fn judge(&mut self, peer: &ModelPeer, seen: Seen) {
        let number = peer.number;
        match seen {
            Seen::Published {
                topic,
                before,
                number: published,
            } => {
                let since = self.of(number).since[topic];
                // A broadcast is for all who are there when it is delivered.
                assert!(
                    topic == EVERYBODY || since.is_some_and(|since| since <= published),
                    "connection {number} did not subscribe to topic {topic} before message \
                     {published}, but at {since:?}"
                );
                let except = self.published[topic][published as usize];
                assert_ne!(
                    except,
                    Some(number),
                    "connection {number} gets its own publication"
                );
                let next = before.map_or(0, |before| before + 1);
                self.check_missed(number, topic, next..published);
            }
            Seen::Echo {
                number: echoed,
                direct,
            } => assert!(
                self.of(number).echoes.contains(&(echoed, direct)),
                "message {echoed} comes back to peer {number} after {direct} others"
            ),
            Seen::Close => {
                let heard = peer.talk().map(Talk::heard);
                let said = self.of(number).said();
                assert_eq!(heard, Some(said), "connection {number} is closed");
            }
            Seen::End => {}
        }
    }

    /// A subscriber gets all that is published from then on.
    pub(super) fn check_missed(&mut self, number: u32, topic: usize, numbers: Range<u32>) {
        let Some(since) = self.of(number).since[topic] else {
            return;
        };
        for at in numbers.start.max(since)..numbers.end {
            assert_eq!(
                self.published[topic][at as usize],
                Some(number),
                "connection {number} subscribed to topic {topic} at {since} and misses message {at}"
            );
        }
    }
}

/// The application of one loop.
#[derive(Debug)]
pub(super) struct Crowd {
    plan: Rc<Plan>,
    net: Rc<Net>,
    books: Rc<RefCell<Books>>,
    random: Random,
    text: String,
}

impl Crowd {
    pub(super) fn new(
        plan: &Rc<Plan>,
        net: &Rc<Net>,
        books: &Rc<RefCell<Books>>,
        random: &mut Random,
    ) -> Self {
        Self {
            plan: Rc::clone(plan),
            net: Rc::clone(net),
            books: Rc::clone(books),
            random: random.fork(),
            text: String::new(),
        }
    }

    /// Sends the next message to a peer.
    pub(super) fn send(&mut self, peer: &mut Peer<'_, u32>, number: u32) {
        self.net.note(1);
        let mut books = self.books.borrow_mut();
        let book = books.of(number);
        let name = Name {
            row: Row::Direct,
            connection: number,
            number: book.sent,
        };
        name.write(self.plan.len(&mut self.random), &mut self.text);
        if !matches!(
            peer.send(name.message(&self.text)),
            Backpressure::Refused(_)
        ) {
            book.sent += 1;
        }
    }

    fn publish(&mut self, peer: &mut Peer<'_, u32>) {
        let (plan, random) = (&self.plan, &mut self.random);
        let mut books = self.books.borrow_mut();
        match random.below(TOPICS) {
            EVERYBODY => peer.broadcast(&books.publication(EVERYBODY, None, plan, random)),
            topic => {
                let message = books.publication(topic, Some(*peer.data()), plan, random);
                peer.publish(TOPIC_NAMES[topic], &message);
            }
        }
    }

    fn subscribe(&mut self, peer: &mut Peer<'_, u32>) {
        let topic = self.random.between(1, TOPICS - 1);
        let mut books = self.books.borrow_mut();
        let next = books.published[topic].len() as u32;
        let since = &mut books.of(*peer.data()).since[topic];
        if since.is_none() {
            *since = Some(next);
            peer.subscribe(TOPIC_NAMES[topic]);
        }
    }
}

impl Handler for Crowd {
    type Data = u32;

    fn on_request<'r>(&mut self, incoming: Incoming<'r>) -> Decision<'r, u32> {
        let number = incoming.request().path().trim_start_matches('/').parse();
        match incoming.negotiate() {
            Ok(acceptance) => Accept::new(acceptance, number.expect("a number")).into(),
            Err(error) => error.rejection().into(),
        }
    }

    fn on_open(&mut self, peer: &mut Peer<'_, u32>) {
        self.net.note(1);
        {
            let mut books = self.books.borrow_mut();
            let next = books.published[EVERYBODY].len() as u32;
            let book = books.of(*peer.data());
            book.is_open = true;
            book.id = Some(peer.id());
            book.since[EVERYBODY] = Some(next);
        }
        if self.random.chance(500) {
            self.subscribe(peer);
        }
    }

    fn on_message(&mut self, peer: &mut Peer<'_, u32>, message: Message<'_>) {
        self.net.note(1);
        let number = *peer.data();
        let name =
            Name::read(message).unwrap_or_else(|error| panic!("to the application: {error}"));
        {
            let mut books = self.books.borrow_mut();
            let book = books.of(number);
            let expected = Name {
                row: Row::Peer,
                connection: number,
                number: book.received,
            };
            assert_eq!(name, expected, "a message to the application");
            book.received += 1;
            if self.random.chance(self.plan.echoes)
                && !matches!(peer.send(message), Backpressure::Refused(_))
            {
                book.echoes.push((name.number, book.sent));
            }
        }
        match self.random.below(20) {
            0..3 => self.publish(peer),
            3 => self.subscribe(peer),
            4..8 => self.send(peer, number),
            _ => {}
        }
    }

    fn on_close(&mut self, peer: &mut Peer<'_, u32>, _: Closed<'_>) {
        self.net.note(1);
        let mut books = self.books.borrow_mut();
        let book = books.of(*peer.data());
        (book.is_open, book.id) = (false, None);
    }
}

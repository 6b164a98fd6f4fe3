//! What comes to a peer.

use ws_mio::SlowConsumer;
use ws_proto::Message;

use crate::{
    app::{KEYS, TOPICS},
    message::{Name, Row},
    plan::Plan,
};

/// What came.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// Messages for this peer alone.
    pub(crate) direct: u32,
    /// The newest of them.
    pub(crate) last_direct: Option<u32>,
    /// Messages of its own that came back.
    pub(crate) echoes: u32,
    last_echo: Option<u32>,
    /// The last of each key.
    keyed: [Option<u32>; KEYS as usize],
    /// The last message of each topic.
    pub(crate) topics: [Option<u32>; TOPICS],
}

/// Something that a peer has seen and the rest of the world may judge.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Seen {
    /// A message of a topic, and the one before.
    Published {
        topic: usize,
        before: Option<u32>,
        number: u32,
    },
    /// A message of its own came back, after others.
    Echo { number: u32, direct: u32 },
    /// The loop's Close.
    Close,
    /// The end of the stream.
    End,
}

impl Heard {
    pub(super) fn hear(
        &mut self,
        peer: u32,
        message: Message<'_>,
        plan: &Plan,
        seen: &mut Vec<Seen>,
    ) {
        let name = Name::read(message).unwrap_or_else(|error| panic!("to peer {peer}: {error}"));
        let Name {
            row,
            connection,
            number,
        } = name;
        match row {
            Row::Direct => {
                assert_eq!(connection, peer, "a message for another peer");
                let expected = self.direct;
                let key = (number % KEYS) as usize;
                match plan.config.slow_consumer {
                    SlowConsumer::Conflate => {
                        let before = self.keyed[key].replace(number);
                        assert!(before < Some(number), "{name:?} after {before:?}");
                    }
                    SlowConsumer::DropOldest => {
                        let before = self.keyed[0].replace(number);
                        assert!(before < Some(number), "{name:?} after {before:?}");
                    }
                    _ => assert_eq!(number, expected, "a message to peer {peer}"),
                }
                self.direct += 1;
                self.last_direct = self.last_direct.max(Some(number));
            }
            Row::Topic => {
                let topic = connection as usize;
                let before = self.topics[topic].replace(number);
                assert!(before < Some(number), "{name:?} after {before:?}");
                seen.push(Seen::Published {
                    topic,
                    before,
                    number,
                });
            }
            Row::Peer => {
                assert_eq!(connection, peer, "a message for another peer");
                let before = self.last_echo.replace(number);
                assert!(before < Some(number), "{name:?} after {before:?}");
                self.echoes += 1;
                let direct = self.direct;
                seen.push(Seen::Echo { number, direct });
            }
        }
    }
}

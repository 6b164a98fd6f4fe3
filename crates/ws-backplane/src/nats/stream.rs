//! A topic's stream: what is said to JetStream about it, and what it says.

use std::time::Duration;

use serde_json::{Value, json};

use super::names::{Names, hash};
use crate::{Epoch, History, Position, engine::random};

/// What a stream is like.
#[derive(Debug)]
pub(crate) struct Stream {
    config: Value,
    created: String,
    first: u64,
    pub(crate) last: u64,
    messages: u64,
    bytes: u64,
}

/// Why JetStream did not do what it was asked for.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// There is no such stream.
    Absent,
    /// There is one of this name that is set up in another way.
    Differs,
    /// Anything else, in its words.
    Other(String),
}

impl Refusal {
    pub(crate) fn words(self) -> String {
        match self {
            Self::Absent => "the stream is not there".into(),
            Self::Differs => "the stream is set up in another way".into(),
            Self::Other(words) => words,
        }
    }
}

/// Which runs of the server have numbered the messages of a stream: it is in
/// the stream's description.
///
/// The first node that uses a stream in another run of the server notes that
/// run, and up to which message the run before is known to go. Every node
/// publishes behind that note, so that all that see the old note see the same
/// last message, and write the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Runs<'a> {
    /// Drawn by the node that created the stream. Servers of 2.9 change
    /// `created` after an update and a restart.
    id: &'a str,
    current: &'a str,
    /// The run before, and its last message.
    before: Option<(&'a str, u64)>,
}

impl Runs<'_> {
    fn write(&self) -> String {
        match self.before {
            Some((run, last)) => format!("{SIGN} {} {} {run} {last}", self.id, self.current),
            None => format!("{SIGN} {} {}", self.id, self.current),
        }
    }
}

impl<'a> Runs<'a> {
    fn read(description: &'a str) -> Option<Self> {
        let mut words = description.strip_prefix(SIGN)?.split_ascii_whitespace();
        let (id, current) = (words.next()?, words.next()?);
        let before = words
            .next()
            .zip(words.next().and_then(|last| last.parse().ok()));
        Some(Self {
            id,
            current,
            before,
        })
    }
}

const SIGN: &str = "ws-backplane";

/// What a new stream is to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish<'a> {
    pub(crate) history: History,
    pub(crate) key_time: Duration,
    pub(crate) in_memory: bool,
    pub(crate) run: &'a str,
}

/// A topic's stream as it is created.
pub(crate) fn create(names: &Names, topic: &str, wish: &Wish<'_>) -> Value {
    let id = format!("{:016x}", random());
    let runs = Runs {
        id: &id,
        current: wish.run,
        before: None,
    };
    let mut config = json!({
        "name": names.stream(topic),
        "description": runs.write(),
        "subjects": [names.kept(topic)],
        "retention": "limits",
        "max_consumers": -1,
        "max_bytes": -1,
        "max_msg_size": -1,
        "storage": if wish.in_memory { "memory" } else { "file" },
        "discard": "old",
        "num_replicas": 1,
        "allow_direct": true,
        "republish": { "src": names.kept(topic), "dest": names.live(topic) },
    });
    limit(&mut config, wish);
    config
}

/// The stream of who is present: the last word of each member of each node.
pub(crate) fn create_presence(names: &Names, time: Duration) -> Value {
    json!({
        "name": names.presence_stream(),
        "subjects": [format!("{}.p.>", names.prefix)],
        "retention": "limits",
        "max_consumers": -1,
        "max_bytes": -1,
        "max_msg_size": -1,
        "max_msgs_per_subject": 1,
        "max_age": nanos(time),
        "duplicate_window": nanos(time.min(Duration::from_secs(1))),
        "storage": "memory",
        "discard": "old",
        "num_replicas": 1,
    })
}

fn limit(config: &mut Value, wish: &Wish<'_>) {
    let (messages, age) = limits(wish.history);
    config["max_msgs"] = messages.into();
    config["max_age"] = age.into();
    config["duplicate_window"] = nanos(wish.key_time).min(age).into();
}

/// The limits of a stream. No limit is less than one message, and 100 ms.
fn limits(history: History) -> (u64, u64) {
    let age = nanos(history.age).max(100_000_000);
    match history.age.is_zero() {
        true => (1, age),
        false => (u64::from(history.messages).max(1), age),
    }
}

fn nanos(time: Duration) -> u64 {
    // JetStream counts nanoseconds in 63 bits.
    u64::try_from(time.as_nanos())
        .unwrap_or(u64::MAX)
        .min(1 << 62)
}

/// Reads an answer about a stream.
pub(crate) fn answer(payload: &[u8]) -> Result<Stream, Refusal> {
    let value = parse(payload)?;
    Stream::read(value).ok_or_else(|| Refusal::Other("an answer without a stream".into()))
}

/// Reads an answer of JetStream that may be an error.
pub(crate) fn parse(payload: &[u8]) -> Result<Value, Refusal> {
    let value: Value = serde_json::from_slice(payload)
        .map_err(|_| Refusal::Other("an answer that is not JSON".into()))?;
    let Some(error) = value.get("error") else {
        return Ok(value);
    };
    Err(match error["err_code"].as_u64() {
        Some(10059) => Refusal::Absent,
        Some(10058) => Refusal::Differs,
        _ => Refusal::Other(match error["description"].as_str() {
            Some(words) => words.into(),
            None => error.to_string(),
        }),
    })
}

impl Stream {
    fn read(mut value: Value) -> Option<Self> {
        let state = &value["state"];
        Some(Self {
            created: value["created"].as_str()?.into(),
            first: state["first_seq"].as_u64()?,
            last: state["last_seq"].as_u64()?,
            messages: state["messages"].as_u64()?,
            bytes: state["bytes"].as_u64()?,
            config: value["config"].take(),
        })
    }

    /// Whether it is the stream of this topic as a node makes it.
    pub(crate) fn is_of(&self, names: &Names, topic: &str) -> bool {
        let kept = names.kept(topic);
        self.config["subjects"] == json!([kept])
            && self.config["republish"]["dest"] == *names.live(topic)
            && self.config["allow_direct"] == true
    }

    /// The configuration that it should have instead, if it should.
    pub(crate) fn update(&self, run: &str, wish: Option<&Wish<'_>>) -> Option<Value> {
        let runs = self.runs();
        let is_known = runs.is_some_and(|runs| runs.current == run);
        let fits = wish.is_none_or(|wish| {
            let (messages, age) = limits(wish.history);
            self.config["max_msgs"] == messages && self.config["max_age"] == age
        });
        if is_known && fits {
            return None;
        }
        let mut config = self.config.clone();
        if let Some(wish) = wish {
            limit(&mut config, wish);
        }
        if !is_known {
            let before = runs.map(|runs| (runs.current, self.last));
            // Whoever made it otherwise gave it no number.
            let id = runs.map_or(&*self.created, |runs| runs.id);
            config["description"] = Runs {
                id,
                current: run,
                before,
            }
            .write()
            .into();
        }
        Some(config)
    }

    fn runs(&self) -> Option<Runs<'_>> {
        Runs::read(self.config["description"].as_str()?)
    }

    /// The epoch in the run of the server that the stream's description names.
    pub(crate) fn epoch(&self) -> Epoch {
        self.runs()
            .map_or(Epoch::new(0), |runs| epoch(runs.id, runs.current))
    }

    /// The epoch before, and what it shares with the one of this run.
    pub(crate) fn inherited(&self) -> Option<Position> {
        let runs = self.runs()?;
        Some(match runs.before {
            Some((before, last)) => Position::new(epoch(runs.id, before), last),
            // It was created in this run: before, there was nothing.
            None => absent(runs.current),
        })
    }

    /// The smallest offset after which nothing is missing.
    pub(crate) fn oldest(&self) -> u64 {
        match self.messages {
            0 => self.last,
            _ => self.first.saturating_sub(1),
        }
    }

    /// How many bytes a message has, about.
    pub(crate) fn mean(&self) -> u64 {
        self.bytes.checked_div(self.messages).unwrap_or(0).max(1)
    }
}

fn epoch(id: &str, run: &str) -> Epoch {
    Epoch::new(hash(&[id, run]) | 1)
}

/// The position in a topic that has no stream, in this run of the server.
pub(crate) fn absent(run: &str) -> Position {
    Position::new(Epoch::new(hash(&[run]) | 1), 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_come_back_from_a_description() {
        for before in [None, Some(("old", 17))] {
            let runs = Runs {
                id: "id",
                current: "new",
                before,
            };
            assert_eq!(Runs::read(&runs.write()), Some(runs));
        }
        assert_eq!(Runs::read("of somebody else"), None);
    }

    #[test]
    fn duplicates_are_known_no_longer_than_messages_are_kept() {
        let names = Names {
            prefix: "ws".into(),
        };
        let wish = Wish {
            history: History::new(5, Duration::from_secs(10)),
            key_time: Duration::from_secs(300),
            in_memory: true,
            run: "run",
        };
        let config = create(&names, "t", &wish);
        assert_eq!(config["duplicate_window"], config["max_age"]);
        assert_eq!(config["max_msgs"], 5);
    }
}

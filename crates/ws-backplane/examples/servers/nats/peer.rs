//! `nats-py` beside a node: both read the same of what either publishes.

use std::{collections::BTreeMap, process::Command};

use serde_json::Value;
use ws_backplane::Nats;

use super::{pair, start};
use crate::{
    Failure, Setup,
    observer::{LONG, SHORT},
};

/// How many messages the other publishes, one of which twice.
const OTHERS: usize = 20;

pub(crate) fn compare(setup: &Setup<'_>) -> Result<String, Failure> {
    let Some(python) = setup.python else {
        return Ok("left out: there is no python3 with nats-py".into());
    };
    let server = start(setup, "")?;
    let mut pair = pair(Nats::new, &server)?;
    pair.publish_for(SHORT);
    pair.settle()?;
    let ours = pair.seen.lock().payloads.len();
    let output = Command::new(python)
        .args(["-c", include_str!("peer.py")])
        .args([server.port().to_string(), OTHERS.to_string()])
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let theirs: Value = serde_json::from_slice(&output.stdout)?;
    pair.seen.wait("what the other published", LONG, |story| {
        story.payloads.len() >= ours + OTHERS
    })?;
    let seen: BTreeMap<u64, String> = {
        let story = pair.seen.lock();
        let payloads = story.payloads.iter();
        payloads
            .map(|(offset, payload)| (*offset, hex(payload)))
            .collect()
    };
    // All of the stream, as it reads it; and what it was given as it was published.
    let kept = numbered(&theirs["stream"])?;
    let live = numbered(&theirs["live"])?;
    let tail: BTreeMap<_, _> = seen
        .iter()
        .skip(ours)
        .map(|(at, text)| (*at, text.clone()))
        .collect();
    if kept != seen || live != tail {
        return Err(format!("it reads {kept:?} and {live:?}, the node {seen:?}").into());
    }
    let doubled = &theirs["acks"][0];
    if doubled != &theirs["again"] || doubled.as_u64() != tail.keys().next().copied() {
        return Err(format!(
            "a key that comes again is answered with {}",
            theirs["again"]
        )
        .into());
    }
    Ok(format!(
        "{ours} messages of a node and {OTHERS} of nats-py, the same to both"
    ))
}

fn numbered(value: &Value) -> Result<BTreeMap<u64, String>, Failure> {
    let pairs = value.as_array().ok_or("no list")?;
    let pair = |pair: &Value| Some((pair[0].as_u64()?, pair[1].as_str()?.to_owned()));
    let pairs: Option<_> = pairs.iter().map(pair).collect();
    pairs.ok_or_else(|| "no pairs".into())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

//! What servers and clients send by any masking policy is what the peer receives.
#![no_main]

use arbitrary::Arbitrary;
use ws_fuzz::roundtrip::{self, Action};

/// [`Action`], as the fuzzer makes it.
#[derive(Arbitrary, Debug)]
enum Step {
    Text(String),
    Binary(Vec<u8>),
    TextFragment(String, bool),
    TextBytes(Vec<u8>, bool),
    BinaryFragment(Vec<u8>, bool),
    PreparedText(String),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
    /// Payloads on both sides of the border between two length forms, which
    /// are rare by chance.
    Long(u8),
}

impl From<Step> for Action {
    fn from(step: Step) -> Self {
        match step {
            Step::Text(text) => Self::Text(text),
            Step::Binary(bytes) => Self::Binary(bytes),
            Step::TextFragment(text, last) => Self::TextFragment(text, last),
            Step::TextBytes(bytes, last) => Self::TextBytes(bytes, last),
            Step::BinaryFragment(bytes, last) => Self::BinaryFragment(bytes, last),
            Step::PreparedText(text) => Self::PreparedText(text),
            Step::Ping(payload) => Self::Ping(payload),
            Step::Pong(payload) => Self::Pong(payload),
            Step::Close(frame) => Self::Close(frame),
            Step::Long(len) => Self::Binary(vec![0x5a; usize::from(len)]),
        }
    }
}

libfuzzer_sys::fuzz_target!(|input: (u8, Vec<Step>)| {
    let (seed, steps) = input;
    let actions: Vec<Action> = steps.into_iter().map(Action::from).collect();
    roundtrip::what_is_sent_is_what_is_received(&actions, seed);
});

//! Receiving: any chunking, against the model.

use ws_proto::{Assembler, Event, Inbound, Limits, Message, ProtocolError, Receiver};

use super::model::{self, Got, Outcome};

/// Whole, byte by byte, and in pieces of any size, a wire gives what the
/// model says, in the piece with the byte that decides it; in as many steps
/// as there are bytes at most, and with no more in memory than was received.
pub fn any_chunking_gives_the_events_of_the_model(
    inbound: Inbound,
    limits: Limits,
    wire: &[u8],
    seed: u8,
) {
    let expected = model::outcome(inbound, limits, wire);
    let seed = usize::from(seed);
    // Long inputs are not fed byte by byte: fuzzing wants many short runs.
    let small = if wire.len() > 4096 { 512 } else { 1 };
    check(inbound, limits, wire, &expected, |_| usize::MAX);
    check(inbound, limits, wire, &expected, |_| small);
    check(inbound, limits, wire, &expected, |i| {
        small * ((i * 7 + seed) % (seed % 29 + 1)) + usize::from(i % 3 > 0)
    });
}

/// An accepting server says what a strict one says, up to the first frame
/// that is not masked; and if there is none, to the end.
pub fn strict_and_accepting_servers_differ_only_by_unmasked_frames(limits: Limits, wire: &[u8]) {
    let strict = trace(Inbound::RequireMasked, limits, wire);
    let accepting = trace(Inbound::AcceptUnmasked, limits, wire);
    match strict.error {
        Some((at, ProtocolError::UnmaskedFrame)) => {
            let before = accepting.got.iter().take_while(|(end, _)| *end < at);
            assert!(before.eq(&strict.got));
            let error = accepting.error.map(|(_, error)| error);
            assert_ne!(error, Some(ProtocolError::UnmaskedFrame));
        }
        _ => {
            assert!(!accepting.unmasked);
            assert_eq!(accepting, strict);
        }
    }
}

/// Receives byte by byte: the outcome with its exact places.
fn trace(inbound: Inbound, limits: Limits, wire: &[u8]) -> Outcome {
    let mut endpoint = Endpoint::new(inbound, limits);
    let mut outcome = Outcome::default();
    for (i, byte) in wire.iter().enumerate() {
        let error = endpoint.receive(&mut [*byte], |got| outcome.got.push((i + 1, got)));
        if let Err(error) = error {
            outcome.error = Some((i + 1, error));
            break;
        }
    }
    outcome.unmasked = endpoint.receiver.take_counts().unmasked > 0;
    outcome
}

struct Endpoint {
    receiver: Receiver,
    assembler: Assembler,
    limits: Limits,
    fed: usize,
    /// How often `receive` was called.
    steps: usize,
    /// How many payload bytes of messages were handed out.
    payload: usize,
}

impl Endpoint {
    fn new(inbound: Inbound, limits: Limits) -> Self {
        Self {
            receiver: Receiver::new(inbound, limits),
            assembler: Assembler::new(),
            limits,
            fed: 0,
            steps: 0,
            payload: 0,
        }
    }

    fn receive(
        &mut self,
        mut input: &mut [u8],
        mut got: impl FnMut(Got),
    ) -> Result<(), ProtocolError> {
        self.fed += input.len();
        loop {
            self.steps += 1;
            let left = input.len();
            // The shorter way says what the longer one would, at every other
            // step here.
            if self.steps.is_multiple_of(2)
                && let Some(message) = self.receiver.receive_whole(&mut input)?
            {
                assert!(input.len() < left, "every event takes a byte");
                self.payload += message.len();
                assert!(message.len() as u64 <= self.limits.max_message);
                got(whole(message));
                continue;
            }
            let Some(event) = self.receiver.receive(&mut input)? else {
                assert!(input.is_empty());
                return Ok(());
            };
            assert!(input.len() < left, "every event takes a byte");
            got(match event {
                Event::Data(chunk) => {
                    self.payload += chunk.data.len();
                    assert!(self.payload <= self.fed);
                    let message = self.assembler.push(chunk);
                    match message {
                        None => {
                            let held = self.assembler.buffered();
                            assert!(held <= self.fed && held as u64 <= self.limits.max_message);
                            continue;
                        }
                        Some(message) => {
                            assert!(message.len() as u64 <= self.limits.max_message);
                            whole(message)
                        }
                    }
                }
                Event::Compressed(_) => unreachable!("it was not negotiated"),
                Event::Ping(payload) => Got::Ping(payload.into()),
                Event::Pong(payload) => Got::Pong(payload.into()),
                Event::Close(frame) => {
                    Got::Close(frame.map(|frame| (frame.code.get(), frame.reason.into())))
                }
            });
        }
    }
}

fn whole(message: Message<'_>) -> Got {
    match message {
        Message::Text(text) => Got::Text(text.into()),
        Message::Binary(bytes) => Got::Binary(bytes.into()),
    }
}

fn check(
    inbound: Inbound,
    limits: Limits,
    wire: &[u8],
    expected: &Outcome,
    size: impl Fn(usize) -> usize,
) {
    let mut endpoint = Endpoint::new(inbound, limits);
    let mut expected_got = expected.got.iter();
    let (mut rest, mut fed, mut pieces) = (wire, 0, 0);
    let mut error = None;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(size(pieces).min(rest.len()));
        (rest, pieces) = (after, pieces + 1);
        let (start, end) = (fed, fed + piece.len());
        fed = end;
        let mut memory = piece.to_vec();
        let result = endpoint.receive(&mut memory, |got| {
            let (at, expected) = expected_got.next().expect("no event beyond the model's");
            assert_eq!(got, *expected);
            assert!(start < *at && *at <= end, "decided by byte {at}");
        });
        if let Err(wrong) = result {
            assert_eq!(error, None, "a second error");
            error = Some(wrong);
            let Some((at, expected)) = expected.error else {
                panic!("{wrong:?} is no error by the model")
            };
            assert_eq!(wrong, expected);
            assert!(start < at && at <= end, "decided by byte {at}");
        }
        // Nothing the model says is overdue.
        let mut due = expected_got.clone().map(|(at, _)| *at);
        assert!(due.next().is_none_or(|at| at > end));
    }
    assert_eq!(expected_got.next(), None);
    assert_eq!(error, expected.error.map(|(_, error)| error));
    assert!(endpoint.steps <= wire.len() + pieces, "work is linear");
    assert_eq!(endpoint.receiver.is_failed(), error.is_some());
    let unmasked = endpoint.receiver.take_counts().unmasked > 0;
    assert_eq!(unmasked, expected.unmasked);
}

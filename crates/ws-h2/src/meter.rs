//! What a connection carries, by the heads of its frames: floods, and whether our
//! peer's SETTINGS are in force.

use std::time::{Duration, Instant};

/// How many frames of a kind a peer may send in a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rates {
    pub(crate) resets: u32,
    pub(crate) control: u32,
}

/// A limit that was passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flood {
    pub(crate) limit: &'static str,
    pub(crate) value: u32,
}

/// Counts frames that come in.
#[derive(Debug)]
pub(crate) struct Meter {
    frames: Frames,
    rates: Rates,
    since: Instant,
    resets: u32,
    control: u32,
}

impl Meter {
    /// `preface` bytes come before the first frame.
    pub(crate) const fn new(rates: Rates, preface: usize, now: Instant) -> Self {
        Self {
            frames: Frames::after(preface),
            rates,
            since: now,
            resets: 0,
            control: 0,
        }
    }

    /// Counts the frames whose heads end in these bytes.
    pub(crate) fn note(&mut self, bytes: &[u8], now: Instant) -> Result<(), Flood> {
        if now.saturating_duration_since(self.since) >= Duration::from_secs(1) {
            (self.since, self.resets, self.control) = (now, 0, 0);
        }
        let (mut resets, mut control) = (0, 0);
        self.frames.read(bytes, |frame| match frame.kind {
            RST_STREAM => resets += 1,
            PRIORITY => control += 1,
            SETTINGS | PING if !frame.is_ack() => control += 1,
            _ => {}
        });
        self.resets = self.resets.saturating_add(resets);
        self.control = self.control.saturating_add(control);
        let Rates { resets, control } = self.rates;
        let passed = [
            ("max_reset_rate", self.resets, resets),
            ("max_control_rate", self.control, control),
        ];
        match passed.iter().find(|(_, count, value)| count > value) {
            Some(&(limit, _, value)) => Err(Flood { limit, value }),
            None => Ok(()),
        }
    }
}

/// Finds, in what we write, that we acknowledge the peer's first SETTINGS: h2 has
/// put them in force by then.
#[derive(Debug)]
pub(crate) struct AckSearch(Frames);

impl AckSearch {
    pub(crate) const fn new(preface: usize) -> Self {
        Self(Frames::after(preface))
    }

    pub(crate) fn is_in(&mut self, bytes: &[u8]) -> bool {
        let mut found = false;
        self.0.read(bytes, |frame| {
            found |= frame.kind == SETTINGS && frame.is_ack();
        });
        found
    }
}

/// Cuts a stream of bytes at its frames, in whatever pieces it comes.
#[derive(Debug)]
struct Frames {
    /// How many bytes to pass over.
    skip: usize,
    head: [u8; HEAD],
    filled: usize,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    kind: u8,
    flags: u8,
}

impl Frame {
    const fn is_ack(self) -> bool {
        self.flags & ACK != 0
    }
}

impl Frames {
    const fn after(preface: usize) -> Self {
        Self {
            skip: preface,
            head: [0; HEAD],
            filled: 0,
        }
    }

    fn read(&mut self, mut bytes: &[u8], mut each: impl FnMut(Frame)) {
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            if bytes.is_empty() {
                return;
            }
            let taken = (HEAD - self.filled).min(bytes.len());
            self.head[self.filled..self.filled + taken].copy_from_slice(&bytes[..taken]);
            self.filled += taken;
            bytes = &bytes[taken..];
            if self.filled < HEAD {
                return;
            }
            let [a, b, c, kind, flags, ..] = self.head;
            self.skip = u32::from_be_bytes([0, a, b, c]) as usize;
            self.filled = 0;
            each(Frame { kind, flags });
        }
    }
}

/// The length of a frame's head (RFC 9113 section 4.1).
const HEAD: usize = 9;

/// What a client sends before its first frame (RFC 9113 section 3.4).
pub(crate) const PREFACE: usize = 24;

const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const ACK: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let [_, a, b, c] = (payload.len() as u32).to_be_bytes();
        let mut frame = vec![a, b, c, kind, flags, 0, 0, 0, 1];
        frame.extend_from_slice(payload);
        frame
    }

    fn meter(resets: u32, control: u32, now: Instant) -> Meter {
        Meter::new(Rates { resets, control }, 3, now)
    }

    #[test]
    fn frames_are_counted_in_any_chunking() {
        let now = Instant::now();
        let mut bytes = b"PRI".to_vec();
        for _ in 0..3 {
            bytes.extend(frame(RST_STREAM, 0, &[0; 4]));
            // The payload looks like frames, and is none.
            bytes.extend(frame(0, 0, &frame(RST_STREAM, 0, &[0; 40])));
            bytes.extend(frame(PING, 0, &[0; 8]));
            bytes.extend(frame(PING, ACK, &[0; 8]));
            bytes.extend(frame(SETTINGS, ACK, &[]));
        }
        for len in 1..bytes.len() {
            let mut meter = meter(3, 3, now);
            for piece in bytes.chunks(len) {
                assert_eq!(meter.note(piece, now), Ok(()));
            }
            assert_eq!((meter.resets, meter.control), (3, 3));
        }
    }

    #[test]
    fn a_limit_is_for_a_second() {
        let start = Instant::now();
        let mut meter = meter(2, 1, start);
        assert_eq!(meter.note(b"PRI", start), Ok(()));
        let reset = frame(RST_STREAM, 0, &[0; 4]);
        for second in 0..3 {
            let now = start + Duration::from_secs(second);
            assert_eq!(meter.note(&reset, now), Ok(()));
            assert_eq!(meter.note(&reset, now + Duration::from_millis(999)), Ok(()));
        }
        let now = start + Duration::from_millis(2999);
        let (limit, value) = ("max_reset_rate", 2);
        assert_eq!(meter.note(&reset, now), Err(Flood { limit, value }));
    }

    #[test]
    fn settings_pings_and_priorities_count_together() {
        let now = Instant::now();
        let mut meter = meter(1, 2, now);
        let bytes = [
            b"PRI".to_vec(),
            frame(SETTINGS, 0, &[0; 6]),
            frame(PRIORITY, 0, &[0; 5]),
        ];
        assert_eq!(meter.note(&bytes.concat(), now), Ok(()));
        let (limit, value) = ("max_control_rate", 2);
        assert_eq!(
            meter.note(&frame(PING, 0, &[0; 8]), now),
            Err(Flood { limit, value })
        );
    }

    #[test]
    fn an_acknowledgement_is_found_behind_the_preface() {
        let mut bytes = vec![b'x'; PREFACE];
        bytes.extend(frame(SETTINGS, 0, &[0; 12]));
        bytes.extend(frame(SETTINGS, ACK, &[]));
        let mut search = AckSearch::new(PREFACE);
        assert!(!search.is_in(&bytes[..bytes.len() - 1]));
        assert!(search.is_in(&bytes[bytes.len() - 1..]));
    }
}

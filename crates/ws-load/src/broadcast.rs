//! Messages that go to all.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::{
    frames::{OPCODE_BINARY, OPCODE_TEXT, append_frame},
    histogram::Histogram,
    messages::Messages,
    replies::Piece,
};

/// Messages that were sent to all, and who has got them.
///
/// Each message begins with its number in eight hexadecimal digits, so one that is missing is not
/// mistaken for the next.
#[derive(Debug)]
pub(crate) struct Broadcast {
    messages: Messages,
    payload: Vec<u8>,
    frame: Vec<u8>,
    /// The number of the first that is pending, and those from it on.
    first: u32,
    pending: VecDeque<Pending>,
    /// From which number on is counted.
    counted_from: u32,
    marks: Vec<[u8; MARK]>,
    pub(crate) expected: u64,
    pub(crate) delivered: u64,
    /// From when a message was due until the last had it.
    pub(crate) complete: Histogram,
}

#[derive(Debug)]
struct Pending {
    due: Instant,
    left: u64,
}

const MARK: usize = 8;
/// How long a message may be on its way; then it is not waited for.
const PATIENCE: Duration = Duration::from_secs(10);

impl Broadcast {
    pub(crate) fn new(messages: &Messages) -> Self {
        let mut payload = messages.first().to_vec();
        payload.resize(payload.len().max(MARK), b'.');
        if messages.data_opcode() == OPCODE_TEXT {
            // A character is not to be cut by the number.
            payload.fill(b'.');
        }
        Self {
            messages: messages.clone(),
            payload,
            frame: Vec::new(),
            first: 0,
            pending: VecDeque::new(),
            counted_from: 0,
            marks: Vec::new(),
            expected: 0,
            delivered: 0,
            complete: Histogram::new(),
        }
    }

    /// Makes the next frame, which `audience` connections are to get.
    pub(crate) fn next(&mut self, due: Instant, audience: u64) -> &[u8] {
        let number = self.first.wrapping_add(self.pending.len() as u32);
        self.pending.push_back(Pending {
            due,
            left: audience,
        });
        self.expected += audience;
        for (at, digit) in self.payload.iter_mut().take(MARK).enumerate() {
            let nibble = number >> (4 * (MARK - 1 - at)) & 0xf;
            *digit = b"0123456789abcdef"[nibble as usize];
        }
        self.frame.clear();
        let opcode = self.messages.data_opcode();
        let masks = self.messages.masks();
        append_frame(&mut self.frame, true, opcode, masks, number, &self.payload);
        &self.frame
    }

    /// Sees what a connection receives; returns how long a message took, once it is known which one
    /// it is.
    pub(crate) fn see(
        &mut self,
        place: usize,
        piece: &Piece<'_>,
        now: Instant,
    ) -> Option<Duration> {
        if !matches!(piece.opcode, OPCODE_TEXT | OPCODE_BINARY) || piece.offset >= MARK as u64 {
            return None;
        }
        if self.marks.len() <= place {
            self.marks.resize(place + 1, [0; MARK]);
        }
        let (mark, offset) = (&mut self.marks[place], piece.offset as usize);
        let len = piece.data.len().min(MARK - offset);
        for (at, byte) in piece.data[..len].iter().enumerate() {
            mark[offset + at] = byte ^ piece.key[(offset + at) % 4];
        }
        if offset + len < MARK {
            return None;
        }
        let number = u32::from_str_radix(str::from_utf8(mark).ok()?, 16).ok()?;
        self.deliver(number, now)
    }

    fn deliver(&mut self, number: u32, now: Instant) -> Option<Duration> {
        let place = number.wrapping_sub(self.first) as usize;
        let pending = self.pending.get_mut(place)?;
        // Whoever gets it twice does not stand for one who does not.
        pending.left = pending.left.checked_sub(1)?;
        let latency = now.saturating_duration_since(pending.due);
        let is_counted = number.wrapping_sub(self.counted_from) < u32::MAX / 2;
        self.delivered += u64::from(is_counted);
        if pending.left == 0 && is_counted {
            self.complete.record(latency);
        }
        self.forget(now);
        Some(latency)
    }

    /// Forgets what all have got, and what is not waited for any more.
    fn forget(&mut self, now: Instant) {
        while let Some(first) = self.pending.front()
            && (first.left == 0 || now.saturating_duration_since(first.due) > PATIENCE)
        {
            self.pending.pop_front();
            self.first = self.first.wrapping_add(1);
        }
    }

    /// Whether all have got everything, or it is not waited for.
    pub(crate) fn is_complete(&mut self, now: Instant) -> bool {
        self.forget(now);
        self.pending.is_empty()
    }

    /// Counts what is sent from now on.
    pub(crate) fn begin_counting(&mut self) {
        self.counted_from = self.first.wrapping_add(self.pending.len() as u32);
        (self.expected, self.delivered) = (0, 0);
        self.complete.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{frames::Masks, replies::Replies};

    fn broadcast() -> Broadcast {
        Broadcast::new(&Messages::of_size(3, Masks::Random))
    }

    fn receive(broadcast: &mut Broadcast, place: usize, frame: &[u8], cut: usize) -> usize {
        let (mut replies, mut seen) = (Replies::default(), 0);
        for piece in frame.chunks(cut) {
            let see = |piece: Piece<'_>| {
                seen += usize::from(broadcast.see(place, &piece, Instant::now()).is_some());
            };
            replies.read(piece, see).unwrap();
        }
        seen
    }

    #[test]
    fn message_is_known_by_its_number_however_it_is_cut() {
        for cut in [1, 3, 100] {
            let mut broadcast = broadcast();
            let now = Instant::now();
            let frames: Vec<_> = (0..20).map(|_| broadcast.next(now, 2).to_vec()).collect();
            for (at, frame) in frames.iter().enumerate().rev() {
                assert_eq!(receive(&mut broadcast, 0, frame, cut), 1, "{at}");
            }
            assert!(!broadcast.is_complete(now));
            for frame in &frames {
                assert_eq!(receive(&mut broadcast, 1, frame, cut), 1);
            }
            assert!(broadcast.is_complete(now));
            assert_eq!((broadcast.expected, broadcast.delivered), (40, 40));
            assert_eq!(broadcast.complete.count(), 20);
        }
    }

    #[test]
    fn missing_delivery_is_not_made_up_by_a_second_one() {
        let mut broadcast = broadcast();
        let first = broadcast.next(Instant::now(), 1).to_vec();
        let second = broadcast.next(Instant::now(), 1).to_vec();
        assert_eq!(receive(&mut broadcast, 0, &second, 100), 1);
        assert_eq!(receive(&mut broadcast, 0, &second, 100), 0);
        assert!(!broadcast.is_complete(Instant::now()));
        assert_eq!(broadcast.delivered, 1);
        assert!(broadcast.is_complete(Instant::now() + 2 * PATIENCE));
        assert_eq!(receive(&mut broadcast, 0, &first, 100), 0);
    }

    #[test]
    fn what_was_sent_before_is_not_counted() {
        let mut broadcast = broadcast();
        let early = broadcast.next(Instant::now(), 1).to_vec();
        broadcast.begin_counting();
        let late = broadcast.next(Instant::now(), 1).to_vec();
        receive(&mut broadcast, 0, &early, 100);
        receive(&mut broadcast, 0, &late, 100);
        assert_eq!((broadcast.expected, broadcast.delivered), (1, 1));
        assert_eq!(broadcast.complete.count(), 1);
    }
}

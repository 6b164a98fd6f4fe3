//! What the transport has not taken yet.

use alloc::vec::Vec;
use core::fmt;

use crate::{MAX_CONTROL_PAYLOAD, OpCode, OutFrame, header::MAX_HEADER_LEN};

/// Bytes that wait for a transport, in order and up to a limit.
///
/// It copies the part of a frame that the transport refused; an empty outbox
/// owns no memory. Data frames are refused whole where they would pass the
/// limit. Control frames have room of their own beyond it, so that a peer that
/// reads slowly still gets its Pongs and the Close.
///
/// ```
/// use ws_proto::{Message, Outbox, Sender, ServerMasking};
///
/// let mut tx = Sender::new(ServerMasking::new());
/// let mut outbox = Outbox::with_limit(1024);
/// outbox.push(&tx.message(Message::Text("hi"))?, 0)?;
/// let written = outbox.as_slice().len(); // by the transport
/// outbox.advance(written);
/// assert!(outbox.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Outbox {
    bytes: Vec<u8>,
    /// How many of `bytes` the transport has taken.
    start: usize,
    limit: usize,
    /// The length of the Pong that `bytes` end with; 0 if they do not. The
    /// transport may have taken a part of it.
    pong: usize,
}

/// A frame would make more bytes wait than the limit allows; it was not
/// queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutboxFull {
    /// How many bytes wait.
    pub pending: usize,
    /// How many the frame would add.
    pub len: usize,
    /// The limit for data frames.
    pub limit: usize,
}

impl fmt::Display for OutboxFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            pending,
            len,
            limit,
        } = self;
        write!(
            f,
            "{pending} bytes wait and {len} more are over the outbox limit of {limit}"
        )
    }
}

impl core::error::Error for OutboxFull {}

/// Room for control frames beyond the limit: eight of the longest.
const CONTROL_ROOM: usize = 8 * (MAX_HEADER_LEN + MAX_CONTROL_PAYLOAD);

impl Outbox {
    /// Makes an empty outbox in which at most `limit` bytes of data frames
    /// wait.
    #[must_use]
    pub const fn with_limit(limit: usize) -> Self {
        Self {
            bytes: Vec::new(),
            start: 0,
            limit,
            pong: 0,
        }
    }

    /// Queues a frame without its first `skip` bytes, which the transport took
    /// already.
    ///
    /// A frame of which a part was written is queued whatever the limit: the
    /// stream would be broken otherwise.
    ///
    /// # Errors
    ///
    /// [`OutboxFull`]; the frame was not queued.
    pub fn push(&mut self, frame: &OutFrame<'_>, skip: usize) -> Result<(), OutboxFull> {
        let (pending, len) = (self.len(), frame.len() - skip.min(frame.len()));
        let room = if frame.opcode().is_control() {
            CONTROL_ROOM
        } else {
            0
        };
        if !fault!("outbox-unlimited")
            && skip == 0
            && len > self.limit.saturating_add(room).saturating_sub(pending)
        {
            return Err(OutboxFull {
                pending,
                len,
                limit: self.limit,
            });
        }
        self.append(frame, skip);
        Ok(())
    }

    /// Queues a frame without its first `skip` bytes, whatever the limit: for
    /// one that the transport has begun to take, or that would never fit.
    ///
    /// A Pong takes the place of one that waits right before it (RFC 6455
    /// section 5.5.3), so that Pings to which nobody reads the answers do not
    /// fill the outbox. [`keep_pong`](Self::keep_pong) prevents that.
    pub fn append(&mut self, frame: &OutFrame<'_>, skip: usize) {
        let is_pong = frame.opcode() == OpCode::Pong && skip == 0;
        //= RFC6455-5.5.3-2
        if is_pong && self.pong <= self.len() && !fault!("pongs-pile-up") {
            self.bytes.truncate(self.bytes.len() - self.pong);
        }
        self.make_room(frame.len() - skip.min(frame.len()));
        // The other way of appending makes room for more.
        frame.append_part(&mut self.bytes, skip..usize::MAX);
        if is_pong {
            self.pong = frame.len();
        }
    }

    /// Keeps a Pong that waits at the end: the next does not take its place. For
    /// a transport that was not offered it yet.
    pub const fn keep_pong(&mut self) {
        self.pong = 0;
    }

    /// Queues bytes that are frames already, such as a
    /// [`Prepared`](crate::Prepared) one or the tail of a write that the
    /// transport took in part; whatever the limit.
    pub fn push_bytes(&mut self, bytes: &[u8]) {
        self.make_room(bytes.len());
        self.bytes.extend_from_slice(bytes);
    }

    /// Returns the bytes to write next.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Notes that the transport took `n` bytes; a count beyond what waits is
    /// taken for all of it. Frees the memory once nothing waits.
    pub fn advance(&mut self, n: usize) {
        self.start = self.start.saturating_add(n).min(self.bytes.len());
        if self.start == self.bytes.len() {
            self.bytes = Vec::new();
            self.start = 0;
            self.pong = 0;
        }
    }

    /// Returns how many bytes wait.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Tells whether nothing waits.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns how much memory is held for what waits, in bytes: no more than it
    /// takes for all that may wait, and half as much again where the transport
    /// takes some now and then.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Returns how many bytes of data frames may wait.
    #[must_use]
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// Makes room for `more` bytes behind those that wait.
    ///
    /// What waits is moved to the front once more than a third of the buffer was
    /// written: work that the writes before have paid for.
    fn make_room(&mut self, more: usize) {
        self.pong = 0;
        if self.start > self.bytes.len() / 3 && !fault!("outbox-never-shrinks") {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        let needed = self.bytes.len() + more;
        if needed > self.bytes.capacity() {
            self.bytes
                .reserve_exact(self.growth(needed) - self.bytes.len());
        }
    }

    /// Returns to how many bytes to grow when `needed` are: twice as many as
    /// before, but not far beyond what may wait.
    fn growth(&self, needed: usize) -> usize {
        let most = if self.start == 0 || needed <= self.limit {
            self.limit
        } else {
            // What was written lies in front, and is not moved yet.
            let most = self.limit.saturating_add(CONTROL_ROOM);
            most.saturating_add(most / 2)
        };
        let twice = self.bytes.capacity().saturating_mul(2);
        twice.min(most).max(needed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Event, Message, Sender, ServerMasking};

    #[test]
    fn pong_takes_the_place_of_one_that_waits_right_before_it() {
        //= RFC6455-5.5.3-2
        let mut tx = Sender::new(ServerMasking::new());
        let mut outbox = Outbox::with_limit(1000);
        let mut pong = |outbox: &mut Outbox, payload: &[u8]| {
            let pong = tx.respond(&Event::Ping(payload)).unwrap();
            outbox.push(&pong, 0).unwrap();
        };
        outbox.push_bytes(b"before");
        pong(&mut outbox, b"long");
        pong(&mut outbox, b"a");
        assert_eq!(outbox.as_slice(), b"before\x8a\x01a");
        // Not one that was begun, nor one that something else follows.
        outbox.advance(7);
        pong(&mut outbox, b"b");
        assert_eq!(outbox.as_slice(), b"\x01a\x8a\x01b");
        outbox.push_bytes(b"|");
        pong(&mut outbox, b"");
        pong(&mut outbox, b"c");
        assert_eq!(outbox.as_slice(), b"\x01a\x8a\x01b|\x8a\x01c");
        // Alone, and after everything has left.
        outbox.advance(6);
        pong(&mut outbox, b"d");
        assert_eq!(outbox.as_slice(), b"\x8a\x01d");
        outbox.advance(3);
        assert!(outbox.is_empty());
        pong(&mut outbox, b"e");
        assert_eq!(outbox.as_slice(), b"\x8a\x01e");
        // One that is kept stays, and the next is as any other.
        outbox.keep_pong();
        pong(&mut outbox, b"f");
        pong(&mut outbox, b"g");
        assert_eq!(outbox.as_slice(), b"\x8a\x01e\x8a\x01g");
    }

    fn sender() -> Sender<ServerMasking> {
        Sender::new(ServerMasking::new())
    }

    #[test]
    fn bytes_leave_in_order_whatever_the_transport_takes() {
        let mut tx = sender();
        for step in 1..20 {
            let mut outbox = Outbox::with_limit(10_000);
            let mut expected = Vec::new();
            let mut written = Vec::new();
            for len in 0..60 {
                let payload = alloc::vec![len as u8; len];
                let frame = tx.message(Message::Binary(&payload)).unwrap();
                frame.append_to(&mut expected, 0);
                outbox.push(&frame, 0).unwrap();
                let n = step.min(outbox.len());
                written.extend_from_slice(&outbox.as_slice()[..n]);
                outbox.advance(n);
            }
            written.extend_from_slice(outbox.as_slice());
            outbox.advance(usize::MAX);
            assert_eq!(written, expected);
            assert_eq!(outbox.bytes.capacity(), 0);
        }
    }

    #[test]
    fn limit_is_exact_and_control_frames_have_room_beyond_it() {
        let mut tx = sender();
        let mut outbox = Outbox::with_limit(12);
        outbox
            .push(&tx.message(Message::Binary(&[0; 10])).unwrap(), 0)
            .unwrap();
        let refused = outbox.push(&tx.message(Message::Binary(&[])).unwrap(), 0);
        assert_eq!(
            refused,
            Err(OutboxFull {
                pending: 12,
                len: 2,
                limit: 12
            })
        );
        let mut pings = 0;
        while outbox.push(&tx.ping(&[1; 125]).unwrap(), 0).is_ok() {
            pings += 1;
        }
        assert_eq!(pings, 8);
        assert_eq!(outbox.len(), 12 + 8 * 127);
    }

    #[test]
    fn what_was_written_is_moved_out_once_it_is_a_third() {
        let mut outbox = Outbox::with_limit(0);
        outbox.push_bytes(&[1; 90]);
        outbox.advance(30);
        outbox.push_bytes(&[2; 9]);
        assert_eq!((outbox.start, outbox.bytes.len()), (30, 99));
        outbox.advance(4);
        outbox.push_bytes(&[3; 10]);
        assert_eq!((outbox.start, outbox.bytes.len()), (0, 75));
        assert_eq!(outbox.len(), 75);
        assert!(!outbox.is_empty());
        let expected = [&[1; 56][..], &[2; 9], &[3; 10]].concat();
        assert_eq!(outbox.as_slice(), expected);
    }

    #[test]
    fn memory_is_not_far_beyond_what_may_wait() {
        let limits: &[usize] = match cfg!(miri) {
            true => &[0, 1000],
            false => &[0, 100, 1000, 10_000, 1 << 20],
        };
        let mut tx = sender();
        for &limit in limits {
            let most = limit + CONTROL_ROOM;
            let mut outbox = Outbox::with_limit(limit);
            while outbox.len() + 100 <= most {
                let frame = tx.message(Message::Binary(&[1; 98])).unwrap();
                outbox.append(&frame, 0);
                let most = limit.max(outbox.len());
                assert!((outbox.len()..=most).contains(&outbox.capacity()));
            }
            // The transport takes some now and then, and as much is added.
            let mut grown = 0;
            let mut capacity = outbox.capacity();
            for _ in 0..10 * most / 100 {
                outbox.advance(100);
                outbox.push_bytes(&[2; 100]);
                grown += usize::from(outbox.capacity() != capacity);
                capacity = outbox.capacity();
            }
            assert!(capacity <= most + most / 2 + 100, "{capacity} for {limit}");
            assert!(grown <= 12, "{grown}");
            // What must be taken is, and in no more memory than it needs.
            outbox.push_bytes(&[3; 1 << 20]);
            assert!(outbox.capacity() <= most + most / 2 + 100 + (1 << 20));
        }
        // Without a limit it grows as a vector does.
        let mut outbox = Outbox::with_limit(usize::MAX);
        for waiting in 1..1000_usize {
            outbox.push_bytes(&[0]);
            assert_eq!(outbox.capacity(), waiting.next_power_of_two());
        }
    }

    #[test]
    fn more_than_a_frame_may_be_skipped_and_more_than_waits_taken() {
        let mut outbox = Outbox::with_limit(4);
        let mut tx = sender();
        let frame = tx.message(Message::Text("gone")).unwrap();
        outbox.push(&frame, 100).unwrap();
        assert!(outbox.is_empty() && outbox.limit() == 4);
        outbox.push_bytes(b"abc");
        outbox.advance(100);
        assert!(outbox.is_empty() && outbox.as_slice().is_empty());
    }

    #[test]
    fn frame_that_was_begun_is_always_finished() {
        //= RFC6455-10.3-2
        let mut outbox = Outbox::with_limit(0);
        let mut tx = sender();
        let frame = tx.message(Message::Text("begun")).unwrap();
        outbox.push(&frame, 3).unwrap();
        assert_eq!(outbox.as_slice(), b"egun");
        assert!(outbox.capacity() < frame.len());
    }
}

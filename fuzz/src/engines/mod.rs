//! Whole engines, fed by a peer that may send anything and may never stop.

pub mod mio;
pub mod smol;

/// How much of the input stays behind in an engine at most, beside what the peer sent: its buffers.
const BUFFERS: u64 = 2 * 1024 * 1024;

/// A request that is granted.
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";

/// What a peer sends: something once, and then something else for ever, or nothing.
#[derive(Debug)]
struct Script {
    once: Vec<u8>,
    again: Vec<u8>,
    at: usize,
    /// How many bytes a read brings at most.
    piece: usize,
    /// How often it was read from, and how many bytes that brought.
    reads: usize,
    bytes: usize,
}

impl Script {
    const fn new(once: Vec<u8>, again: Vec<u8>, piece: usize) -> Self {
        Self {
            once,
            again,
            at: 0,
            piece,
            reads: 0,
            bytes: 0,
        }
    }

    /// All ways in which an input is sent: in pieces of three sizes, once and without end.
    fn all(before: &[u8], input: &[u8], seed: u8) -> Vec<Self> {
        let once = [before, input].concat();
        let sizes = [1, usize::from(seed % 61) + 2, usize::MAX];
        let mut all: Vec<_> = sizes
            .map(|size| Self::new(once.clone(), Vec::new(), size))
            .into();
        if !input.is_empty() {
            // As long as a read, so that repeating it costs little.
            let again = input.repeat(8192_usize.div_ceil(input.len()));
            all.push(Self::new(once, again, usize::MAX));
        }
        all
    }

    const fn has_end(&self) -> bool {
        self.again.is_empty()
    }

    /// Copies what comes next; `None` if nothing does.
    fn read(&mut self, buffer: &mut [u8]) -> Option<usize> {
        self.reads += 1;
        let rest = match self.at.checked_sub(self.once.len()) {
            None => &self.once[self.at..],
            Some(_) if self.again.is_empty() => return None,
            Some(past) => &self.again[past % self.again.len()..],
        };
        let len = rest.len().min(buffer.len()).min(self.piece);
        buffer[..len].copy_from_slice(&rest[..len]);
        self.at += len;
        self.bytes += len;
        Some(len)
    }

    /// Returns what was read since this was last asked.
    fn take_counts(&mut self) -> (usize, usize) {
        (
            core::mem::take(&mut self.reads),
            core::mem::take(&mut self.bytes),
        )
    }
}

//! Compressors, and who used them last.

use alloc::{boxed::Box, vec::Vec};
use core::{
    num::NonZeroU64,
    sync::atomic::{AtomicU32, Ordering},
};

use flate2::{Compress, Compression, FlushCompress};

use crate::{ConfigError, Prepared, SendError};

/// Lends [`Deflater`](crate::Deflater)s the memory that compressing takes; one
/// serves all connections of a loop or a thread.
///
/// A compressor takes about 370 KiB. Without context takeover there is one for
/// each window size, whoever uses it. With it, the pool remembers the window
/// of the connections that sent last: who finds its own again goes on with it,
/// and who does not begins with an empty window, which the protocol allows at
/// any message. So an idle connection holds nothing for what it sends. One that
/// has sent a single message does not count: its window is remembered from the
/// second on.
#[derive(Debug)]
pub struct DeflatePool {
    config: DeflateConfig,
    /// The one that was used last is the last.
    streams: Vec<Pooled>,
    /// What was compressed last.
    pub(super) out: Vec<u8>,
    next_ticket: u64,
    /// The prepared messages that were sent last, with their compressed forms.
    shared: Vec<Prepared>,
}

/// How a [`DeflatePool`] compresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeflateConfig {
    /// From 0, which only stores, over 1, fast, to 9, small; 6 by default.
    pub level: u32,
    /// Messages below this number of bytes go out plain; 128 by default.
    pub min_len: usize,
    /// The most compressors that are kept, and so the most connections whose
    /// window is remembered; 128 by default, which is 46 MiB once so many are
    /// in the middle of a conversation.
    pub max_live: usize,
}

impl DeflateConfig {
    /// Checks that the level is one that exists, and that there may be a
    /// compressor.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the first field whose value is not allowed.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.level > 9 {
            return Err(ConfigError::new("deflate.level", &self.level, "0 to 9"));
        }
        ConfigError::check_number("deflate.max_live", self.max_live as u64)
    }
}

impl Default for DeflateConfig {
    fn default() -> Self {
        Self {
            level: 6,
            min_len: 128,
            max_live: 128,
        }
    }
}

/// Names what a compressor has seen; never given twice in a process, so a
/// connection may come with it to any pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket(NonZeroU64);

#[derive(Debug)]
struct Pooled {
    stream: Box<Stream>,
    /// Whose window it holds, if anybody may go on with it.
    ticket: Option<Ticket>,
    /// Whether it was not used since the last sweep.
    idle: bool,
}

/// A compressor.
#[derive(Debug)]
pub(super) struct Stream {
    compress: Compress,
    bits: u8,
}

impl Default for DeflatePool {
    fn default() -> Self {
        Self::new(DeflateConfig::default())
    }
}

impl DeflatePool {
    /// Makes an empty pool.
    #[must_use]
    pub const fn new(config: DeflateConfig) -> Self {
        Self {
            config,
            streams: Vec::new(),
            out: Vec::new(),
            next_ticket: 0,
            shared: Vec::new(),
        }
    }

    /// Returns how it compresses.
    #[must_use]
    pub const fn config(&self) -> &DeflateConfig {
        &self.config
    }

    /// Drops the compressors that were not used since the last sweep, and the
    /// compressed forms of prepared messages; for a timer of some seconds.
    pub fn sweep(&mut self) {
        self.streams
            .retain_mut(|pooled| !core::mem::replace(&mut pooled.idle, true));
        self.streams.shrink_to_fit();
        self.out = Vec::new();
        self.shared = Vec::new();
    }

    /// Takes out the prepared message of which this one is a clone, with the
    /// forms that were needed so far; it is to be kept again.
    pub(super) fn take_shared(&mut self, message: &Prepared) -> Prepared {
        // While it is held here, no other message lies at the same place.
        let place = |prepared: &Prepared| prepared.frame().as_ptr();
        let is_same = |kept: &Prepared| place(kept) == place(message);
        match self.shared.iter().rposition(is_same) {
            Some(at) => self.shared.remove(at),
            None => message.clone(),
        }
    }

    /// Keeps a prepared message with its forms.
    pub(super) fn keep_shared(&mut self, message: Prepared) -> &Prepared {
        if self.shared.len() == SHARED {
            self.shared.remove(0);
        }
        let at = self.shared.len();
        self.shared.push(message);
        &self.shared[at]
    }

    /// Takes the compressor that the ticket names, or one with an empty
    /// window.
    pub(super) fn take(&mut self, ticket: Option<Ticket>, bits: u8) -> Box<Stream> {
        //= RFC7692-7.2.1-7, RFC7692-7.2.1-9
        let named = |pooled: &Pooled| pooled.ticket == ticket;
        if ticket.is_some()
            && let Some(at) = self.streams.iter().rposition(named)
        {
            return self.streams.remove(at).stream;
        }
        //= RFC7692-7.2.1-10, RFC7692-7.2.1-11
        let bits = bits.max(SMALLEST);
        let fits = |pooled: &Pooled| pooled.stream.bits == bits;
        let free = |pooled: &Pooled| fits(pooled) && pooled.ticket.is_none();
        let at = match self.streams.iter().rposition(free) {
            None if self.is_full() => self.streams.iter().position(fits),
            at => at,
        };
        match at {
            Some(at) => {
                let mut stream = self.streams.remove(at).stream;
                //= RFC7692-7.2.1-6, RFC7692-7.2.1-8
                stream.compress.reset();
                stream
            }
            None => Box::new(Stream::new(self.config.level, bits)),
        }
    }

    /// Takes a compressor back. If its window is to be remembered, a ticket
    /// names it.
    pub(super) fn give(&mut self, stream: Box<Stream>, remember: bool) -> Option<Ticket> {
        if self.is_full() && !self.streams.is_empty() {
            self.streams.remove(0);
        }
        let ticket = if remember { self.issue() } else { None };
        self.streams.push(Pooled {
            stream,
            ticket,
            idle: false,
        });
        ticket
    }

    const fn is_full(&self) -> bool {
        self.streams.len() >= self.config.max_live
    }

    /// Takes tickets from a range of the pool's own, and a new range when that
    /// is used up.
    fn issue(&mut self) -> Option<Ticket> {
        static RANGES: AtomicU32 = AtomicU32::new(0);
        if self.next_ticket as u32 == 0 {
            let range = RANGES.fetch_add(1, Ordering::Relaxed);
            self.next_ticket = u64::from(range) << 32 | 1;
        }
        let ticket = NonZeroU64::new(self.next_ticket).map(Ticket);
        self.next_ticket += 1;
        ticket
    }
}

impl Stream {
    fn new(level: u32, bits: u8) -> Self {
        Self {
            compress: Compress::new_with_window_bits(Compression::new(level.min(9)), false, bits),
            bits,
        }
    }

    /// Appends what `input` compresses to, up to the end of a byte, with the
    /// tail of an empty block without compression.
    pub(super) fn write(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), SendError> {
        let before = self.compress.total_in();
        out.reserve(input.len() / 2 + ROOM);
        loop {
            let used = (self.compress.total_in() - before) as usize;
            self.compress
                .compress_vec(&input[used..], out, FlushCompress::Sync)
                .map_err(|_| SendError::CannotCompress)?;
            // Once there is room left, all of it is written.
            if out.len() < out.capacity() {
                return Ok(());
            }
            out.reserve(out.len());
        }
    }
}

/// The smallest window that the compressor has. It looks back no farther than
/// 250 bytes then, which is within the smallest window of the protocol, 256.
const SMALLEST: u8 = 9;

/// How many prepared messages are kept with their compressed forms.
const SHARED: usize = 4;

/// Room for the head of a block and its tail.
const ROOM: usize = 64;

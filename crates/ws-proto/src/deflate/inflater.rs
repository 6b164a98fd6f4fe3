//! Inflating what a peer sent (RFC 7692 section 7.2.2).

use alloc::{boxed::Box, vec::Vec};

use flate2::{Decompress, FlushDecompress, Status};

use super::{
    budget::{Budget, Lease},
    history::History,
};
use crate::{
    Chunk, CompressedChunk, DeflateWindow, Message, MessageKind, ProtocolError, Utf8Stream,
    utf8::validate,
};

/// Inflates the compressed messages of one connection, piece by piece.
///
/// Between messages it keeps what the peer may still refer to, which is
/// nothing without context takeover: an inflater that [is
/// idle](Self::is_idle) may be dropped and made anew. All else is lent by an
/// [`InflatePool`] while a message is received.
///
/// Text is validated as it comes out; limits are checked at each piece of
/// output, so what an expansion bomb costs is one piece.
///
/// ```
/// use ws_proto::{
///     Chunk, DeflateWindow, Event, Inbound, InflatePool, Inflater, Limits, Message, Receiver,
/// };
///
/// let limits = Limits::default();
/// let mut pool = InflatePool::default(); // one for all connections of a loop
/// let mut rx = Receiver::new(Inbound::RequireUnmasked, limits).accept_compressed(true);
/// let mut inflater = Inflater::new(DeflateWindow::new(false, 15));
///
/// let mut wire = *b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00";
/// let mut input = &mut wire[..];
/// while let Some(event) = rx.receive(&mut input)? {
///     if let Event::Compressed(mut piece) = event {
///         while let Some(chunk) = inflater.inflate(&mut piece, limits.max_message, &mut pool)? {
///             // As a `Chunk` that came plain: for a handler, or an `Assembler`.
///             assert_eq!(chunk.data, Message::Text("Hello"));
///             assert!(chunk.first && chunk.last);
///         }
///     }
/// }
/// # Ok::<(), ws_proto::ProtocolError>(())
/// ```
#[derive(Debug)]
pub struct Inflater {
    /// The message that is open.
    open: Option<Box<Stream>>,
    history: Option<Box<History>>,
    window: DeflateWindow,
}

/// Lends [`Inflater`]s the memory that inflating takes; one serves all
/// connections of a loop or a thread.
///
/// It holds one DEFLATE decoder of about 48 KiB and 66 KiB to inflate into, and
/// neither before they are first needed.
#[derive(Debug, Default)]
pub struct InflatePool {
    config: InflateConfig,
    spare: Option<Box<Stream>>,
    scratch: Vec<u8>,
}

/// How much inflating may cost, beside the `max_message` of each connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InflateConfig {
    /// The most bytes that one compressed byte may become, over a message that
    /// is longer than 64 KiB; judged at each piece of output. By default there
    /// is no limit but the 1,032 that DEFLATE reaches: long runs of zeros are
    /// as legal as they are dense.
    pub max_ratio: u32,
    /// The most memory for what peers may still refer to and for messages that
    /// are not finished, over all connections that share it; 256 MiB by
    /// default.
    pub budget: Budget,
}

impl Default for InflateConfig {
    fn default() -> Self {
        Self {
            max_ratio: u32::MAX,
            budget: Budget::new(256 * 1024 * 1024),
        }
    }
}

impl InflatePool {
    /// Makes an empty pool.
    #[must_use]
    pub const fn new(config: InflateConfig) -> Self {
        Self {
            config,
            spare: None,
            scratch: Vec::new(),
        }
    }

    /// Returns the limits.
    #[must_use]
    pub const fn config(&self) -> &InflateConfig {
        &self.config
    }

    /// Gives all memory back to the allocator, for a loop that has nothing to
    /// do for a while.
    pub fn shrink(&mut self) {
        self.spare = None;
        self.scratch = Vec::new();
    }

    fn take(&mut self) -> Result<Box<Stream>, ProtocolError> {
        match self.spare.take() {
            Some(stream) => Ok(stream),
            None => Ok(Box::new(Stream::new(self.config.budget.lease(STREAM)?))),
        }
    }
}

impl Inflater {
    /// Starts right after the opening handshake, with the window that the peer
    /// compresses with.
    #[must_use]
    pub const fn new(window: DeflateWindow) -> Self {
        Self {
            open: None,
            history: None,
            window,
        }
    }

    /// Inflates the next part of `piece`, as much as one chunk holds, and moves
    /// it on past what was used; `None` once all of it is. The chunks of a
    /// message have exactly one first and one last, as those of a plain one.
    ///
    /// A caller may stop between chunks and go on later with what is left of
    /// the piece; before the next piece it must have come to `None`.
    /// `max_message` is [`Limits::max_message`](crate::Limits): what is equal
    /// to it passes.
    ///
    /// # Errors
    ///
    /// [`ProtocolError::DeflateData`], [`ProtocolError::TextNotUtf8`],
    /// [`ProtocolError::MessageTooBig`], [`ProtocolError::ExpansionTooBig`] or
    /// [`ProtocolError::InflateBudget`]. The connection is to fail:
    /// [`Receiver::refuse`](crate::Receiver::refuse) stops its receiver.
    pub fn inflate<'p>(
        &mut self,
        piece: &mut CompressedChunk<'_>,
        max_message: u64,
        pool: &'p mut InflatePool,
    ) -> Result<Option<Chunk<'p>>, ProtocolError> {
        if piece.first {
            piece.first = false;
            self.begin(pool)?;
        }
        let Some(mut stream) = self.open.take() else {
            return Ok(None);
        };
        pool.scratch.resize(SCRATCH, 0);
        let mut len = stream.utf8.take_split(&mut pool.scratch);
        let last = self.fill(&mut stream, piece, max_message, &mut pool.scratch, &mut len);
        let inflated = &pool.scratch[..len];
        let data = match piece.kind {
            //= RFC7692-6.1-6
            MessageKind::Text => Message::Text(
                // Before the error that came behind it, if any did.
                if last == Ok(true) {
                    validate(inflated)
                } else {
                    stream.utf8.push_whole(inflated)
                }
                .map_err(|_| ProtocolError::TextNotUtf8)?,
            ),
            MessageKind::Binary => Message::Binary(inflated),
        };
        let last = last?;
        stream.check_ratio(pool.config.max_ratio)?;
        if data.is_empty() && !last {
            self.open = Some(stream);
            return Ok(None);
        }
        let first = !core::mem::replace(&mut stream.begun, true);
        if last {
            pool.spare = Some(stream);
        } else {
            self.open = Some(stream);
        }
        Ok(Some(Chunk { data, first, last }))
    }

    /// Tells whether nothing is held: an inflater that is made anew from the
    /// same window would go on just the same.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        self.open.is_none() && self.history.is_none()
    }

    /// Returns the window that the peer compresses with.
    #[must_use]
    pub const fn window(&self) -> DeflateWindow {
        self.window
    }

    /// Takes a decoder and shows it what the message may refer to.
    fn begin(&mut self, pool: &mut InflatePool) -> Result<(), ProtocolError> {
        let mut stream = pool.take()?;
        stream.begin();
        stream.remember(self.history.as_deref())?;
        self.open = Some(stream);
        Ok(())
    }

    /// Fills `scratch`, of which `len` bytes are full, until there is no more
    /// to inflate of the piece, or no room; `true` at the end of the message.
    fn fill(
        &mut self,
        stream: &mut Stream,
        piece: &mut CompressedChunk<'_>,
        max_message: u64,
        scratch: &mut [u8],
        len: &mut usize,
    ) -> Result<bool, ProtocolError> {
        let mut recorded = *len;
        let last = loop {
            // Only a block of the last kind ends where it ends, without a tail.
            if piece.data.is_empty() && piece.last && stream.ended {
                break true;
            }
            // One byte more than is allowed shows that there is more.
            let left = max_message.saturating_sub(stream.len);
            let room = (scratch.len() - *len) as u64;
            let room = room.min(left.saturating_add(1)) as usize;
            let end = *len + room;
            let status = stream.inflate(piece, &mut scratch[..end], len);
            // First, so that which of two errors is told does not depend on
            // how much is inflated at once.
            //= RFC6455-10.4-1, RFC6455-10.4-2
            if stream.len > max_message {
                return Err(ProtocolError::MessageTooBig {
                    len: stream.len,
                    limit: max_message,
                });
            }
            let in_tail = stream.tail > 0;
            match status? {
                Status::StreamEnd if in_tail => {
                    stream.check_end()?;
                    break true;
                }
                //= RFC7692-7.2.1-2, RFC7692-7.2.1-3
                Status::StreamEnd => {
                    self.record(&scratch[recorded..*len], stream.lease.budget())?;
                    recorded = *len;
                    stream.restart();
                    stream.remember(self.history.as_deref())?;
                }
                _ if *len == end => break false,
                // There is room, so everything that was offered is used.
                _ if in_tail => return Err(ProtocolError::DeflateData),
                _ if !piece.last => break false,
                _ => {}
            }
        };
        self.record(&scratch[recorded..*len], stream.lease.budget())?;
        Ok(last)
    }

    /// Keeps what the peer may refer to.
    fn record(&mut self, inflated: &[u8], budget: &Budget) -> Result<(), ProtocolError> {
        //= RFC7692-7.2.2-2, RFC7692-7.2.2-4
        if !self.window.takes_over() || inflated.is_empty() {
            return Ok(());
        }
        //= RFC7692-7.2.2-3, RFC7692-7.2.2-5, RFC7692-7.2.2-6
        let history = match &mut self.history {
            Some(history) => history,
            none => none.insert(Box::new(History::new(budget)?)),
        };
        history.extend(inflated, self.window.size())
    }
}

/// A decoder, and how far the message is that it inflates.
#[derive(Debug)]
struct Stream {
    inflate: Decompress,
    /// Bytes that came out so far.
    len: u64,
    /// Compressed bytes that went in so far.
    used: u64,
    utf8: Utf8Stream,
    /// How much of the tail went in.
    tail: usize,
    /// Whether the last byte that went in ended a block of the last kind.
    ended: bool,
    /// Whether a chunk was handed out.
    begun: bool,
    lease: Lease,
}

impl Stream {
    fn new(lease: Lease) -> Self {
        Self {
            // Any window is inflated with the largest: the history is what
            // bounds how far back there is something to refer to.
            inflate: Decompress::new(false),
            len: 0,
            used: 0,
            utf8: Utf8Stream::new(),
            tail: 0,
            ended: false,
            begun: false,
            lease,
        }
    }

    fn begin(&mut self) {
        self.inflate.reset(false);
        self.len = 0;
        self.used = 0;
        self.utf8 = Utf8Stream::new();
        self.tail = 0;
        self.ended = false;
        self.begun = false;
    }

    /// Goes on behind a block of the last kind, as if it had been another.
    fn restart(&mut self) {
        self.inflate.reset(false);
        self.ended = true;
    }

    fn remember(&mut self, history: Option<&History>) -> Result<(), ProtocolError> {
        let parts = history.map_or([&[][..]; 2], History::parts);
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            self.inflate
                .set_dictionary(part)
                .map_err(|_| ProtocolError::DeflateData)?;
        }
        Ok(())
    }

    /// Inflates what is left of the piece, or of the tail once the message is
    /// used up, to `out`, of which `len` bytes are full. What comes out before
    /// an error counts, too.
    fn inflate(
        &mut self,
        piece: &mut CompressedChunk<'_>,
        out: &mut [u8],
        len: &mut usize,
    ) -> Result<Status, ProtocolError> {
        let (used, given) = (self.inflate.total_in(), self.inflate.total_out());
        //= RFC7692-7.2.2-1, RFC7692-7.2.3-1
        let in_tail = piece.data.is_empty() && piece.last;
        let input = if in_tail {
            &TAIL[self.tail..]
        } else {
            piece.data
        };
        let status = self
            .inflate
            .decompress(input, &mut out[*len..], FlushDecompress::None);
        let used = self.inflate.total_in() - used;
        let given = self.inflate.total_out() - given;
        *len += given as usize;
        self.len += given;
        if in_tail {
            self.tail += used as usize;
        } else {
            piece.data = &piece.data[used as usize..];
            self.used += used;
            self.ended &= used == 0;
        }
        status.map_err(|_| ProtocolError::DeflateData)
    }

    /// Judges whether the message ended with a whole block.
    fn check_end(&self) -> Result<(), ProtocolError> {
        if self.tail == TAIL.len() {
            Ok(())
        } else {
            Err(ProtocolError::DeflateData)
        }
    }

    //= RFC6455-10.4-1
    fn check_ratio(&self, limit: u32) -> Result<(), ProtocolError> {
        let allowed = self.used.saturating_mul(limit.into());
        if self.len > SCRATCH as u64 && self.len > allowed {
            return Err(ProtocolError::ExpansionTooBig { limit });
        }
        Ok(())
    }
}

/// What follows the compressed bytes: the tail that the sender removed, and an
/// empty block of the last kind, at whose end the decoder must come out.
/// Anything else means that the message broke off.
const TAIL: [u8; 9] = [0x00, 0x00, 0xff, 0xff, 0x01, 0x00, 0x00, 0xff, 0xff];

/// The size of a chunk: a message of 64 KiB comes as one, with room to see that
/// it ended.
const SCRATCH: usize = 66 * 1024;

/// About what a decoder takes.
const STREAM: usize = 48 * 1024;

//! Inflating what a peer sent (RFC 7692 section 7.2.2).

use alloc::{boxed::Box, sync::Arc, vec::Vec};

use flate2::Status;

use super::{
    budget::Budget,
    history::History,
    kept::{Kept, Place},
    open::{Decoder, OpenMessage, SCRATCH},
};
use crate::{
    Chunk, CompressedChunk, ConfigError, DeflateWindow, Message, MessageKind, ProtocolError,
    utf8::validate,
};

/// Inflates the compressed messages of one connection, piece by piece.
///
/// Between messages it keeps what the peer may still refer to, which is
/// nothing without context takeover: an inflater that [is
/// idle](Self::is_idle) may be dropped and made anew. All else is lent by an
/// [`InflatePool`] while it works, and of a message that is not finished it
/// keeps the first 1 KiB as it came. Only a longer one, or one that has made
/// more than 16 KiB of less, keeps a decoder of 48 KiB until it ends.
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
    /// `None` while nothing is kept.
    kept: Option<Arc<Place>>,
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
    spare: Option<Box<Decoder>>,
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
    /// default. Over it, those go that hold most and move least: see
    /// [`Budget`].
    pub budget: Budget,
}

impl InflateConfig {
    /// Checks that neither limit is 0.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the first field whose value is not allowed.
    pub fn check(&self) -> Result<(), ConfigError> {
        ConfigError::check_number("inflate.max_ratio", self.max_ratio.into())?;
        ConfigError::check_number("inflate.budget", self.budget.limit() as u64)
    }
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
}

impl Inflater {
    /// Starts right after the opening handshake, with the window that the peer
    /// compresses with.
    #[must_use]
    pub const fn new(window: DeflateWindow) -> Self {
        Self { kept: None, window }
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
        let InflatePool {
            config,
            spare,
            scratch,
        } = pool;
        let budget = &config.budget;
        let mut kept = self.take(budget)?;
        let input = piece.data;
        let mut message = match kept.message.take() {
            _ if piece.first => OpenMessage::new(),
            Some(message) => *message,
            None => {
                self.put(kept, 0, budget);
                return Ok(None);
            }
        };
        piece.first = false;
        let was_parked = message.decoder.is_none();
        if was_parked && input.is_empty() && !piece.last {
            kept.message = Some(Box::new(message));
            self.put(kept, 0, budget);
            return Ok(None);
        }
        scratch.resize(SCRATCH, 0);
        let (mut decoder, given) = match message.decoder.take() {
            Some(decoder) => (decoder, 0),
            None => {
                let mut decoder = match spare.take() {
                    Some(decoder) => decoder,
                    None => Box::new(Decoder::new(budget)?),
                };
                decoder.start(kept.history.as_ref())?;
                let given = message.replay(&mut decoder, scratch)?;
                (decoder, given)
            }
        };
        // The start of a character stands at the end of what is replayed.
        let split = message.utf8.take_split(&mut scratch[given..]);
        let start = given.saturating_sub(split);
        let mut past = Past {
            history: &mut kept.history,
            window: self.window,
            budget,
        };
        let mut output = Output {
            scratch,
            len: given.max(split),
            recorded: if given > 0 { 0 } else { split },
        };
        let last = fill(
            &mut message,
            &mut decoder,
            &mut past,
            piece,
            max_message,
            &mut output,
        );
        let Output {
            scratch,
            len,
            recorded,
        } = output;
        let scratch: &'p [u8] = scratch;
        let inflated = &scratch[start..len];
        let data = match piece.kind {
            //= RFC7692-6.1-6
            MessageKind::Text => Message::Text(
                // Before the error that came behind it, if any did.
                if last == Ok(true) {
                    validate(inflated)
                } else {
                    message.utf8.push_whole(inflated)
                }
                .map_err(|_| ProtocolError::TextNotUtf8)?,
            ),
            MessageKind::Binary => Message::Binary(inflated),
        };
        let last = last?;
        message.check_ratio(config.max_ratio)?;
        let received = &input[..input.len() - piece.data.len()];
        let parks = !last && was_parked && message.may_park();
        if parks {
            message.park(received, budget)?;
        } else {
            past.record(&scratch[recorded..len])?;
            message.unpark();
        }
        let is_said = last || !data.is_empty();
        let first = is_said && !core::mem::replace(&mut message.begun, true);
        if last || parks {
            *spare = Some(decoder);
        } else {
            message.decoder = Some(decoder);
        }
        if !last {
            kept.message = Some(Box::new(message));
        }
        self.put(kept, received.len() as u64, budget);
        Ok(is_said.then_some(Chunk { data, first, last }))
    }

    /// Tells whether nothing is held: an inflater that is made anew from the
    /// same window would go on just the same.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        self.kept.is_none()
    }

    /// Returns the window that the peer compresses with.
    #[must_use]
    pub const fn window(&self) -> DeflateWindow {
        self.window
    }

    /// Takes out what is kept, unless the budget has taken it away.
    fn take(&self, budget: &Budget) -> Result<Kept, ProtocolError> {
        match &self.kept {
            None => Ok(Kept::default()),
            Some(place) => place.take(budget),
        }
    }

    /// Keeps what is left after `received` more compressed bytes.
    fn put(&mut self, kept: Kept, received: u64, budget: &Budget) {
        if kept.is_empty() {
            self.kept = None;
            return;
        }
        let place = self.kept.get_or_insert_with(|| Place::new(budget));
        place.put(kept, received, budget);
    }
}

/// What the rest of a message may refer to.
struct Past<'a> {
    history: &'a mut Option<History>,
    window: DeflateWindow,
    budget: &'a Budget,
}

/// What comes out.
struct Output<'a> {
    scratch: &'a mut [u8],
    /// How much of it is full.
    len: usize,
    /// How much of that may be referred to, or came before.
    recorded: usize,
}

impl Past<'_> {
    /// Keeps what the peer may refer to.
    fn record(&mut self, inflated: &[u8]) -> Result<(), ProtocolError> {
        //= RFC7692-7.2.2-2, RFC7692-7.2.2-4
        if !self.window.takes_over() || inflated.is_empty() {
            return Ok(());
        }
        //= RFC7692-7.2.2-3, RFC7692-7.2.2-5, RFC7692-7.2.2-6
        let history = match &mut *self.history {
            Some(history) => history,
            none => none.insert(History::new(self.budget)?),
        };
        history.extend(inflated, self.window.size())
    }
}

/// Fills the output until there is no more to inflate of the piece, or no room;
/// `true` at the end of the message.
fn fill(
    message: &mut OpenMessage,
    decoder: &mut Decoder,
    past: &mut Past<'_>,
    piece: &mut CompressedChunk<'_>,
    max_message: u64,
    output: &mut Output<'_>,
) -> Result<bool, ProtocolError> {
    loop {
        // Only a block of the last kind ends where it ends, without a tail.
        if piece.data.is_empty() && piece.last && message.ended {
            return Ok(true);
        }
        // One byte more than is allowed shows that there is more.
        let left = max_message.saturating_sub(message.len);
        let room = (output.scratch.len() - output.len) as u64;
        let room = room.min(left.saturating_add(1)) as usize;
        let end = output.len + room;
        let out = &mut output.scratch[..end];
        let status = message.inflate(decoder, piece, out, &mut output.len);
        // First, so that which of two errors is told does not depend on
        // how much is inflated at once.
        //= RFC6455-10.4-1, RFC6455-10.4-2
        if message.len > max_message && !fault!("inflated-unlimited") {
            return Err(ProtocolError::MessageTooBig {
                len: message.len,
                limit: max_message,
            });
        }
        let in_tail = message.tail > 0;
        match status? {
            Status::StreamEnd if in_tail => {
                message.check_end()?;
                return Ok(true);
            }
            //= RFC7692-7.2.1-2, RFC7692-7.2.1-3
            Status::StreamEnd => {
                past.record(&output.scratch[output.recorded..output.len])?;
                output.recorded = output.len;
                message.restart();
                decoder.start(past.history.as_ref())?;
            }
            _ if output.len == end => return Ok(false),
            // There is room, so everything that was offered is used.
            _ if in_tail => return Err(ProtocolError::DeflateData),
            _ if !piece.last => return Ok(false),
            _ => {}
        }
    }
}

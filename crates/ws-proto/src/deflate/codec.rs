//! Both directions of one connection.

use super::{DeflatePool, DeflateWindow, Deflater, InflatePool, Inflater};
use crate::{
    Chunk, CompressedChunk, MaskingPolicy, Message, MessageKind, OutFrame, Prepared, ProtocolError,
    SendError, Sender,
};

/// permessage-deflate of one connection: an [`Inflater`] for what it receives,
/// a [`Deflater`] for what it sends, and the piece that was received and is not
/// inflated yet.
///
/// The memory that the work takes is in the pools, which the caller lends to
/// each call: an [`InflatePool`] and a [`DeflatePool`] serve all connections of
/// a loop or a thread. Between messages a codec holds what the peer may still
/// refer to, and nothing else; one that [is idle](Self::is_idle) may be dropped
/// and made anew.
///
/// Without the feature `deflate` this type has no values.
///
/// # Receiving
///
/// A piece stays where it lies in the input, unmasked, until it is inflated:
/// the caller [notes](Self::hold) it, puts its bytes back in front of the rest
/// of the input, and then asks for chunks until there is none. It may stop
/// between two chunks.
///
/// ```
/// use ws_proto::{DeflateCodec, Event, Inbound, InflatePool, Limits, Message, Receiver};
///
/// let mut pool = InflatePool::default(); // one for all connections of a loop
/// let limits = Limits::default();
/// let mut rx = Receiver::new(Inbound::RequireUnmasked, limits).accept_compressed(true);
/// let (is_client, windows) = (true, [(false, 15), (false, 15)]);
/// let mut codec = DeflateCodec::negotiated(is_client, Some(windows)).unwrap();
///
/// let mut wire = *b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00";
/// let mut input = &mut wire[..];
/// let Some(Event::Compressed(piece)) = rx.receive(&mut input)? else {
///     panic!("it is compressed");
/// };
/// codec.hold(&piece);
/// let (len, rest) = (piece.data.len(), input.len());
/// let mut input = &wire[wire.len() - rest - len..];
/// while let Some(chunk) = codec.inflate(&mut input, limits.max_message, &mut pool)? {
///     assert_eq!(chunk.data, Message::Text("Hello"));
/// }
/// assert!(input.is_empty() && !codec.is_inflating());
/// # Ok::<(), ws_proto::ProtocolError>(())
/// ```
#[derive(Debug)]
pub struct DeflateCodec {
    inflater: Inflater,
    deflater: Deflater,
    held: Option<Held>,
    /// Whether the message that is sent in fragments is compressed.
    is_open_compressed: bool,
}

/// A piece of a compressed message, whose bytes are the first of the input.
#[derive(Clone, Copy, Debug)]
struct Held {
    kind: MessageKind,
    len: usize,
    first: bool,
    last: bool,
}

impl DeflateCodec {
    /// Starts right after the opening handshake, with what was negotiated for
    /// the server and for the client: whether it has no context takeover, and
    /// the base-2 logarithm of its window, 8 to 15. `None` if nothing was
    /// negotiated, and in every build without the feature.
    ///
    /// A server compresses with the first and inflates with the second, and a
    /// client the other way round.
    #[must_use]
    pub const fn negotiated(is_client: bool, windows: Option<[(bool, u8); 2]>) -> Option<Self> {
        let (sends, receives) = match (is_client, windows) {
            (_, None) => return None,
            (false, Some([server, client])) => (server, client),
            (true, Some([server, client])) => (client, server),
        };
        Some(Self::with_windows(
            DeflateWindow::new(sends.0, sends.1),
            DeflateWindow::new(receives.0, receives.1),
        ))
    }

    const fn with_windows(sends: DeflateWindow, receives: DeflateWindow) -> Self {
        Self {
            inflater: Inflater::new(receives),
            deflater: Deflater::new(sends),
            held: None,
            is_open_compressed: false,
        }
    }

    /// Takes the codec out, and leaves one as it was after the opening
    /// handshake, which holds no memory.
    #[must_use]
    pub const fn take(&mut self) -> Self {
        let fresh = Self::with_windows(self.deflater.window(), self.inflater.window());
        core::mem::replace(self, fresh)
    }

    /// Returns how many bytes of memory are held for an unfinished message that we send: see
    /// [`Deflater::held`]. What is held of received ones counts into [`Budget`](crate::Budget).
    #[must_use]
    pub const fn held(&self) -> usize {
        self.deflater.held()
    }

    /// Tells whether a codec that is made anew would do as well: nothing is
    /// held, and no pool remembers a window for it.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        self.held.is_none()
            && self.inflater.is_idle()
            && self.deflater.is_idle()
            && !self.deflater.is_worn()
    }
}

/// Receiving.
impl DeflateCodec {
    /// Notes a piece that was received. Its bytes are to be the first of the
    /// input that [`inflate`](Self::inflate) is given next.
    pub const fn hold(&mut self, piece: &CompressedChunk<'_>) {
        self.held = Some(Held {
            kind: piece.kind,
            len: piece.data.len(),
            first: piece.first,
            last: piece.last,
        });
    }

    /// Tells whether a piece was received that is not inflated yet.
    #[must_use]
    pub const fn is_inflating(&self) -> bool {
        self.held.is_some()
    }

    /// Inflates the next chunk of the piece that `input` begins with, and moves
    /// `input` on past what was used; `None` once there is nothing more of the
    /// piece, or if there is none.
    ///
    /// # Errors
    ///
    /// As [`Inflater::inflate`]; then nothing of the piece is left.
    pub fn inflate<'p>(
        &mut self,
        input: &mut &[u8],
        max_message: u64,
        pool: &'p mut InflatePool,
    ) -> Result<Option<Chunk<'p>>, ProtocolError> {
        let Some(held) = self.held.take() else {
            return Ok(None);
        };
        let (data, behind) = input.split_at(held.len.min(input.len()));
        let mut piece = CompressedChunk {
            kind: held.kind,
            data,
            first: held.first,
            last: held.last,
        };
        let chunk = self.inflater.inflate(&mut piece, max_message, pool);
        match &chunk {
            Ok(Some(chunk)) if !chunk.last => {
                self.hold(&piece);
                *input = &input[data.len() - piece.data.len()..];
            }
            // The end of a message is the end of its last piece.
            _ => *input = behind,
        }
        chunk
    }
}

/// Sending.
impl DeflateCodec {
    /// Makes the frame of a whole message, as [`Deflater::message`].
    ///
    /// # Errors
    ///
    /// As [`Deflater::message`].
    pub fn message<'a, P: MaskingPolicy>(
        &mut self,
        sender: &mut Sender<P>,
        message: Message<'a>,
        pool: &'a mut DeflatePool,
    ) -> Result<OutFrame<'a>, SendError> {
        self.deflater.message(sender, message, pool)
    }

    /// Makes the frame of the next fragment of a message. If its first fragment
    /// may be compressed, all of it is; one that may not be compressed never
    /// is, so that between compressed ones it is refused.
    ///
    /// # Errors
    ///
    /// As [`Deflater::fragment`].
    pub fn fragment<'a, P: MaskingPolicy>(
        &mut self,
        sender: &mut Sender<P>,
        fragment: Message<'a>,
        last: bool,
        may_compress: bool,
        pool: &'a mut DeflatePool,
    ) -> Result<OutFrame<'a>, SendError> {
        if !sender.is_message_open() {
            self.is_open_compressed = may_compress;
        }
        match self.is_open_compressed && may_compress {
            true => self.deflater.fragment(sender, fragment, last, pool),
            false => sender.fragment(fragment, last),
        }
    }

    /// Makes the frame of a message that was encoded before, as
    /// [`Deflater::prepared`]: `prepared` keeps the compressed form.
    ///
    /// # Errors
    ///
    /// As [`Deflater::prepared`].
    pub fn prepared<'a, P: MaskingPolicy>(
        &mut self,
        sender: &mut Sender<P>,
        prepared: &'a mut Prepared,
        pool: &'a mut DeflatePool,
    ) -> Result<OutFrame<'a>, SendError> {
        self.deflater.prepared(sender, prepared, pool)
    }

    /// Makes the frame of a message that was encoded before, of which others
    /// may be sent a clone: the pool keeps the compressed forms of the last
    /// four such messages, until it is [swept](DeflatePool::sweep).
    ///
    /// # Errors
    ///
    /// As [`Deflater::prepared`].
    pub fn shared<'a, P: MaskingPolicy>(
        &mut self,
        sender: &mut Sender<P>,
        prepared: &Prepared,
        pool: &'a mut DeflatePool,
    ) -> Result<OutFrame<'a>, SendError> {
        sender.check_message()?;
        let mut kept = pool.take_shared(prepared);
        let made = kept.deflate(self.deflater.window(), pool);
        let kept = pool.keep_shared(kept);
        made?;
        self.deflater.of_prepared(sender, kept)
    }

    /// Says that the frame which was compressed last is not sent, or that
    /// nothing may refer to it: see [`Deflater::forget`].
    pub const fn forget(&mut self) {
        self.deflater.forget();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DeflateConfig, ServerMasking};

    fn codec(is_client: bool, windows: [(bool, u8); 2]) -> DeflateCodec {
        DeflateCodec::negotiated(is_client, Some(windows)).unwrap()
    }

    fn server() -> (Sender<ServerMasking>, DeflateCodec, DeflatePool) {
        (
            Sender::new(ServerMasking::new()),
            codec(false, [(false, 15); 2]),
            DeflatePool::new(DeflateConfig::default()),
        )
    }

    #[test]
    fn nothing_negotiated_is_no_codec() {
        assert!(DeflateCodec::negotiated(true, None).is_none());
    }

    #[test]
    fn windows_are_those_of_the_role() {
        let windows = [(true, 9), (false, 12)];
        let (server, client) = (codec(false, windows), codec(true, windows));
        assert_eq!(server.deflater.window(), DeflateWindow::new(true, 9));
        assert_eq!(server.inflater.window(), DeflateWindow::new(false, 12));
        assert_eq!(client.deflater.window(), server.inflater.window());
        assert_eq!(client.inflater.window(), server.deflater.window());
    }

    #[test]
    fn clones_of_a_prepared_message_find_its_forms_until_the_sweep() {
        let text = "so it goes, ".repeat(100);
        let message = Prepared::new(Message::Text(&text));
        let window = DeflateWindow::new(false, 15);
        let (mut sender, mut codec, mut pool) = server();
        for is_known in [false, true, false] {
            let kept = pool.take_shared(&message);
            assert_eq!(kept.deflated_frame(window).is_some(), is_known);
            pool.keep_shared(kept);
            let frame = codec.shared(&mut sender, &message.clone(), &mut pool);
            assert!(frame.unwrap().len() < 50);
            if is_known {
                pool.sweep();
            }
        }
    }

    #[test]
    fn pool_keeps_the_forms_of_the_last_four_messages() {
        let (mut sender, mut codec, mut pool) = server();
        let window = DeflateWindow::new(false, 15);
        let messages = [b'a', b'b', b'c', b'd', b'e'].map(|byte| {
            let message = Prepared::new(Message::Binary(&[byte; 300]));
            let frame = codec.shared(&mut sender, &message, &mut pool);
            assert!(frame.unwrap().is_compressed());
            message
        });
        let known =
            messages.map(|message| pool.take_shared(&message).deflated_frame(window).is_some());
        assert_eq!(known, [false, true, true, true, true]);
    }

    #[test]
    fn fragments_go_as_the_first_does_and_none_is_compressed_that_may_not_be() {
        let fragment = Message::Binary(&[7; 300]);
        for (first, second) in [(false, false), (false, true), (true, false), (true, true)] {
            let (mut sender, mut codec, mut pool) = server();
            let begun = codec.fragment(&mut sender, fragment, false, first, &mut pool);
            assert_eq!(begun.unwrap().is_compressed(), first);
            let next = codec.fragment(&mut sender, fragment, true, second, &mut pool);
            assert_eq!(next.is_err(), first && !second, "{first}, then {second}");
            if let Ok(frame) = next {
                assert_eq!(frame.len() < 300, first, "{first}, then {second}");
            }
        }
    }
}

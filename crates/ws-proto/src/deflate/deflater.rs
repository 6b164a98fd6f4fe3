//! Compressing what is sent (RFC 7692 section 7.2.1).

use alloc::boxed::Box;

use super::pool::{DeflatePool, Stream, Ticket};
use crate::{
    DeflateWindow, MaskingPolicy, Message, MessageKind, OutFrame, Prepared, SendError, Sender,
};

/// Compresses what one connection sends.
///
/// Its methods stand where those of [`Sender`] do for plain messages, and
/// return the same frames. Which messages are compressed is decided one by
/// one: what goes to the [`Sender`] itself goes out plain, as control frames
/// always do.
///
/// Between messages it holds no memory, but a name for the window that the
/// [`DeflatePool`] may remember.
///
/// A frame that it returned has to be written. If it was not, say so with
/// [`forget`](Self::forget): later messages would refer to what the peer never
/// saw.
///
/// # When not to compress
///
/// - **Secrets.** Who can add text of their choice to a message, or to one that shares its window,
///   and can see the length of what is sent, can guess a secret in it byte by byte (CRIME, BREACH;
///   RFC 7692 section 8). Send secrets plain, and never compress them beside what others wrote.
/// - **Small messages.** Below about a hundred bytes nothing is gained without context takeover;
///   `DeflateConfig::min_len` leaves them plain.
/// - **What is compressed already**: images, video, archives.
/// - **CPU.** Compressing costs tens of times what sending does.
///
/// ```
/// use ws_proto::{DeflatePool, DeflateWindow, Deflater, Message, Sender, ServerMasking};
///
/// let mut pool = DeflatePool::default(); // one for all connections of a loop
/// let mut tx = Sender::new(ServerMasking::new());
/// let mut deflater = Deflater::new(DeflateWindow::new(true, 15));
///
/// let text = "so it goes, ".repeat(100);
/// let frame = deflater.message(&mut tx, Message::Text(&text), &mut pool)?;
/// assert!(frame.len() < 40);
/// # Ok::<(), ws_proto::SendError>(())
/// ```
//= RFC7692-8-1
#[derive(Debug)]
pub struct Deflater {
    /// What compresses the message that is open.
    open: Option<Box<Stream>>,
    /// Names the window of the last message in the pool.
    ticket: Option<Ticket>,
    window: DeflateWindow,
    /// Whether a message was sent.
    sent: bool,
}

impl Deflater {
    /// Starts right after the opening handshake, with the window that we may
    /// compress with.
    #[must_use]
    pub const fn new(window: DeflateWindow) -> Self {
        Self {
            open: None,
            ticket: None,
            window,
            sent: false,
        }
    }

    /// Makes the frame of a whole message, compressed.
    ///
    /// It is plain if the message is shorter than `DeflateConfig::min_len`, or
    /// if compressing it makes it no shorter and there is no context takeover.
    /// With it, such a message goes out compressed all the same: its cost is
    /// small, and the window survives.
    ///
    /// # Errors
    ///
    /// As [`Sender::message`]; nothing is compressed then.
    pub fn message<'a, P: MaskingPolicy>(
        &mut self,
        sender: &mut Sender<P>,
        message: Message<'a>,
        pool: &'a mut DeflatePool,
    ) -> Result<OutFrame<'a>, SendError> {
        //= RFC7692-6.1-2
        if message.len() < pool.config().min_len {
            return sender.message(message);
        }
        sender.check_message()?;
        let payload = self.deflate(message.as_bytes(), true, pool)?;
        if payload.len() >= message.len() && !self.window.takes_over() {
            return sender.message(message);
        }
        sender.compressed(message.kind(), payload)
    }

    /// Makes the frame of the next fragment of a compressed message, as
    /// [`Sender::fragment`] does of a plain one. The peer can inflate all of a
    /// fragment when it has it.
    ///
    /// # Errors
    ///
    /// As [`Sender::fragment`], and [`SendError::CompressionChanged`] if the
    /// message was begun plain; nothing is compressed then.
    pub fn fragment<'a, P: MaskingPolicy>(
        &mut self,
        sender: &mut Sender<P>,
        fragment: Message<'_>,
        last: bool,
        pool: &'a mut DeflatePool,
    ) -> Result<OutFrame<'a>, SendError> {
        self.fragment_bytes(sender, fragment.kind(), fragment.as_bytes(), last, pool)
    }

    /// Makes the frame of the next fragment, as [`fragment`](Self::fragment)
    /// does, of bytes: fragments of text may end inside a character.
    ///
    /// # Errors
    ///
    /// As [`fragment`](Self::fragment), and [`SendError::TextNotUtf8`] at the
    /// first byte that cannot be part of valid text.
    pub fn fragment_bytes<'a, P: MaskingPolicy>(
        &mut self,
        sender: &mut Sender<P>,
        kind: MessageKind,
        bytes: &[u8],
        last: bool,
        pool: &'a mut DeflatePool,
    ) -> Result<OutFrame<'a>, SendError> {
        sender.check_compressed_fragment(kind)?;
        sender.check_text(kind, bytes, last)?;
        let payload = self.deflate(bytes, last, pool)?;
        sender.compressed_fragment(kind, payload, last)
    }

    /// Makes the frame of a message that was encoded before: its compressed
    /// form, which is made at the first need and serves all connections with
    /// the same size of window.
    ///
    /// That form refers to nothing before it. With context takeover the window
    /// of this connection starts anew after it.
    ///
    /// # Errors
    ///
    /// As [`Sender::message`]; nothing is compressed then.
    pub fn prepared<'a, P: MaskingPolicy>(
        &mut self,
        sender: &mut Sender<P>,
        prepared: &'a mut Prepared,
        pool: &mut DeflatePool,
    ) -> Result<OutFrame<'a>, SendError> {
        sender.check_message()?;
        prepared.deflate(self.window, pool)?;
        self.of_prepared(sender, prepared)
    }

    /// Makes the frame of a message that has its compressed form, if it is to
    /// have one.
    pub(super) fn of_prepared<'a, P: MaskingPolicy>(
        &mut self,
        sender: &mut Sender<P>,
        prepared: &'a Prepared,
    ) -> Result<OutFrame<'a>, SendError> {
        let kind = prepared.kind();
        match prepared.deflated_payload(self.window) {
            Some(payload) => {
                self.forget();
                sender.compressed(kind, payload)
            }
            None => sender.prepared(prepared),
        }
    }

    /// Compresses the bytes of a message, or of its next fragment, and returns
    /// the payload of its frame, for [`Sender::compressed`] or
    /// [`Sender::compressed_fragment`]: what the other methods do, without any
    /// question asked.
    ///
    /// # Errors
    ///
    /// [`SendError::CannotCompress`], which no input leads to.
    pub fn deflate<'a>(
        &mut self,
        bytes: &[u8],
        last: bool,
        pool: &'a mut DeflatePool,
    ) -> Result<&'a [u8], SendError> {
        let mut out = core::mem::take(&mut pool.out);
        out.clear();
        let written = self.write(bytes, last, pool, &mut out);
        pool.out = out;
        written?;
        Ok(&pool.out)
    }

    /// Tells that a frame which was compressed last is not sent, or that what
    /// comes next may not be related to it: the next message starts with an
    /// empty window.
    pub const fn forget(&mut self) {
        self.ticket = None;
    }

    /// Tells whether no message is open. One that is idle may be dropped and
    /// made anew from the same window; that only forgets.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        self.open.is_none()
    }

    /// Returns how many bytes of memory the compressor of an unfinished message takes, by an
    /// estimate; 0 if no message is open.
    #[must_use]
    pub const fn held(&self) -> usize {
        match self.open {
            Some(_) => COMPRESSOR,
            None => 0,
        }
    }

    /// Tells whether it knows more than one that is made anew: that there were
    /// messages whose window a pool may remember.
    #[must_use]
    pub const fn is_worn(&self) -> bool {
        self.sent && self.window.takes_over()
    }

    /// Returns the window that we compress with.
    #[must_use]
    pub const fn window(&self) -> DeflateWindow {
        self.window
    }

    fn write(
        &mut self,
        bytes: &[u8],
        last: bool,
        pool: &mut DeflatePool,
        out: &mut alloc::vec::Vec<u8>,
    ) -> Result<(), SendError> {
        if !bytes.is_empty() {
            let mut stream = match self.open.take() {
                Some(stream) => stream,
                None => pool.take(self.ticket.take(), self.window.bits()),
            };
            stream.write(bytes, out)?;
            self.open = Some(stream);
        }
        if !last {
            //= RFC7692-7.2.1-4
            return Ok(());
        }
        if bytes.is_empty() {
            //= RFC7692-7.2.3.6-1
            out.push(0);
        } else {
            //= RFC7692-7.2.1-1
            out.truncate(out.len() - TAIL.len());
        }
        if let Some(stream) = self.open.take() {
            // A window is worth its memory to who sends again.
            let again = core::mem::replace(&mut self.sent, true);
            self.ticket = pool.give(stream, again && self.window.takes_over());
        }
        Ok(())
    }
}

/// What a flush ends with: an empty block without compression, but for its
/// first byte.
pub(super) const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// How much memory a compressor takes, about; its windows and tables are of one size.
const COMPRESSOR: usize = 370 * 1024;

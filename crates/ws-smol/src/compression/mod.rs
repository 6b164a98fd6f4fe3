//! permessage-deflate of one connection: what was agreed on, and what it keeps
//! for that.

mod pools;

use std::sync::Arc;

use ws_handshake::DeflateParams;
use ws_proto::{
    Chunk, CompressedChunk, DeflateWindow, Deflater, Inflater, Masking, MessageKind, OutFrame,
    ProtocolError, SendError, Sender,
};

use crate::{Config, input::Input, outgoing::Outgoing};
pub(crate) use pools::{LentDeflate, LentInflate};

/// What was agreed on, which is nothing by default: a connection without
/// compression has one word here.
#[derive(Debug)]
pub(crate) struct Compression(Option<Box<Agreed>>);

#[derive(Debug)]
struct Agreed {
    params: DeflateParams,
    inflater: Inflater,
    /// What was received and is not inflated yet.
    piece: Option<Piece>,
    deflater: Deflater,
    /// Whether the message that is sent in fragments is compressed.
    is_open_compressed: bool,
    config: Arc<Config>,
}

/// A piece of a compressed message, whose bytes are the first of the input
/// that are not parsed.
#[derive(Clone, Copy, Debug)]
struct Piece {
    kind: MessageKind,
    len: usize,
    first: bool,
    last: bool,
}

impl Compression {
    pub(crate) const fn none() -> Self {
        Self(None)
    }

    pub(crate) fn new(params: DeflateParams, masking: &Masking, config: Arc<Config>) -> Self {
        let (inflater, deflater) = start(params, masking);
        Self(Some(Box::new(Agreed {
            params,
            inflater,
            piece: None,
            deflater,
            is_open_compressed: false,
            config,
        })))
    }

    pub(crate) fn params(&self) -> Option<DeflateParams> {
        self.0.as_ref().map(|agreed| agreed.params)
    }

    /// Gives the thread's memory back once it was not used for a while.
    pub(crate) fn sweep(&self) {
        if self.0.is_some() {
            pools::sweep();
        }
    }

    /// Drops all memory, as nothing more is sent or received.
    pub(crate) fn end(&mut self, masking: &Masking) {
        if let Some(agreed) = self.0.as_deref_mut() {
            (agreed.inflater, agreed.deflater) = start(agreed.params, masking);
            agreed.piece = None;
        }
    }
}

/// Sending.
impl Compression {
    /// Makes the frame of what may be compressed; `None` for what goes out
    /// plain.
    //= RFC7692-6-4
    #[inline]
    pub(crate) fn frame<'a>(
        &mut self,
        outgoing: &Outgoing<'a>,
        sender: &mut Sender<Masking>,
        lent: &'a mut LentDeflate,
    ) -> Option<Result<OutFrame<'a>, SendError>> {
        self.0.as_deref_mut()?.frame(outgoing, sender, lent)
    }
}

impl Agreed {
    fn frame<'a>(
        &mut self,
        outgoing: &Outgoing<'a>,
        sender: &mut Sender<Masking>,
        lent: &'a mut LentDeflate,
    ) -> Option<Result<OutFrame<'a>, SendError>> {
        match *outgoing {
            Outgoing::Message(outbound) if outbound.may_compress => {
                let pool = &mut lent.take(&self.config.deflate).pool;
                Some(self.deflater.message(sender, outbound.message, pool))
            }
            Outgoing::Fragment(outbound, last) => {
                if !sender.is_message_open() {
                    self.is_open_compressed = outbound.may_compress;
                }
                // One that may not be compressed is refused in a message that
                // is, by the sender.
                if !outbound.may_compress || !self.is_open_compressed {
                    return None;
                }
                let pool = &mut lent.take(&self.config.deflate).pool;
                let fragment = outbound.message;
                Some(self.deflater.fragment(sender, fragment, last, pool))
            }
            Outgoing::Prepared(prepared) => {
                let (prepared, pool) = lent.take(&self.config.deflate).prepared(prepared);
                Some(self.deflater.prepared(sender, prepared, pool))
            }
            _ => None,
        }
    }
}

/// Receiving.
impl Compression {
    /// Notes a piece that was received; its bytes are to be put back in front
    /// of the input.
    pub(crate) fn open(&mut self, piece: &CompressedChunk<'_>) {
        if let Some(agreed) = self.0.as_deref_mut() {
            agreed.piece = Some(Piece {
                kind: piece.kind,
                len: piece.data.len(),
                first: piece.first,
                last: piece.last,
            });
        }
    }

    /// Tells whether something was received that is not inflated yet.
    #[inline]
    pub(crate) fn is_inflating(&self) -> bool {
        matches!(&self.0, Some(agreed) if agreed.piece.is_some())
    }

    /// Lends what inflating takes if there is something to inflate.
    #[inline]
    pub(crate) fn lend_inflate(&self) -> Option<LentInflate> {
        let agreed = self.0.as_deref()?;
        agreed
            .piece
            .map(|_| LentInflate::take(&agreed.config.inflate))
    }

    /// Inflates the next chunk; `None` once there is nothing more of the piece.
    pub(crate) fn inflate<'p>(
        &mut self,
        input: &mut Input,
        pool: &'p mut LentInflate,
    ) -> Result<Option<Chunk<'p>>, ProtocolError> {
        match self.0.as_deref_mut() {
            Some(agreed) => agreed.inflate(input, pool),
            None => Ok(None),
        }
    }
}

impl Agreed {
    fn inflate<'p>(
        &mut self,
        input: &mut Input,
        pool: &'p mut LentInflate,
    ) -> Result<Option<Chunk<'p>>, ProtocolError> {
        let Some(open) = self.piece.take() else {
            return Ok(None);
        };
        let unparsed = input.unparsed();
        let behind = unparsed.len() - open.len;
        let mut piece = CompressedChunk {
            kind: open.kind,
            data: &unparsed[..open.len],
            first: open.first,
            last: open.last,
        };
        let max_message = self.config.limits.max_message;
        let chunk = self
            .inflater
            .inflate(&mut piece, max_message, pool.pool())?;
        let len = piece.data.len();
        if matches!(&chunk, Some(chunk) if !chunk.last) {
            self.piece = Some(Piece {
                len,
                first: piece.first,
                ..open
            });
        }
        input.set_left(behind + len);
        Ok(chunk)
    }
}

/// Starts with nothing sent and nothing received.
fn start(params: DeflateParams, masking: &Masking) -> (Inflater, Deflater) {
    let server = DeflateWindow::new(
        params.server_no_context_takeover,
        params.server_max_window_bits,
    );
    let client = DeflateWindow::new(
        params.client_no_context_takeover,
        params.client_max_window_bits,
    );
    match masking {
        Masking::Server(_) => (Inflater::new(client), Deflater::new(server)),
        Masking::Client(_) => (Inflater::new(server), Deflater::new(client)),
    }
}

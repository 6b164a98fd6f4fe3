//! permessage-deflate on the wire (RFC 7692): limits, takeover, and what does
//! not inflate.
//!
//! Miri takes a thousand times as long, so it has what is small of these: the
//! same code goes over each byte of what is large, and makes each compressor.

#![cfg(all(feature = "std", feature = "deflate"))]
#![cfg_attr(
    miri,
    allow(unused_imports, reason = "what is left out needs more of them")
)]

mod budget;
mod deflating;
mod inflating;

use allocation_counter::measure;
use ws_proto::{
    Assembler, Budget, Chunk, ClientMasking, CloseCode, CompressedChunk, Connection, DeflateConfig,
    DeflatePool, DeflateWindow, Deflater, Event, Inbound, InflateConfig, InflatePool, Inflater,
    Limits, Message, MessageKind, OutFrame, Prepared, ProtocolError, Receiver, SendError, Sender,
    ServerMasking,
};

const TAKEOVER: DeflateWindow = DeflateWindow::new(false, 15);
const NO_TAKEOVER: DeflateWindow = DeflateWindow::new(true, 15);

/// What inflates the messages of a connection.
struct Peer {
    inflater: Inflater,
    pool: InflatePool,
    messages: Assembler,
    max_message: u64,
}

impl Peer {
    fn new(window: DeflateWindow) -> Self {
        Self {
            inflater: Inflater::new(window),
            pool: InflatePool::default(),
            messages: Assembler::new(),
            max_message: u64::MAX,
        }
    }

    fn with_max_message(max_message: u64) -> Self {
        Self {
            max_message,
            ..Self::new(TAKEOVER)
        }
    }

    /// Inflates a message that comes in pieces.
    fn inflate<'a>(
        &mut self,
        kind: MessageKind,
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Vec<u8>, ProtocolError> {
        let mut pieces = pieces.into_iter().peekable();
        let mut first = true;
        while let Some(data) = pieces.next() {
            let last = pieces.peek().is_none();
            let mut piece = CompressedChunk {
                kind,
                data,
                first,
                last,
            };
            first = false;
            while let Some(chunk) =
                self.inflater
                    .inflate(&mut piece, self.max_message, &mut self.pool)?
            {
                if let Some(message) = self.messages.push(chunk) {
                    assert_eq!(message.kind(), kind);
                    return Ok(message.as_bytes().to_vec());
                }
            }
        }
        panic!("the last piece makes the last chunk")
    }

    fn binary(&mut self, payload: &[u8]) -> Result<Vec<u8>, ProtocolError> {
        self.inflate(MessageKind::Binary, [payload])
    }

    fn text(&mut self, payload: &[u8]) -> Result<Vec<u8>, ProtocolError> {
        self.inflate(MessageKind::Text, [payload])
    }
}

fn pool(level: u32, min_len: usize, max_live: usize) -> DeflatePool {
    let mut config = DeflateConfig::default();
    config.level = level;
    config.min_len = min_len;
    config.max_live = max_live;
    DeflatePool::new(config)
}

fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut deflater = Deflater::new(NO_TAKEOVER);
    let mut pool = DeflatePool::default();
    deflater.deflate(bytes, true, &mut pool).unwrap().to_vec()
}

fn bytes(frame: Result<OutFrame<'_>, SendError>) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame.unwrap().append_to(&mut bytes, 0);
    bytes
}

/// What no compressor makes shorter.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1u64;
    let next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

fn whole(payload: &[u8]) -> CompressedChunk<'_> {
    CompressedChunk {
        kind: MessageKind::Binary,
        data: payload,
        first: true,
        last: true,
    }
}

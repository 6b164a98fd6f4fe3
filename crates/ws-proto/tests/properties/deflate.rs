//! permessage-deflate: any chunking, and against an inflater by others.

use miniz_oxide::inflate::{
    TINFLStatus,
    core::{DecompressorOxide, decompress, inflate_flags},
};
use ws_proto::{
    Assembler, Chunk, CompressedChunk, DeflateConfig, DeflatePool, DeflateWindow, Deflater, Event,
    Inbound, InflatePool, Inflater, Limits, Message, MessageKind, Prepared, ProtocolError,
    Receiver, Sender, ServerMasking,
};

/// Messages that came whole, and the error that ended it.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    got: Vec<(MessageKind, Vec<u8>)>,
    error: Option<ProtocolError>,
}

/// An endpoint that agreed to compression, and accepts masked and unmasked
/// frames.
struct Endpoint {
    receiver: Receiver,
    inflater: Inflater,
    messages: Assembler,
    limits: Limits,
    outcome: Outcome,
}

impl Endpoint {
    fn new(window: DeflateWindow, limits: Limits) -> Self {
        Self {
            receiver: Receiver::new(Inbound::AcceptUnmasked, limits).accept_compressed(true),
            inflater: Inflater::new(window),
            messages: Assembler::new(),
            limits,
            outcome: Outcome::default(),
        }
    }

    fn receive(&mut self, input: &[u8], pool: &mut InflatePool) {
        let mut memory = input.to_vec();
        if let Err(error) = self.try_receive(&mut memory, pool) {
            self.receiver.refuse();
            self.outcome.error = Some(error);
        }
    }

    fn try_receive(
        &mut self,
        mut input: &mut [u8],
        pool: &mut InflatePool,
    ) -> Result<(), ProtocolError> {
        let Self {
            receiver,
            inflater,
            messages,
            limits,
            outcome,
        } = self;
        let mut push = |chunk: Chunk<'_>| {
            if let Some(message) = messages.push(chunk) {
                assert!(message.len() as u64 <= limits.max_message);
                let message = (message.kind(), message.as_bytes().to_vec());
                outcome.got.push(message);
            }
        };
        while let Some(event) = receiver.receive(&mut input)? {
            match event {
                Event::Data(chunk) => push(chunk),
                Event::Compressed(mut piece) => {
                    while let Some(chunk) =
                        inflater.inflate(&mut piece, limits.max_message, pool)?
                    {
                        push(chunk);
                    }
                    assert!(piece.data.is_empty());
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Whole, byte by byte, and in pieces of any size, a wire gives the same
/// messages and the same error, beside others that use the same pool.
pub fn any_chunking_inflates_alike(limits: Limits, wire: &[u8], seed: u8) {
    let seed = usize::from(seed);
    let small = if wire.len() > 4096 { 512 } else { 1 };
    let mut pool = InflatePool::default();
    for window in [DeflateWindow::new(false, 15), DeflateWindow::new(true, 8)] {
        let mut whole = Endpoint::new(window, limits);
        whole.receive(wire, &mut pool);
        let mut split = [(); 2].map(|()| Endpoint::new(window, limits));
        for piece in wire.chunks(small) {
            for endpoint in &mut split {
                endpoint.receive(piece, &mut pool);
            }
        }
        let mut uneven = Endpoint::new(window, limits);
        let (mut rest, mut i) = (wire, 0);
        while !rest.is_empty() {
            let len = small * ((i * 7 + seed) % (seed % 29 + 1)) + usize::from(i % 3 > 0);
            let (piece, after) = rest.split_at(len.min(rest.len()));
            uneven.receive(piece, &mut pool);
            (rest, i) = (after, i + 1);
        }
        for endpoint in split.iter().chain([&uneven]) {
            assert_eq!(endpoint.outcome, whole.outcome);
        }
        let idle = whole.receiver.is_idle() && !window.takes_over();
        assert!(!idle || whole.inflater.is_idle());
        drop((whole, split, uneven));
        assert!(pool.config().budget.held() <= 48 * 1024);
    }
}

/// A payload inflates to what an independent inflater makes of it, and is
/// refused where that refuses it or does not come to a clean end.
pub fn inflates_as_others_do(payload: &[u8]) {
    const TAIL: [u8; 9] = [0x00, 0x00, 0xff, 0xff, 0x01, 0x00, 0x00, 0xff, 0xff];
    let source = [payload, &TAIL].concat();
    let mut expected = vec![0; 1 << 18];
    let flags = inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
    let mut oxide = Box::<DecompressorOxide>::default();
    let (status, used, len) = decompress(&mut oxide, &source, &mut expected, 0, flags);
    expected.truncate(len);
    let ours = inflated(payload);
    match status {
        TINFLStatus::HasMoreOutput => {}
        TINFLStatus::Done if used == payload.len() || used == source.len() => {
            assert_eq!(ours, Ok(expected));
        }
        // A block of the last kind, and more behind it.
        TINFLStatus::Done if used < payload.len() => {
            assert!(ours.is_err() || ours.is_ok_and(|ours| ours.starts_with(&expected)));
        }
        _ => assert_eq!(ours, Err(ProtocolError::DeflateData)),
    }
}

fn inflated(payload: &[u8]) -> Result<Vec<u8>, ProtocolError> {
    let mut pool = InflatePool::default();
    let mut inflater = Inflater::new(DeflateWindow::new(false, 15));
    let mut piece = CompressedChunk {
        kind: MessageKind::Binary,
        data: payload,
        first: true,
        last: true,
    };
    let mut inflated = Vec::new();
    while let Some(chunk) = inflater.inflate(&mut piece, u64::MAX, &mut pool)? {
        assert_eq!(chunk.first, inflated.is_empty());
        inflated.extend_from_slice(chunk.data.as_bytes());
    }
    Ok(inflated)
}

/// The payload of a message, compressed by itself.
pub fn deflated(message: &[u8], level: u32) -> Vec<u8> {
    let mut config = DeflateConfig::default();
    config.level = level;
    let mut pool = DeflatePool::new(config);
    let mut deflater = Deflater::new(DeflateWindow::new(true, 15));
    let payload = deflater.deflate(message, true, &mut pool);
    payload.expect("no input cannot be compressed").to_vec()
}

/// Something that one of three connections sends.
#[derive(Debug)]
pub struct Action {
    /// The message.
    pub data: Vec<u8>,
    /// Which connection.
    pub connection: usize,
    /// Compressed whole or in fragments, prepared, plain, or not sent.
    pub way: u8,
    /// Where it is cut.
    pub cut: u8,
}

/// What connections compress with the same pool is what their peers inflate
/// with the same pool, whatever is remembered and forgotten in between.
pub fn what_is_deflated_is_what_is_inflated(actions: &[Action], seed: u8) {
    for takes_over in [false, true] {
        let window = DeflateWindow::new(!takes_over, 8 + seed % 8);
        let mut config = DeflateConfig::default();
        config.level = u32::from(seed / 8) % 10;
        config.min_len = 10;
        config.max_live = usize::from(seed % 4);
        let mut pool = DeflatePool::new(config);
        let mut inflate_pool = InflatePool::default();
        let mut peers = [(); 3].map(|()| {
            let sender = Sender::new(ServerMasking::new());
            let endpoint = Endpoint::new(window, Limits::UNLIMITED);
            (sender, Deflater::new(window), endpoint, Vec::new())
        });
        for action in actions {
            let (sender, deflater, peer, expected) = &mut peers[action.connection % 3];
            let message = Message::Binary(&action.data);
            let at = usize::from(action.cut) * action.data.len() / 255;
            let mut wire = Vec::new();
            let mut write = |frame: Result<ws_proto::OutFrame<'_>, _>| {
                frame.expect("an open connection").append_to(&mut wire, 0);
            };
            match action.way {
                0 => write(deflater.message(sender, message, &mut pool)),
                1 => {
                    let (start, end) = action.data.split_at(at);
                    for (piece, last) in [(start, false), (end, true)] {
                        let piece = Message::Binary(piece);
                        write(deflater.fragment(sender, piece, last, &mut pool));
                    }
                }
                2 => {
                    let mut prepared = Prepared::new(message);
                    write(deflater.prepared(sender, &mut prepared, &mut pool));
                }
                3 => write(sender.message(message)),
                4 => {
                    pool.sweep();
                    write(deflater.message(sender, message, &mut pool));
                }
                _ => {
                    drop(deflater.message(sender, message, &mut pool));
                    deflater.forget();
                    continue;
                }
            }
            expected.push((MessageKind::Binary, action.data.clone()));
            peer.receive(&wire, &mut inflate_pool);
        }
        for (_, _, peer, expected) in &peers {
            assert_eq!(peer.outcome.error, None);
            assert_eq!(peer.outcome.got, *expected);
        }
    }
}

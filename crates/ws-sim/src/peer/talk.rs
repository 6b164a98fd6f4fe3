//! A conversation, as the peer has it.

use ws_handshake::DeflateParams;
use ws_proto::{
    Assembler, DeflateWindow, Deflater, Event, Inflater, Limits, Masking, MaskingPolicy as _,
    Receiver, Sender,
};

use super::{Heard, Seen, Shared};
use crate::{
    message::Name,
    plan::{MOST_PIECES, Plan},
};

/// A conversation.
#[derive(Debug)]
pub(crate) struct Talk {
    pub(super) sender: Sender<Masking>,
    receiver: Receiver,
    assembler: Assembler,
    pub(super) codecs: Option<(Inflater, Deflater)>,
    /// Messages that were made, and their bytes.
    pub(crate) sent: u32,
    pub(crate) sent_bytes: u64,
    pub(crate) heard: Heard,
    /// How many Pings were sent, and which was answered last.
    pub(crate) pings: u32,
    pub(crate) pong: u32,
    pub(crate) is_close_received: bool,
}

impl Talk {
    pub(super) fn new(
        masking: Masking,
        deflate: Option<DeflateParams>,
        is_client: bool,
        longest_frame: usize,
    ) -> Self {
        let codecs = deflate.map(|params| {
            let server = DeflateWindow::new(
                params.server_no_context_takeover,
                params.server_max_window_bits,
            );
            let client = DeflateWindow::new(
                params.client_no_context_takeover,
                params.client_max_window_bits,
            );
            let [receives, sends] = match is_client {
                true => [server, client],
                false => [client, server],
            };
            (Inflater::new(receives), Deflater::new(sends))
        });
        let mut limits = Limits::default();
        // What counts is the frame with its head, which is 10 bytes at most.
        limits.max_frame = limits.max_frame.min(longest_frame as u64);
        limits.max_fragments = u32::MAX;
        Self {
            receiver: Receiver::new(masking.inbound(), limits).accept_compressed(codecs.is_some()),
            sender: Sender::new(masking),
            assembler: Assembler::new(),
            codecs,
            sent: 0,
            sent_bytes: 0,
            heard: Heard::default(),
            pings: 0,
            pong: 0,
            is_close_received: false,
        }
    }

    /// Returns how many messages came for this peer, and how many came back.
    pub(crate) const fn heard(&self) -> (u32, u32) {
        (self.heard.direct, self.heard.echoes)
    }

    pub(crate) fn is_client(&self) -> bool {
        matches!(self.sender.masking(), Masking::Client(_))
    }

    pub(crate) const fn is_compressed(&self) -> bool {
        self.codecs.is_some()
    }

    pub(crate) const fn is_close_sent(&self) -> bool {
        self.sender.is_close_sent()
    }

    /// A client masks with zero if it was told to, and only then.
    fn check_keys(&mut self, plan: &Plan) {
        let counts = self.receiver.take_counts();
        let frames: u32 = counts.by_opcode.iter().sum();
        let expected = match plan.config.set_mask_to_zero == Default::default() {
            true => 0,
            false => frames,
        };
        if !self.is_client() {
            assert_eq!(counts.zero_key, expected, "frames with the key of zero");
        }
    }

    /// Appends a frame whatever may be said of it, with a key of zero where a client sends it.
    pub(super) fn append_raw(&self, out: &mut Vec<u8>, first: u8, payload: &[u8]) {
        let mask = match self.is_client() {
            true => 0x80,
            false => 0,
        };
        append_header(out, first, mask, payload.len() as u64);
        out.extend_from_slice(payload);
    }

    pub(super) fn ping(&mut self, out: &mut Vec<u8>) {
        let number = self.pings + 1;
        if let Ok(ping) = self.sender.ping(&number.to_be_bytes()) {
            ping.append_to(out, 0);
            self.pings = number;
        }
    }

    /// Appends the message that is in `shared.text`.
    pub(super) fn append(&mut self, name: Name, shared: &mut Shared, out: &mut Vec<u8>) {
        let text = shared.text.as_str();
        let kind = name.message("").kind();
        let pieces = match shared.random.below(6) {
            0 => shared.random.between(2, MOST_PIECES),
            _ => 1,
        };
        let compressed = self.codecs.is_some() && shared.random.chance(700);
        let mut rest = text.as_bytes();
        for piece in 1..=pieces {
            let last = piece == pieces;
            let (part, after) = match last {
                true => (rest, &[][..]),
                false => rest.split_at(shared.random.below(rest.len() + 1)),
            };
            rest = after;
            let frame = match (&mut self.codecs, pieces) {
                (Some((_, deflater)), 1) if compressed => {
                    deflater.message(&mut self.sender, name.message(text), &mut shared.deflate)
                }
                (Some((_, deflater)), _) if compressed => {
                    deflater.fragment_bytes(&mut self.sender, kind, part, last, &mut shared.deflate)
                }
                (_, 1) => self.sender.message(name.message(text)),
                _ => self.sender.fragment_bytes(kind, part, last),
            };
            frame.expect("a peer may send").append_to(out, 0);
            if !last && shared.random.chance(100) {
                self.ping(out);
            }
        }
    }

    pub(super) fn receive(
        &mut self,
        number: u32,
        mut input: &mut [u8],
        shared: &mut Shared,
        mut replies: Option<&mut Vec<u8>>,
        seen: &mut Vec<Seen>,
    ) {
        loop {
            let event = match self.receiver.receive(&mut input) {
                Ok(Some(event)) => event,
                Ok(None) => return self.check_keys(&shared.plan),
                Err(error) => panic!("peer {number} gets bytes that are wrong: {error}"),
            };
            if let Some(replies) = &mut replies
                && let Some(reply) = self.sender.respond(&event)
            {
                reply.append_to(replies, 0);
            }
            let plan = &shared.plan;
            match event {
                Event::Data(chunk) => {
                    if let Some(message) = self.assembler.push(chunk) {
                        self.heard.hear(number, message, plan, seen);
                    }
                }
                Event::Compressed(mut piece) => {
                    let (inflater, _) = self.codecs.as_mut().expect("agreed");
                    loop {
                        let most = Limits::default().max_message;
                        let chunk = inflater
                            .inflate(&mut piece, most, &mut shared.inflate)
                            .unwrap_or_else(|error| panic!("peer {number}: {error}"));
                        let Some(chunk) = chunk else {
                            break;
                        };
                        if let Some(message) = self.assembler.push(chunk) {
                            self.heard.hear(number, message, plan, seen);
                        }
                    }
                }
                Event::Ping(_) => {}
                Event::Pong(payload) => {
                    let answered = payload.try_into().map(u32::from_be_bytes);
                    let answered = answered.expect("the Pong of a Ping");
                    assert!(
                        self.pong < answered && answered <= self.pings,
                        "peer {number} gets Pong {answered} after {}",
                        self.pong
                    );
                    self.pong = answered;
                }
                Event::Close(_) => {
                    self.is_close_received = true;
                    seen.push(Seen::Close);
                }
            }
        }
    }
}

/// Appends a header; its key is zero.
pub(super) fn append_header(out: &mut Vec<u8>, first: u8, mask: u8, len: u64) {
    out.push(first);
    match len {
        0..126 => out.push(mask | len as u8),
        126..0x1_0000 => {
            out.push(mask | 126);
            out.extend((len as u16).to_be_bytes());
        }
        _ => {
            out.push(mask | 127);
            out.extend(len.to_be_bytes());
        }
    }
    if mask != 0 {
        out.extend([0; 4]);
    }
}

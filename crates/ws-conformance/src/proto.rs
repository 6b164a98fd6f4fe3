//! The wire vectors' view of ws-proto.

use std::fmt;

use ws_proto::{
    ClientMasking, CloseCode, CloseFrame, Connection, ConnectionState, DeflatePool, DeflateWindow,
    Deflater, Event, Header, InflatePool, Inflater, Limits, MaskKey, Masking as Policy,
    MaskingPolicy, Message, OutFrame, ProtocolError, SeededKeys, SendError, Sender, ServerMasking,
    xor,
};

use super::{
    action::{Action, Masking},
    agreed::Deflate,
    bytes::show,
    role::Role,
    sent::{Fault, Sent},
};
use crate::Failure;

/// How the endpoint under test is built.
#[derive(Debug)]
pub(super) struct Config {
    pub(super) role: Role,
    pub(super) accept_unmasked_frame: bool,
    /// `None` is no limit.
    pub(super) max_frame: Option<u64>,
    /// `None` is no limit.
    pub(super) max_message: Option<u64>,
    /// What was agreed, if permessage-deflate was.
    pub(super) deflate: Option<Deflate>,
    /// Close 1000 was sent before the input.
    pub(super) close_sent: bool,
}

/// How far the closing handshake got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Open,
    Closing,
    Closed,
    Failed,
    Lost,
}

impl State {
    pub(super) fn parse(name: &str) -> Result<Self, Failure> {
        Ok(match name {
            "open" => Self::Open,
            "closing" => Self::Closing,
            "closed" => Self::Closed,
            "failed" => Self::Failed,
            "lost" => Self::Lost,
            _ => return Err(Failure::new(format!("{name:?} is no state"))),
        })
    }
}

/// An event with its message joined.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen<'e> {
    Text(&'e [u8]),
    Binary(&'e [u8]),
    Ping(&'e [u8]),
    Pong(&'e [u8]),
    Close { code: u16, reason: &'e [u8] },
}

impl<'e> From<Message<'e>> for Seen<'e> {
    fn from(message: Message<'e>) -> Self {
        match message {
            Message::Text(text) => Self::Text(text.as_bytes()),
            Message::Binary(data) => Self::Binary(data),
        }
    }
}

impl fmt::Display for Seen<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(data) => write!(f, "text {}", show(data)),
            Self::Binary(data) => write!(f, "binary {}", show(data)),
            Self::Ping(data) => write!(f, "ping {}", show(data)),
            Self::Pong(data) => write!(f, "pong {}", show(data)),
            Self::Close { code, reason } => write!(f, "close {code} {}", show(reason)),
        }
    }
}

/// An endpoint that receives, joins messages, and answers by itself.
#[derive(Debug)]
pub(super) struct Endpoint {
    role: Role,
    connection: Connection<Policy>,
    inflater: Option<Inflater>,
    pool: InflatePool,
    max_message: u64,
    /// What it wrote in answer.
    out: Vec<u8>,
    is_lost: bool,
}

impl Endpoint {
    pub(super) fn new(config: &Config) -> Self {
        let policy = match config.role {
            Role::Server => Policy::Server(ServerMasking::with_accept_unmasked_frame(
                config.accept_unmasked_frame,
            )),
            Role::Client => Policy::Client(ClientMasking::new()),
        };
        let mut limits = Limits::UNLIMITED;
        limits.max_frame = config.max_frame.unwrap_or(limits.max_frame);
        limits.max_message = config.max_message.unwrap_or(limits.max_message);
        let mut endpoint = Self {
            role: config.role,
            connection: Connection::new(policy, limits).accept_compressed(config.deflate.is_some()),
            inflater: config
                .deflate
                .map(|deflate| Inflater::new(deflate.sent_by(config.role.peer()))),
            pool: InflatePool::default(),
            max_message: limits.max_message,
            out: Vec::new(),
            is_lost: false,
        };
        if config.close_sent {
            let frame = CloseFrame {
                code: CloseCode::NORMAL,
                reason: "",
            };
            // The first frame of a new sender; what it writes is not part of what is compared.
            let (_, _, sender) = endpoint.connection.parts();
            let _ = sender.close(Some(frame));
        }
        endpoint
    }

    /// Feeds bytes and hands every event to `on_event`.
    pub(super) fn feed(
        &mut self,
        mut input: &mut [u8],
        on_event: &mut dyn FnMut(Seen<'_>) -> Result<(), String>,
    ) -> Result<(), Fault> {
        let (receiver, messages, sender) = self.connection.parts();
        let failed = |error: ProtocolError, out: &mut Vec<u8>, sender: &mut Sender<Policy>| {
            if let Some(reply) = sender.fail(&error) {
                reply.append_to(out, 0);
            }
            fault(&error)
        };
        loop {
            let event = match receiver.receive(&mut input) {
                Ok(Some(event)) => event,
                Ok(None) => return Ok(()),
                Err(error) => return Err(failed(error, &mut self.out, sender)),
            };
            if let Some(reply) = sender.respond(&event) {
                reply.append_to(&mut self.out, 0);
            }
            let seen = match event {
                Event::Data(chunk) => match messages.push(chunk) {
                    None => continue,
                    Some(message) => Seen::from(message),
                },
                Event::Compressed(mut piece) => {
                    let Some(inflater) = &mut self.inflater else {
                        return Err(Fault::Check("inflates what nobody agreed to".to_owned()));
                    };
                    loop {
                        match inflater.inflate(&mut piece, self.max_message, &mut self.pool) {
                            Ok(Some(chunk)) => {
                                if let Some(message) = messages.push(chunk) {
                                    on_event(message.into()).map_err(Fault::Check)?;
                                }
                            }
                            Ok(None) => break,
                            Err(error) => {
                                receiver.refuse();
                                return Err(failed(error, &mut self.out, sender));
                            }
                        }
                    }
                    continue;
                }
                Event::Ping(data) => Seen::Ping(data),
                Event::Pong(data) => Seen::Pong(data),
                Event::Close(None) => Seen::Close {
                    code: NO_CODE,
                    reason: b"",
                },
                Event::Close(Some(frame)) => Seen::Close {
                    code: frame.code.get(),
                    reason: frame.reason.as_bytes(),
                },
            };
            on_event(seen).map_err(Fault::Check)?;
        }
    }

    pub(super) fn end_of_input(&mut self) -> Result<(), Fault> {
        self.connection.end().map_err(|error| {
            self.is_lost = true;
            fault(&error)
        })
    }

    /// The frames that it wrote in answer.
    pub(super) fn sent(&self) -> Result<Vec<Sent>, String> {
        Sent::parse_all(self.role, &self.out)
    }

    pub(super) fn state(&self) -> State {
        match self.connection.state() {
            _ if self.is_lost => State::Lost,
            ConnectionState::Open => State::Open,
            ConnectionState::Closing => State::Closing,
            ConnectionState::Closed => State::Closed,
            ConnectionState::Failed => State::Failed,
        }
    }
}

fn fault(error: &ProtocolError) -> Fault {
    Fault::Protocol {
        kind: error.kind(),
        code: error.close_code().map(CloseCode::get),
    }
}

/// An endpoint that only sends.
#[derive(Debug)]
pub(super) struct Transmitter {
    sender: AnySender,
    deflater: Option<(Deflater, DeflatePool)>,
    max_frame_sent: usize,
    wire: Vec<u8>,
    /// The keys of the vector, in place of those that were drawn; the last is the next.
    keys: Option<Vec<[u8; 4]>>,
}

#[derive(Debug)]
enum AnySender {
    Server(Sender<ServerMasking>),
    Client(Box<Sender<ClientMasking<SeededKeys>>>),
}

impl Transmitter {
    pub(super) fn new(role: Role, masking: &Masking) -> Result<Self, String> {
        let (sender, keys) = match (role, masking) {
            (Role::Server, Masking::None) => {
                (AnySender::Server(Sender::new(ServerMasking::new())), None)
            }
            (Role::Client, Masking::Zero) => {
                let masking = ClientMasking::with_set_mask_to_zero_or_seed(true, [0; 32]);
                (AnySender::Client(Box::new(Sender::new(masking))), None)
            }
            (Role::Client, Masking::Fixed(keys)) => {
                let masking = ClientMasking::from_seed([0; 32]);
                let keys = keys.iter().rev().copied().collect();
                (
                    AnySender::Client(Box::new(Sender::new(masking))),
                    Some(keys),
                )
            }
            (role, masking) => return Err(format!("a {role:?} has no masking {masking:?}")),
        };
        Ok(Self {
            sender,
            deflater: None,
            max_frame_sent: usize::MAX,
            wire: Vec::new(),
            keys,
        })
    }

    /// Splits every frame that is longer than so many bytes, from now on.
    pub(super) const fn split_at(&mut self, max_len: usize) {
        self.max_frame_sent = max_len;
    }

    /// Compresses every message from now on.
    pub(super) fn compress(&mut self, window: DeflateWindow) {
        self.deflater = Some((Deflater::new(window), DeflatePool::default()));
    }

    /// Sends; an error is the name of the rule that forbids it.
    pub(super) fn send(&mut self, action: &Action) -> Result<(), &'static str> {
        let (deflater, wire) = (&mut self.deflater, &mut self.wire);
        let max_len = self.max_frame_sent;
        let start = wire.len();
        let sent = match &mut self.sender {
            AnySender::Server(sender) => send(sender, deflater, action, max_len, wire),
            AnySender::Client(sender) => send(sender, deflater, action, max_len, wire),
        };
        if let Some(keys) = &mut self.keys {
            exchange_keys(&mut wire[start..], keys)?;
        }
        sent
    }

    pub(super) fn wire(&self) -> &[u8] {
        &self.wire
    }
}

/// What cannot even be said in the types of ws-proto, such as text that is not UTF-8, is refused
/// here under the name that the vectors have for it.
fn send<P: MaskingPolicy>(
    sender: &mut Sender<P>,
    deflater: &mut Option<(Deflater, DeflatePool)>,
    action: &Action,
    max_len: usize,
    wire: &mut Vec<u8>,
) -> Result<(), &'static str> {
    let mut write = |sender: &mut Sender<P>, frame: Result<OutFrame<'_>, SendError>| {
        let frames = frame.and_then(|frame| sender.split(frame, max_len));
        let frames = frames.map_err(|error| error.kind())?;
        frames.iter().for_each(|frame| frame.append_to(wire, 0));
        Ok(())
    };
    // What is wrong with the state comes before what cannot be said.
    if sender.is_close_sent() {
        return Err(SendError::Closing.kind());
    }
    match action {
        Action::Message {
            is_text,
            data,
            fragments,
        } => {
            let whole = message(*is_text, data)?;
            if fragments.is_empty() {
                let frame = match deflater {
                    None => sender.message(whole),
                    // Whatever its length, as the vectors want it.
                    Some((deflater, pool)) => deflater
                        .deflate(data, true, pool)
                        .and_then(|payload| sender.compressed(whole.kind(), payload)),
                };
                return write(sender, frame);
            }
            let mut rest = data.as_slice();
            for (index, size) in fragments.iter().enumerate() {
                let (piece, behind) = rest.split_at_checked(*size).ok_or("fragments_too_long")?;
                rest = behind;
                let is_last = index + 1 == fragments.len();
                // As bytes: text may be cut inside a character.
                let frame = match deflater {
                    None => sender.fragment_bytes(whole.kind(), piece, is_last),
                    Some((deflater, pool)) => {
                        deflater.fragment_bytes(sender, whole.kind(), piece, is_last, pool)
                    }
                };
                write(sender, frame)?;
            }
            Ok(())
        }
        Action::Ping(data) => {
            let frame = sender.ping(data);
            write(sender, frame)
        }
        Action::Pong(data) => {
            let frame = sender.pong(data);
            write(sender, frame)
        }
        Action::Close { code, reason } => {
            let code = code.map(|code| CloseCode::new(code).ok_or("close_code_invalid"));
            let code = code.transpose()?;
            let is_server = sender.masking().inbound() != ws_proto::Inbound::RequireUnmasked;
            let reason = match str::from_utf8(reason) {
                Ok(reason) => reason,
                Err(_) if is_server && code == Some(CloseCode::MANDATORY_EXTENSION) => {
                    return Err(SendError::CloseCodeNotForServer.kind());
                }
                Err(_) => return Err("close_reason_not_utf8"),
            };
            let frame = code.map(|code| CloseFrame { code, reason });
            let frame = sender.close(frame);
            write(sender, frame)
        }
    }
}

fn message(is_text: bool, data: &[u8]) -> Result<Message<'_>, &'static str> {
    if is_text {
        let text = str::from_utf8(data).map_err(|_| "text_not_utf8")?;
        Ok(Message::Text(text))
    } else {
        Ok(Message::Binary(data))
    }
}

/// Masks frames with the keys of a vector, last one first. ws-proto draws its keys and takes none.
fn exchange_keys(mut wire: &mut [u8], keys: &mut Vec<[u8; 4]>) -> Result<(), &'static str> {
    while !wire.is_empty() {
        let decoded = Header::decode(wire).ok().flatten();
        let (header, len) = decoded.ok_or("header_unreadable")?;
        let drawn = header.mask().ok_or("unmasked_frame")?;
        let key = keys.pop().ok_or("keys_used_up")?;
        let (head, rest) = wire.split_at_mut(len);
        let (payload, rest) = rest.split_at_mut(header.payload_len() as usize);
        xor(payload, drawn);
        xor(payload, MaskKey::new(key));
        head[len - key.len()..].copy_from_slice(&key);
        wire = rest;
    }
    Ok(())
}

/// What the vectors call a Close without a code.
const NO_CODE: u16 = 1005;

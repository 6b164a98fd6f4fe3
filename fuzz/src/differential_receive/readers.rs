//! Those who read: we, tungstenite and tokio-websockets.

use std::{
    io::{self, Read, Write},
    pin::Pin,
    task::{Context, Poll, Waker},
};

use futures_core::Stream as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_websockets as tokio_ws;
use ws_proto::{Assembler, Event, Inbound, Limits, Message, ProtocolError, Receiver};

use super::{MAX_MESSAGE, frame::Frame};

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) items: Vec<Item>,
    pub(super) end: End,
    /// How many frames were begun until then.
    pub(super) frames: usize,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Item {
    Text(Vec<u8>),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    /// 1005 stands for no code at all.
    Close(u16, Vec<u8>),
}

/// How reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// There was no more to read.
    Input,
    Close,
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Server,
    Client,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    Tungstenite,
    TokioWebsockets,
}

impl Peer {
    pub(super) fn read(self, role: Role, frames: &[Frame]) -> Outcome {
        let wire = Wire::new(frames);
        match self {
            Self::Tungstenite => tungstenite(role, wire),
            Self::TokioWebsockets => tokio_websockets(role, wire),
        }
    }
}

pub(super) fn ours(role: Role, frames: &[Frame]) -> (Outcome, Option<ProtocolError>) {
    let mut limits = Limits::UNLIMITED;
    limits.max_message = MAX_MESSAGE as u64;
    let inbound = match role {
        Role::Server => Inbound::RequireMasked,
        Role::Client => Inbound::RequireUnmasked,
    };
    let mut receiver = Receiver::new(inbound, limits);
    let mut assembler = Assembler::new();
    let mut items = Vec::new();
    let mut read = 0;
    let end = frames.iter().find_map(|frame| {
        read += 1;
        receive(&mut receiver, &mut assembler, frame, &mut items).transpose()
    });
    let outcome = Outcome {
        items,
        end: match end {
            None => End::Input,
            Some(Ok(Closed)) => End::Close,
            Some(Err(_)) => End::Failed,
        },
        frames: read,
    };
    (outcome, end.and_then(Result::err))
}

struct Closed;

/// Reads a frame; tells whether it was a Close.
fn receive(
    receiver: &mut Receiver,
    assembler: &mut Assembler,
    frame: &Frame,
    items: &mut Vec<Item>,
) -> Result<Option<Closed>, ProtocolError> {
    let mut wire = frame.wire();
    let mut input = &mut wire[..];
    while let Some(event) = receiver.receive(&mut input)? {
        match event {
            Event::Data(chunk) => items.extend(assembler.push(chunk).map(item)),
            Event::Ping(payload) => items.push(Item::Ping(payload.into())),
            Event::Pong(payload) => items.push(Item::Pong(payload.into())),
            Event::Close(frame) => {
                items.push(frame.map_or(Item::Close(1005, Vec::new()), |frame| {
                    Item::Close(frame.code.get(), frame.reason.into())
                }));
                return Ok(Some(Closed));
            }
            Event::Compressed(_) => unreachable!("it was not negotiated"),
        }
    }
    Ok(None)
}

fn item(message: Message<'_>) -> Item {
    match message {
        Message::Text(text) => Item::Text(text.into()),
        Message::Binary(bytes) => Item::Binary(bytes.into()),
    }
}

/// What there is to read, never more than one frame at a time, and nobody who
/// reads what is written.
struct Wire {
    frames: std::vec::IntoIter<Vec<u8>>,
    /// What is left of the frame that was begun.
    rest: Vec<u8>,
    begun: usize,
}

impl Wire {
    fn new(frames: &[Frame]) -> Self {
        let frames: Vec<_> = frames.iter().map(Frame::wire).collect();
        Self {
            frames: frames.into_iter(),
            rest: Vec::new(),
            begun: 0,
        }
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty()
            && let Some(next) = self.frames.next()
        {
            self.rest = next;
            self.begun += 1;
        }
        let len = self.rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&self.rest[..len]);
        self.rest.drain(..len);
        Ok(len)
    }
}

impl Write for Wire {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn tungstenite(role: Role, wire: Wire) -> Outcome {
    use tungstenite::{Error, Message, error, protocol};
    let config = protocol::WebSocketConfig::default()
        // It fills what it reserves with zeros, which takes longer than all the rest.
        .read_buffer_size(512)
        .max_message_size(Some(MAX_MESSAGE))
        // Without, it would reserve whatever length a header declares.
        .max_frame_size(Some(MAX_MESSAGE));
    let role = match role {
        Role::Server => protocol::Role::Server,
        Role::Client => protocol::Role::Client,
    };
    let mut socket = protocol::WebSocket::from_raw_socket(wire, role, Some(config));
    let mut items = Vec::new();
    let end = loop {
        match socket.read() {
            Ok(Message::Text(text)) => items.push(Item::Text(text.as_bytes().into())),
            Ok(Message::Binary(bytes)) => items.push(Item::Binary(bytes.into())),
            Ok(Message::Ping(bytes)) => items.push(Item::Ping(bytes.into())),
            Ok(Message::Pong(bytes)) => items.push(Item::Pong(bytes.into())),
            Ok(Message::Close(frame)) => {
                items.push(frame.map_or(Item::Close(1005, Vec::new()), |frame| {
                    Item::Close(frame.code.into(), frame.reason.as_bytes().into())
                }));
                break End::Close;
            }
            Ok(Message::Frame(_)) => unreachable!("it is not read"),
            Err(Error::Protocol(error::ProtocolError::ResetWithoutClosingHandshake)) => {
                break End::Input;
            }
            Err(_) => break End::Failed,
        }
    };
    let frames = socket.get_ref().begun;
    Outcome { items, end, frames }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let len = self.read(buffer.initialize_unfilled())?;
        buffer.advance(len);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buffer.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn tokio_websockets(role: Role, wire: Wire) -> Outcome {
    let limits = tokio_ws::Limits::default().max_payload_len(Some(MAX_MESSAGE));
    let mut socket = match role {
        Role::Server => tokio_ws::ServerBuilder::new().limits(limits).serve(wire),
        Role::Client => tokio_ws::ClientBuilder::new()
            .limits(limits)
            .take_over(wire),
    };
    let mut context = Context::from_waker(Waker::noop());
    let mut items = Vec::new();
    let end = loop {
        let Poll::Ready(next) = Pin::new(&mut socket).poll_next(&mut context) else {
            unreachable!("there is always something to read, or the end");
        };
        let message = match next {
            Some(Ok(message)) => message,
            None => break End::Input,
            Some(Err(_)) => break End::Failed,
        };
        let payload = message.as_payload().to_vec();
        if let Some((code, reason)) = message.as_close() {
            items.push(Item::Close(code.into(), reason.into()));
            break End::Close;
        }
        items.push(if message.is_text() {
            Item::Text(payload)
        } else if message.is_binary() {
            Item::Binary(payload)
        } else if message.is_ping() {
            Item::Ping(payload)
        } else {
            Item::Pong(payload)
        });
    };
    let frames = socket.get_ref().begun;
    Outcome { items, end, frames }
}

//! What other libraries make of the same bytes.
//!
//! That all agree is no proof of anything: each is known to let something
//! pass. So a difference is a finding unless the table says why there is one.

use std::{
    io::{self, Read, Write},
    pin::Pin,
    task::{Context, Poll, Waker},
};

use futures_core::Stream as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_websockets as tokio_ws;
use ws_proto::{Assembler, Event, Inbound, Limits, Message, ProtocolError, Receiver};

/// The longest message, for all.
const MAX_MESSAGE: usize = 300;

/// Something that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Item {
    Text(Vec<u8>),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    /// 1005 stands for no code at all.
    Close(u16, Vec<u8>),
}

/// How reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// There was no more to read.
    Input,
    Close,
    Failed,
}

#[derive(Debug)]
struct Outcome {
    items: Vec<Item>,
    end: End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Server,
    Client,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Peer {
    Tungstenite,
    TokioWebsockets,
}

/// A difference that is known, and whose fault it is.
struct Difference {
    /// `None` is each of them.
    peer: Option<Peer>,
    /// Whether our error, the other's end, and the first item that it has
    /// beyond ours, are of this kind.
    is_it: fn(&ProtocolError, End, Option<&Item>) -> bool,
    /// Why it is right to differ.
    #[expect(dead_code, reason = "it is for who reads the table")]
    why: &'static str,
}

const DIFFERENCES: &[Difference] = &[
    Difference {
        peer: None,
        is_it: |_, end, more| end == End::Input && more.is_none(),
        why: "we refuse a frame at the byte that makes it wrong; others wait until it is whole",
    },
    Difference {
        peer: None,
        is_it: |error, _, _| {
            matches!(
                error,
                ProtocolError::LengthNotMinimal { .. } | ProtocolError::ControlTooLong
            )
        },
        why: "a length must be in its shortest form (RFC 6455 section 5.2); neither looks, and a \
              control frame with a longer form is too long for us by that alone",
    },
    Difference {
        peer: Some(Peer::Tungstenite),
        is_it: |error, _, more| {
            matches!(error, ProtocolError::CloseCodeInvalid { .. })
                && matches!(more, Some(Item::Close(1002, _)))
        },
        why: "it hands out a Close with a code that must not be sent as one with 1002",
    },
    Difference {
        peer: Some(Peer::TokioWebsockets),
        is_it: |error, _, more| {
            matches!((error, more), (ProtocolError::TextNotUtf8, Some(Item::Text(text)))
                if std::str::from_utf8(text).is_err())
        },
        why: "it hands out text that ends within a character, if the last fragment is empty",
    },
];

/// The same messages come in the same order, and the end is the same, but for
/// what the table explains.
pub fn others_read_the_same(wire: &[u8]) {
    for role in [Role::Server, Role::Client] {
        let (ours, error) = ours(role, wire);
        compare(
            Peer::Tungstenite,
            role,
            wire,
            &ours,
            error,
            &tungstenite(role, wire),
        );
        compare(
            Peer::TokioWebsockets,
            role,
            wire,
            &ours,
            error,
            &tokio_websockets(role, wire),
        );
    }
}

fn compare(
    peer: Peer,
    role: Role,
    wire: &[u8],
    ours: &Outcome,
    error: Option<ProtocolError>,
    theirs: &Outcome,
) {
    let common = ours.items.len().min(theirs.items.len());
    let pairs = ours.items.iter().zip(&theirs.items);
    // 1014 is registered, and tungstenite does not know it.
    let is_known = |ours: &Item, theirs: &Item| {
        peer == Peer::Tungstenite
            && matches!((ours, theirs), (Item::Close(1014, _), Item::Close(1002, _)))
    };
    let is_same = pairs
        .into_iter()
        .all(|(ours, theirs)| ours == theirs || is_known(ours, theirs));
    if is_same && ours.items.len() == theirs.items.len() && ours.end == theirs.end {
        return;
    }
    // We judge a header once it is whole: a few bytes later, at most.
    let longer = [wire, &[0; ws_proto::MAX_HEADER_LEN]].concat();
    if is_same
        && ours.end == End::Input
        && theirs.end == End::Failed
        && ours.items.len() == theirs.items.len()
        && self::ours(role, &longer).1.is_some()
    {
        return;
    }
    // What they read beyond us, we have refused; never the other way round.
    if let Some(error) = error
        && is_same
        && ours.items.len() == common
        && DIFFERENCES.iter().any(|difference| {
            let more = theirs.items.get(common);
            difference.peer.is_none_or(|other| other == peer)
                && (difference.is_it)(&error, theirs.end, more)
        })
    {
        return;
    }
    panic!("{role:?}, {peer:?}: {wire:x?}\nours {ours:?} {error:?}\ntheirs {theirs:?}");
}

fn ours(role: Role, wire: &[u8]) -> (Outcome, Option<ProtocolError>) {
    let mut limits = Limits::UNLIMITED;
    limits.max_message = MAX_MESSAGE as u64;
    let inbound = match role {
        Role::Server => Inbound::RequireMasked,
        Role::Client => Inbound::RequireUnmasked,
    };
    let mut receiver = Receiver::new(inbound, limits);
    let mut assembler = Assembler::new();
    let mut buffer = wire.to_vec();
    let mut input = &mut buffer[..];
    let mut items = Vec::new();
    loop {
        match receiver.receive(&mut input) {
            Ok(Some(Event::Data(chunk))) => items.extend(assembler.push(chunk).map(item)),
            Ok(Some(Event::Ping(payload))) => items.push(Item::Ping(payload.into())),
            Ok(Some(Event::Pong(payload))) => items.push(Item::Pong(payload.into())),
            Ok(Some(Event::Close(frame))) => {
                items.push(frame.map_or(Item::Close(1005, Vec::new()), |frame| {
                    Item::Close(frame.code.get(), frame.reason.into())
                }));
                let end = End::Close;
                return (Outcome { items, end }, None);
            }
            Ok(Some(Event::Compressed(_))) => unreachable!("it was not negotiated"),
            Ok(None) => {
                let end = End::Input;
                return (Outcome { items, end }, None);
            }
            Err(error) => {
                let end = End::Failed;
                return (Outcome { items, end }, Some(error));
            }
        }
    }
}

fn item(message: Message<'_>) -> Item {
    match message {
        Message::Text(text) => Item::Text(text.into()),
        Message::Binary(bytes) => Item::Binary(bytes.into()),
    }
}

/// What there is to read, and nobody who reads what is written.
struct Wire<'a>(&'a [u8]);

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn tungstenite(role: Role, wire: &[u8]) -> Outcome {
    use tungstenite::{Error, Message, error::ProtocolError, protocol};
    let config = protocol::WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE))
        // Without, it would reserve whatever length a header declares.
        .max_frame_size(Some(MAX_MESSAGE));
    let role = match role {
        Role::Server => protocol::Role::Server,
        Role::Client => protocol::Role::Client,
    };
    let mut socket = protocol::WebSocket::from_raw_socket(Wire(wire), role, Some(config));
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
            Err(Error::Io(_) | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => {
                break End::Input;
            }
            Err(_) => break End::Failed,
        }
    };
    Outcome { items, end }
}

impl AsyncRead for Wire<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let len = self.0.len().min(buffer.remaining());
        buffer.put_slice(&self.0[..len]);
        self.0 = &self.0[len..];
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire<'_> {
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

fn tokio_websockets(role: Role, wire: &[u8]) -> Outcome {
    let limits = tokio_ws::Limits::default().max_payload_len(Some(MAX_MESSAGE));
    let mut socket = match role {
        Role::Server => tokio_ws::ServerBuilder::new()
            .limits(limits)
            .serve(Wire(wire)),
        Role::Client => tokio_ws::ClientBuilder::new()
            .limits(limits)
            .take_over(Wire(wire)),
    };
    let mut context = Context::from_waker(Waker::noop());
    let mut items = Vec::new();
    let end = loop {
        let Poll::Ready(next) = Pin::new(&mut socket).poll_next(&mut context) else {
            unreachable!("there is always something to read, or the end");
        };
        let message = match next {
            Some(Ok(message)) => message,
            Some(Err(tokio_ws::Error::Io(_))) | None => break End::Input,
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
    Outcome { items, end }
}

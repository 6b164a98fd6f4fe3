//! The connection that a handler is called for.

use std::net::SocketAddr;

use mio::net::TcpStream;
use ws_proto::{CloseCode, CloseFrame, Message, OutFrame, Prepared, SendError};

use crate::{Backpressure, outgoing::Outgoing};

/// Names a connection for as long as its loop runs; never given twice.
///
/// It is no secret and carries no authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PeerId {
    pub(crate) key: u32,
    pub(crate) generation: u32,
}

/// The other end of a connection, while a [`Handler`](crate::Handler) is
/// called for it.
///
/// Whatever is sent leaves in the order of the calls, in as few writes as
/// possible, when the handler has returned; a slow peer's messages wait, and
/// nothing more is read from a peer that more than `high_water` waits for.
#[derive(Debug)]
pub struct Peer<'a, D> {
    pub(crate) id: PeerId,
    pub(crate) data: &'a mut D,
    pub(crate) transport: &'a mut TcpStream,
    pub(crate) outgoing: &'a mut Outgoing,
    pub(crate) cork: &'a mut Vec<u8>,
    pub(crate) accept_unmasked_frame: bool,
}

impl<D> Peer<'_, D> {
    /// Returns the name of the connection.
    #[must_use]
    pub const fn id(&self) -> PeerId {
        self.id
    }

    /// Lends what the application keeps for the connection.
    pub const fn data(&mut self) -> &mut D {
        self.data
    }

    /// Asks the system for the peer's address; `None` if it is gone.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.transport.peer_addr().ok()
    }

    /// Returns the flag `accept-unmasked-frame` of [MS-WSPE] as it was chosen
    /// when the connection was initialized.
    #[must_use]
    pub const fn accept_unmasked_frame(&self) -> bool {
        self.accept_unmasked_frame
    }

    /// Sends a message.
    pub fn send<'m>(&mut self, message: impl Into<Message<'m>>) -> Backpressure {
        let frame = self.outgoing.sender.message(message.into());
        self.write(frame)
    }

    /// Sends text.
    pub fn send_text(&mut self, text: &str) -> Backpressure {
        self.send(text)
    }

    /// Sends bytes.
    pub fn send_binary(&mut self, bytes: &[u8]) -> Backpressure {
        self.send(bytes)
    }

    /// Sends a message that was encoded before.
    pub fn send_prepared(&mut self, prepared: &Prepared) -> Backpressure {
        let frame = self.outgoing.sender.prepared(prepared);
        self.write(frame)
    }

    /// Sends the next piece of a message, which ends with `last`; see
    /// [`Sender::fragment`](ws_proto::Sender::fragment).
    pub fn send_fragment<'m>(
        &mut self,
        fragment: impl Into<Message<'m>>,
        last: bool,
    ) -> Backpressure {
        let frame = self.outgoing.sender.fragment(fragment.into(), last);
        self.write(frame)
    }

    /// Sends a Ping with at most 125 bytes of payload.
    pub fn ping(&mut self, payload: &[u8]) -> Backpressure {
        let frame = self.outgoing.sender.ping(payload);
        self.write(frame)
    }

    /// Starts the closing handshake. Messages that the peer has sent still
    /// come until its Close does.
    pub fn close(&mut self, code: CloseCode, reason: &str) -> Backpressure {
        let frame = self
            .outgoing
            .sender
            .close(Some(CloseFrame { code, reason }));
        self.write(frame)
    }

    /// Drops the connection without a closing handshake.
    pub const fn abort(&mut self) {
        self.outgoing.aborted = true;
    }

    /// Reads nothing more from the peer until [`resume`](Self::resume).
    /// Messages of this turn that are read already wait unparsed.
    pub const fn pause(&mut self) {
        self.outgoing.paused = true;
    }

    /// Reads from the peer again.
    pub const fn resume(&mut self) {
        self.outgoing.paused = false;
    }

    /// Returns how many bytes wait for the peer to read.
    #[must_use]
    pub const fn pending(&self) -> usize {
        self.outgoing.outbox.len()
    }

    fn write(&mut self, frame: Result<OutFrame<'_>, SendError>) -> Backpressure {
        match frame {
            Ok(frame) => self.outgoing.send(&frame, self.cork, self.transport),
            Err(error) => error.into(),
        }
    }
}

//! The connection that a handler is called for.

use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::Arc,
    time::Duration,
};

use ws_handshake::DeflateParams;
use ws_proto::{AsMessage, CloseCode, Masking, MessageKind, OutFrame, Prepared, SendError};

use super::PeerId;
use crate::{
    Backpressure, Cause, PeerAddr, Timeout, Transport,
    commands::{Command, Commands},
    connection::{
        deflate::{Deflating, Wire},
        outgoing::Outgoing,
    },
};

/// The other end of a connection, while a [`Handler`](crate::Handler) is
/// called for it, with the application's `data`.
///
/// Whatever is sent leaves in the order of the calls, in as few writes as
/// possible, when the handler has returned; a slow peer's messages wait, and
/// nothing more is read from a peer that more than `high_water` waits for.
///
/// It dereferences to the [`Commands`] of its loop: other peers, broadcasts,
/// connections to servers.
pub struct Peer<'a, D, Data = &'a mut D> {
    pub(crate) id: PeerId,
    pub(crate) data: Data,
    pub(crate) transport: &'a mut dyn Transport,
    pub(crate) outgoing: &'a mut Outgoing,
    pub(crate) cork: &'a mut Vec<u8>,
    pub(crate) deflate: Option<DeflateParams>,
    /// `None` also where what is sent goes out plain.
    pub(crate) deflating: Option<&'a mut Deflating>,
    pub(crate) commands: &'a mut Commands<D>,
}

/// A [`Peer`] without the application's data, which is lent apart: see
/// [`Peer::split`].
pub type PeerHandle<'a, D> = Peer<'a, D, ()>;

impl<D> Peer<'_, D> {
    /// Lends what the application keeps for the connection.
    #[must_use]
    pub const fn data(&self) -> &D {
        self.data
    }

    /// Lends what the application keeps for the connection, to change it.
    #[must_use]
    pub const fn data_mut(&mut self) -> &mut D {
        self.data
    }

    /// Lends the application's data and the rest of the peer apart, so that a
    /// piece of the data can be sent without a copy:
    ///
    /// ```
    /// use ws_mio::Peer;
    ///
    /// fn greet(peer: &mut Peer<'_, String>) {
    ///     let (name, mut handle) = peer.split();
    ///     handle.send(&*name);
    ///     name.clear();
    /// }
    /// ```
    pub fn split(&mut self) -> (&mut D, PeerHandle<'_, D>) {
        let handle = Peer {
            id: self.id,
            data: (),
            transport: self.transport,
            outgoing: self.outgoing,
            cork: self.cork,
            deflate: self.deflate,
            deflating: self.deflating.as_deref_mut(),
            commands: self.commands,
        };
        (self.data, handle)
    }
}

impl<D, Data> Peer<'_, D, Data> {
    /// Returns the name of the connection in this process.
    #[must_use]
    pub const fn id(&self) -> PeerId {
        self.id
    }

    /// Asks the transport where the peer is; [`PeerAddr::Unknown`] if it is
    /// gone.
    #[must_use]
    pub fn address(&self) -> PeerAddr {
        self.transport.peer_addr()
    }

    /// Returns the flag `accept-unmasked-frame` of [MS-WSPE] as it was chosen
    /// when the connection was initialized.
    #[must_use]
    pub const fn accept_unmasked_frame(&self) -> bool {
        match self.masking() {
            Masking::Server(masking) => masking.accept_unmasked_frame(),
            Masking::Client(_) => false,
        }
    }

    /// Tells whether the peer is the server of this connection, and we are its
    /// client.
    #[must_use]
    pub const fn is_server(&self) -> bool {
        matches!(self.masking(), Masking::Client(_))
    }

    /// Lends the masking policy: our role, and the flag that was chosen.
    #[must_use]
    pub const fn masking(&self) -> &Masking {
        self.outgoing.sender.masking()
    }

    /// Returns what was agreed on about permessage-deflate (RFC 7692); `None` if
    /// nothing is compressed, as is always so without the feature `deflate`.
    #[must_use]
    pub const fn deflate(&self) -> Option<DeflateParams> {
        self.deflate
    }

    /// Lends the peer so that what is sent to it goes out plain, whatever was
    /// agreed on: what is secret, beside what others may have written, and
    /// what is compressed already. All fragments of a message go the same way.
    ///
    /// ```
    /// use ws_mio::Peer;
    ///
    /// fn sign_in(peer: &mut Peer<'_, ()>, token: &str) {
    ///     peer.uncompressed().send(token);
    /// }
    /// ```
    pub fn uncompressed(&mut self) -> PeerHandle<'_, D> {
        Peer {
            id: self.id,
            data: (),
            transport: self.transport,
            outgoing: self.outgoing,
            cork: self.cork,
            deflate: self.deflate,
            deflating: None,
            commands: self.commands,
        }
    }

    /// Sends a message, borrowed or owned, in one frame, or in as many as
    /// [`Config::max_frame_sent`](crate::Config::max_frame_sent) asks for;
    /// compressed, if that was agreed on and it is worth it.
    ///
    /// It is refused after a Close, between the fragments of another message,
    /// and while `max_backpressure` bytes wait. A handler that sends no more
    /// than it gets is never refused for the last reason.
    #[inline]
    pub fn send(&mut self, message: impl AsMessage) -> Backpressure {
        let message = message.as_message();
        if let Some((deflating, wire)) = self.deflating() {
            return deflating.send(None, message, wire);
        }
        let frame = self.outgoing.sender.message(message);
        self.write(frame)
    }

    /// Sends a message as [`send`](Self::send) does, and masks it where it lies
    /// if it is to be masked: a client saves a copy of a long message that it
    /// does not need again. What is left in `payload` is what goes over the
    /// wire, if it is not split, and it is never compressed. See
    /// [`Sender::message_in_place`](ws_proto::Sender::message_in_place).
    pub fn send_in_place(&mut self, kind: MessageKind, payload: &mut [u8]) -> Backpressure {
        let frame = self.outgoing.sender.message_in_place(kind, payload);
        self.write(frame)
    }

    /// Sends a message under a key, as [`send`](Self::send): with
    /// [`SlowConsumer::Conflate`](crate::SlowConsumer::Conflate) it takes the
    /// place of the message with this key that waits, if one does, so that a
    /// peer that reads slowly gets the latest of each key.
    pub fn send_keyed(&mut self, key: u64, message: impl AsMessage) -> Backpressure {
        let message = message.as_message();
        if let Some((deflating, wire)) = self.deflating() {
            return deflating.send(Some(key), message, wire);
        }
        match self.outgoing.sender.message(message) {
            Ok(frame) => self
                .outgoing
                .send_keyed(Some(key), frame, self.cork, self.transport),
            Err(error) => error.into(),
        }
    }

    /// Sends text, as [`send`](Self::send).
    pub fn send_text(&mut self, text: &str) -> Backpressure {
        self.send(text)
    }

    /// Sends bytes, as [`send`](Self::send).
    pub fn send_binary(&mut self, bytes: &[u8]) -> Backpressure {
        self.send(bytes)
    }

    /// Sends a message that was encoded before, as [`send`](Self::send).
    ///
    /// Its compressed form refers to no other message, and is made at the first
    /// need: for those who agreed on the same size of window once, as long as
    /// the loop is asked to send no other in between.
    pub fn send_prepared(&mut self, prepared: &Prepared) -> Backpressure {
        if let Some((deflating, wire)) = self.deflating() {
            return deflating.send_prepared(prepared, wire);
        }
        self.send_plain(prepared)
    }

    /// Sends a message of the loop's to one of many who get it; compressed once
    /// for all of them.
    pub(crate) fn send_shared(&mut self, prepared: &mut Prepared) -> Backpressure {
        if let Some((deflating, wire)) = self.deflating() {
            return deflating.send_shared(prepared, wire);
        }
        self.send_plain(prepared)
    }

    fn send_plain(&mut self, prepared: &Prepared) -> Backpressure {
        self.outgoing
            .send_prepared(prepared, self.cork, self.transport)
    }

    /// Sends the next piece of a message, which ends with `last`; see
    /// [`Sender::fragment`](ws_proto::Sender::fragment). One that is refused
    /// for want of room can be sent again.
    pub fn send_fragment(&mut self, fragment: impl AsMessage, last: bool) -> Backpressure {
        let fragment = fragment.as_message();
        if let Some((deflating, wire)) = self.deflating() {
            return deflating.send_fragment(fragment, last, wire);
        }
        let before = self.outgoing.sender.clone();
        let frame = self.outgoing.sender.fragment(fragment, last);
        let sent = self.write(frame);
        if let Backpressure::Refused(_) = sent {
            // As if it had not been asked for: it can be sent later.
            self.outgoing.sender = before;
        }
        sent
    }

    /// Sends a Ping with at most 125 bytes of payload. It has some room beyond
    /// `max_backpressure`.
    pub fn ping(&mut self, payload: &[u8]) -> Backpressure {
        let frame = self.outgoing.sender.ping(payload);
        self.write(frame)
    }

    /// Starts the closing handshake: nothing can be sent after it. Messages
    /// that the peer has sent still come until its Close does, for which
    /// `close_timeout` is the limit.
    ///
    /// It always has room, and is refused only if a Close was sent before. A
    /// reason over 123 bytes is cut, between characters; 1010 from a server,
    /// which is for clients alone, goes out as 1011 (RFC 6455 section 7.4.1).
    pub fn close(&mut self, code: CloseCode, reason: &str) -> Backpressure {
        let frame = self.outgoing.sender.close_with(code, reason);
        self.write(frame)
    }

    /// Starts the closing handshake for a time limit that was passed.
    pub(crate) fn close_for(&mut self, timeout: Timeout) {
        let close = Cause::Timeout(timeout).close_frame();
        let frame = self.outgoing.sender.close(close);
        self.write(frame);
    }

    /// Drops the connection without a closing handshake, when the handler has
    /// returned. What was sent in this call leaves if the transport takes it;
    /// what waits does not. [`on_close`](crate::Handler::on_close) follows.
    pub const fn abort(&mut self) {
        self.outgoing.aborted = true;
    }

    /// Delivers nothing more of the peer until [`resume`](Self::resume): no
    /// messages, no Pongs, no Close, and no end of the stream. What was read
    /// already waits unparsed, at most a read buffer of it. Ends with
    /// [`close`](Self::close), as the peer's Close stands behind what it has sent
    /// before. Pings are still
    /// sent, but nobody is given up for not answering them.
    pub const fn pause(&mut self) {
        self.outgoing.paused = true;
    }

    /// Reads from the peer again, when the handler has returned.
    pub const fn resume(&mut self) {
        self.outgoing.paused = false;
    }

    /// Subscribes to a topic. The subscription ends with the connection;
    /// subscribing twice is subscribing once.
    ///
    /// The peer gets what is published to the topic after this call, on any
    /// loop and by any [`Remote`](crate::Remote), and nothing that was
    /// published before it: see [the order of
    /// publications](crate#the-order-of-publications), with a recipe for
    /// joining with a history.
    ///
    /// Topics are those of a [`Server`](crate::Server), over all of its loops.
    /// A [`Socket`](crate::Socket) has none: this and the other calls for topics do
    /// nothing for it but log a warning.
    ///
    /// ```
    /// use ws_mio::{Handler, Message, Peer, Prepared};
    ///
    /// struct Room;
    ///
    /// impl Handler for Room {
    ///     type Data = ();
    ///
    ///     fn on_open(&mut self, peer: &mut Peer<'_, ()>) {
    ///         peer.subscribe("room");
    ///     }
    ///
    ///     fn on_message(&mut self, peer: &mut Peer<'_, ()>, message: Message<'_>) {
    ///         // To all others; encoded once.
    ///         peer.publish("room", &Prepared::new(message));
    ///     }
    /// }
    /// ```
    pub fn subscribe(&mut self, topic: impl Into<Arc<str>>) {
        self.commands
            .push(Command::Subscribe(self.id, topic.into()));
    }

    /// Ends a subscription. The peer gets nothing that is published to the
    /// topic after this call.
    pub fn unsubscribe(&mut self, topic: impl Into<Arc<str>>) {
        self.commands
            .push(Command::Unsubscribe(self.id, topic.into()));
    }

    /// Returns the topics that this peer is subscribed to, in no order. What
    /// this turn has asked for does not count yet.
    pub fn topics(&self) -> impl Iterator<Item = &str> {
        self.commands.topics.topics_of(self.id.key)
    }

    /// Sends a message to all subscribers of a topic but this peer, on all
    /// loops. It leaves at the end of this turn, after all that the handler
    /// [sends](Self::send) in the same turn; its place in [the order of
    /// publications](crate#the-order-of-publications) is that of this call.
    ///
    /// A subscriber that reads too slowly misses it: see
    /// [`Config::max_backpressure`](crate::Config::max_backpressure).
    pub fn publish(&mut self, topic: impl Into<Arc<str>>, message: &Prepared) {
        let except = Some(self.id);
        self.commands
            .publish_to(Some(topic.into()), message, except);
    }

    /// Sends a message to all subscribers of a topic, this peer included if it
    /// is one; otherwise as [`publish`](Self::publish).
    pub fn publish_to_all(&mut self, topic: impl Into<Arc<str>>, message: &Prepared) {
        self.commands.publish(topic, message);
    }

    /// Asks for a call of [`Handler::on_timer`](crate::Handler::on_timer) with
    /// the number `timer` after `wait`; `None` takes it back. A connection has
    /// as many timers as it gives numbers: asking again for one moves it.
    ///
    /// `wait` counts from the start of this turn. The call is never early. It
    /// is late by up to a millisecond or two, and by as long as the loop is
    /// busy with others.
    pub fn set_timer(&mut self, timer: u64, wait: Option<Duration>) {
        self.commands.push(Command::Timer(self.id, timer, wait));
    }

    /// Returns how many bytes wait for the peer to read.
    #[must_use]
    pub const fn pending(&self) -> usize {
        self.outgoing.pending()
    }

    /// Lends what compresses, and what takes what comes of it; `None` if what
    /// is sent goes out plain.
    #[inline]
    fn deflating(&mut self) -> Option<(&mut Deflating, Wire<'_>)> {
        let deflating = self.deflating.as_deref_mut()?;
        let wire = Wire {
            outgoing: self.outgoing,
            cork: self.cork,
            transport: self.transport,
        };
        Some((deflating, wire))
    }

    #[inline]
    fn write(&mut self, frame: Result<OutFrame<'_>, SendError>) -> Backpressure {
        match frame {
            Ok(frame) => self.outgoing.send(frame, self.cork, self.transport),
            Err(error) => error.into(),
        }
    }
}

impl<D, Data> Deref for Peer<'_, D, Data> {
    type Target = Commands<D>;

    fn deref(&self) -> &Commands<D> {
        self.commands
    }
}

impl<D, Data> DerefMut for Peer<'_, D, Data> {
    fn deref_mut(&mut self) -> &mut Commands<D> {
        self.commands
    }
}

impl<D, Data: fmt::Debug> fmt::Debug for Peer<'_, D, Data> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer")
            .field("id", &self.id)
            .field("data", &self.data)
            .field("outgoing", &self.outgoing)
            .finish_non_exhaustive()
    }
}

//! What an application does with connections.

mod closed;
pub(crate) mod decider;
mod incoming;

use std::{any::Any, time::Duration};

use ws_handshake::Agreed;
use ws_proto::{Chunk, Message};

pub use self::{
    closed::{Cause, Closed},
    decider::{Decider, Later},
    incoming::{Accept, Decision, Incoming},
};
use crate::{Commands, OpenError, Peer, PeerId};

/// The application's side of a [`Server`](crate::Server): one value for all
/// connections of a loop, called as things happen.
///
/// In every call anything may be done with the [`Peer`], closing it included.
///
/// ```
/// use ws_mio::{Handler, Message, Peer};
///
/// struct Echo;
///
/// impl Handler for Echo {
///     type Data = ();
///
///     fn on_message(&mut self, peer: &mut Peer<'_, ()>, message: Message<'_>) {
///         peer.send(message);
///     }
/// }
/// ```
pub trait Handler {
    /// What the application keeps for each connection.
    type Data: Default;

    /// Whether pieces of messages are delivered to
    /// [`on_chunk`](Self::on_chunk) as they come, instead of whole messages to
    /// [`on_message`](Self::on_message). Nothing is then held of a message. A
    /// [`Profile`](crate::Profile) decides otherwise for its connections.
    const CHUNKS: bool = false;

    /// The loop begins: the first call, before there are connections. Not
    /// called for a [`Socket`](crate::Socket), which has no loop of ours.
    fn on_start(&mut self, commands: &mut Commands<Self::Data>) {
        let _ = commands;
    }

    /// A request came: decides whether it becomes a connection.
    ///
    /// By default a request that keeps the rules is accepted, and any other is
    /// answered as the rule says that it breaks. Anything else can be looked
    /// at, and decided, for this connection alone:
    ///
    /// ```
    /// use ws_mio::{Accept, Decision, Handler, Incoming, Message, Peer, Response};
    ///
    /// struct Chat;
    ///
    /// /// What is kept for a connection.
    /// #[derive(Default)]
    /// struct Guest {
    ///     room: String,
    /// }
    ///
    /// impl Handler for Chat {
    ///     type Data = Guest;
    ///
    ///     fn on_request<'r>(&mut self, incoming: Incoming<'r>) -> Decision<'r, Guest> {
    ///         let request = incoming.request();
    ///         let Some(room) = request.path().strip_prefix("/rooms/") else {
    ///             return Response::new(404).into();
    ///         };
    ///         let guest = Guest { room: room.to_owned() };
    ///         // Of the peers that may leave out masking, those that are no
    ///         // browser, which names the page's origin: [MS-WSPE].
    ///         let flag = request.header("Origin").is_none();
    ///         let acceptance = match incoming.negotiate() {
    ///             Ok(acceptance) => acceptance,
    ///             Err(error) => return error.rejection().into(),
    ///         };
    ///         // One of those that the client lists, or none.
    ///         let acceptance = acceptance.clone().subprotocol("v2.chat").unwrap_or(acceptance);
    ///         Accept::new(acceptance, guest).accept_unmasked_frame(flag).into()
    ///     }
    ///
    ///     fn on_message(&mut self, peer: &mut Peer<'_, Guest>, message: Message<'_>) {
    ///         let room = &peer.data().room;
    ///         println!("{} bytes for {room}", message.len());
    ///     }
    /// }
    /// ```
    fn on_request<'r>(&mut self, incoming: Incoming<'r>) -> Decision<'r, Self::Data> {
        incoming.decide()
    }

    /// A connection is open, and its 101 leaves before all that is sent here.
    fn on_open(&mut self, peer: &mut Peer<'_, Self::Data>) {
        let _ = peer;
    }

    /// A connection is open that we asked for, and the server has agreed. By
    /// default [`on_open`](Self::on_open) is called.
    fn on_connected(&mut self, peer: &mut Peer<'_, Self::Data>, agreed: &Agreed) {
        let _ = agreed;
        self.on_open(peer);
    }

    /// A connection that we asked for was not made, or refused by the server;
    /// its data comes back. Of a [`Socket`](crate::Socket) this is told
    /// otherwise.
    fn on_connect_failed(
        &mut self,
        data: Self::Data,
        error: OpenError,
        commands: &mut Commands<Self::Data>,
    ) {
        let _ = (data, error, commands);
    }

    /// A message came, whole; text is valid UTF-8. It is lent for the length
    /// of the call. Not called if [`CHUNKS`](Self::CHUNKS) is set. By default
    /// messages are ignored.
    ///
    /// Messages come in order, also after our own Close, until the peer's.
    fn on_message(&mut self, peer: &mut Peer<'_, Self::Data>, message: Message<'_>) {
        let _ = (peer, message);
    }

    /// A piece of a message came, if [`CHUNKS`](Self::CHUNKS) is set. Text is
    /// cut between characters; the last piece may be empty.
    fn on_chunk(&mut self, peer: &mut Peer<'_, Self::Data>, chunk: Chunk<'_>) {
        let _ = (peer, chunk);
    }

    /// A Ping came, of at most 125 bytes; it is answered already.
    fn on_ping(&mut self, peer: &mut Peer<'_, Self::Data>, payload: &[u8]) {
        let _ = (peer, payload);
    }

    /// A Pong came, with the round-trip time if it answers the loop's own Ping.
    fn on_pong(
        &mut self,
        peer: &mut Peer<'_, Self::Data>,
        payload: &[u8],
        round_trip: Option<Duration>,
    ) {
        let _ = (peer, payload, round_trip);
    }

    /// All that waited for a peer that reads slowly has been taken by the
    /// transport: after [`Backpressure::Queued`](crate::Backpressure::Queued),
    /// unless the connection ended before.
    fn on_drain(&mut self, peer: &mut Peer<'_, Self::Data>) {
        let _ = peer;
    }

    /// The time has come that
    /// [`Peer::set_timer`] asked for, with the
    /// number that it gave. Not called after [`on_close`](Self::on_close).
    fn on_timer(&mut self, peer: &mut Peer<'_, Self::Data>, timer: u64) {
        let _ = (peer, timer);
    }

    /// The time has come that [`Commands::set_loop_timer`] asked for, with the number
    /// that it gave. Not called for a [`Socket`](crate::Socket).
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use ws_mio::{Handler, Message, Commands, Prepared};
    ///
    /// /// Tells everybody ten times a second how many tenths have passed.
    /// struct Clock(u64);
    ///
    /// const TENTH: Option<Duration> = Some(Duration::from_millis(100));
    ///
    /// impl Handler for Clock {
    ///     type Data = ();
    ///
    ///     fn on_start(&mut self, commands: &mut Commands<()>) {
    ///         commands.set_loop_timer(0, TENTH);
    ///     }
    ///
    ///     fn on_loop_timer(&mut self, timer: u64, commands: &mut Commands<()>) {
    ///         self.0 += 1;
    ///         commands.broadcast(&Prepared::new(Message::Text(&self.0.to_string())));
    ///         commands.set_loop_timer(timer, TENTH);
    ///     }
    /// }
    /// ```
    fn on_loop_timer(&mut self, timer: u64, commands: &mut Commands<Self::Data>) {
        let _ = (timer, commands);
    }

    /// The connection is over: the last call for it, and called exactly once
    /// for every [`on_open`](Self::on_open). Nothing can be sent any more.
    ///
    /// What was sent before still leaves, up to `close_timeout`, unless the
    /// connection was aborted, failed or timed out.
    fn on_close(&mut self, peer: &mut Peer<'_, Self::Data>, closed: Closed<'_>) {
        let _ = (peer, closed);
    }

    /// A callback panicked: that of `peer`, or one that belongs to no open
    /// connection. Called before [`on_close`](Self::on_close) of that peer; not
    /// called with [`OnPanic::Propagate`](crate::OnPanic::Propagate), and never
    /// of a [`Socket`](crate::Socket).
    ///
    /// `panic` is what [`std::panic::catch_unwind`] returns. The panic is logged
    /// already. One in this method is logged, too.
    fn on_panic(&mut self, peer: Option<PeerId>, panic: Box<dyn Any + Send>) {
        let _ = (peer, panic);
    }
}

//! One endpoint of a connection, whole (RFC 6455 sections 4.1 and 7.1).

use crate::{Assembler, Limits, MaskingPolicy, ProtocolError, Receiver, Sender};

/// The three parts of an endpoint, and the state that follows from them.
///
/// The parts are lent apart, so that replies can be made while events still
/// borrow the input; see the [crate's](crate) run loop.
#[derive(Debug)]
pub struct Connection<P> {
    receiver: Receiver,
    messages: Assembler,
    sender: Sender<P>,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// Messages go both ways.
    Open,
    /// A Close was sent or received, and the other is owed (section 7.1.3).
    Closing,
    /// Both Closes were seen: the server closes the transport, and the client
    /// waits for that (section 7.1.1).
    Closed,
    /// The peer broke a rule, or the transport ended without a Close: nothing
    /// more is received (section 7.1.7).
    Failed,
}

impl<P: MaskingPolicy> Connection<P> {
    /// Starts right after the opening handshake. The masking policy decides
    /// the role.
    #[must_use]
    pub fn new(masking: P, limits: Limits) -> Self {
        Self {
            receiver: Receiver::new(masking.inbound(), limits),
            messages: Assembler::new(),
            sender: Sender::new(masking),
        }
    }

    /// Whether a per-message compression extension was negotiated. See
    /// [`Receiver::accept_compressed`].
    #[must_use]
    pub fn accept_compressed(mut self, negotiated: bool) -> Self {
        self.receiver = self.receiver.accept_compressed(negotiated);
        self
    }

    /// Lends the parts: what receives, what joins chunks to messages, and what
    /// sends.
    pub const fn parts(&mut self) -> (&mut Receiver, &mut Assembler, &mut Sender<P>) {
        (&mut self.receiver, &mut self.messages, &mut self.sender)
    }

    /// Returns how far the connection is.
    #[must_use]
    pub fn state(&self) -> ConnectionState {
        match (self.receiver.is_closed(), self.sender.is_close_sent()) {
            _ if self.receiver.is_failed() => ConnectionState::Failed,
            (true, true) => ConnectionState::Closed,
            (false, false) => ConnectionState::Open,
            _ => ConnectionState::Closing,
        }
    }

    /// Tells that the transport ended. See [`Receiver::end`].
    ///
    /// # Errors
    ///
    /// [`ProtocolError::ConnectionLost`] if the peer had not sent its Close.
    pub const fn end(&mut self) -> Result<(), ProtocolError> {
        self.receiver.end()
    }

    /// Lends the masking policy, to read what was chosen.
    #[must_use]
    pub const fn masking(&self) -> &P {
        self.sender.masking()
    }
}

//! How far a connection is, from the opening handshake to the end of the
//! transport (RFC 6455 sections 1.4, 5.5.1 and 7.1).

use crate::Timeout;

/// How far a connection is. A [`Clock`](crate::Clock) holds it, as each stage
/// has a deadline of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The opening handshake is under way.
    Opening,
    /// Messages go both ways.
    Open,
    /// Our Close was sent, or can no longer be sent: messages are received up
    /// to the peer's Close. It holds the time limit that our Close tells of, if
    /// it does.
    Closing(Option<Timeout>),
    /// Nothing more is received.
    Ending(Ending),
    /// The transport is closed, or to be dropped.
    Ended,
}

impl Stage {
    /// Returns whether messages are received.
    #[must_use]
    pub const fn is_receiving(self) -> bool {
        matches!(self, Self::Open | Self::Closing(_))
    }
}

/// A step of the end: what is to be done next with the transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Write what waits, up to the Close.
    Write(EndOrder),
    /// End our direction of the transport.
    Shutdown(EndOrder),
    /// Read to the end of the peer's direction, and discard what comes.
    Discard(EndOrder),
}

/// The order of the steps of the [end](Ending).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndOrder {
    /// A server that has both Closes ends the transport at once.
    Now,
    /// A client that has both Closes lets the server end the transport first.
    AfterServer,
    /// The peer may still be sending. A transport that is dropped with unread
    /// input is reset, and the reset may take our Close from the peer: so ours
    /// ends first, and then the peer's input is discarded.
    Linger,
}

impl EndOrder {
    /// Returns the order for a role. `lingers` is given if the connection has
    /// failed, or if input may be unread.
    #[must_use]
    pub const fn new(is_client: bool, lingers: bool) -> Self {
        match (lingers, is_client) {
            (true, _) => Self::Linger,
            //= RFC6455-5.5.1-13, RFC6455-7.1.1-6
            (false, true) => Self::AfterServer,
            //= RFC6455-5.5.1-11, RFC6455-5.5.1-12, RFC6455-7.1.1-3, RFC6455-7.1.1-5
            (false, false) => Self::Now,
        }
    }
}

impl Ending {
    /// Returns the step after this one; `None` after the last.
    pub(crate) const fn next(self) -> Option<Self> {
        use EndOrder::{AfterServer, Linger, Now};
        match self {
            Self::Write(order @ AfterServer) => Some(Self::Discard(order)),
            //= RFC6455-7.1.1-1
            Self::Write(order) => Some(Self::Shutdown(order)),
            Self::Discard(order @ AfterServer) => Some(Self::Shutdown(order)),
            Self::Shutdown(order @ Linger) => Some(Self::Discard(order)),
            Self::Shutdown(Now | AfterServer) | Self::Discard(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn steps_of_the_end_come_in_the_order_of_the_role() {
        //= RFC6455-7.1.1-1, RFC6455-7.1.1-3, RFC6455-7.1.1-6
        let steps = |order| {
            let first = Ending::Write(order);
            core::iter::successors(Some(first), |step| step.next()).collect::<Vec<_>>()
        };
        let order = EndOrder::new(false, false);
        assert_eq!(
            steps(order),
            [Ending::Write(order), Ending::Shutdown(order)]
        );
        let order = EndOrder::new(true, false);
        let client = [
            Ending::Write(order),
            Ending::Discard(order),
            Ending::Shutdown(order),
        ];
        assert_eq!(steps(order), client);
        for is_client in [false, true] {
            let order = EndOrder::new(is_client, true);
            let lingering = [
                Ending::Write(order),
                Ending::Shutdown(order),
                Ending::Discard(order),
            ];
            assert_eq!(steps(order), lingering);
        }
    }
}

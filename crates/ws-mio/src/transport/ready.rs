//! What an event says of a transport.

/// What changed about a transport, as an event of [`mio`] tells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ready {
    /// There may be something to read.
    pub readable: bool,
    /// There may be room to write.
    pub writable: bool,
    /// The peer has ended its direction, or the transport failed: reading goes
    /// on until it says so itself.
    pub read_closed: bool,
}

impl From<&mio::event::Event> for Ready {
    fn from(event: &mio::event::Event) -> Self {
        let read_closed = event.is_read_closed() || event.is_error();
        Self {
            readable: event.is_readable() || read_closed,
            writable: event.is_writable() || event.is_error(),
            read_closed,
        }
    }
}

//! A transport that counts what it is asked.

use std::{
    cell::Cell,
    io::{self, IoSlice},
    rc::Rc,
};

use mio::event::Source;
use ws_mio::{PeerAddr, Transport, memory::Duplex};

/// How often something has read and written.
pub(crate) type Calls = Rc<Cell<(u32, u32)>>;

/// Counts the calls that a socket would make of the system.
#[derive(Debug)]
pub(crate) struct Counted {
    inner: Duplex,
    calls: Calls,
}

impl Counted {
    pub(crate) fn new(inner: Duplex, calls: &Calls) -> Self {
        let calls = Rc::clone(calls);
        Self { inner, calls }
    }
}

impl Transport for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (reads, writes) = self.calls.get();
        self.calls.set((reads + 1, writes));
        self.inner.read(buffer)
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let (reads, writes) = self.calls.get();
        self.calls.set((reads, writes + 1));
        self.inner.write(slices)
    }

    fn shutdown(&mut self) -> io::Result<()> {
        self.inner.shutdown()
    }

    fn peer_addr(&self) -> PeerAddr {
        self.inner.peer_addr()
    }

    fn source(&mut self) -> Option<&mut dyn Source> {
        self.inner.source()
    }

    fn short_is_all(&self) -> bool {
        self.inner.short_is_all()
    }
}

//! A stream in memory that says where its peer is, and both ends of one.

use std::{
    io::{self, IoSlice},
    sync::Arc,
};

use mio::event::Source;
use ws_mio::{
    ClientConfig, ClientRequest, Config, PeerAddr, Ready, Socket, SocketState, Transport, Uri,
    memory::{self, Duplex},
};

use super::Echo;

pub(crate) struct Located(pub(crate) Duplex, pub(crate) PeerAddr);

impl Transport for Located {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.write(slices)
    }

    fn shutdown(&mut self) -> io::Result<()> {
        self.0.shutdown()
    }

    fn peer_addr(&self) -> PeerAddr {
        self.1
    }

    fn source(&mut self) -> Option<&mut dyn Source> {
        None
    }
}

/// Opens a connection whose ends both say that the other is at `peer`, each
/// over what `wrap` makes of it; returns the client's end and the server's.
pub(crate) fn open<T: Transport>(
    peer: PeerAddr,
    wrap: impl Fn(Located) -> T,
    client: &ClientConfig,
    server: Config,
) -> (Socket<(), T>, Socket<(), T>) {
    let (near, far) = memory::pair(4096);
    let request = ClientRequest::new(Uri::parse("ws://example.com/").unwrap());
    let mut near = Socket::client(wrap(Located(near, peer)), request, client).unwrap();
    let mut far = Socket::accept(wrap(Located(far, peer)), Arc::new(server)).unwrap();
    let ready = Ready {
        readable: true,
        writable: true,
        read_closed: false,
    };
    while near.state() == SocketState::Opening {
        near.ready(ready, &mut Echo).unwrap();
        far.ready(ready, &mut Echo).unwrap();
    }
    assert_eq!(
        (near.state(), far.state()),
        (SocketState::Open, SocketState::Open)
    );
    (near, far)
}

//! Connections that the loop begins by itself.

use std::{
    cell::RefCell,
    io,
    net::{Ipv4Addr, SocketAddr},
    rc::Rc,
};

use crate::{
    faults::Faults,
    random::Random,
    wire::{Net, Stream, Wire},
};

/// Makes the streams that the loop asks for by an address.
#[derive(Debug)]
pub(crate) struct Dialer {
    net: Rc<Net>,
    faults: Faults,
    random: Random,
}

thread_local! {
    static DIALER: RefCell<Option<Dialer>> = const { RefCell::new(None) };
}

impl Dialer {
    /// Serves the loop of this thread from now on.
    pub(crate) fn install(net: &Rc<Net>, faults: Faults, random: &mut Random) {
        let dialer = Self {
            net: Rc::clone(net),
            faults,
            random: random.fork(),
        };
        DIALER.set(Some(dialer));
    }

    /// The address is the number of the connection.
    pub(crate) fn address(number: u32) -> SocketAddr {
        (Ipv4Addr::from(number), 80).into()
    }

    fn dial(&mut self, address: SocketAddr) -> io::Result<Wire> {
        if self.random.chance(100) {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        }
        let SocketAddr::V4(address) = address else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        let number = (*address.ip()).into();
        let mut stream = Stream::new(number, &self.net, self.faults, &mut self.random);
        stream.connecting = true;
        stream.outbound.is_awaited = true;
        let stream = Rc::new(RefCell::new(stream));
        self.net.dialled.borrow_mut().push(Rc::clone(&stream));
        Ok(Wire::new(&stream))
    }
}

/// Connects the loop of this thread.
pub(crate) fn dial(address: SocketAddr) -> io::Result<Wire> {
    DIALER.with_borrow_mut(|dialer| {
        let dialer = dialer.as_mut().expect("a simulation runs");
        dialer.dial(address)
    })
}

//! A loop and its clients in memory. The time is the test's.

use std::{io::IoSlice, time::Duration};

use ws_mio::{
    Config, EventLoop, Handler, Ready, Transport,
    memory::{self, Duplex},
};

use super::{REPLY, REQUEST, config};

pub(crate) struct Bench<H: Handler, T: Transport = Duplex> {
    pub(crate) inner: EventLoop<H, T>,
    pub(crate) now: Duration,
    pub(crate) goes_on: bool,
}

impl<H: Handler, T: Transport> Bench<H, T> {
    pub(crate) fn new(handler: H, config: Config) -> Self {
        Self {
            inner: EventLoop::new(config, handler, || Ok(())).unwrap(),
            now: Duration::ZERO,
            goes_on: true,
        }
    }

    /// Lets time pass, turn by turn as the loop asks for it.
    pub(crate) fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(next) = self.inner.next_timeout()
            && next < until
            && self.goes_on
        {
            self.now = next.max(self.now);
            self.turn(&[]);
        }
        self.now = until;
        self.turn(&[]);
    }

    /// Gives the loop a turn, and some connections theirs.
    pub(crate) fn turn(&mut self, keys: &[usize]) {
        self.inner.start_turn(self.now);
        for key in keys {
            self.inner.wake(*key, READY);
        }
        self.goes_on = self.inner.finish_turn();
    }
}

pub(crate) const READY: Ready = Ready {
    readable: true,
    writable: true,
    read_closed: false,
};

impl<H: Handler> Bench<H> {
    /// Connects, and sends some of the request and what follows.
    pub(crate) fn dial(&mut self, room: usize, bytes: &[u8]) -> Option<(Duplex, usize)> {
        let (mut client, server) = memory::pair(room);
        let key = self.inner.admit(server)?;
        assert_eq!(client.write(&[IoSlice::new(bytes)]).unwrap(), bytes.len());
        self.turn(&[key]);
        Some((client, key))
    }

    pub(crate) fn connect(&mut self, room: usize) -> (Duplex, usize) {
        let (mut client, key) = self.dial(room, REQUEST).unwrap();
        assert_eq!(take(&mut client), REPLY);
        (client, key)
    }

    pub(crate) fn send(&mut self, client: &mut Duplex, key: usize, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let Ok(len) = client.write(&[IoSlice::new(bytes)]) else {
                return;
            };
            bytes = &bytes[len..];
            self.turn(&[key]);
        }
    }
}

/// Takes what there is.
pub(crate) fn take(client: &mut Duplex) -> Vec<u8> {
    let mut all = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(len @ 1..) = client.read(&mut buffer) {
        all.extend_from_slice(&buffer[..len]);
    }
    all
}

pub(crate) fn is_gone(client: &mut Duplex) -> bool {
    matches!(client.read(&mut [0; 1]), Ok(0))
}

/// A configuration without Pings.
pub(crate) fn quiet() -> Config {
    let mut config = config();
    config.keepalive.ping_interval = None;
    config
}

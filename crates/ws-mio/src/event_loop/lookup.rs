//! Servers are connected to by their names: the name is looked up, and its
//! addresses are tried one after the other.

use std::{
    collections::VecDeque,
    io,
    net::{IpAddr, SocketAddr},
    vec,
};

use mio::{Interest, Token};
use tracing::debug;

use super::{EventLoop, connect::start_connecting};
use crate::{
    Connect, Handler, OpenError, PeerId, Transport,
    connection::Place,
    event_loop::resolver::{Answer, Resolver},
    opening::route::Route,
    slots::wheel::{TICK, Tick},
};

/// Names that are being looked up.
pub(super) struct Lookups<D> {
    resolver: Resolver,
    /// In the order of their tickets, and of their deadlines.
    waiting: VecDeque<Lookup<D>>,
    next_ticket: u64,
}

struct Lookup<D> {
    ticket: u64,
    until: Tick,
    connect: Connect<D>,
}

impl<H: Handler, T: Transport> EventLoop<H, T> {
    /// Connects to the server that the request names, or to its proxy.
    pub(crate) fn connect_by_name(&mut self, connect: Connect<H::Data>) {
        if self.is_stopping() {
            self.not_connected(connect.data, OpenError::Stopped);
            return;
        }
        let until = self.tick_after(self.config.handshake_timeout);
        let (host, port) = connect.destination();
        if let Ok(address) = host.parse::<IpAddr>() {
            let address = SocketAddr::new(address, port);
            self.connect_to_any(vec![address], until, connect);
            return;
        }
        let wake = || self.remote.mailboxes()[usize::from(self.index)].waker();
        let lookups = self.lookups.get_or_insert_with(|| {
            Box::new(Lookups {
                resolver: Resolver::new(wake()),
                waiting: VecDeque::new(),
                next_ticket: 0,
            })
        });
        let ticket = lookups.next_ticket;
        if let Err(error) = lookups.resolver.ask(ticket, host, port) {
            self.not_connected(connect.data, OpenError::Lookup(error));
            return;
        }
        lookups.next_ticket += 1;
        lookups.waiting.push_back(Lookup {
            ticket,
            until,
            connect,
        });
    }

    /// Goes on with those whose names were looked up.
    pub(super) fn take_answers(&mut self) {
        let Some(lookups) = &self.lookups else {
            return;
        };
        for Answer { ticket, addresses } in lookups.resolver.answers() {
            let Some(Lookup { until, connect, .. }) = self.take_lookup(ticket) else {
                // It took too long.
                continue;
            };
            match addresses {
                Ok(addresses) => self.connect_to_any(addresses, until, connect),
                Err(error) => drop(self.not_connected(connect.data, OpenError::Lookup(error))),
            }
        }
    }

    fn take_lookup(&mut self, ticket: u64) -> Option<Lookup<H::Data>> {
        let waiting = &mut self.lookups.as_mut()?.waiting;
        let at = waiting.binary_search_by_key(&ticket, |lookup| lookup.ticket);
        waiting.remove(at.ok()?)
    }

    /// When the next name is given up.
    pub(super) fn next_lookup_timeout(&self) -> Option<Tick> {
        let first = self.lookups.as_ref()?.waiting.front()?;
        Some(first.until)
    }

    /// Gives up those names whose time is over, or all.
    pub(super) fn give_up_lookups(&mut self, all: bool) {
        let tick = self.tick();
        while let Some(lookups) = &mut self.lookups
            && let Some(first) = lookups.waiting.front()
            && (all || tick >= first.until)
            && let Some(lookup) = lookups.waiting.pop_front()
        {
            lookups.resolver.forget(lookup.ticket);
            let error = match all {
                true => OpenError::Stopped,
                false => OpenError::Timeout,
            };
            self.not_connected(lookup.connect.data, error);
        }
    }

    /// Starts to connect to the first of some addresses to which that can be
    /// started.
    fn connect_to_any(
        &mut self,
        addresses: Vec<SocketAddr>,
        until: Tick,
        connect: Connect<H::Data>,
    ) {
        let mut last = OpenError::Lookup(io::ErrorKind::NotFound.into());
        let mut left = addresses.into_iter();
        while let Some(address) = left.next() {
            match start_connecting(address, &connect) {
                Ok((transport, server)) => {
                    let route = connect.without_data();
                    if let Some(id) = self.begin_opening(transport, server, connect) {
                        self.follow(
                            id,
                            Route {
                                connect: route,
                                left,
                                until,
                            },
                        );
                    }
                    return;
                }
                Err(error) => last = error,
            }
        }
        self.not_connected(connect.data, last);
    }

    /// Has a connection that is being made go on to other addresses.
    fn follow(&mut self, id: PeerId, route: Route) {
        let share = route.share(self.tick());
        let slot = &mut self.slots[id.key as usize];
        slot.clock.set_until(TICK * share);
        if let Place::ClientOpening(index) = slot.kept.place() {
            self.client_openings[index].route = Some(Box::new(route));
        }
        self.arm(id.key as usize, share);
    }

    /// Goes on to the next address of a server, or gives it up.
    pub(super) fn fall_back(&mut self, key: usize, error: OpenError) {
        let Place::ClientOpening(index) = self.slots[key].kept.place() else {
            return;
        };
        let opening = &mut self.client_openings[index];
        let is_over =
            opening.is_connected || !matches!(error, OpenError::Io(_) | OpenError::Timeout);
        let route = opening.route.take();
        let Some(mut route) = route.filter(|_| !is_over) else {
            return self.give_back(key, error);
        };
        let mut last = error;
        while let Some(address) = route.left.next() {
            debug!(error = %last, %address, "on to the next address");
            match self.connect_to_next(key, address, &route.connect) {
                Ok(()) => {
                    let id = self.id(key);
                    return self.follow(id, *route);
                }
                Err(error) => last = error,
            }
        }
        self.give_back(key, last);
    }

    /// Has a connection that is being made go to another address.
    fn connect_to_next(
        &mut self,
        key: usize,
        address: SocketAddr,
        connect: &Connect<()>,
    ) -> Result<(), OpenError> {
        let (mut transport, _) = start_connecting::<T, _>(address, connect)?;
        let slot = &mut self.slots[key];
        if let Some(registry) = &self.registry {
            if let Some(source) = slot.transport.source() {
                let _ = registry.deregister(source);
            }
            if let Some(source) = transport.source() {
                registry.register(source, Token(key), Interest::READABLE | Interest::WRITABLE)?;
            }
        }
        slot.transport = transport;
        slot.read_closed = false;
        self.give_waker(key);
        Ok(())
    }

    /// Gives up an address that took its share of the time, or the connection.
    pub(super) fn time_out_connecting(&mut self, key: usize) {
        let tick = self.tick();
        let slot = &mut self.slots[key];
        if let Place::ClientOpening(index) = slot.kept.place()
            && let opening = &self.client_openings[index]
            && opening.is_connected
            && let Some(route) = &opening.route
            && tick < route.until
        {
            // It goes no further than this address, so all of the time is its.
            let until = route.until;
            slot.clock.set_until(TICK * until);
            return self.arm(key, until);
        }
        self.fall_back(key, OpenError::Timeout);
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, io::IoSlice, rc::Rc, time::Duration};

    use mio::event::Source;
    use ws_handshake::{ClientRequest, OriginPolicy, Uri};

    use super::*;
    use crate::{Commands, Config, Message, Peer, PeerAddr, Ready};

    /// A transport that does what the port of its address says.
    struct Fake {
        port: u16,
        is_asked: bool,
    }

    /// It cannot even be started to be connected.
    const UNREACHABLE: u16 = 1;
    const REFUSED: u16 = 2;
    const SILENT: u16 = 3;
    /// Connected, and answers nothing.
    const IDLE: u16 = 4;
    /// Connected, and no server.
    const ENDED: u16 = 5;

    impl Transport for Fake {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            match self.port {
                ENDED => Ok(0),
                _ => Err(io::ErrorKind::WouldBlock.into()),
            }
        }

        fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
            self.is_asked = true;
            Ok(slices.iter().map(|slice| slice.len()).sum())
        }

        fn shutdown(&mut self) -> io::Result<()> {
            Ok(())
        }

        fn peer_addr(&self) -> PeerAddr {
            PeerAddr::Local
        }

        fn source(&mut self) -> Option<&mut dyn Source> {
            None
        }

        fn connect(address: SocketAddr) -> io::Result<Self> {
            match address.port() {
                UNREACHABLE => Err(io::ErrorKind::NetworkUnreachable.into()),
                port => Ok(Self {
                    port,
                    is_asked: false,
                }),
            }
        }

        fn begin(&mut self) -> io::Result<bool> {
            match self.port {
                REFUSED => Err(io::ErrorKind::ConnectionRefused.into()),
                SILENT => Ok(false),
                _ => Ok(true),
            }
        }
    }

    /// Writes down why connections failed.
    struct Failures(Rc<RefCell<Vec<String>>>);

    impl Handler for Failures {
        type Data = u8;

        fn on_message(&mut self, _: &mut Peer<'_, u8>, _: Message<'_>) {}

        fn on_connect_failed(&mut self, data: u8, error: OpenError, _: &mut Commands<u8>) {
            self.0.borrow_mut().push(format!("{data} {error:?}"));
        }
    }

    struct Bench {
        inner: EventLoop<Failures, Fake>,
        failures: Rc<RefCell<Vec<String>>>,
        now: Duration,
    }

    impl Bench {
        fn new() -> Self {
            let failures = Rc::default();
            let handler = Failures(Rc::clone(&failures));
            let config = Config::new(OriginPolicy::Any);
            let mut inner = EventLoop::new(config, handler, || Ok(())).unwrap();
            inner.start_turn(Duration::ZERO);
            Self {
                inner,
                failures,
                now: Duration::ZERO,
            }
        }

        fn connect(&mut self, ports: &[u16]) {
            let address = |port: &u16| SocketAddr::from(([192, 0, 2, 1], *port));
            let addresses = ports.iter().map(address).collect();
            let until = self.inner.tick_after(self.inner.config.handshake_timeout);
            let request = ClientRequest::new(Uri::parse("ws://h/").unwrap());
            let connect = Connect::new(request, 7);
            self.inner.connect_to_any(addresses, until, connect);
        }

        /// Tells all connections that something happened.
        fn turn(&mut self) {
            self.inner.start_turn(self.now);
            for key in 0..4 {
                self.inner.wake(key, Ready::default());
            }
            assert!(self.inner.finish_turn());
        }

        /// Goes on to when the loop wants to.
        fn wait(&mut self) {
            self.now = self.inner.next_timeout().unwrap();
            self.inner.start_turn(self.now);
            assert!(self.inner.finish_turn());
        }

        /// The port of the only connection, and whether a request was sent.
        fn current(&mut self) -> Option<(u16, bool)> {
            let transport = self.inner.transport(0)?;
            Some((transport.port, transport.is_asked))
        }

        fn failures(&self) -> Vec<String> {
            self.failures.take()
        }
    }

    #[test]
    fn address_that_fails_leads_to_the_next() {
        let mut bench = Bench::new();
        bench.connect(&[UNREACHABLE, REFUSED, UNREACHABLE, REFUSED, IDLE]);
        assert_eq!(bench.current(), Some((REFUSED, false)));
        bench.turn();
        assert_eq!(bench.current(), Some((REFUSED, false)));
        bench.turn();
        assert_eq!(bench.current(), Some((IDLE, false)));
        bench.turn();
        assert_eq!(bench.current(), Some((IDLE, true)));
        assert!(bench.failures().is_empty());
    }

    #[test]
    fn error_of_the_last_address_is_told() {
        for (ports, error) in [
            (&[UNREACHABLE, REFUSED][..], "7 Io(Kind(ConnectionRefused))"),
            (&[REFUSED, UNREACHABLE], "7 Io(Kind(NetworkUnreachable))"),
            (&[UNREACHABLE], "7 Io(Kind(NetworkUnreachable))"),
            (&[], "7 Lookup(Kind(NotFound))"),
        ] {
            let mut bench = Bench::new();
            bench.connect(ports);
            bench.turn();
            assert_eq!(bench.failures(), [error]);
            assert_eq!(bench.current(), None);
        }
    }

    #[test]
    fn server_that_was_reached_is_the_last_to_be_tried() {
        let mut bench = Bench::new();
        bench.connect(&[ENDED, IDLE]);
        bench.turn();
        assert_eq!(bench.failures(), ["7 Handshake(ConnectionLost)"]);
    }

    #[test]
    fn each_address_has_its_share_of_the_time() {
        let mut bench = Bench::new();
        bench.connect(&[SILENT, SILENT, SILENT, SILENT]);
        for seconds in [2500, 5000, 7500, 10_000] {
            assert_eq!(bench.failures(), [""; 0]);
            assert_eq!(bench.current(), Some((SILENT, false)));
            bench.wait();
            assert_eq!(bench.now.as_millis(), seconds);
        }
        assert_eq!(bench.failures(), ["7 Timeout"]);
        assert_eq!(bench.inner.next_timeout(), None);
    }

    #[test]
    fn address_that_answers_gets_the_time_of_the_others() {
        let mut bench = Bench::new();
        bench.connect(&[SILENT, IDLE, IDLE]);
        bench.wait();
        bench.turn();
        assert_eq!(bench.current(), Some((IDLE, true)));
        bench.wait();
        assert!(bench.failures().is_empty());
        bench.wait();
        assert_eq!(bench.failures(), ["7 Timeout"]);
        assert_eq!(bench.now.as_secs(), 10);
    }

    #[test]
    fn stop_gives_up_names_and_addresses() {
        let mut bench = Bench::new();
        bench.connect(&[SILENT, SILENT]);
        let request = ClientRequest::new(Uri::parse("ws://name.invalid/").unwrap());
        bench.inner.connect_by_name(Connect::new(request, 8));
        bench.inner.stop(None);
        assert!(!bench.inner.finish_turn());
        assert_eq!(bench.failures(), ["8 Stopped", "7 Stopped"]);
    }

    #[test]
    fn name_that_takes_too_long_is_given_up() {
        let mut bench = Bench::new();
        let request = ClientRequest::new(Uri::parse("ws://name.invalid/").unwrap());
        bench.inner.connect_by_name(Connect::new(request, 8));
        // The loop does not look for answers before the time is over.
        bench.now = bench.inner.next_timeout().unwrap();
        bench.inner.begin_turn(bench.now);
        assert!(bench.inner.finish_turn());
        assert_eq!(bench.failures(), ["8 Timeout"]);
        assert_eq!(bench.inner.next_timeout(), None);
    }
}

//! A loop that its owner drives, on a poll of its own.

use std::{
    cell::RefCell,
    io,
    rc::Rc,
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Token, net::TcpListener};
use ws_mio::{ClientRequest, CloseCode, Closed, Connect, EventLoop, Handler, Message, Peer, Uri};

use crate::common::{config, pattern};

/// What came back, and how connections ended.
#[derive(Default)]
struct Log {
    echoes: Vec<Vec<u8>>,
    ends: Vec<u16>,
}

/// Echoes as a server; as a client says something long, and closes when that
/// is back.
struct Both(Rc<RefCell<Log>>);

impl Handler for Both {
    /// It is a connection to a server.
    type Data = bool;

    fn on_open(&mut self, peer: &mut Peer<'_, bool>) {
        if *peer.data() {
            peer.send_binary(&pattern(SAID));
        }
    }

    fn on_message(&mut self, peer: &mut Peer<'_, bool>, message: Message<'_>) {
        if !*peer.data() {
            peer.send(message);
            return;
        }
        self.0.borrow_mut().echoes.push(message.as_bytes().to_vec());
        peer.close(CloseCode::NORMAL, "");
    }

    fn on_close(&mut self, _: &mut Peer<'_, bool>, closed: Closed<'_>) {
        self.0.borrow_mut().ends.push(closed.code);
    }
}

/// More than sockets take at once: both sides have to wait for room.
const SAID: usize = 8 << 20;
const LISTENER: Token = Token(usize::MAX);

#[test]
fn loop_registers_what_it_serves_and_what_it_connects() -> io::Result<()> {
    let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(64));
    let mut listener = TcpListener::bind("127.0.0.1:0".parse().unwrap())?;
    let registry = poll.registry();
    registry.register(&mut listener, LISTENER, Interest::READABLE)?;
    let log = Rc::new(RefCell::new(Log::default()));
    let mut inner = EventLoop::new(config(), Both(Rc::clone(&log)), || Ok(()))
        .unwrap()
        .with_registry(registry.try_clone()?);

    let address = listener.local_addr()?;
    for _ in 0..3 {
        let uri = Uri::parse(&format!("ws://{address}/")).unwrap();
        let connect = Connect::new(ClientRequest::new(uri), true);
        inner.lend().connect(address, connect).unwrap();
    }
    let started = Instant::now();
    while log.borrow().ends.len() < 6 {
        let now = started.elapsed();
        assert!(now < Duration::from_secs(60), "no end of it");
        let next = inner.next_timeout();
        let wait = next.map(|at| at.saturating_sub(now));
        poll.poll(&mut events, wait)?;
        inner.start_turn(started.elapsed());
        for event in &events {
            match event.token() {
                LISTENER => {
                    while let Ok((stream, _)) = listener.accept() {
                        inner.admit(stream).unwrap();
                    }
                }
                Token(key) => inner.wake(key, event.into()),
            }
        }
        assert!(inner.finish_turn());
    }
    let log = log.borrow();
    assert!(log.ends.iter().all(|code| *code == 1000), "{:?}", log.ends);
    assert_eq!(log.echoes.len(), 3);
    assert!(log.echoes.iter().all(|echo| *echo == pattern(SAID)));
    Ok(())
}

//! Connections are opened, by either side.

use std::{cell::RefCell, rc::Rc};

use super::World;
use crate::{
    app::State,
    front::{Front, Layer},
    peer::{ModelPeer, Mood},
    wire::{Stream, Wire},
};

impl<const CHUNKS: bool, T: Front> World<CHUNKS, T> {
    pub(super) fn open_some(&mut self) {
        let missing = self.plan.connections.saturating_sub(self.live.len());
        let most = 1 + self.plan.connections / 20;
        // Some come later, for those that have gone.
        if missing == 0 || self.peers.len() > 2 * most && !self.random.chance(100) {
            return;
        }
        for _ in 0..missing.min(most) {
            match self.random.chance(200) {
                true => self.open_by_loop(),
                false => self.open_by_peer(),
            }
        }
    }

    pub(super) fn new_stream(&mut self, number: u32) -> Rc<RefCell<Stream>> {
        let stream = Stream::new(number, &self.net, self.plan.faults, &mut self.random);
        Rc::new(RefCell::new(stream))
    }

    pub(super) fn open_by_peer(&mut self) {
        let number = self.net.number();
        let stream = self.new_stream(number);
        self.with_app(|app| app.of(number).state = State::Unknown);
        let (wire, plan) = (Wire::new(&stream), Rc::clone(&self.plan));
        let config = &self.plan.config;
        let (max_connections, max_memory) = (config.max_connections, config.max_memory);
        let (connections, held) = self.with_loop(|inner| {
            let held = inner.remote().metrics().held_bytes as usize;
            (inner.lend().connections(), held)
        });
        let key = self.with_loop(|inner| inner.admit(T::accepted(wire, &plan)));
        stream.borrow_mut().key = key;
        if key.is_some() {
            assert!(
                connections < max_connections,
                "one more than {connections} connections is admitted"
            );
            assert!(
                held <= max_memory / 4 * 3,
                "a connection is admitted while {held} bytes of {max_memory} are held"
            );
            if T::LAYER != Layer::Proxy {
                self.check_address(&stream);
            }
        }
        let peer = ModelPeer::client(stream, &mut self.shared);
        self.add(peer);
    }

    /// One address has no more connections than it may.
    pub(super) fn check_address(&self, stream: &Rc<RefCell<Stream>>) {
        let address = stream.borrow().address();
        let is_there = |peer: &&ModelPeer| {
            let stream = peer.stream.borrow();
            let is_counted = peer.is_client && stream.key.is_some() && !stream.is_dropped;
            is_counted && stream.address() == address
        };
        let before = self.peers.iter().flatten().filter(is_there).count();
        let most = self.plan.config.max_connections_per_address;
        assert!(
            before < most,
            "one more than {before} connections from {address}"
        );
    }

    pub(super) fn open_by_loop(&mut self) {
        let mut asked = None;
        self.with_app(|app| asked = Some(app.connect()));
        let Some((number, connect)) = asked else {
            return;
        };
        let stream = self.new_stream(number);
        let (wire, plan) = (Wire::new(&stream), Rc::clone(&self.plan));
        let id = self.with_loop(|inner| inner.lend().connect_over(T::called(wire, &plan), connect));
        stream.borrow_mut().key = id.map(|id| id.key());
        let peer = ModelPeer::server(stream, &self.shared, false);
        self.add(peer);
    }

    /// Makes the peers of connections that the loop began by itself.
    pub(super) fn answer_dialled(&mut self) {
        for stream in self.net.dialled.take() {
            let number = stream.borrow().number;
            // Keys are given again, so there are no more than connections ever were.
            let keys = number as usize + 1;
            let key = self.with_loop(|inner| {
                (0..keys).find(|&key| {
                    let front = inner.transport(key);
                    front.is_some_and(|front| front.wire().number() == number)
                })
            });
            assert!(
                key.is_some() || stream.borrow().is_dropped,
                "it is somewhere"
            );
            stream.borrow_mut().key = key;
            let peer = ModelPeer::server(stream, &self.shared, true);
            self.add(peer);
        }
    }

    pub(super) fn add(&mut self, mut peer: ModelPeer) {
        if self.random.chance(self.plan.wrongs) {
            peer.mood = Mood::Silent;
        }
        if self.random.chance(self.plan.wrongs) {
            peer.exaggerate(&mut self.shared);
        }
        let number = peer.number as usize;
        if self.peers.len() <= number {
            self.peers.resize_with(number + 1, || None);
        }
        self.live.push(peer.number);
        self.peers[number] = Some(peer);
    }
}

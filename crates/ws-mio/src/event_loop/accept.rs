//! Connections come.

use std::{io, net::SocketAddr, time::Duration};

use mio::{Interest, Token, net::TcpStream};
use tracing::{debug, info_span, warn};

use super::EventLoop;
use crate::{Accepting, Handler, connection::Slot, remote::Task};

/// How many connections are accepted in a turn, so that open ones get theirs.
const ACCEPTS: usize = 256;
/// How long to wait before accepting again when the system is out of
/// descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

impl<H: Handler> EventLoop<H> {
    pub(super) fn accept(&mut self) {
        for _ in 0..ACCEPTS {
            let Some(listener) = &self.listener else {
                return;
            };
            match listener.accept() {
                Ok((transport, peer)) => {
                    self.counters.accepted.add(1);
                    self.deal(transport, peer);
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return,
                    // The peer gave up before it was accepted.
                    io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted => {}
                    _ => {
                        warn!(%error, "cannot accept; trying again");
                        self.accept_at = Some(self.tick_after(ACCEPT_PAUSE));
                        return;
                    }
                },
            }
        }
        // More may wait, and nobody will say so again.
        self.accept_at = Some(self.tick());
    }

    /// Hands a connection to the loop whose turn it is.
    fn deal(&mut self, transport: TcpStream, peer: SocketAddr) {
        let index = match self.config.accepting {
            Accepting::Deal => self.next_loop,
            Accepting::ReusePort => self.index(),
        };
        if index == self.index() {
            self.admit(transport, peer);
        } else if let Err(error) =
            self.remote.mailboxes()[index].push([Task::Admit(transport, peer)])
        {
            warn!(%error, "cannot hand a connection to another loop");
        }
        self.next_loop = (self.next_loop + 1) % self.remote.loops();
    }

    /// Serves a connection that was accepted.
    pub(super) fn admit(&mut self, mut transport: TcpStream, peer: SocketAddr) {
        if self.stop_by.is_some() {
            return;
        }
        if self.slots.len() >= self.config.max_connections {
            self.counters.over_max_connections.add(1);
            debug!(%peer, "over max_connections");
            return;
        }
        let until = self.tick_after(self.config.handshake_timeout);
        let entry = self.slots.vacant_entry();
        let key = entry.key();
        if let Err(error) =
            self.poll
                .registry()
                .register(&mut transport, Token(key), Interest::READABLE)
        {
            warn!(%error, "cannot register a connection");
            return;
        }
        self.generation = self.generation.wrapping_add(1);
        let data = H::Data::default();
        entry.insert(Slot::new(transport, self.generation, self.now, until, data));
        self.arm(key, until);
        let span = info_span!("websocket", role = "server", %peer);
        if !span.is_disabled() {
            self.spans.insert(self.id(key), span);
        }
    }
}

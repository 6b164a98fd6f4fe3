//! The server of the scenario: ws-mio, on a thread of its own.

use std::{
    error::Error,
    io,
    net::SocketAddr,
    sync::mpsc::{self, Receiver, Sender},
    thread::{self, JoinHandle},
    time::Duration,
};

use ws_mio::{Cause, Closed, Config, Handler, Limits, Message, OriginPolicy, Peer, Remote};
use ws_proto::ProtocolError;

use crate::cpu;

/// A server that runs until it is [stopped](Self::stop).
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    remote: Remote<Echo>,
    endings: Receiver<Ending>,
    thread: JoinHandle<(io::Result<()>, Option<Duration>)>,
}

/// How a connection ended, for the server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// By a closing handshake, with this code in the client's Close.
    Closed(u16),
    /// The client broke a rule.
    Failed(ProtocolError),
    /// Otherwise.
    Other(String),
}

impl Server {
    pub(crate) fn start(accept_unmasked_frame: bool, limits: Limits) -> io::Result<Self> {
        // Any page may connect: an echo has no users that it could act for.
        let mut config = Config::new(OriginPolicy::Any);
        config.accept_unmasked_frame = accept_unmasked_frame.into();
        config.limits = limits;
        let server = ws_mio::Server::bind("127.0.0.1:0", config)?;
        let (sender, endings) = mpsc::channel();
        Ok(Self {
            address: server.local_addr()?,
            remote: server.remote(),
            endings,
            thread: thread::spawn(|| cpu::measured(|| server.run(Echo { endings: sender }))),
        })
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/", self.address)
    }

    /// Waits for the end of a connection.
    pub(crate) fn ending(&self) -> Result<Ending, Box<dyn Error + Send + Sync>> {
        Ok(self.endings.recv_timeout(PATIENCE)?)
    }

    /// Stops the server, and returns the CPU time that it took in all.
    pub(crate) fn stop(self) -> io::Result<Option<Duration>> {
        self.remote.stop()?;
        let (result, spent) = self.thread.join().expect("the server does not panic");
        result.map(|()| spent)
    }
}

/// Sends every message back.
struct Echo {
    endings: Sender<Ending>,
}

impl Handler for Echo {
    type Data = ();

    fn on_message(&mut self, peer: &mut Peer<'_, ()>, message: Message<'_>) {
        peer.send(message);
    }

    fn on_close(&mut self, _: &mut Peer<'_, ()>, closed: Closed<'_>) {
        let ending = match closed.cause {
            Cause::Peer | Cause::Local => Ending::Closed(closed.code),
            Cause::Protocol(error) => Ending::Failed(error),
            other => Ending::Other(format!("{other:?}")),
        };
        // Nobody may wait for it any more.
        let _ = self.endings.send(ending);
    }
}

const PATIENCE: Duration = Duration::from_secs(30);

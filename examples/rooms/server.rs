//! One server. A page says, a line a message:
//!
//! - `join ROOM`, or `join ROOM POSITION` when it comes back;
//! - `say TEXT`;
//! - `kill`, which ends this process as a crash would.
//!
//! It is told:
//!
//! - `at POSITION`: it has all up to there;
//! - `message POSITION TEXT`;
//! - `lost POSITION WHY`: messages before this position are missing;
//! - `unsent WHY TEXT`: what it said reached nobody, or perhaps did.

use std::{error::Error, process, sync::Arc};

use mio::net::TcpStream;
use ws_backplane::{
    Connect, Discontinuity, EngineError, Limits, Memory, Nats, Position, Publish, PublishError,
    Recovery, Redis, connect_tcp,
    mio::{Encode, Hub, spawn},
};
use ws_handshake::Response;
use ws_mio::{
    Closed, Config, Decision, Handler, Incoming, Message, OriginPolicy, Peer, PeerId, Prepared,
    Remote, Server,
};

use crate::Options;

pub(crate) fn serve(address: &str, options: &Options) -> Result<(), Box<dyn Error + Send + Sync>> {
    // A page of one server connects to the others.
    let server = Server::bind(address, Config::new(OriginPolicy::Any))
        .map_err(examples::cannot_listen("--listen", address))?;
    let remote: Remote<Rooms> = server.remote();
    let (hub, thread) = match (&options.nats, &options.redis) {
        (Some(nats), _) => {
            let engine = Nats::new().prefix("rooms");
            spawn(
                engine,
                Limits::default(),
                connect(nats)?,
                remote.clone(),
                Lines,
            )?
        }
        (None, Some(redis)) => {
            let mut engine = Redis::new().prefix("rooms");
            if let Some(password) = &options.password {
                engine = engine.password(password);
            }
            spawn(
                engine,
                Limits::default(),
                connect(redis)?,
                remote.clone(),
                Lines,
            )?
        }
        (None, None) => {
            let engine = Memory::new().engine();
            let mut stream = Some(engine.stream());
            let connect = move || {
                // It never ends, so there is no second.
                let stream = stream.take().ok_or(std::io::ErrorKind::NotConnected);
                async move { stream.map_err(Into::into) }
            };
            spawn(engine, Limits::default(), connect, remote.clone(), Lines)?
        }
    };
    let local = server.local_addr()?;
    println!("listening on ws://{local}");
    let mut servers = vec![local.to_string()];
    servers.extend(options.peers.iter().cloned());
    let stopped = (remote.clone(), hub.node().clone());
    examples::on_stop(move || {
        stopped.1.stop();
        drop(stopped.0.stop());
    })?;
    server.run_with(|_| Rooms {
        hub: hub.clone(),
        remote: remote.clone(),
        servers: servers.join(" "),
    })?;
    hub.node().stop();
    thread
        .join()
        .map_err(|_| "the backplane's thread panicked")?;
    Ok(())
}

/// Connects to an engine at `HOST:PORT`.
fn connect(
    address: &str,
) -> Result<impl Connect<Stream: Send> + Send + use<>, Box<dyn Error + Send + Sync>> {
    let (host, port) = address
        .rsplit_once(':')
        .ok_or("the engine's address has no port")?;
    let (host, port) = (host.to_owned(), port.parse()?);
    Ok(move || {
        let host = host.clone();
        async move { connect_tcp(&host, port).await }
    })
}

/// Makes lines of what a room carries.
struct Lines;

impl Encode for Lines {
    fn message(&mut self, _: &str, position: Position, payload: &[u8]) -> Prepared {
        Prepared::new(Message::Text(&line(position, payload)))
    }

    fn discontinuity(&mut self, _: &str, discontinuity: &Discontinuity) -> Prepared {
        let Discontinuity { to, why, .. } = discontinuity;
        Prepared::new(Message::Text(&format!("lost {to} {why}")))
    }

    fn on_engine(&mut self, is_up: Result<(), &EngineError>) {
        match is_up {
            Ok(()) => eprintln!("the engine is there"),
            Err(why) => eprintln!("the engine is away: {why}"),
        }
    }
}

fn line(position: Position, payload: &[u8]) -> String {
    format!("message {position} {}", String::from_utf8_lossy(payload))
}

struct Rooms {
    hub: Hub<Self, TcpStream>,
    remote: Remote<Self>,
    /// Addresses, this one first.
    servers: String,
}

/// The room that a guest is in.
type Guest = Option<Arc<str>>;

impl Handler for Rooms {
    type Data = Guest;

    fn on_request<'r>(&mut self, incoming: Incoming<'r>) -> Decision<'r, Guest> {
        if incoming.request().is_upgrade() {
            return incoming.decide();
        }
        let page = include_str!("page.html").replace("SERVERS", &self.servers);
        match Response::new(200).header("Content-Type", "text/html; charset=utf-8") {
            Ok(response) => response.body(page).into(),
            Err(_) => Response::new(500).into(),
        }
    }

    fn on_message(&mut self, peer: &mut Peer<'_, Guest>, message: Message<'_>) {
        let Message::Text(text) = message else {
            return;
        };
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        match word {
            "join" => self.join(peer, rest),
            "say" => self.say(peer, rest),
            "kill" => process::abort(),
            _ => {
                peer.send("unknown");
            }
        }
    }

    fn on_close(&mut self, peer: &mut Peer<'_, Guest>, _: Closed<'_>) {
        if let Some(room) = peer.data_mut().take() {
            self.hub.leave(room);
        }
    }
}

impl Rooms {
    /// Subscribes, and makes the peer a subscriber once it has what it missed.
    fn join(&self, peer: &mut Peer<'_, Guest>, words: &str) {
        let (room, since) = match words.split_once(' ') {
            Some((room, since)) => (room, since.parse().ok()),
            None => (words, None),
        };
        if peer.data().is_some() || room.is_empty() || room.len() > MAX_ROOM {
            peer.send("unknown");
            return;
        }
        let room: Arc<str> = room.into();
        *peer.data_mut() = Some(Arc::clone(&room));
        self.hub.join(peer.id(), room, since, |recovery| {
            let lines = match recovery {
                Ok(recovery) => lines(recovery),
                Err(error) => vec![format!("unsent {error}")],
            };
            let lines = lines.iter();
            lines
                .map(|line| Prepared::new(Message::Text(line)))
                .collect()
        });
    }

    fn say(&self, peer: &mut Peer<'_, Guest>, text: &str) {
        let Some(room) = peer.data().clone() else {
            peer.send("unknown");
            return;
        };
        let (remote, id, said) = (self.remote.clone(), peer.id(), text.to_owned());
        let publish = Publish::default();
        let then = move |result: Result<Position, PublishError>| {
            if let Err(error) = result {
                tell(&remote, id, &format!("unsent {error}: {said}"));
            }
        };
        if let Err(error) = self
            .hub
            .node()
            .publish_then(room, text.to_owned(), publish, then)
        {
            peer.send(&*format!("unsent {error}: {text}"));
        }
    }
}

fn tell(remote: &Remote<Rooms>, peer: PeerId, line: &str) {
    // Whoever is gone does not need it.
    let _ = remote.send(peer, &Prepared::new(Message::Text(line)));
}

fn lines(recovery: &Recovery<'_>) -> Vec<String> {
    match recovery {
        Recovery::Recovered { messages, position } => {
            let messages = messages.iter();
            let lines = messages.map(|message| line(message.position, &message.payload));
            lines.chain([format!("at {position}")]).collect()
        }
        Recovery::Lost {
            why,
            position: Some(position),
        } => vec![format!("lost {position} {why}")],
        Recovery::Lost { why, .. } => vec![format!("unsent {why}")],
    }
}

const MAX_ROOM: usize = 64;

//! The loop of `ws-mio`, as a server and as a client.

use std::{error::Error, net::SocketAddr, process};

use ws_mio::{
    Backpressure, CloseCode, Closed, Commands, Config, Connect, Handler, Message, OpenError,
    OriginPolicy, Peer, Remote, Server,
};

use crate::{Command, MESSAGE, Task, obey, request, tell};

pub(crate) fn serve(address: SocketAddr, task: &Task) -> Result<(), Box<dyn Error>> {
    let server = Server::bind(address, config(task))?;
    tell(format_args!("listening on {}", server.local_addr()?));
    obey_on(server.remote());
    Ok(server.run(End::of(task))?)
}

pub(crate) fn call(address: SocketAddr, task: &Task) -> Result<(), Box<dyn Error>> {
    let client: Server<End> = Server::without_listener(config(task))?;
    let connect = Connect::new(request(address)?, ());
    client.remote().run(0, move |context| {
        context.connect(address, connect);
    })?;
    obey_on(client.remote());
    Ok(client.run(End::of(task))?)
}

fn config(task: &Task) -> Config {
    let mut config = Config::new(OriginPolicy::Any);
    let limits = &task.limits;
    limits.apply(&mut config.keepalive, &mut config.time_limits);
    config.close_timeout = limits.close.unwrap_or(config.close_timeout);
    config.handshake_timeout = limits.handshake.unwrap_or(config.handshake_timeout);
    config
}

fn obey_on(remote: Remote<End>) {
    obey(move |command| {
        let asked = remote.run(0, move |context| {
            let all: Vec<_> = context.peers().collect();
            for id in all {
                let _ = context.with_peer(id, |_, peer| match command {
                    Command::Say => drop(peer.send("something")),
                    Command::Close => drop(peer.close(CloseCode::NORMAL, "")),
                });
            }
        });
        if let Err(error) = asked {
            tell(format_args!("the loop is not told: {error}"));
        }
    });
}

/// Tells what becomes of a connection.
pub(crate) struct End {
    floods: bool,
}

impl End {
    pub(crate) const fn of(task: &Task) -> Self {
        Self {
            floods: task.floods,
        }
    }

    fn flood(&self, peer: &mut Peer<'_, ()>) {
        while self.floods && peer.send(MESSAGE) == Backpressure::Sent {}
    }
}

impl Handler for End {
    type Data = ();

    fn on_open(&mut self, peer: &mut Peer<'_, ()>) {
        tell("open");
        self.flood(peer);
    }

    fn on_connect_failed(&mut self, (): (), error: OpenError, _: &mut Commands<()>) {
        tell(format_args!("failed: {error}"));
        process::exit(0);
    }

    fn on_message(&mut self, _: &mut Peer<'_, ()>, _: Message<'_>) {}

    fn on_drain(&mut self, peer: &mut Peer<'_, ()>) {
        self.flood(peer);
    }

    fn on_close(&mut self, _: &mut Peer<'_, ()>, closed: Closed<'_>) {
        let (code, cause) = (closed.code, closed.cause.name());
        tell(format_args!("over {code}: {cause}, {:?}", closed.cause));
        process::exit(0);
    }
}

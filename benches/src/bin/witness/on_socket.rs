//! A `Socket` of `ws-mio` in a loop of one's own.

use std::{
    error::Error,
    net::SocketAddr,
    sync::{Arc, mpsc},
    time::Instant,
};

use mio::{Events, Interest, Poll, Token, Waker};
use ws_mio::{ClientConfig, CloseCode, Socket, SocketState};

use crate::{Command, Task, obey, on_loop::End, request, tell};

const SOCKET: Token = Token(0);
const COMMANDS: Token = Token(1);

pub(crate) fn call(address: SocketAddr, task: &Task) -> Result<(), Box<dyn Error>> {
    match run(address, task) {
        Ok(()) => tell("over, and nobody was told"),
        Err(error) => tell(format_args!("failed: {error}")),
    }
    Ok(())
}

/// Goes on until the connection is over, of which the handler is told, and at which it exits.
fn run(address: SocketAddr, task: &Task) -> Result<(), Box<dyn Error>> {
    let mut config = ClientConfig::default();
    let limits = &task.limits;
    limits.apply(&mut config.keepalive, &mut config.time_limits);
    config.close_timeout = limits.close.unwrap_or(config.close_timeout);
    config.handshake_timeout = limits.handshake.unwrap_or(config.handshake_timeout);

    let mut poll = Poll::new()?;
    let waker = Arc::new(Waker::new(poll.registry(), COMMANDS)?);
    let (sender, commands) = mpsc::channel();
    obey(move |command| {
        let sent = sender.send(command).is_ok() && waker.wake().is_ok();
        if !sent {
            tell("the socket is not told");
        }
    });

    let mut end = End::of(task);
    let mut socket = Socket::connect(address, request(address)?, &config)?;
    let interest = Interest::READABLE | Interest::WRITABLE;
    poll.registry().register(&mut socket, SOCKET, interest)?;
    let mut events = Events::with_capacity(16);
    while socket.state() != SocketState::Closed {
        let wait = socket.next_timeout();
        let wait = wait.map(|at| at.saturating_duration_since(Instant::now()));
        poll.poll(&mut events, wait)?;
        for event in &events {
            if event.token() == SOCKET {
                socket.ready(event, &mut end)?;
            }
        }
        socket.handle_timeout(&mut end)?;
        for command in commands.try_iter() {
            if let Some(mut peer) = socket.peer() {
                match command {
                    Command::Say => drop(peer.send("something")),
                    Command::Close => drop(peer.close(CloseCode::NORMAL, "")),
                }
            }
            socket.flush(&mut end)?;
        }
    }
    Ok(())
}

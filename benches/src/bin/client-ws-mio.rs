//! A client of `ws-mio`: a `Socket` in a loop of its own, sent through until it takes no more.

use std::{error::Error, process::ExitCode, time::Duration};

use bench_rig::{ClientRun, Masks, Placed, finish};
use mio::{Events, Interest, Poll, Token};
use ws_mio::{
    Backpressure, ClientConfig, ClientRequest, Handler, Message, MessageKind, Peer, Socket,
    SocketState, Uri,
};

/// A longer message is masked where it lies.
const COPIED: usize = 256 * 1024;

struct Nothing;

impl Handler for Nothing {
    type Data = ();

    fn on_message(&mut self, _: &mut Peer<'_, ()>, _: Message<'_>) {}
}

fn main() -> ExitCode {
    finish(run())
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut run = ClientRun::from_env()?;
    let mut config = ClientConfig::default();
    config.set_mask_to_zero = (run.masks == Masks::Zero).into();
    let request = ClientRequest::new(Uri::parse(&run.url())?);
    let address = ([127, 0, 0, 1], run.port).into();
    let mut socket = Socket::connect(address, request, &config)?;
    let mut poll = Poll::new()?;
    let interest = Interest::READABLE | Interest::WRITABLE;
    poll.registry().register(&mut socket, Token(0), interest)?;

    let mut payload = Placed::of(&run.payload);
    let mut events = Events::with_capacity(16);
    let mut is_full = false;
    loop {
        if is_full || socket.state() != SocketState::Open {
            poll.poll(&mut events, Some(Duration::from_secs(10)))?;
            if events.is_empty() {
                return Err("the sink stalls".into());
            }
            for event in &events {
                socket.ready(event, &mut Nothing)?;
            }
        }
        let Some(mut peer) = socket.peer() else {
            continue;
        };
        is_full = peer.pending() > 0;
        while !is_full {
            if !run.goes_on()? {
                run.print();
                return Ok(());
            }
            let sent = match run.payload.len() {
                // A copy that is masked leaves with others.
                ..COPIED => peer.send(payload.as_slice()),
                _ => peer.send_in_place(MessageKind::Binary, payload.as_mut_slice()),
            };
            is_full = !matches!(sent, Backpressure::Sent);
        }
        socket.flush(&mut Nothing)?;
    }
}

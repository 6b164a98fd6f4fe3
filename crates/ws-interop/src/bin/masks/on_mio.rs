//! On `ws-mio`: what it counts are the server's own metrics.

use std::{
    io::{Read as _, Write as _},
    mem,
    net::{Shutdown, TcpStream},
    thread,
};

use ws_interop::{Failure, Frames, say};
use ws_mio::{
    Accept, Cause, Closed, Config, Decision, Handler, Incoming, Loop, Message, Metrics,
    OriginPolicy, Peer, PeerId, Prepared, Remote, Response, Server,
};

use super::{Options, failed};

pub(super) fn serve(options: Options) -> Result<(), Failure> {
    let mut config = Config::new(OriginPolicy::Any);
    config.accept_unmasked_frame = options.accepts_unmasked.into();
    let server = Server::bind("127.0.0.1:0", config)?;
    say(format_args!("listening on ws://{}", server.local_addr()?));
    let remote = server.remote();
    examples::on_stop(move || drop(remote.stop()))?;
    let remote = server.remote();
    server.run_with(move |_| Masks {
        options,
        remote: remote.clone(),
        told: Frames::default(),
    })?;
    Ok(())
}

struct Masks {
    options: Options,
    remote: Remote<Self>,
    /// What was counted when the last connection ended.
    told: Frames,
}

impl Handler for Masks {
    /// Where the bytes of the connection go.
    type Data = Option<TcpStream>;

    fn on_request<'r>(&mut self, incoming: Incoming<'r>) -> Decision<'r, Self::Data> {
        let agreement = self.options.agreement(incoming.request());
        let acceptance = match incoming.negotiate() {
            Ok(acceptance) => acceptance,
            Err(error) => return error.rejection().into(),
        };
        let Some((name, value)) = agreement else {
            return Accept::new(acceptance, None).into();
        };
        match acceptance.header(name, value) {
            Ok(acceptance) => Accept::new(acceptance, None).into(),
            Err(_) => Response::new(500).into(),
        }
    }

    fn on_open(&mut self, peer: &mut Peer<'_, Self::Data>) {
        let Some(to) = self.options.to else { return };
        // A thread each is enough for the few connections of a test.
        let Ok(stream) = TcpStream::connect(to) else {
            return say("cannot connect");
        };
        if let Ok(reading) = stream.try_clone() {
            let (remote, id) = (self.remote.clone(), peer.id());
            thread::spawn(move || pass_back(reading, &remote, id));
        }
        *peer.data_mut() = Some(stream);
    }

    fn on_message(&mut self, peer: &mut Peer<'_, Self::Data>, message: Message<'_>) {
        match peer.data_mut() {
            // The other end sees what is missing.
            Some(stream) => drop(stream.write_all(message.as_bytes())),
            None => drop(peer.send(message)),
        }
    }

    fn on_close(&mut self, peer: &mut Peer<'_, Self::Data>, closed: Closed<'_>) {
        if let Some(stream) = peer.data_mut().take() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        let ended = match closed.cause {
            Cause::Protocol(error) => failed(&error),
            _ => format!("closed {}", closed.code),
        };
        // The frames of this turn are counted when it is over.
        let tell = move |context: &mut Loop<'_, Self>| {
            let counted = frames(&context.handler().remote.metrics());
            let told = mem::replace(&mut context.handler_mut().told, counted);
            say(format_args!("{ended}: {}", counted.since(told)));
        };
        // Fails only for a loop that is over.
        let _ = self.remote.run(0, tell);
    }
}

/// Sends what comes from the TCP port to a peer, until either is gone.
fn pass_back(mut from: TcpStream, remote: &Remote<Masks>, to: PeerId) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(len @ 1..) = from.read(&mut buffer) {
        let message = Prepared::new(Message::Binary(&buffer[..len]));
        if remote.send(to, &message).is_err() {
            return;
        }
    }
}

fn frames(metrics: &Metrics) -> Frames {
    Frames {
        all: metrics.frames_received.iter().sum(),
        unmasked: metrics.unmasked_frames_received,
        zero_key: metrics.zero_key_frames_received,
    }
}

//! A WebSocket proxy: each client gets a connection to a server of its own, and
//! both are in the same loop. Who reads slowly is read for slowly. Each side has
//! a closing handshake of its own: who sends a Close gets no answer to what it
//! sent just before.
//!
//! ```sh
//! cargo run --release -p examples --bin echo &
//! cargo run --release -p examples --bin proxy -- --listen 127.0.0.1:9002 ws://127.0.0.1:9001/
//! ```

use std::{
    collections::HashSet,
    error::Error,
    io::{self, Write as _},
    net::{SocketAddr, ToSocketAddrs as _},
    process::ExitCode,
};

use lexopt::{Arg, Parser, ValueExt as _};
use ws_mio::{
    Agreed, Backpressure, ClientRequest, CloseCode, Closed, Commands, Config, Connect,
    ControlledNetwork, Handler, Message, OpenError, OriginPolicy, Peer, PeerId, Prepared, Server,
    Uri,
};

const HELP: &str = "
A proxy for WebSocket connections.

Usage: proxy [OPTIONS] URL

Every connection goes on to the server at URL, which is ws://.

  --listen ADDRESS:PORT   where to listen; port 0 is any free one
                          (default: 127.0.0.1:9002)
  --set-mask-to-zero      mask with the key 00 00 00 00 towards the server, for
                          controlled networks
  -h, --help              print this
";

struct Options {
    listen: String,
    set_mask_to_zero: ControlledNetwork,
    uri: Uri,
}

impl Options {
    fn from_arguments() -> Result<Self, lexopt::Error> {
        let (mut listen, mut uri) = ("127.0.0.1:9002".to_owned(), None);
        let mut set_mask_to_zero = ControlledNetwork::new();
        let mut arguments = Parser::from_env();
        while let Some(argument) = arguments.next()? {
            match argument {
                Arg::Long("listen") => listen = arguments.value()?.string()?,
                Arg::Long("set-mask-to-zero") => set_mask_to_zero = true.into(),
                Arg::Value(url) => uri = Some(url.parse_with(Uri::parse)?),
                argument => return Err(examples::unexpected(argument, HELP)),
            }
        }
        Ok(Self {
            listen,
            set_mask_to_zero,
            uri: uri.ok_or("a URL is missing")?,
        })
    }
}

fn main() -> ExitCode {
    examples::finish(Options::from_arguments().map_err(Box::from).and_then(serve))
}

fn serve(options: Options) -> Result<(), Box<dyn Error + Send + Sync>> {
    examples::log_to_stderr(false);
    let uri = options.uri;
    // Once, and not on the loop: a look-up takes its time.
    let mut addresses = (uri.host_for_connect(), uri.port()).to_socket_addrs()?;
    let address = addresses.next().ok_or("the host has no address")?;

    // It is up to the server whose pages may connect.
    let mut config = Config::new(OriginPolicy::Any);
    config.set_mask_to_zero = options.set_mask_to_zero;
    // What was read already still comes after a peer was paused: a buffer of
    // messages, or a long one.
    config.max_backpressure += config.read_buffer;
    config.max_backpressure += usize::try_from(config.limits.max_message)?;
    let server = Server::bind(&*options.listen, config)
        .map_err(examples::cannot_listen("--listen", &options.listen))?;
    let remote = server.remote();
    examples::on_stop(move || {
        if let Err(error) = remote.stop() {
            tracing::error!(%error, "cannot stop");
        }
    })?;
    let mut out = io::stdout();
    writeln!(out, "listening on ws://{}", server.local_addr()?)?;
    out.flush()?;
    server.run(Proxy {
        uri,
        address,
        waiting: HashSet::new(),
    })?;
    Ok(())
}

struct Proxy {
    uri: Uri,
    address: SocketAddr,
    /// Clients whose connection to the server is not open yet.
    waiting: HashSet<PeerId>,
}

/// One of the two sides of a conversation.
#[derive(Default)]
struct Side {
    /// The other one; a client has none at first.
    other: Option<PeerId>,
}

/// Why a peer is always found.
const ONE_LOOP: &str = "both sides are in one loop";

impl Handler for Proxy {
    type Data = Side;

    fn on_open(&mut self, client: &mut Peer<'_, Side>) {
        // Until there is somebody to hand its messages to.
        client.pause();
        self.waiting.insert(client.id());
        let other = Some(client.id());
        let request = ClientRequest::new(self.uri.clone());
        client.connect(self.address, Connect::new(request, Side { other }));
    }

    fn on_connected(&mut self, server: &mut Peer<'_, Side>, _: &Agreed) {
        let id = server.id();
        match server.data().other {
            Some(client) if self.waiting.remove(&client) => {
                let told = server.with_peer(client, move |client| {
                    client.data_mut().other = Some(id);
                    client.resume();
                });
                told.expect(ONE_LOOP);
            }
            // It has left meanwhile.
            _ => drop(server.close(CloseCode::GOING_AWAY, "")),
        }
    }

    fn on_connect_failed(&mut self, side: Side, error: OpenError, commands: &mut Commands<Side>) {
        tracing::warn!(%error, "no connection to the server");
        if let Some(client) = side.other {
            let told = commands.with_peer(client, |client| {
                client.resume();
                client.close(CloseCode::BAD_GATEWAY, "");
            });
            told.expect(ONE_LOOP);
        }
    }

    fn on_message(&mut self, peer: &mut Peer<'_, Side>, message: Message<'_>) {
        let Some(other) = peer.data().other else {
            return;
        };
        let (id, message) = (peer.id(), Prepared::new(message));
        let told = peer.with_peer(other, move |other| match other.send_prepared(&message) {
            Backpressure::Sent => {}
            Backpressure::Queued(_) => {
                let told = other.with_peer(id, |peer| peer.pause());
                told.expect(ONE_LOOP);
            }
            // It is closing.
            Backpressure::Refused(_) => {}
        });
        told.expect(ONE_LOOP);
    }

    fn on_drain(&mut self, peer: &mut Peer<'_, Side>) {
        if let Some(other) = peer.data().other {
            let told = peer.with_peer(other, |other| other.resume());
            told.expect(ONE_LOOP);
        }
    }

    fn on_close(&mut self, peer: &mut Peer<'_, Side>, closed: Closed<'_>) {
        self.waiting.remove(&peer.id());
        let code = CloseCode::new(closed.code).unwrap_or(CloseCode::GOING_AWAY);
        let reason = closed.reason.to_owned();
        if let Some(other) = peer.data().other {
            let told = peer.with_peer(other, move |other| {
                other.resume();
                other.close(code, &reason);
            });
            told.expect(ONE_LOOP);
        }
    }
}

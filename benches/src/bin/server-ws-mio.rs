//! `ws-mio` as its documentation shows it, with nothing tuned.

use std::{
    error::Error,
    net::{Ipv4Addr, SocketAddr},
    process::ExitCode,
    time::Duration,
};

use bench_rig::{Arguments, Deflate, Mode, finish, server_tls};
use ws_handshake::DeflatePolicy;
use ws_mio::{
    ClientRequest, Commands, Config, Connect, Handler, Message, OriginPolicy, Peer, Prepared,
    Server, ServerTls, Uri,
};

const HELP: &str = "\
server-ws-mio [--mode echo|broadcast] [--threads N] [--accept-unmasked-frame]
              [--deflate LEVEL [--takeover]] [--tls-cert FILE --tls-key FILE] [--call PORT]

--call PORT: calls a server there again and again, which is not expected to answer well.
";

struct Answers {
    mode: Mode,
    /// Whom to call.
    call: Option<u16>,
}

/// How long to wait between two calls.
const PAUSE: Duration = Duration::from_millis(5);

impl Handler for Answers {
    type Data = ();

    fn on_start(&mut self, commands: &mut Commands<()>) {
        if self.call.is_some() {
            commands.set_loop_timer(0, Some(PAUSE));
        }
    }

    fn on_loop_timer(&mut self, timer: u64, commands: &mut Commands<()>) {
        let Some(port) = self.call else {
            return;
        };
        commands.set_loop_timer(timer, Some(PAUSE));
        if let Ok(uri) = Uri::parse("ws://localhost/") {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            commands.connect(address, Connect::new(ClientRequest::new(uri), ()));
        }
    }

    fn on_message(&mut self, peer: &mut Peer<'_, ()>, message: Message<'_>) {
        match self.mode {
            Mode::Echo => drop(peer.send(message)),
            Mode::Broadcast => peer.broadcast(&Prepared::new(message)),
        }
    }
}

fn main() -> ExitCode {
    finish(run())
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut arguments = Arguments::from_env();
    if arguments.flag("--help") || arguments.flag("-h") {
        print!("{HELP}");
        return Ok(());
    }
    let mode = arguments.value("--mode")?.unwrap_or_default();
    let mut config = Config::new(OriginPolicy::Any);
    config.threads = arguments.value("--threads")?.unwrap_or(1);
    config.accept_unmasked_frame = arguments.flag("--accept-unmasked-frame").into();
    if let Some(deflate) = Deflate::from_arguments(&mut arguments)? {
        let policy = DeflatePolicy::new()
            .server_no_context_takeover(!deflate.takes_over)
            .client_no_context_takeover(!deflate.takes_over);
        config.handshake = config.handshake.deflate(policy);
        config.deflate.level = deflate.level;
    }
    let tls = server_tls(&mut arguments)?;
    let call = arguments.value("--call")?;
    arguments.end()?;
    if let Some(tls) = tls {
        let server = Server::bind_tls("127.0.0.1:0", &ServerTls::from_rustls(tls), config)?;
        println!("listening on {}", server.local_addr()?);
        return Ok(server.run_with(|_| Answers { mode, call })?);
    }
    let server = Server::bind("127.0.0.1:0", config)?;
    println!("listening on {}", server.local_addr()?);
    Ok(server.run_with(|_| Answers { mode, call })?)
}

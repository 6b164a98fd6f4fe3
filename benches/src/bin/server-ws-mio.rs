//! `ws-mio` as its documentation shows it, with nothing tuned.

use std::error::Error;
use std::process::ExitCode;

use bench_rig::{Arguments, Deflate, Mode, finish, server_tls};
use ws_handshake::DeflatePolicy;
use ws_mio::{Config, Handler, Message, OriginPolicy, Peer, Prepared, Server, ServerTls};

const HELP: &str = "\
server-ws-mio [--mode echo|broadcast] [--threads N] [--accept-unmasked-frame]
              [--deflate LEVEL [--takeover]] [--tls-cert FILE --tls-key FILE]
";

struct Answers {
    mode: Mode,
}

impl Handler for Answers {
    type Data = ();

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
    arguments.end()?;
    if let Some(tls) = tls {
        let server = Server::bind_tls("127.0.0.1:0", &ServerTls::from_rustls(tls), config)?;
        println!("listening on {}", server.local_addr()?);
        return Ok(server.run_with(|_| Answers { mode })?);
    }
    let server = Server::bind("127.0.0.1:0", config)?;
    println!("listening on {}", server.local_addr()?);
    Ok(server.run_with(|_| Answers { mode })?)
}

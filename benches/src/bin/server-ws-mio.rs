//! `ws-mio` as its documentation shows it, with nothing tuned.

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::thread;

use bench_rig::{Arguments, finish};
use socket2::{Domain, Protocol, Socket, Type};
use ws_mio::{Config, Handler, Message, OriginPolicy, Peer, Server};

const HELP: &str = "\
server-ws-mio [--threads N] [--accept-unmasked-frame]
";

struct Echo;

impl Handler for Echo {
    type Data = ();

    fn on_message(&mut self, peer: &mut Peer<'_, ()>, message: Message<'_>) {
        peer.send(message);
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
    let threads = arguments.value("--threads")?.unwrap_or(1);
    let mut config = Config::new(OriginPolicy::Any);
    config.accept_unmasked_frame = arguments.flag("--accept-unmasked-frame").into();
    arguments.end()?;

    let mut servers = Vec::new();
    let mut port = 0;
    for _ in 0..threads {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_port(threads > 1)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
        socket.listen(4096)?;
        let server = Server::from_std(socket.into(), config.clone())?;
        port = server.local_addr()?.port();
        servers.push(server);
    }
    println!("listening on 127.0.0.1:{port}");
    // The main thread takes one of them: a lone loop then has the main heap.
    let last = servers.pop();
    thread::scope(|scope| {
        let running: Vec<_> = servers
            .into_iter()
            .map(|server| scope.spawn(|| server.run(Echo)))
            .collect();
        last.map_or(Ok(()), |server| server.run(Echo))?;
        for server in running {
            server.join().map_err(|_| "a loop panicked")??;
        }
        Ok(())
    })
}

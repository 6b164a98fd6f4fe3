//! `ws-smol` on one thread, as the example `echo` has it.

use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;

use bench_rig::{Arguments, finish};
use smol::LocalExecutor;
use socket2::{Domain, Protocol, Socket, Type};
use ws_smol::net::{self, TcpListener, TcpStream};
use ws_smol::{Acceptor, OriginPolicy};

const HELP: &str = "\
server-ws-smol [--accept-unmasked-frame]
";

fn main() -> ExitCode {
    finish(run())
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut arguments = Arguments::from_env();
    if arguments.flag("--help") || arguments.flag("-h") {
        print!("{HELP}");
        return Ok(());
    }
    let flag = arguments.flag("--accept-unmasked-frame");
    arguments.end()?;
    let acceptor = &Acceptor::new(OriginPolicy::Any).accept_unmasked_frame(flag);
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
    socket.listen(4096)?;
    // Inherited by the connections that are accepted.
    socket.set_tcp_nodelay(true)?;
    let executor = LocalExecutor::new();
    net::block_on(executor.run(async {
        let listener = TcpListener::from_std(socket.into())?;
        println!("listening on {}", listener.local_addr()?);
        loop {
            let (stream, peer) = listener.accept().await?;
            // How a connection ends is told by what the generator gets to see.
            executor.spawn(echo(acceptor, stream, peer)).detach();
        }
    }))?
}

async fn echo(
    acceptor: &Acceptor,
    stream: TcpStream,
    peer: SocketAddr,
) -> Result<(), ws_smol::Error> {
    let mut websocket = acceptor.accept(stream, peer).await?;
    while websocket
        .receive_with(|message, replies| replies.queue(message))
        .await?
    {}
    Ok(())
}

//! `ws-tokio` on a runtime of one thread, as its documentation has it: an echo.

use std::{error::Error, process::ExitCode};

use bench_rig::{Arguments, finish};
use tokio::net::{TcpListener, TcpStream};
use ws_tokio::{Acceptor, OriginPolicy, Stream, Tokio};

fn main() -> ExitCode {
    finish(run())
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut arguments = Arguments::from_env();
    // There is no other mode.
    let _: Option<String> = arguments.value("--mode")?;
    arguments.end()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("listening on {}", listener.local_addr()?);
        let acceptor = Acceptor::new(OriginPolicy::Any).timer(Tokio);
        loop {
            let (stream, _) = listener.accept().await?;
            // How a connection ends is told by what the generator gets to see.
            tokio::spawn(echo(acceptor.clone(), stream));
        }
    })
}

async fn echo(acceptor: Acceptor, stream: TcpStream) -> Result<(), ws_tokio::Error> {
    stream.set_nodelay(true)?;
    let peer = stream.peer_addr()?;
    let mut websocket = acceptor.accept(Stream::new(stream), peer).await?;
    while websocket
        .receive_with(|message, replies| replies.queue(message))
        .await?
    {}
    Ok(())
}

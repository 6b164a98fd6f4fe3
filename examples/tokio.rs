//! An echo server on tokio that serves while you read, and ends in order.
//!
//! ```sh
//! cargo run -p examples --bin tokio -- --listen 127.0.0.1:9001
//! ```

use std::{error::Error, process::ExitCode, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    runtime, select,
    sync::Notify,
};
use ws_tokio::{Acceptor, CloseCode, Gate, OriginPolicy, Pass, Stream, Tokio};

const HELP: &str = "\
Echoes every message, on tokio.

  --listen ADDRESS    where to listen (default 127.0.0.1:9001)
";

fn main() -> ExitCode {
    let run = || {
        let address = examples::listen_address(HELP)?;
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(serve(&address))
    };
    examples::finish(run())
}

async fn serve(address: &str) -> Result<(), Box<dyn Error + Send + Sync>> {
    let gate = Gate::new(10_000, usize::MAX).timer(Tokio);
    // Any page may connect: an echo has no users that it could act for.
    let acceptor = Acceptor::new(OriginPolicy::Any).timer(Tokio).gate(&gate);
    let listener = TcpListener::bind(address).await?;
    println!("listening on ws://{}", listener.local_addr()?);

    let stop = Arc::new(Notify::new());
    let stopped = Arc::clone(&stop);
    examples::on_stop(move || stop.notify_one())?;
    let drain = gate.clone();
    tokio::spawn(async move {
        stopped.notified().await;
        drain.drain(Duration::from_secs(2), Duration::from_secs(10));
    });
    while let Some((stream, peer)) = gate.accept(|| listener.accept()).await {
        if let Ok(pass) = gate.admit(peer) {
            tokio::spawn(echo(stream, acceptor.clone(), pass));
        }
    }
    let are_gone = gate.gone().await;
    println!("all WebSockets are gone: {are_gone}");
    Ok(())
}

/// Echoes until the client closes, or the server ends.
async fn echo(stream: TcpStream, acceptor: Acceptor, pass: Pass) -> Result<(), ws_tokio::Error> {
    stream.set_nodelay(true)?;
    let peer = stream.peer_addr()?;
    let mut websocket = acceptor.accept(Stream::new(stream), peer).await?;
    loop {
        select! {
            goes_on = websocket.receive_with(|message, replies| replies.queue(message)) => {
                if !goes_on? {
                    return Ok(());
                }
            }
            () = pass.drained() => return websocket.close(CloseCode::GOING_AWAY, "").await,
        }
    }
}

//! ws-smol on tokio: its streams are those of `futures-io`, which the compat
//! layer of `tokio-util` makes of tokio's.
//!
//! ```sh
//! cargo run -p examples --bin embed_tokio
//! ```

use std::{error::Error, process::ExitCode};

use tokio::{
    net::{TcpListener, TcpStream},
    runtime, task,
};
use tokio_util::compat::TokioAsyncReadCompatExt as _;
use ws_smol::{Acceptor, ClientRequest, CloseCode, Connector, OriginPolicy, Uri};

fn main() -> ExitCode {
    examples::demonstrate("An echo on tokio; it takes no arguments.", || {
        let runtime = runtime::Builder::new_current_thread().enable_io().build()?;
        runtime.block_on(run())
    })
}

async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = task::spawn(serve(listener));

    let stream = TcpStream::connect(address).await?;
    let request = ClientRequest::new(Uri::parse(&format!("ws://{address}/"))?);
    let mut websocket = Connector::new()
        .handshake(stream.compat(), address, request)
        .await?;
    websocket.send("Hello from tokio").await?;
    println!("the server says {:?}", websocket.receive().await?);
    websocket.close(CloseCode::NORMAL, "that was all").await?;

    println!("the server saw {} message", server.await??);
    Ok(())
}

/// Echoes to one client, and tells how many messages there were.
async fn serve(listener: TcpListener) -> Result<usize, Box<dyn Error + Send + Sync>> {
    let (stream, peer) = listener.accept().await?;
    // Any page may connect: an echo has no users that it could act for.
    let acceptor = Acceptor::new(OriginPolicy::Any);
    let mut websocket = acceptor.accept(stream.compat(), peer).await?;
    let mut messages = 0;
    while let Some(message) = websocket.receive().await? {
        websocket.send(&message).await?;
        messages += 1;
    }
    Ok(messages)
}

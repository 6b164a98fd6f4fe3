//! A gateway with HTTP/1.1 in front and one HTTP/2 connection behind, to an echo server in the same
//! process.
//!
//! ```sh
//! cargo run -p examples --bin h2_gateway -- --listen 127.0.0.1:9001
//! ```

use std::{error::Error, process::ExitCode};

use examples::gateway::http1_to_h2;
use smol::{future::or, net::TcpListener};
use ws_h2::{Client, Config, Server, Stream, WebSocket};
use ws_smol::{Acceptor, DeflatePolicy, OriginPolicy, PeerAddr, duplex};

const HELP: &str = "\
An echo server of HTTP/2 behind a gateway: each WebSocket over HTTP/1.1 becomes a stream of one connection.

  --listen ADDRESS    where to listen (default 127.0.0.1:9001)
";

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    let run = || smol::block_on(serve(&examples::listen_address(HELP)?));
    examples::finish(run())
}

async fn serve(address: &str) -> Outcome {
    let (near, far) = duplex(256 * 1024);
    smol::spawn(async move {
        let mut server = Server::handshake(far, &Config::default()).await?;
        let acceptor = Acceptor::new(OriginPolicy::Any).deflate(DeflatePolicy::new());
        while let Some(incoming) = server.accept().await? {
            match incoming.accept(&acceptor, PeerAddr::Unknown) {
                Ok(websocket) => smol::spawn(echo(websocket)).detach(),
                Err(error) => eprintln!("refused: {error}"),
            }
        }
        Ok::<(), ws_h2::Error>(())
    })
    .detach();
    let (client, connection) = Client::handshake(near, &Config::default()).await?;
    smol::spawn(connection).detach();

    let listener = TcpListener::bind(address).await?;
    println!("listening on ws://{}", listener.local_addr()?);
    let (stop, stopped) = smol::channel::bounded(1);
    examples::on_stop(move || {
        // It was told before.
        let _ = stop.try_send(());
    })?;
    let accept = async {
        loop {
            let (front, _) = listener.accept().await?;
            front.set_nodelay(true)?;
            let client = client.clone();
            smol::spawn(async move {
                // How one ends is between its client and the server.
                let _ = http1_to_h2(front, &client).await;
            })
            .detach();
        }
    };
    let stopped = async {
        // Nobody else sends.
        let _ = stopped.recv().await;
        Ok(())
    };
    or(stopped, accept).await
}

async fn echo(mut websocket: WebSocket<Stream>) -> Result<(), ws_smol::Error> {
    while websocket
        .receive_with(|message, replies| replies.queue(message))
        .await?
    {}
    Ok(())
}

//! A hundred WebSockets in one HTTP/2 connection, client and server in one process.
//!
//! ```sh
//! cargo run -p examples --bin h2
//! ```

use std::{error::Error, net::SocketAddr, process::ExitCode};

use smol::net::{TcpListener, TcpStream};
use ws_h2::{Client, Config, Server, Stream, WebSocket};
use ws_smol::{Acceptor, ClientRequest, CloseCode, Connector, OriginPolicy, Uri};

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

const SOCKETS: usize = 100;

fn main() -> ExitCode {
    examples::demonstrate(
        "A hundred WebSockets in one HTTP/2 connection; it takes no arguments.",
        || smol::block_on(run()),
    )
}

async fn run() -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = smol::spawn(async move {
        let (stream, peer) = listener.accept().await?;
        serve(stream, peer).await
    });

    // Over TLS this would be a connection whose ALPN has chosen `h2`.
    let stream = TcpStream::connect(address).await?;
    let (client, connection) = Client::handshake(stream, &Config::default()).await?;
    let connection = smol::spawn(connection);
    let connector = Connector::new();
    let mut sockets = Vec::new();
    for _ in 0..SOCKETS {
        let request = ClientRequest::new(Uri::parse("ws://localhost/echo")?);
        sockets.push(client.connect(&connector, address, request).await?);
    }
    for (number, socket) in sockets.iter_mut().enumerate() {
        socket.send(format!("Hello from {number}")).await?;
    }
    for socket in &mut sockets {
        let stream = socket.stream().map_or(0, Stream::id);
        if let Some(message) = socket.receive().await? {
            println!("stream {stream}: {:?}", message.as_text());
        }
        socket.close(CloseCode::NORMAL, "").await?;
    }
    println!("{SOCKETS} WebSockets went over one connection to {address}");

    // The connection is over once nobody uses it.
    drop((client, sockets));
    connection.await?;
    server.await
}

/// Serves a connection: each WebSocket in it has a task of its own.
async fn serve(stream: TcpStream, peer: SocketAddr) -> Outcome {
    let acceptor = Acceptor::new(OriginPolicy::SameHost);
    let mut server = Server::handshake(stream, &Config::default()).await?;
    // The work of the whole connection is done in here.
    while let Some(incoming) = server.accept().await? {
        match incoming.accept(&acceptor, peer) {
            Ok(websocket) => smol::spawn(echo(websocket)).detach(),
            Err(error) => eprintln!("refused: {error}"),
        }
    }
    Ok(())
}

async fn echo(mut websocket: WebSocket<Stream>) -> Outcome {
    while websocket
        .receive_with(|message, replies| replies.queue(message))
        .await?
    {}
    Ok(())
}

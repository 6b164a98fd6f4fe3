//! A hundred WebSockets in one HTTP/2 connection, client and server in one process.
//!
//! ```sh
//! cargo run -p examples --bin h2
//! ```

use smol::{
    future::zip,
    net::{TcpListener, TcpStream},
};
use ws_h2::{Client, Config, Error, Server, Stream, WebSocket};
use ws_smol::{Acceptor, ClientRequest, CloseCode, Connector, OriginPolicy, Uri};

const SOCKETS: usize = 100;

fn main() -> Result<(), Error> {
    smol::block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(io)?;
        let address = listener.local_addr().map_err(io)?;
        let server = smol::spawn(async move {
            let (stream, peer) = listener.accept().await.map_err(io)?;
            serve(stream, peer).await
        });

        // Over TLS this would be a connection whose ALPN has chosen `h2`.
        let stream = TcpStream::connect(address).await.map_err(io)?;
        let (client, connection) = Client::handshake(stream, &Config::default()).await?;
        let connection = smol::spawn(connection);
        let connector = Connector::new();
        let mut sockets = Vec::new();
        for _ in 0..SOCKETS {
            let request = ClientRequest::new(Uri::parse("ws://localhost/echo").map_err(uri)?);
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
        let (connection, server) = zip(connection, server).await;
        connection.and(server)
    })
}

/// Serves a connection: each WebSocket in it has a task of its own.
async fn serve(stream: TcpStream, peer: std::net::SocketAddr) -> Result<(), Error> {
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

async fn echo(mut websocket: WebSocket<Stream>) -> Result<(), ws_smol::Error> {
    while websocket
        .receive_with(|message, replies| replies.queue(message))
        .await?
    {}
    Ok(())
}

fn io(error: std::io::Error) -> ws_smol::Error {
    error.into()
}

fn uri(error: ws_smol::UriError) -> ws_smol::Error {
    error.into()
}

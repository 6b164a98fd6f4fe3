//! A connection with both its ends, and a watchdog.

use std::{future::Future, time::Duration};

use futures_io::{AsyncRead, AsyncWrite};
use smol::Task;
use ws_h2::{Client, Config, Error, Server, Stream, WebSocket};
use ws_smol::{Acceptor, ClientRequest, Connector, Duplex, OriginPolicy, PeerAddr, Uri, duplex};

pub(crate) type Socket = WebSocket<Stream>;

/// Runs a future; a test that hangs fails.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    let watchdog = async {
        smol::Timer::after(Duration::from_secs(120)).await;
        panic!("the test hangs");
    };
    smol::block_on(smol::future::or(future, watchdog))
}

/// A client whose connection is driven by a task, and its server, who is not.
pub(crate) async fn connection(
    config: &Config,
) -> (Client, Task<Result<(), Error>>, Server<Duplex>) {
    let (near, far) = duplex(256 * 1024);
    let (client, server) = smol::future::zip(
        Client::handshake(near, config),
        Server::handshake(far, config),
    )
    .await;
    let (client, connection) = client.unwrap();
    (client, smol::spawn(connection), server.unwrap())
}

pub(crate) fn request() -> ClientRequest {
    ClientRequest::new(Uri::parse("ws://localhost/chat").unwrap())
}

pub(crate) fn acceptor() -> Acceptor {
    Acceptor::new(OriginPolicy::SameHost)
}

pub(crate) async fn connect(client: &Client) -> Result<Socket, Error> {
    client
        .connect(&Connector::new(), PeerAddr::Unknown, request())
        .await
}

/// A server that is driven by a task and hands its WebSockets out.
pub(crate) fn serve<S>(
    mut server: Server<S>,
    acceptor: Acceptor,
) -> (smol::channel::Receiver<Socket>, Task<Result<(), Error>>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, receiver) = smol::channel::unbounded();
    let task = smol::spawn(async move {
        while let Some(incoming) = server.accept().await? {
            if let Ok(socket) = incoming.accept(&acceptor, PeerAddr::Unknown) {
                let _ = sender.send(socket).await;
            }
        }
        Ok(())
    });
    (receiver, task)
}

/// A client and the WebSockets that its server accepts.
pub(crate) async fn served(
    config: &Config,
) -> (
    Client,
    smol::channel::Receiver<Socket>,
    [Task<Result<(), Error>>; 2],
) {
    let (client, driver, server) = connection(config).await;
    let (sockets, task) = serve(server, acceptor());
    (client, sockets, [driver, task])
}

/// Opens a WebSocket; both its ends.
pub(crate) async fn open(
    client: &Client,
    sockets: &smol::channel::Receiver<Socket>,
) -> (Socket, Socket) {
    let near = connect(client).await.unwrap();
    (near, sockets.recv().await.unwrap())
}

/// Sends back what comes, until the connection ends.
pub(crate) async fn echo(mut socket: Socket) -> Result<(), ws_smol::Error> {
    while let Some(message) = socket.receive().await? {
        socket.send(&message).await?;
    }
    Ok(())
}

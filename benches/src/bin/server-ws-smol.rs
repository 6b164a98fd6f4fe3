//! `ws-smol` on one thread: as the example `echo` has it, or a task for each connection that waits
//! for its peer and for its deliveries.

use std::{
    cell::RefCell,
    error::Error,
    net::{Ipv4Addr, SocketAddr},
    process::ExitCode,
    time::Duration,
};

use bench_rig::{Arguments, Deflate, Mode, finish, server_tls};
use smol::{
    LocalExecutor,
    channel::{Receiver, Sender, unbounded},
    future,
    io::{AsyncRead, AsyncWrite},
};
use socket2::{Domain, Protocol, Socket, Type};
use ws_handshake::{DeflatePolicy, UriError};
use ws_smol::{
    Acceptor, ClientRequest, Config, Connector, OriginPolicy, Prepared, ServerTls, TlsAcceptor,
    Uri, WebSocket,
    net::{self, TcpListener, TcpStream},
};

const HELP: &str = "\
server-ws-smol [--mode echo|broadcast] [--accept-unmasked-frame]
               [--deflate LEVEL [--takeover]] [--tls-cert FILE --tls-key FILE]
               [--handshake-timeout SECONDS] [--call PORT] [--streams net|async-io]

--streams async-io: an echo on streams of async-io instead of those of the thread's reactor.
--call PORT: calls a server there again and again, which is not expected to answer well.
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
    let mode = arguments.value("--mode")?.unwrap_or_default();
    let flag = arguments.flag("--accept-unmasked-frame");
    let deflate = Deflate::from_arguments(&mut arguments)?;
    let tls = server_tls(&mut arguments)?;
    let handshake_timeout = arguments.value("--handshake-timeout")?;
    let call: Option<u16> = arguments.value("--call")?;
    let streams: Option<String> = arguments.value("--streams")?;
    arguments.end()?;
    let mut acceptor = acceptor(deflate).accept_unmasked_frame(flag);
    if let Some(seconds) = handshake_timeout {
        acceptor = acceptor.handshake_timeout(Duration::from_secs(seconds));
    }
    match streams.as_deref() {
        None | Some("net") => {}
        Some("async-io") => return smol::block_on(on_async_io(acceptor)),
        Some(_) => return Err("--streams is net or async-io".into()),
    }
    let server: &'static Server = Box::leak(Box::new(Server {
        secure: tls.map(|tls| acceptor.clone().tls(ServerTls::from_rustls(tls))),
        acceptor,
        everybody: RefCell::default(),
    }));
    net::block_on(async {
        let listener = listen()?;
        println!("listening on {}", listener.local_addr()?);
        if let Some(port) = call {
            net::spawn(keep_calling(port));
        }
        loop {
            let (stream, peer) = listener.accept().await?;
            // How a connection ends is told by what the generator gets to see.
            match (mode, &server.secure) {
                (Mode::Echo, None) => net::spawn(server.echo(stream, peer)),
                (Mode::Echo, Some(secure)) => net::spawn(secure_echo(secure, stream, peer)),
                (Mode::Broadcast, _) => net::spawn(server.broadcast(stream, peer)),
            }
        }
    })?
}

/// Echoes on streams of `async-io`, whose reactor runs in the same thread.
async fn on_async_io(acceptor: Acceptor) -> Result<(), Box<dyn Error>> {
    let listener = smol::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on {}", listener.local_addr()?);
    let executor = LocalExecutor::new();
    let accepting = async {
        loop {
            let (stream, peer) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let acceptor = &acceptor;
            let echo = async move { talk(acceptor.accept(stream, peer).await?).await };
            executor.spawn(echo).detach();
        }
    };
    executor.run(accepting).await
}

/// Calls a server every 5 ms, whatever became of the calls before.
async fn keep_calling(port: u16) -> Result<(), UriError> {
    let request = ClientRequest::new(Uri::parse("ws://localhost/")?);
    loop {
        smol::Timer::after(Duration::from_millis(5)).await;
        net::spawn(call(port, request.clone()));
    }
}

async fn call(port: u16, request: ClientRequest) -> Result<(), ws_smol::Error> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    // Whoever has no room for one more call answers late, and nobody else is to wait for that.
    let stream = smol::net::TcpStream::connect(address).await?;
    Connector::new().handshake(stream, address, request).await?;
    Ok(())
}

fn acceptor(deflate: Option<Deflate>) -> Acceptor {
    let acceptor = Acceptor::new(OriginPolicy::Any);
    let Some(deflate) = deflate else {
        return acceptor;
    };
    let policy = DeflatePolicy::new()
        .server_no_context_takeover(!deflate.takes_over)
        .client_no_context_takeover(!deflate.takes_over);
    let mut config = Config::default();
    config.deflate.level = deflate.level;
    acceptor.config(config).deflate(policy)
}

fn listen() -> Result<TcpListener, Box<dyn Error>> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
    socket.listen(4096)?;
    // Inherited by the connections that are accepted.
    socket.set_tcp_nodelay(true)?;
    Ok(TcpListener::from_std(socket.into())?)
}

async fn secure_echo(
    acceptor: &TlsAcceptor,
    stream: TcpStream,
    peer: SocketAddr,
) -> Result<(), ws_smol::Error> {
    talk(acceptor.accept(stream, peer).await?).await
}

async fn talk<S>(mut websocket: WebSocket<S>) -> Result<(), ws_smol::Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    while websocket
        .receive_with(|message, replies| replies.queue(message))
        .await?
    {}
    Ok(())
}

struct Server {
    acceptor: Acceptor,
    /// For echoes over TLS, if those are wanted.
    secure: Option<TlsAcceptor>,
    /// Where deliveries to each connection go.
    everybody: RefCell<Vec<Sender<Prepared>>>,
}

impl Server {
    async fn echo(&self, stream: TcpStream, peer: SocketAddr) -> Result<(), ws_smol::Error> {
        talk(self.acceptor.accept(stream, peer).await?).await
    }

    async fn broadcast(&self, stream: TcpStream, peer: SocketAddr) -> Result<(), ws_smol::Error> {
        let mut websocket = self.acceptor.accept(stream, peer).await?;
        let (sender, deliveries) = unbounded();
        self.everybody.borrow_mut().push(sender);
        loop {
            match next(&mut websocket, &deliveries).await? {
                None => return Ok(()),
                Some(Next::Delivered(message)) => {
                    websocket.queue_prepared(&message)?;
                    while let Ok(message) = deliveries.try_recv() {
                        websocket.queue_prepared(&message)?;
                    }
                    websocket.flush().await?;
                }
                Some(Next::Received(message)) => {
                    let mut everybody = self.everybody.borrow_mut();
                    everybody.retain(|sender| sender.try_send(message.clone()).is_ok());
                }
            }
        }
    }
}

/// Waits for whichever comes first; whichever of the two is dropped loses nothing.
async fn next(
    websocket: &mut WebSocket<TcpStream>,
    deliveries: &Receiver<Prepared>,
) -> Result<Option<Next>, ws_smol::Error> {
    let delivered = async { Ok(deliveries.recv().await.ok().map(Next::Delivered)) };
    let received = async {
        let message = websocket.receive_ref().await?;
        Ok(message.map(Prepared::new).map(Next::Received))
    };
    future::or(delivered, received).await
}

enum Next {
    Delivered(Prepared),
    Received(Prepared),
}

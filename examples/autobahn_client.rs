//! The client's side of the Autobahn test suite: asks its server how many
//! cases there are, echoes what comes in each, and has the reports written.
//!
//! `cargo xtask autobahn client` runs it; the server is told by `AUTOBAHN_URL`
//! and the name in the reports by `AUTOBAHN_AGENT`.

use std::{env, error::Error, process::ExitCode};

use lexopt::{Arg, Parser, ValueExt as _};
use ws_handshake::{ClientRequest, DeflateOffer, Uri, UriError};
use ws_proto::Limits;

const HELP: &str = "
The client's side of the Autobahn test suite.

Usage: autobahn_client [OPTIONS]

  --adapter smol|mio|h2 which event loop to run on (default: smol); h2 is smol, in a stream of an HTTP/2
                        connection to a gateway in the same process
  --set-mask-to-zero    mask with the key 00 00 00 00
  --deflate             offer to compress
  -h, --help            print this

Environment:
  AUTOBAHN_URL          the suite's server (default: ws://127.0.0.1:9001)
  AUTOBAHN_AGENT        the name in the reports (default: ws-smol or ws-mio)
";

#[derive(Clone, Copy, Debug)]
enum Adapter {
    Mio,
    Smol,
    H2,
}

fn main() -> ExitCode {
    examples::log_to_stderr(false);
    examples::finish(run())
}

fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    let (mut adapter, mut set_mask_to_zero, mut offer) = (Adapter::Smol, false, None);
    let mut arguments = Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Long("adapter") => {
                adapter = arguments.value()?.parse_with(|name| match name {
                    "mio" => Ok(Adapter::Mio),
                    "smol" => Ok(Adapter::Smol),
                    "h2" => Ok(Adapter::H2),
                    _ => Err("there are mio, smol and h2"),
                })?;
            }
            Arg::Long("set-mask-to-zero") => set_mask_to_zero = true,
            Arg::Long("deflate") => offer = Some(DeflateOffer::default()),
            argument => return Err(examples::unexpected(argument, HELP).into()),
        }
    }
    let url = env::var("AUTOBAHN_URL").unwrap_or_else(|_| "ws://127.0.0.1:9001".to_owned());
    let url = url.trim_end_matches('/');
    let agent = env::var("AUTOBAHN_AGENT").unwrap_or_else(|_| adapter.name().to_owned());
    let client = Client {
        adapter,
        set_mask_to_zero,
        offer,
        limits: limits(),
    };
    let count = client.ask(&format!("{url}/getCaseCount"))?;
    let count: u32 = count.trim().parse()?;
    for case in 1..=count {
        // That a connection ends badly is what some cases are about.
        let url = format!("{url}/runCase?case={case}&agent={agent}");
        if let Err(error) = client.echo(&url) {
            tracing::debug!(case, error = &*error as &dyn Error, "over");
        }
    }
    client.ask(&format!("{url}/updateReports?agent={agent}"))?;
    println!("{count} cases with {agent}");
    Ok(())
}

/// The suite's largest messages have 16 MiB, its most split ones 65,537
/// fragments.
fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_message = 16 * 1024 * 1024;
    limits.max_fragments = 65_537;
    limits
}

struct Client {
    adapter: Adapter,
    set_mask_to_zero: bool,
    offer: Option<DeflateOffer>,
    limits: Limits,
}

impl Adapter {
    const fn name(self) -> &'static str {
        match self {
            Self::Mio => "ws-mio",
            Self::Smol => "ws-smol",
            Self::H2 => "ws-h2",
        }
    }
}

impl Client {
    fn request(&self, url: &str) -> Result<ClientRequest, UriError> {
        Ok(ClientRequest::new(Uri::parse(url)?).offers(self.offer))
    }

    /// Echoes every message until the server has closed.
    fn echo(&self, url: &str) -> Result<(), Box<dyn Error + Send + Sync>> {
        match self.adapter {
            Adapter::Mio => on_mio::run(self, url, on_mio::Echo),
            Adapter::Smol => smol::block_on(on_smol::echo(self, url)),
            Adapter::H2 => smol::block_on(in_h2::echo(self, url)),
        }
    }

    /// Returns the text that the server sends before it closes, if any.
    fn ask(&self, url: &str) -> Result<String, Box<dyn Error + Send + Sync>> {
        match self.adapter {
            Adapter::Mio => {
                let mut answer = String::new();
                on_mio::run(self, url, on_mio::Answer(&mut answer))?;
                Ok(answer)
            }
            Adapter::Smol => smol::block_on(on_smol::ask(self, url)),
            Adapter::H2 => smol::block_on(in_h2::ask(self, url)),
        }
    }
}

mod on_smol {
    use smol::{
        io::{AsyncRead, AsyncWrite},
        net::TcpStream,
    };
    use ws_smol::{Connector, Error, MaybeTls, WebSocket};

    use super::Client;

    pub(super) async fn echo(
        client: &Client,
        url: &str,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Ok(echo_all(connect(client, url).await?).await?)
    }

    pub(super) async fn ask(
        client: &Client,
        url: &str,
    ) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
        Ok(read_all(connect(client, url).await?).await?)
    }

    /// Sends back what comes, until the end.
    pub(super) async fn echo_all<S>(mut websocket: WebSocket<S>) -> Result<(), Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        while let Some(message) = websocket.receive().await? {
            websocket.send(&message).await?;
        }
        Ok(())
    }

    /// Returns the text that comes, until the end.
    pub(super) async fn read_all<S>(mut websocket: WebSocket<S>) -> Result<String, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut answer = String::new();
        while let Some(message) = websocket.receive().await? {
            answer.push_str(message.as_text().unwrap_or_default());
        }
        Ok(answer)
    }

    async fn connect(client: &Client, url: &str) -> Result<WebSocket<MaybeTls<TcpStream>>, Error> {
        Connector::new()
            .limits(client.limits)
            .set_mask_to_zero(client.set_mask_to_zero)
            .connect(client.request(url)?)
            .await
    }
}

mod in_h2 {
    use std::error::Error;

    use examples::gateway::h2_to_http1;
    use smol::Task;
    use ws_h2::{Config, Server, Stream, WebSocket};
    use ws_smol::{Connector, PeerAddr, duplex};

    use super::{
        Client,
        on_smol::{echo_all, read_all},
    };

    type Failure = Box<dyn Error + Send + Sync>;

    pub(super) async fn echo(client: &Client, url: &str) -> Result<(), Failure> {
        let (websocket, _tasks) = connect(client, url).await?;
        Ok(echo_all(websocket).await?)
    }

    pub(super) async fn ask(client: &Client, url: &str) -> Result<String, Failure> {
        let (websocket, _tasks) = connect(client, url).await?;
        Ok(read_all(websocket).await?)
    }

    /// Connects to a gateway that makes the opening handshake with the suite.
    async fn connect(
        client: &Client,
        url: &str,
    ) -> Result<(WebSocket<Stream>, [Task<Result<(), Failure>>; 2]), Failure> {
        let request = client.request(url)?;
        let uri = request.uri();
        let suite = format!("{}:{}", uri.host(), uri.port());
        let (near, far) = duplex(256 * 1024);
        let gateway = smol::spawn(async move {
            let mut server = Server::handshake(far, &Config::default()).await?;
            while let Some(incoming) = server.accept().await? {
                let suite = suite.clone();
                smol::spawn(async move { h2_to_http1(incoming, &suite).await }).detach();
            }
            Ok(())
        });
        let (h2, connection) = ws_h2::Client::handshake(near, &Config::default()).await?;
        let connection = smol::spawn(async move { Ok(connection.await?) });
        let connector = Connector::new()
            .limits(client.limits)
            .set_mask_to_zero(client.set_mask_to_zero);
        let websocket = h2.connect(&connector, PeerAddr::Unknown, request).await?;
        Ok((websocket, [gateway, connection]))
    }
}

mod on_mio {
    use std::{error::Error, io, net::ToSocketAddrs as _, time::Instant};

    use mio::{Events, Interest, Poll, Token};
    use ws_mio::{
        ClientConfig, Handler, Message, Peer, Socket, SocketState, ws_proto::MAX_HEADER_LEN,
    };

    use super::Client;

    /// Runs one connection to its end.
    pub(super) fn run(
        client: &Client,
        url: &str,
        mut handler: impl Handler<Data = ()>,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        let request = client.request(url)?;
        let uri = request.uri();
        let mut addresses = (uri.host_for_connect(), uri.port()).to_socket_addrs()?;
        let address = addresses.next().ok_or("the host has no address")?;
        let mut config = ClientConfig::default();
        config.limits = client.limits;
        config.set_mask_to_zero = client.set_mask_to_zero.into();
        // Room for the echo of the longest message beside what may wait.
        let longest = usize::try_from(client.limits.max_message)?;
        config.max_backpressure = config.high_water + longest + MAX_HEADER_LEN;

        let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(8));
        let mut socket = Socket::connect(address, request, &config)?;
        let both = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut socket, Token(0), both)?;
        while socket.state() != SocketState::Closed {
            let next = socket.next_timeout();
            let wait = next.map(|next| next.saturating_duration_since(Instant::now()));
            match poll.poll(&mut events, wait) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    return Err(error.into());
                }
                _ => {}
            }
            for event in &events {
                socket.ready(event, &mut handler)?;
            }
            if socket.next_timeout().is_some_and(|at| at <= Instant::now()) {
                socket.handle_timeout(&mut handler)?;
            }
        }
        Ok(())
    }

    pub(super) struct Echo;

    impl Handler for Echo {
        type Data = ();

        fn on_message(&mut self, peer: &mut Peer<'_, ()>, message: Message<'_>) {
            peer.send(message);
        }
    }

    /// Keeps the text that comes.
    pub(super) struct Answer<'a>(pub(super) &'a mut String);

    impl Handler for Answer<'_> {
        type Data = ();

        fn on_message(&mut self, _: &mut Peer<'_, ()>, message: Message<'_>) {
            if let Message::Text(text) = message {
                self.0.push_str(text);
            }
        }
    }
}

//! How a server listens and accepts: what `serve` and `tunnel` share.

use std::{
    cell::RefCell,
    fmt, io,
    path::{Path, PathBuf},
    rc::Rc,
};

use ws_smol::{
    Acceptor, Config, Decision, Error, Gate, OriginPolicy, PeerAddr, Request, ServerTls,
    TlsAcceptor,
};

#[cfg(unix)]
use crate::runtime::net::unix::{UnixListener, UnixStream};
use crate::{
    console::Console,
    deflate,
    exit::{Exit, Failure},
    files, networks,
    options::{Given, Group, Opt, Value},
    runtime::net::{TcpListener, TcpStream},
    transport::{self, Socket, Transport},
};

/// Whom a server accepts, and how.
pub(crate) const ACCEPT: Group = Group {
    title: "Clients",
    options: &[
        Opt {
            short: None,
            long: "tls-cert",
            value: Value::File,
            help: &[
                "speak TLS, and show this certificate (PEM; behind it",
                "those that lead to the authority's)",
            ],
        },
        Opt {
            short: None,
            long: "tls-key",
            value: Value::File,
            help: &["its private key (PEM)"],
        },
        Opt {
            short: None,
            long: "client-ca",
            value: Value::File,
            help: &[
                "serve clients with a certificate by this authority,",
                "and nobody else (PEM)",
            ],
        },
        Opt {
            short: None,
            long: "accept-unmasked-frame",
            value: Value::Optional("NETWORKS"),
            help: &[
                "take frames without a mask, for controlled networks;",
                "with NETWORKS, such as 10.0.0.0/8,fd00::/8, only",
                "from clients there",
            ],
        },
        Opt {
            short: None,
            long: "max-connections",
            value: Value::One("N"),
            help: &["serve at most so many clients at a time", "(default: 1000)"],
        },
    ],
};

/// What a server agrees on with clients. A tunnel has options with these names
/// on its other side, too.
pub(crate) const AGREE: Group = Group {
    title: "What clients may do",
    options: &[
        Opt {
            short: Some('o'),
            long: "origin",
            value: Value::One("ORIGIN"),
            help: &[
                "let pages of this origin connect, such as",
                "https://example.com, or of any; may be given several",
                "times (default: pages of the same host)",
            ],
        },
        Opt {
            short: Some('s'),
            long: "subprotocol",
            value: Value::One("NAME"),
            help: &["speak this subprotocol; may be given several times"],
        },
        Opt {
            short: None,
            long: "deflate",
            value: Value::Optional("PARAMETERS"),
            help: &[
                "compress, with clients that offer it; PARAMETERS are",
                "what to demand, as in server_no_context_takeover,",
                "client_max_window_bits=10",
            ],
        },
        Opt {
            short: None,
            long: "max-message",
            value: Value::One("BYTES"),
            help: &["the longest message to take (default: 16 MiB)"],
        },
        Opt {
            short: None,
            long: "max-frame",
            value: Value::One("BYTES"),
            help: &[
                "the longest frame to send: longer messages go out in",
                "fragments",
            ],
        },
    ],
};

/// Where to listen.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener, Remove),
}

/// Removes the file of a Unix-domain socket, which would keep the next server
/// from binding to it.
#[derive(Debug)]
pub(crate) struct Remove(PathBuf);

impl Drop for Remove {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Listener {
    /// Listens on `HOST:PORT`, on `PORT` or `:PORT` of this machine alone, or
    /// on `unix:PATH`.
    pub(crate) async fn bind(address: &str) -> Result<Self, Failure> {
        let failed = |error: io::Error| {
            Failure::new(
                Exit::Failure,
                format!("cannot listen on {address:?}: {error}"),
            )
        };
        if let Some(path) = address.strip_prefix("unix:") {
            return Self::bind_unix(Path::new(path)).map_err(failed);
        }
        let port = address.strip_prefix(':').unwrap_or(address);
        let listener = match port.parse::<u16>() {
            Ok(port) => TcpListener::bind(("127.0.0.1", port)).await,
            Err(_) => TcpListener::bind(address).await,
        };
        listener.map(Self::Tcp).map_err(failed)
    }

    #[cfg(unix)]
    fn bind_unix(path: &Path) -> io::Result<Self> {
        let listener = UnixListener::bind(path)?;
        Ok(Self::Unix(listener, Remove(path.to_owned())))
    }

    #[cfg(not(unix))]
    fn bind_unix(_: &Path) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Accepts the next stream.
    pub(crate) async fn accept(&self) -> io::Result<(Stream, PeerAddr)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok((Stream::Tcp(stream), peer.into()))
            }
            #[cfg(unix)]
            Self::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                Ok((Stream::Unix(stream), PeerAddr::Local))
            }
        }
    }
}

/// What a listener accepts.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

impl Stream {
    pub(crate) fn boxed(self) -> Box<dyn Transport> {
        match self {
            Self::Tcp(stream) => Box::new(stream),
            #[cfg(unix)]
            Self::Unix(stream) => Box::new(stream),
        }
    }
}

/// The address, with the port that was chosen for port 0.
impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(listener) => match listener.local_addr() {
                Ok(address) => address.fmt(f),
                Err(_) => f.write_str("a socket"),
            },
            #[cfg(unix)]
            Self::Unix(_, Remove(path)) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Makes WebSockets of streams.
#[derive(Clone, Debug)]
pub(crate) struct Accepting {
    acceptor: Acceptor,
    tls: Option<TlsAcceptor>,
    pub(crate) gate: Gate,
}

impl Accepting {
    pub(crate) fn new(given: &Given) -> Result<Self, Failure> {
        Self::with_config(given, Config::default(), &[])
    }

    /// Accepts with limits of its own, as far as the command line says nothing
    /// else, and with more subprotocols.
    pub(crate) fn with_config(
        given: &Given,
        config: Config,
        subprotocols: &[&str],
    ) -> Result<Self, Failure> {
        let gate = gate(given)?;
        let acceptor = acceptor(given, config, subprotocols)?.gate(&gate);
        acceptor.check().map_err(Error::from)?;
        let tls = tls(given)?.map(|tls| acceptor.clone().tls(tls));
        Ok(Self {
            acceptor,
            tls,
            gate,
        })
    }

    pub(crate) const fn scheme(&self) -> &'static str {
        match self.tls {
            None => "ws",
            Some(_) => "wss",
        }
    }

    /// Makes the opening handshakes; `console`, if there is one, sees what
    /// passes above TLS, and `decide` the request.
    pub(crate) async fn accept(
        &self,
        stream: Box<dyn Transport>,
        peer: PeerAddr,
        console: Option<&Rc<RefCell<Console>>>,
        decide: impl AsyncFnOnce(&Request<'_>) -> Decision,
    ) -> Result<Socket, Error> {
        let (stream, acceptor): (Box<dyn Transport>, _) = match &self.tls {
            None => (stream, self.acceptor.clone()),
            Some(tls) => {
                let stream = tls.encrypt(stream).await?;
                (Box::new(stream), self.acceptor.clone().under_tls())
            }
        };
        let stream = transport::watched(stream, console);
        acceptor
            .accept_with(stream, peer, async |request, _| decide(request).await)
            .await
    }
}

/// Counts connections.
pub(crate) fn gate(given: &Given) -> Result<Gate, Failure> {
    let max = given.parsed("max-connections")?.unwrap_or(1000);
    Ok(Gate::new(max, max))
}

fn acceptor(given: &Given, mut config: Config, subprotocols: &[&str]) -> Result<Acceptor, Failure> {
    if let Some(bytes) = given.parsed("max-message")? {
        config.limits.max_message = bytes;
    }
    if let Some(bytes) = given.parsed("max-frame")? {
        config.max_frame_sent = bytes;
    }
    let mut names = given.texts("subprotocol")?;
    names.extend(subprotocols.iter().map(|name| (*name).to_owned()));
    let mut acceptor = Acceptor::new(origins(given)?)
        .config(config)
        .subprotocols(names);
    if given.has("deflate") {
        acceptor = acceptor.deflate(deflate::policy(given.text("deflate")?.as_deref())?);
    }
    if let Some(clients) = networks::of_option(given, "accept-unmasked-frame")? {
        acceptor = acceptor.accept_unmasked_frame(clients);
    }
    Ok(acceptor)
}

fn origins(given: &Given) -> Result<OriginPolicy, Failure> {
    let origins = given.texts("origin")?;
    match &origins[..] {
        [] => Ok(OriginPolicy::SameHost),
        [any] if any == "any" => Ok(OriginPolicy::Any),
        origins => OriginPolicy::list(origins)
            .map_err(|error| Failure::usage(format!("--origin: {error}"))),
    }
}

fn tls(given: &Given) -> Result<Option<ServerTls>, Failure> {
    let read = |option| files::read_option(given, option);
    let (cert, key, ca) = (read("tls-cert")?, read("tls-key")?, read("client-ca")?);
    let (cert, key) = match (cert, key, &ca) {
        (Some(cert), Some(key), _) => (cert, key),
        (None, None, None) => return Ok(None),
        (None, None, Some(_)) => return Err(Failure::usage("--client-ca goes with --tls-cert")),
        _ => return Err(Failure::usage("--tls-cert goes with --tls-key")),
    };
    let mut tls = ServerTls::builder().identity(&cert, &key);
    if let Some(ca) = &ca {
        tls = tls.client_ca(ca);
    }
    Ok(Some(tls.build().map_err(Error::from)?))
}

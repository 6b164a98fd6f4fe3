//! How a client connects: what `connect`, `tunnel` and `check` share.

use std::{cell::RefCell, path::PathBuf, rc::Rc};

use ws_smol::{ClientRequest, ClientTls, Config, Connector, Error, PeerAddr, Uri};

use crate::{
    console::Console,
    exit::Failure,
    networks,
    options::{Given, Group, Opt, Value},
    secret,
    transport::{self, Socket, Transport},
};

/// What is asked for.
pub(crate) const REQUEST: Group = Group {
    title: "The request",
    options: &[
        Opt {
            short: Some('H'),
            long: "header",
            value: Value::One("'NAME: VALUE'"),
            help: &[
                "send a header; @FILE sends each line of a file",
                "as one; may be given several times",
            ],
        },
        Opt {
            short: Some('s'),
            long: "subprotocol",
            value: Value::One("NAME"),
            help: &[
                "ask for a subprotocol; may be given several times,",
                "the one liked best first",
            ],
        },
        Opt {
            short: Some('o'),
            long: "origin",
            value: Value::One("ORIGIN"),
            help: &["send this Origin, as a browser would"],
        },
        Opt {
            short: None,
            long: "deflate",
            value: Value::Optional("PARAMETERS"),
            help: &[
                "offer to compress; PARAMETERS are what to ask for,",
                "as in server_no_context_takeover,",
                "client_max_window_bits=10",
            ],
        },
        Opt {
            short: None,
            long: "bearer",
            value: Value::One("SOURCE"),
            help: &[
                "send a token; SOURCE is @FILE, or env:NAME for a",
                "variable of the environment",
            ],
        },
        Opt {
            short: None,
            long: "basic",
            value: Value::One("SOURCE"),
            help: &["send USER:PASSWORD, from a SOURCE as above"],
        },
        Opt {
            short: None,
            long: "cookie",
            value: Value::One("SOURCE"),
            help: &[
                "send cookies, from a SOURCE as above: lines of",
                "NAME=VALUE, or a file as curl and browsers export it",
            ],
        },
    ],
};

/// How TLS is spoken with a server of `wss:`.
pub(crate) const TLS: Group = Group {
    title: "TLS",
    options: &[
        Opt {
            short: None,
            long: "ca",
            value: Value::File,
            help: &[
                "trust certificates by this authority, and no others",
                "(PEM); by default those that the system trusts",
            ],
        },
        Opt {
            short: None,
            long: "cert",
            value: Value::File,
            help: &["show this certificate to a server that asks (PEM)"],
        },
        Opt {
            short: None,
            long: "key",
            value: Value::File,
            help: &["its private key (PEM)"],
        },
        Opt {
            short: None,
            long: "pin",
            value: Value::One("SHA256"),
            help: &[
                "take the server with this key alone: the digest of",
                "its public key in hexadecimal digits",
            ],
        },
        Opt {
            short: Some('k'),
            long: "insecure",
            value: Value::None,
            help: &["take any certificate: anybody can be in between"],
        },
    ],
};

/// How the server is reached.
pub(crate) const TRANSPORT: Group = Group {
    title: "The way to the server",
    options: &[
        Opt {
            short: Some('L'),
            long: "redirects",
            value: Value::Optional("N"),
            help: &["follow redirects, at most N (default: 10)"],
        },
        Opt {
            short: None,
            long: "proxy",
            value: Value::One("URL"),
            help: &[
                "go through a proxy, such as http://proxy:3128 or",
                "socks5h://proxy; with a password, @FILE or env:NAME",
                "that holds the URL",
            ],
        },
        Opt {
            short: None,
            long: "proxy-from-env",
            value: Value::None,
            help: &[
                "go through the proxy that the environment names, in",
                "https_proxy, http_proxy, all_proxy and no_proxy",
            ],
        },
        Opt {
            short: None,
            long: "unix",
            value: Value::File,
            help: &[
                "connect to a Unix-domain socket; the URL says what",
                "is asked for there",
            ],
        },
        Opt {
            short: None,
            long: "connect-timeout",
            value: Value::One("SECONDS"),
            help: &[
                "how long connecting and the opening handshake may",
                "take, each (default: 30)",
            ],
        },
    ],
};

pub(crate) const SET_MASK_TO_ZERO: Opt = Opt {
    short: None,
    long: "set-mask-to-zero",
    value: Value::Optional("NETWORKS"),
    help: &[
        "mask with the key 00 00 00 00, for controlled",
        "networks; with NETWORKS, such as 10.0.0.0/8,fd00::/8,",
        "only for servers there",
    ],
};

/// What frames are like.
pub(crate) const FRAMES: Group = Group {
    title: "Frames",
    options: &[
        SET_MASK_TO_ZERO,
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

/// A client, ready to connect.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    connector: Connector,
    pub(crate) request: ClientRequest,
    unix: Option<PathBuf>,
    redirects: usize,
}

impl Client {
    /// Makes a client of what the command line says.
    pub(crate) fn new(given: &Given, url: &str) -> Result<Self, Failure> {
        Self::with_config(given, url, Config::default())
    }

    /// Makes a client with limits of its own, as far as the command line says
    /// nothing else.
    pub(crate) fn with_config(given: &Given, url: &str, config: Config) -> Result<Self, Failure> {
        let uri = Uri::parse(url).map_err(|error| Failure::usage(format!("{url:?}: {error}")))?;
        Ok(Self {
            request: request(given, uri)?,
            connector: connector(given, config)?,
            unix: given.path("unix"),
            redirects: match given.has("redirects") {
                true => given.parsed("redirects")?.unwrap_or(10),
                false => 0,
            },
        })
    }

    /// Connects; `console`, if there is one, sees what passes between the
    /// opening handshake and TLS.
    pub(crate) async fn connect(
        &self,
        console: Option<&Rc<RefCell<Console>>>,
    ) -> Result<Socket, Error> {
        let mut request = self.request.clone();
        for _ in 0..self.redirects {
            let outcome = self.connect_once(request.clone(), console).await;
            let Err(Error::Refused(response)) = outcome else {
                return outcome;
            };
            match request.follow(&response)? {
                Some(next) => request = next,
                None => return Err(Error::Refused(response)),
            }
        }
        self.connect_once(request, console).await
    }

    async fn connect_once(
        &self,
        request: ClientRequest,
        console: Option<&Rc<RefCell<Console>>>,
    ) -> Result<Socket, Error> {
        let (stream, peer) = self.transport(request.uri()).await?;
        let stream = transport::watched(stream, console);
        let connector = match request.uri().is_secure() {
            true => &self.connector.clone().under_tls(),
            false => &self.connector,
        };
        connector.handshake(stream, peer, request).await
    }

    /// Connects up to TLS.
    pub(crate) async fn transport(
        &self,
        uri: &Uri,
    ) -> Result<(Box<dyn Transport>, PeerAddr), Error> {
        #[cfg(unix)]
        if let Some(path) = &self.unix {
            let stream = crate::runtime::net::unix::UnixStream::connect(path).await?;
            let stream = self.connector.encrypt(stream, uri).await?;
            return Ok((Box::new(stream), PeerAddr::Local));
        }
        let (stream, peer) = self.connector.connect_tcp(uri).await?;
        let stream = self.connector.encrypt(stream, uri).await?;
        Ok((Box::new(stream), peer))
    }
}

/// Makes the request of what the command line says.
pub(crate) fn request(given: &Given, uri: Uri) -> Result<ClientRequest, Failure> {
    let offer = match given.has("deflate") {
        true => Some(crate::deflate::offer(given.text("deflate")?.as_deref())?),
        false => None,
    };
    let mut request = ClientRequest::new(uri.clone()).offers(offer);
    for name in given.texts("subprotocol")? {
        request = request
            .subprotocol(&name)
            .map_err(mistake("--subprotocol"))?;
    }
    if let Some(origin) = given.text("origin")? {
        request = request.origin(&origin).map_err(mistake("--origin"))?;
    }
    let secret = |option: &str| match given.text(option)? {
        Some(source) => secret::read(option, &source).map(Some),
        None => Ok(None),
    };
    let mut headers = vec![("User-Agent".to_owned(), USER_AGENT.to_owned())];
    if let Some(text) = secret("basic")? {
        headers.push(("Authorization".to_owned(), secret::basic(&text)?));
    }
    if let Some(text) = secret("bearer")? {
        headers.push(("Authorization".to_owned(), secret::bearer(&text)));
    }
    if let Some(text) = secret("cookie")?
        && let Some(value) = secret::cookies(&text, &uri)
    {
        headers.push(("Cookie".to_owned(), value));
    }
    for header in given.texts("header")? {
        let lines = match header.starts_with('@') {
            true => secret::read("header", &header)?,
            false => header,
        };
        for line in lines.lines().filter(|line| !line.is_empty()) {
            let (name, value) = line
                .split_once(':')
                .ok_or_else(|| Failure::usage("a --header is 'NAME: VALUE'"))?;
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
    }
    for (name, value) in headers {
        request = request.header(&name, value).map_err(mistake(&name))?;
    }
    Ok(request)
}

const USER_AGENT: &str = concat!("wsdo/", env!("CARGO_PKG_VERSION"));

fn mistake<E: std::fmt::Display>(of: &str) -> impl FnOnce(E) -> Failure {
    move |error| Failure::usage(format!("{of}: {error}"))
}

fn connector(given: &Given, mut config: Config) -> Result<Connector, Failure> {
    if let Some(bytes) = given.parsed("max-message")? {
        config.limits.max_message = bytes;
    }
    if let Some(bytes) = given.parsed("max-frame")? {
        config.max_frame_sent = bytes;
    }
    let mut connector = Connector::new().config(config);
    if let Some(time) = given.seconds("connect-timeout")? {
        connector = connector.connect_timeout(time).handshake_timeout(time);
    }
    if let Some(servers) = networks::of_option(given, "set-mask-to-zero")? {
        connector = connector.set_mask_to_zero(servers);
    }
    if let Some(tls) = tls(given)? {
        connector = connector.tls(tls);
    }
    match (given.text("proxy")?, given.has("proxy-from-env")) {
        (Some(_), true) => {
            return Err(Failure::usage(
                "--proxy and --proxy-from-env exclude each other",
            ));
        }
        (Some(proxy), false) => {
            let is_source = proxy.starts_with('@') || proxy.starts_with("env:");
            let url = match is_source {
                true => secret::read("proxy", &proxy)?,
                false => proxy,
            };
            let proxy = url.trim().parse().map_err(mistake("--proxy"))?;
            connector = connector.proxy(proxy);
        }
        (None, true) => connector = connector.proxy_from_env(),
        (None, false) => {}
    }
    connector.check().map_err(Error::from)?;
    Ok(connector)
}

/// Makes the configuration of TLS, if the command line says anything of it.
pub(crate) fn tls(given: &Given) -> Result<Option<ClientTls>, Failure> {
    let read = |option: &str| crate::files::read_option(given, option);
    let (ca, cert, key) = (read("ca")?, read("cert")?, read("key")?);
    let pin = given.text("pin")?;
    let is_insecure = given.has("insecure");
    if ca.is_none() && cert.is_none() && key.is_none() && pin.is_none() && !is_insecure {
        return Ok(None);
    }
    let mut tls = ClientTls::builder();
    if is_insecure {
        tls = tls.dangerous_accept_any_certificate();
    } else if let Some(ca) = &ca {
        tls = tls.ca(ca);
    } else if pin.is_none() {
        tls = tls.platform_roots();
    }
    if let Some(pin) = pin {
        let digest = crate::text::from_hex(&pin.replace(':', "")).ok();
        let digest = digest.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        tls =
            tls.pin_key(digest.ok_or_else(|| Failure::usage("--pin takes 64 hexadecimal digits"))?);
    }
    match (&cert, &key) {
        (Some(cert), Some(key)) => tls = tls.identity(cert, key),
        (None, None) => {}
        _ => return Err(Failure::usage("--cert goes with --key")),
    }
    Ok(Some(tls.build().map_err(Error::from)?))
}

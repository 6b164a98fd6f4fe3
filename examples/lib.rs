//! What the examples share, and nothing of what they show: how they take
//! arguments and end, and the page with which `echo` answers a browser.

use std::{
    error::Error,
    fmt::Display,
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{self, ExitCode},
    str::FromStr,
    thread,
};

use lexopt::{Arg, Parser, ValueExt as _};
use ws_handshake::{DeflateOffer, DeflateParams, DeflatePolicy, Request, Response};
use ws_mio::{CloseCode, PeerAddr};
use ws_proto::Cause;
use ws_tls::{ClientTls, ServerTls, TlsConfigError};

pub mod gateway;

/// Why an example failed.
pub type Failure = Box<dyn Error + Send + Sync>;

/// Says hello to a server, and goodbye after the answer.
///
/// # Errors
///
/// What the connection ends with, if that is not a normal end.
pub fn talk(server: SocketAddr) -> Result<(), Failure> {
    smol::block_on(async {
        let mut websocket = ws_smol::connect(&format!("ws://{server}/")).await?;
        websocket.send("Hello").await?;
        println!("the server says {:?}", websocket.receive().await?);
        websocket.close(CloseCode::NORMAL, "that was all").await?;
        Ok(())
    })
}

/// Runs an example that takes no arguments but `--help`.
#[must_use]
pub fn demonstrate(
    help: &str,
    run: impl FnOnce() -> Result<(), Box<dyn Error + Send + Sync>>,
) -> ExitCode {
    let arguments = || match Parser::from_env().next()? {
        None => Ok(()),
        Some(argument) => Err(unexpected(argument, help)),
    };
    finish(arguments().map_err(Box::from).and_then(|()| run()))
}

/// Reads where to listen, for an example that takes `--listen` alone; 127.0.0.1:9001 by default.
///
/// # Errors
///
/// For any other argument, with the help.
pub fn listen_address(help: &str) -> Result<String, lexopt::Error> {
    let mut address = "127.0.0.1:9001".to_owned();
    let mut arguments = Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Long("listen") => address = value(&mut arguments, "--listen")?,
            other => return Err(unexpected(other, help)),
        }
    }
    Ok(address)
}

/// Runs an echo server that is embedded in `std::net`, for one client, and the
/// client.
#[must_use]
pub fn embed(
    help: &str,
    serve: impl FnOnce(TcpStream) -> Result<Cause, Box<dyn Error + Send + Sync>>,
) -> ExitCode {
    demonstrate(help, || {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let client = thread::spawn(move || talk(address));
        let cause = serve(listener.accept()?.0)?;
        println!("the server's connection ended: {}", cause.name());
        client.join().expect("the client does not panic")
    })
}

/// Prints what went wrong, if anything, with its causes: the last thing that
/// `main` does.
///
/// The exit code is 1 for a failure, and 2 for a mistake on the command line.
#[must_use]
pub fn finish(result: Result<(), Box<dyn Error + Send + Sync>>) -> ExitCode {
    let Err(error) = result else {
        return ExitCode::SUCCESS;
    };
    eprintln!("error: {}", with_causes(&*error));
    if error.is::<lexopt::Error>() {
        eprintln!("--help shows what there is");
        return ExitCode::from(2);
    }
    ExitCode::FAILURE
}

/// Tells an error, and of its causes those that it does not tell itself.
fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let told = error.to_string();
        if !text.contains(&told) {
            text = format!("{text}: {told}");
        }
        cause = error.source();
    }
    text
}

/// Takes the value of an option.
///
/// # Errors
///
/// One that names the option and the value, if it is not what the option takes.
pub fn value<T>(arguments: &mut Parser, option: &str) -> Result<T, lexopt::Error>
where
    T: FromStr<Err: Display>,
{
    value_with(arguments, option, str::parse)
}

/// Takes the value of an option, and reads it in its own way.
///
/// # Errors
///
/// As those of [`value`].
pub fn value_with<T, E: Display>(
    arguments: &mut Parser,
    option: &str,
    read: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, lexopt::Error> {
    let value = arguments.value()?.string()?;
    read(&value).map_err(|error| format!("{option} {value:?}: {error}").into())
}

/// Takes the value of an option that is a network.
///
/// # Errors
///
/// As those of [`value`].
pub fn network<T: FromStr>(arguments: &mut Parser, option: &str) -> Result<T, lexopt::Error> {
    value_with(arguments, option, |text| {
        text.parse().map_err(|_| {
            "a network is an address and the bits of its prefix, such as 10.0.0.0/8 (0 to 32) or \
             fd00::/8 (0 to 128)"
        })
    })
}

/// Makes the error of an address that cannot be listened on.
pub fn cannot_listen<E: Display>(option: &str, address: &str) -> impl FnOnce(E) -> String {
    move |error| format!("{option} {address:?}: {error}")
}

/// Prints the help and exits where that was asked for; makes an error of any
/// other argument.
#[must_use]
pub fn unexpected(argument: Arg<'_>, help: &str) -> lexopt::Error {
    if matches!(argument, Arg::Short('h') | Arg::Long("help")) {
        println!("{}", help.trim());
        process::exit(0);
    }
    argument.unexpected()
}

/// Takes the value of `--deflate`, which a server demands; without one, it
/// agrees to whatever a client asks for.
///
/// # Errors
///
/// Parameters that permessage-deflate does not have.
pub fn deflate_policy(arguments: &mut Parser) -> Result<DeflatePolicy, lexopt::Error> {
    let params = deflate_params(arguments)?;
    Ok(DeflatePolicy::new()
        .server_no_context_takeover(params.server_no_context_takeover)
        .client_no_context_takeover(params.client_no_context_takeover)
        .server_max_window_bits(params.server_max_window_bits)
        .client_max_window_bits(params.client_max_window_bits))
}

/// Takes the value of `--deflate`, for which a client asks; without one, it
/// asks for what browsers do.
///
/// # Errors
///
/// Parameters that permessage-deflate does not have.
pub fn deflate_offer(arguments: &mut Parser) -> Result<DeflateOffer, lexopt::Error> {
    let params = deflate_params(arguments)?;
    let smaller = |bits| Some(bits).filter(|bits| *bits < 15);
    let offer = DeflateOffer::new()
        .server_no_context_takeover(params.server_no_context_takeover)
        .client_no_context_takeover(params.client_no_context_takeover)
        .client_max_window_bits(smaller(params.client_max_window_bits));
    Ok(match smaller(params.server_max_window_bits) {
        Some(bits) => offer.server_max_window_bits(bits),
        None => offer,
    })
}

fn deflate_params(arguments: &mut Parser) -> Result<DeflateParams, lexopt::Error> {
    let mut params = DeflateParams::default();
    let Some(list) = arguments.optional_value() else {
        return Ok(params);
    };
    for param in list.string()?.split(',') {
        match param.split_once('=').unwrap_or((param, "")) {
            ("server_no_context_takeover", "") => params.server_no_context_takeover = true,
            ("client_no_context_takeover", "") => params.client_no_context_takeover = true,
            ("server_max_window_bits", bits) => params.server_max_window_bits = window_bits(bits)?,
            ("client_max_window_bits", bits) => params.client_max_window_bits = window_bits(bits)?,
            _ => return Err(format!("--deflate has no {param:?}").into()),
        }
    }
    Ok(params)
}

fn window_bits(bits: &str) -> Result<u8, lexopt::Error> {
    match bits.parse() {
        Ok(bits @ 8..=15) => Ok(bits),
        _ => Err(format!("a window has 8 to 15 bits, not {bits:?}").into()),
    }
}

/// The files that TLS is made of, as the examples take them: all PEM.
#[derive(Debug, Default)]
pub struct TlsFiles {
    /// The certificate to show, and those that lead to the authority's.
    pub cert: Option<PathBuf>,
    /// Its private key.
    pub key: Option<PathBuf>,
    /// Whose certificates to take from the other side.
    pub ca: Option<PathBuf>,
}

impl TlsFiles {
    /// Makes the server's side of them; `None` without a certificate.
    ///
    /// # Errors
    ///
    /// Files that are missing, or are not what they should be.
    pub fn server(&self) -> Result<Option<ServerTls>, Box<dyn Error + Send + Sync>> {
        let Some((cert, key)) = self.identity()? else {
            return match self.ca {
                None => Ok(None),
                Some(_) => Err(mistake("--client-ca goes with --tls-cert")),
            };
        };
        let tls = ServerTls::from_pem(&cert, &key).map_err(|error| self.wrong_identity(error))?;
        let Some(ca) = &self.ca else {
            return Ok(Some(tls));
        };
        let of_clients = read(ca)?;
        let tls = ServerTls::builder()
            .identity(&cert, &key)
            .client_ca(&of_clients);
        Ok(Some(tls.build().map_err(|error| wrong(ca, error))?))
    }

    /// Makes the client's side of them; `None` without any. Without an
    /// authority the system's are trusted.
    ///
    /// # Errors
    ///
    /// Files that are missing, or are not what they should be.
    pub fn client(&self) -> Result<Option<ClientTls>, Box<dyn Error + Send + Sync>> {
        let identity = self.identity()?;
        let ca = self.ca.as_deref().map(read).transpose()?;
        let (trusting, trusted) = match (&self.ca, &ca) {
            (Some(path), Some(ca)) => {
                let trusting = ClientTls::builder().ca(ca);
                (
                    trusting.clone(),
                    trusting.build().map_err(|error| wrong(path, error))?,
                )
            }
            _ if identity.is_none() => return Ok(None),
            _ => {
                let trusting = ClientTls::builder().platform_roots();
                (trusting.clone(), trusting.build()?)
            }
        };
        let Some((cert, key)) = &identity else {
            return Ok(Some(trusted));
        };
        let tls = trusting.identity(cert, key).build();
        Ok(Some(tls.map_err(|error| self.wrong_identity(error))?))
    }

    /// Says which of the two files of the identity is wrong, or that they do not fit.
    fn wrong_identity(&self, error: TlsConfigError) -> Box<dyn Error + Send + Sync> {
        let path = |path: &Option<PathBuf>| path.clone().unwrap_or_default();
        let (cert, key) = (path(&self.cert), path(&self.key));
        match error {
            TlsConfigError::NoCertificate | TlsConfigError::NotACertificate { .. } => {
                wrong(&cert, error)
            }
            TlsConfigError::NoKey
            | TlsConfigError::NotAKey { .. }
            | TlsConfigError::EncryptedKey
            | TlsConfigError::P521Key(_) => wrong(&key, error),
            _ => format!("{} with {}: {error}", cert.display(), key.display()).into(),
        }
    }

    #[expect(clippy::type_complexity, reason = "a certificate and its key")]
    fn identity(&self) -> Result<Option<(Vec<u8>, Vec<u8>)>, Box<dyn Error + Send + Sync>> {
        match (&self.cert, &self.key) {
            (None, None) => Ok(None),
            (Some(cert), Some(key)) => Ok(Some((read(cert)?, read(key)?))),
            _ => Err(mistake("a certificate goes with its key")),
        }
    }
}

fn mistake(message: &str) -> Box<dyn Error + Send + Sync> {
    lexopt::Error::from(message).into()
}

fn wrong(path: &Path, error: TlsConfigError) -> Box<dyn Error + Send + Sync> {
    format!("{}: {error}", path.display()).into()
}

fn read(path: &Path) -> Result<Vec<u8>, Box<dyn Error + Send + Sync>> {
    fs::read(path).map_err(|error| format!("{}: {error}", path.display()).into())
}

/// Calls `stop` at the first Ctrl-C or SIGTERM, on a thread of its own, and
/// exits at the second.
///
/// # Errors
///
/// Those of the system.
pub fn on_stop(stop: impl FnOnce() + Send + 'static) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut stop = Some(stop);
    ctrlc::set_handler(move || match stop.take() {
        Some(stop) => stop(),
        None => process::exit(130),
    })?;
    Ok(())
}

/// Prints the warnings of the crates to stderr; all that they tell if
/// `is_verbose`.
pub fn log_to_stderr(is_verbose: bool) {
    let level = if is_verbose {
        tracing::Level::TRACE
    } else {
        tracing::Level::WARN
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
}

/// Answers a request that does not want a WebSocket; `None` for one that does,
/// well or badly.
///
/// Browsers get a page that connects back, and `/address` tells where the
/// client is.
#[must_use]
pub fn answer(request: &Request<'_>, peer: PeerAddr) -> Option<Response> {
    if request.is_upgrade() || request.header("Sec-WebSocket-Key").is_some() {
        return None;
    }
    if let Err(error) = request.check_http() {
        return Some(error.rejection());
    }
    Some(match (request.method(), request.path()) {
        ("GET", "/favicon.ico") => Response::new(404),
        ("GET", "/address") => Response::new(200).body(peer.to_string()),
        ("GET", _) => page().unwrap_or_else(|_| Response::new(500)),
        _ => Response::new(405),
    })
}

fn page() -> Result<Response, ws_handshake::HeaderError> {
    Ok(Response::new(200)
        .header("Content-Type", "text/html; charset=utf-8")?
        // Everything is in the page, and it talks to nobody but us.
        .header("Content-Security-Policy", POLICY)?
        .body(include_str!("echo.html")))
}

const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

#[cfg(test)]
mod tests {
    use ws_handshake::HeadLimits;

    use super::*;

    fn answer_to(request: &str) -> Option<(u16, String)> {
        let request = Request::parse(request.as_bytes(), &HeadLimits::default()).unwrap();
        let response = answer(&request, PeerAddr::Unknown)?;
        let mut bytes = Vec::new();
        response.write_to(&mut bytes);
        Some((response.status(), String::from_utf8(bytes).unwrap()))
    }

    #[test]
    fn browser_gets_a_page_and_no_icon() {
        let (status, page) = answer_to("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        assert_eq!(status, 200);
        assert!(page.contains("Content-Type: text/html") && page.contains("new WebSocket("));
        let icon = "GET /favicon.ico HTTP/1.1\r\nHost: localhost\r\n\r\n";
        assert_eq!(answer_to(icon).unwrap().0, 404);
    }

    #[test]
    fn parameters_of_deflate_are_read_or_refused() {
        let offer = |argument: &str| {
            let mut arguments = Parser::from_args([argument]);
            arguments.next().unwrap();
            deflate_offer(&mut arguments).map(|offer| offer.to_string())
        };
        let browsers = DeflateOffer::default().to_string();
        assert_eq!(offer("--deflate").unwrap(), browsers);
        assert_eq!(
            offer("--deflate=server_no_context_takeover,server_max_window_bits=9").unwrap(),
            "permessage-deflate; server_no_context_takeover; server_max_window_bits=9; \
             client_max_window_bits"
        );
        for wrong in [
            "",
            "level=9",
            "server_max_window_bits=7",
            "client_max_window_bits",
        ] {
            assert!(offer(&format!("--deflate={wrong}")).is_err(), "{wrong}");
        }
    }

    #[test]
    fn page_loads_nothing_from_elsewhere() {
        let page = include_str!("echo.html");
        for outside in ["http://", "https://", "src=", "@import", "url("] {
            assert!(!page.contains(outside), "{outside}");
        }
    }

    #[test]
    fn other_requests_get_the_status_that_fits() {
        let post = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n";
        let (status, response) = answer_to(post).unwrap();
        assert_eq!(status, 405);
        assert!(response.contains("Allow: GET\r\n"));
        assert_eq!(answer_to("GET / HTTP/1.1\r\n\r\n").unwrap().0, 400);
        assert_eq!(
            answer_to("GET / HTTP/2.0\r\nHost: localhost\r\n\r\n")
                .unwrap()
                .0,
            505
        );
    }

    #[test]
    fn handshakes_are_left_to_the_server_even_broken_ones() {
        let upgrade = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\r\n";
        assert_eq!(answer_to(upgrade), None);
        let broken = "GET / HTTP/1.1\r\nHost: localhost\r\nSec-WebSocket-Key: x\r\n\r\n";
        assert_eq!(answer_to(broken), None);
    }
}

/// The code in the workspace's README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(doctest)]
#[doc = include_str!("../MIGRATION.md")]
struct Migration;

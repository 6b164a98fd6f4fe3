//! A client for any `ws://` or `wss://` URL: type lines to send them as text and see what
//! comes back, or send a file and get the reply.
//!
//! ```sh
//! cargo run --release -p examples --bin client -- ws://127.0.0.1:9001/
//! cargo run --release -p examples --bin client -- --send photo.jpg ws://127.0.0.1:9001/ > reply.jpg
//! ```

use std::{
    error::Error,
    fmt,
    future::poll_fn,
    io::{self, IsTerminal as _, Write as _},
    path::PathBuf,
    pin::Pin,
    process::ExitCode,
    thread,
};

use examples::TlsFiles;
use lexopt::{Arg, Parser, ValueExt as _};
use smol::{
    channel, fs, future,
    io::{AsyncRead, AsyncWrite},
    stream::Stream as _,
};
use ws_proto::OpCode;
use ws_smol::{
    ClientRequest, ClientTls, CloseCode, Connector, HttpResponse, Limits, Message, MessageRef,
    Proxy, Uri, WebSocket,
};

const HELP: &str = "
A WebSocket client.

Usage: client [OPTIONS] URL

Lines that are typed are sent as text; messages that come are printed, on a
terminal behind a <. Ctrl-D closes the connection.

  --send FILE              send FILE as one binary message, write the reply's
                           bytes to the standard output, and close
  --text                   send FILE as text
  --subprotocol NAME       ask for a subprotocol; may be given several times,
                           the one liked best first
  --header 'NAME: VALUE'   send a header with the request; may be given several
                           times
  --deflate[=PARAMETERS]   offer to compress; PARAMETERS are what to ask for, as in
                           server_no_context_takeover,client_max_window_bits=10
  --ca FILE                trust certificates by this authority, and no others, with
                           wss:// (PEM); without it, those that the system trusts
  --cert FILE              show this certificate to a server that asks for one (PEM)
  --key FILE               its private key (PEM)
  --set-mask-to-zero       mask with the key 00 00 00 00, for controlled networks
  --proxy URL              go through a proxy, such as http://proxy.example:3128 or
                           socks5h://user:password@proxy.example
  --proxy-from-env         go through the proxy that the environment names, in
                           https_proxy, http_proxy, all_proxy and no_proxy
  --max-message BYTES      the longest message to take (default: 16 MiB)
  -h, --help               print this
";

#[derive(Debug)]
struct Options {
    request: ClientRequest,
    tls: Option<ClientTls>,
    send: Option<PathBuf>,
    is_text: bool,
    set_mask_to_zero: bool,
    proxy: Option<Proxy>,
    is_proxy_from_env: bool,
    limits: Limits,
}

fn main() -> ExitCode {
    examples::log_to_stderr(false);
    examples::finish(Options::from_arguments().and_then(|options| smol::block_on(run(options))))
}

impl Options {
    fn from_arguments() -> Result<Self, Box<dyn Error + Send + Sync>> {
        let (mut url, mut subprotocols, mut headers) = (None, Vec::new(), Vec::new());
        let (mut send, mut is_text, mut set_mask_to_zero) = (None, false, false);
        let (mut offer, mut limits) = (None, Limits::default());
        let mut files = TlsFiles::default();
        let (mut proxy, mut is_proxy_from_env) = (None, false);
        let mut arguments = Parser::from_env();
        while let Some(argument) = arguments.next()? {
            match argument {
                Arg::Value(value) if url.is_none() => url = Some(value.string()?),
                Arg::Long("send") => send = Some(PathBuf::from(arguments.value()?)),
                Arg::Long("text") => is_text = true,
                Arg::Long("subprotocol") => subprotocols.push(arguments.value()?.string()?),
                Arg::Long("header") => headers.push(arguments.value()?.string()?),
                Arg::Long("deflate") => offer = Some(examples::deflate_offer(&mut arguments)?),
                Arg::Long("ca") => files.ca = Some(PathBuf::from(arguments.value()?)),
                Arg::Long("cert") => files.cert = Some(PathBuf::from(arguments.value()?)),
                Arg::Long("key") => files.key = Some(PathBuf::from(arguments.value()?)),
                Arg::Long("set-mask-to-zero") => set_mask_to_zero = true,
                Arg::Long("proxy") => {
                    // It may hold a password, and is not shown.
                    let url: Result<Proxy, _> = arguments.value()?.string()?.parse();
                    proxy = Some(url.map_err(|error| format!("--proxy: {error}"))?);
                }
                Arg::Long("proxy-from-env") => is_proxy_from_env = true,
                Arg::Long("max-message") => {
                    limits.max_message = examples::value(&mut arguments, "--max-message")?;
                }
                argument => return Err(examples::unexpected(argument, HELP).into()),
            }
        }
        let url = url.ok_or_else(|| lexopt::Error::from("which URL?"))?;
        if is_text && send.is_none() {
            return Err(lexopt::Error::from("--text goes with --send").into());
        }
        let mut request = ClientRequest::new(Uri::parse(&url)?).offers(offer);
        for name in &subprotocols {
            request = request.subprotocol(name)?;
        }
        for header in &headers {
            let (name, value) = header
                .split_once(':')
                .ok_or_else(|| lexopt::Error::from("a header is 'Name: value'"))?;
            request = request.header(name, value.trim())?;
        }
        Ok(Self {
            request,
            tls: files.client()?,
            send,
            is_text,
            set_mask_to_zero,
            proxy,
            is_proxy_from_env,
            limits,
        })
    }
}

async fn run(options: Options) -> Result<(), Box<dyn Error + Send + Sync>> {
    // What cannot be sent is found out before anybody is bothered.
    let message = match &options.send {
        None => None,
        Some(file) => Some(read(file, options.is_text).await?),
    };
    let mut connector = Connector::new()
        .limits(options.limits)
        .set_mask_to_zero(options.set_mask_to_zero);
    if let Some(tls) = options.tls {
        connector = connector.tls(tls);
    }
    if let Some(proxy) = options.proxy {
        connector = connector.proxy(proxy);
    } else if options.is_proxy_from_env {
        connector = connector.proxy_from_env();
    }
    let websocket = match connector.connect(options.request).await {
        Err(ws_smol::Error::Refused(response)) => return Err(Refusal(response).into()),
        result => result?,
    };
    match message {
        Some(message) => exchange(websocket, &message).await,
        None => converse(websocket).await,
    }
}

async fn read(file: &PathBuf, is_text: bool) -> Result<Message, Box<dyn Error + Send + Sync>> {
    let bytes = fs::read(file)
        .await
        .map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(match is_text {
        true => Message::Text(String::from_utf8(bytes)?),
        false => Message::Binary(bytes),
    })
}

/// Sends one message, and writes the bytes of the next that comes to stdout.
async fn exchange<S>(
    mut websocket: WebSocket<S>,
    message: &Message,
) -> Result<(), Box<dyn Error + Send + Sync>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    websocket.send(message).await?;
    let Some(reply) = websocket.receive().await? else {
        return Err(format!("no reply: {}", farewell(&websocket)).into());
    };
    let mut out = io::stdout().lock();
    out.write_all(reply.as_bytes())?;
    out.flush()?;
    websocket.close(CloseCode::NORMAL, "").await?;
    Ok(())
}

/// Sends what is typed and prints what comes, until either side has enough.
async fn converse<S>(mut websocket: WebSocket<S>) -> Result<(), Box<dyn Error + Send + Sync>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    eprintln!("connected; Ctrl-D closes");
    if let Some(name) = websocket.subprotocol() {
        eprintln!("the subprotocol is {name}");
    }
    if websocket.deflate().is_some() {
        eprintln!("what is worth it is compressed");
    }
    let lines = typed_lines()?;
    loop {
        let typed = async { Next::Typed(lines.recv().await.ok()) };
        let received = async { Next::Received(receive(&mut websocket).await) };
        match future::or(received, typed).await {
            Next::Typed(Some(line)) => match websocket.send(&*line?).await {
                // The server has closed; what it said before is still to come.
                Err(ws_smol::Error::Closed) => break,
                sent => sent?,
            },
            Next::Typed(None) => break,
            Next::Received(Ok(Some(message))) => print(message.as_ref())?,
            Next::Received(Ok(None)) => {
                eprintln!("{}", farewell(&websocket));
                return Ok(());
            }
            Next::Received(Err(error)) => return Err(error.into()),
        }
    }
    // The server may have more to say until it closes too, or has closed already.
    match websocket.queue_close(CloseCode::NORMAL, "") {
        Ok(()) | Err(ws_smol::Error::Closed) => {}
        Err(error) => return Err(error.into()),
    }
    while let Some(message) = receive(&mut websocket).await? {
        print(message.as_ref())?;
    }
    eprintln!("{}", farewell(&websocket));
    Ok(())
}

/// Reads what is typed on a thread of its own, a line at a time: what reads ahead would see the end
/// of the input only when it is typed twice.
fn typed_lines() -> io::Result<channel::Receiver<io::Result<String>>> {
    let (sender, receiver) = channel::bounded(1);
    thread::Builder::new().spawn(move || {
        for line in io::stdin().lines() {
            if sender.send_blocking(line).is_err() {
                break;
            }
        }
    })?;
    Ok(receiver)
}

enum Next {
    Typed(Option<io::Result<String>>),
    Received(Result<Option<Message>, ws_smol::Error>),
}

/// Receives the next message, and tells of the Pings and Pongs on the way,
/// which are seen to without us.
async fn receive<S>(websocket: &mut WebSocket<S>) -> Result<Option<Message>, ws_smol::Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    poll_fn(|cx| {
        let polled = Pin::new(&mut *websocket).poll_next(cx);
        let counts = websocket.take_frame_counts().by_opcode;
        for (opcode, name) in [(OpCode::Ping, "ping"), (OpCode::Pong, "pong")] {
            for _ in 0..counts[usize::from(opcode.bits())] {
                eprintln!("({name})");
            }
        }
        polled
    })
    .await
    .transpose()
}

fn print(message: MessageRef<'_>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match message {
        MessageRef::Text(text) if out.is_terminal() => {
            // Lines that were typed stand beside it.
            writeln!(out, "< {}", printable(text).replace('\n', "\n  "))?;
        }
        MessageRef::Text(text) => writeln!(out, "{text}")?,
        MessageRef::Binary(bytes) => {
            let start = &bytes[..bytes.len().min(32)];
            write!(out, "({} bytes:", bytes.len())?;
            for byte in start {
                write!(out, " {byte:02x}")?;
            }
            let rest = if start.len() < bytes.len() {
                " ..."
            } else {
                ""
            };
            writeln!(out, "{rest})")?;
        }
    }
    out.flush()
}

/// Takes from a text what a terminal would obey.
fn printable(text: &str) -> String {
    let is_printable = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
    text.chars()
        .map(|c| if is_printable(c) { c } else { '\u{fffd}' })
        .collect()
}

/// Says how the connection was closed.
fn farewell<S>(websocket: &WebSocket<S>) -> String {
    match websocket.close_status() {
        None => "not closed".to_owned(),
        Some(status) if status.reason.is_empty() => format!("closed with code {}", status.code),
        Some(status) => {
            let reason = printable(&status.reason);
            format!("closed with code {}: {reason}", status.code)
        }
    }
}

/// What a server answered that does not give us a WebSocket.
#[derive(Debug)]
struct Refusal(Box<HttpResponse>);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(response) = self;
        write!(f, "the server answered {}", response.status)?;
        if !response.reason.is_empty() {
            write!(f, " {}", printable(&response.reason))?;
        }
        if let Some(location) = response.location() {
            write!(f, ": it is at {}", printable(location))?;
        }
        let body = printable(&String::from_utf8_lossy(&response.body));
        for line in body.trim().lines() {
            write!(f, "\n  | {line}")?;
        }
        if response.truncated {
            write!(f, "\n  | ... and so on")?;
        }
        Ok(())
    }
}

impl Error for Refusal {}

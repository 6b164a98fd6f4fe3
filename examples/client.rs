//! A client for any `ws://` or `wss://` URL: lines that are typed are sent as text, and messages
//! that come are printed; or a file is sent, and the reply is written as it is.
//!
//! ```sh
//! cargo run --release -p examples --bin client -- ws://127.0.0.1:9001/
//! cargo run --release -p examples --bin client -- --send photo.jpg ws://127.0.0.1:9001/ > reply.jpg
//! ```
//!
//! It shows how to use `ws-smol`. The command `wsdo connect` does more.

use std::{
    error::Error,
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
    thread,
};

use examples::TlsFiles;
use lexopt::{Arg, Parser, ValueExt as _};
use smol::{
    channel, fs, future,
    io::{AsyncRead, AsyncWrite},
};
use ws_smol::{
    ClientRequest, CloseCode, Connector, Limits, Message, Proxy, ReadHalf, Uri, WebSocket,
    WriteHalf,
};

const HELP: &str = "
A WebSocket client.

Usage: client [OPTIONS] URL

Lines that are typed are sent as text, and messages that come are printed. The end
of the input, Ctrl-D, closes the connection.

  --send FILE              send FILE as one binary message, write the reply's
                           bytes to the standard output, and close
  --text                   send FILE as text
  --deflate[=PARAMETERS]   offer to compress; PARAMETERS are what to ask for, as in
                           server_no_context_takeover,client_max_window_bits=10
  --ca FILE                trust certificates by this authority, and no others, with
                           wss:// (PEM); without it, those that the system trusts
  --cert FILE              show this certificate to a server that asks for one (PEM)
  --key FILE               its private key (PEM)
  --set-mask-to-zero       mask with the key 00 00 00 00, for controlled networks
  --proxy URL              go through a proxy, such as http://proxy.example:3128
  --max-message BYTES      the longest message to take (default: 16 MiB)
  -h, --help               print this
";

#[derive(Debug)]
struct Options {
    request: ClientRequest,
    connector: Connector,
    send: Option<PathBuf>,
    is_text: bool,
}

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    examples::log_to_stderr(false);
    examples::finish(Options::from_arguments().and_then(|options| smol::block_on(run(options))))
}

impl Options {
    fn from_arguments() -> Result<Self, Box<dyn Error + Send + Sync>> {
        let (mut url, mut send, mut is_text, mut offer) = (None, None, false, None);
        let (mut connector, mut files) = (Connector::new(), TlsFiles::default());
        let mut arguments = Parser::from_env();
        while let Some(argument) = arguments.next()? {
            match argument {
                Arg::Value(value) if url.is_none() => url = Some(value.string()?),
                Arg::Long("send") => send = Some(PathBuf::from(arguments.value()?)),
                Arg::Long("text") => is_text = true,
                Arg::Long("deflate") => offer = Some(examples::deflate_offer(&mut arguments)?),
                Arg::Long("ca") => files.ca = Some(PathBuf::from(arguments.value()?)),
                Arg::Long("cert") => files.cert = Some(PathBuf::from(arguments.value()?)),
                Arg::Long("key") => files.key = Some(PathBuf::from(arguments.value()?)),
                Arg::Long("set-mask-to-zero") => connector = connector.set_mask_to_zero(true),
                Arg::Long("proxy") => {
                    // It may hold a password, and is not shown.
                    let proxy: Result<Proxy, _> = arguments.value()?.string()?.parse();
                    let proxy = proxy.map_err(|error| format!("--proxy: {error}"))?;
                    connector = connector.proxy(proxy);
                }
                Arg::Long("max-message") => {
                    let mut limits = Limits::default();
                    limits.max_message = examples::value(&mut arguments, "--max-message")?;
                    connector = connector.limits(limits);
                }
                argument => return Err(examples::unexpected(argument, HELP).into()),
            }
        }
        let url = url.ok_or_else(|| lexopt::Error::from("which URL?"))?;
        if let Some(tls) = files.client()? {
            connector = connector.tls(tls);
        }
        Ok(Self {
            request: ClientRequest::new(Uri::parse(&url)?).offers(offer),
            connector,
            send,
            is_text,
        })
    }
}

async fn run(options: Options) -> Outcome {
    // What cannot be sent is found out before anybody is bothered.
    let message = match &options.send {
        None => None,
        Some(file) => Some(read(file, options.is_text).await?),
    };
    let websocket = options.connector.connect(options.request).await?;
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
async fn exchange<S>(mut websocket: WebSocket<S>, message: &Message) -> Outcome
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    websocket.send(message).await?;
    let reply = websocket.receive().await?.ok_or("no reply")?;
    let mut out = io::stdout().lock();
    out.write_all(reply.as_bytes())?;
    out.flush()?;
    websocket.close(CloseCode::NORMAL, "").await?;
    Ok(())
}

/// Sends what is typed and prints what comes, until either side closes.
async fn converse<S>(websocket: WebSocket<S>) -> Outcome
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if websocket.deflate().is_some() {
        eprintln!("what is worth it is compressed");
    }
    let (mut read, write) = websocket.split();
    let typing = async {
        send_lines(write).await?;
        // What the server still says is heard, until it has closed, too.
        future::pending().await
    };
    future::or(print(&mut read), typing).await?;
    match read.close_status() {
        Some(status) => eprintln!("closed with {status}"),
        None => eprintln!("not closed"),
    }
    Ok(())
}

async fn print<S>(read: &mut ReadHalf<S>) -> Outcome
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(message) = read.receive().await? {
        let mut out = io::stdout().lock();
        match message {
            Message::Text(text) => writeln!(out, "{text}")?,
            Message::Binary(bytes) => writeln!(out, "({} bytes)", bytes.len())?,
        }
        out.flush()?;
    }
    Ok(())
}

async fn send_lines<S>(mut write: WriteHalf<S>) -> Outcome
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let lines = typed_lines()?;
    while let Ok(line) = lines.recv().await {
        match write.send(line?).await {
            Ok(()) => {}
            // The server has closed, which is told to who reads.
            Err(ws_smol::Error::Closed) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
    match write.queue_close(CloseCode::NORMAL, "") {
        Ok(()) | Err(ws_smol::Error::Closed) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Reads lines on a thread of its own, as reading them waits.
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

//! Opens WebSockets in one HTTP/2 connection to an echo server, and compares what comes back.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use examples::{TlsFiles, unexpected, value};
use lexopt::{Arg, Parser, ValueExt as _};
use smol::future;
use ws_h2::{Client, Config, Stream};
use ws_interop::{Failure, say};
use ws_smol::{
    ClientRequest, ClientTls, CloseCode, Connector, DeflateOffer, Message, Uri, WebSocket,
};

const HELP: &str = "
Opens WebSockets in one HTTP/2 connection to an echo server, and compares what comes back.

Usage: h2_client [OPTIONS] URL

  --ca FILE     trust certificates by this authority, and no others, with wss:// (PEM);
                with ws://, HTTP/2 is spoken at once
  --sockets N   how many WebSockets to open (default: 8)
  --deflate     offer to compress
";

fn main() -> ExitCode {
    examples::log_to_stderr(false);
    examples::finish(Options::from_arguments().and_then(|options| smol::block_on(run(options))))
}

struct Options {
    uri: Uri,
    tls: Option<ClientTls>,
    sockets: usize,
    offers_deflate: bool,
}

impl Options {
    fn from_arguments() -> Result<Self, Failure> {
        let (mut url, mut files, mut sockets, mut offers_deflate) =
            (None, TlsFiles::default(), 8, false);
        let mut arguments = Parser::from_env();
        while let Some(argument) = arguments.next()? {
            match argument {
                Arg::Value(given) if url.is_none() => url = Some(given.string()?),
                Arg::Long("ca") => files.ca = Some(PathBuf::from(arguments.value()?)),
                Arg::Long("sockets") => sockets = value(&mut arguments, "--sockets")?,
                Arg::Long("deflate") => offers_deflate = true,
                argument => return Err(unexpected(argument, HELP).into()),
            }
        }
        let url = url.ok_or_else(|| lexopt::Error::from("there is no URL"))?;
        Ok(Self {
            uri: Uri::parse(&url)?,
            tls: files.client()?.map(|tls| with_h2(&tls)),
            sockets,
            offers_deflate,
        })
    }
}

/// The same, with `h2` as the only protocol to choose.
fn with_h2(tls: &ClientTls) -> ClientTls {
    let mut config = (**tls.config()).clone();
    config.alpn_protocols = vec![b"h2".to_vec()];
    ClientTls::from_rustls(Arc::new(config))
}

async fn run(options: Options) -> Result<(), Failure> {
    let mut connector = Connector::new();
    if let Some(tls) = options.tls {
        connector = connector.tls(tls);
    }
    let (stream, peer) = connector.connect_tcp(&options.uri).await?;
    let stream = connector.encrypt(stream, &options.uri).await?;
    if let Some(tls) = stream.tls() {
        if tls.state().alpn_protocol() != Some(b"h2") {
            return Err("the server does not choose h2".into());
        }
        connector = connector.under_tls();
    }
    let (client, connection) = Client::handshake(stream, &Config::default()).await?;
    let connection = smol::spawn(connection);
    let talking = async {
        let mut sockets = Vec::new();
        for _ in 0..options.sockets {
            let offer = options.offers_deflate.then(DeflateOffer::new);
            let request = ClientRequest::new(options.uri.clone()).offers(offer);
            sockets.push(client.connect(&connector, peer, request).await?);
        }
        talk(&mut sockets).await
    };
    talking.await?;
    drop(client);
    // The connection is over once nobody uses it; a server that says goodbye otherwise has been
    // heard enough.
    future::or(async { drop(connection.await) }, async {
        smol::Timer::after(std::time::Duration::from_secs(5)).await;
    })
    .await;
    Ok(())
}

/// Sends every message in every WebSocket, all of them at once, and closes.
async fn talk(sockets: &mut [WebSocket<Stream>]) -> Result<(), Failure> {
    let messages = messages();
    for message in &messages {
        for socket in sockets.iter_mut() {
            socket.queue(message)?;
        }
        for socket in sockets.iter_mut() {
            let reply = socket.receive().await?;
            if reply.as_ref() != Some(message) {
                let len = message.len();
                return Err(format!(
                    "{len} bytes came back as {:?} bytes",
                    reply.map(|r| r.len())
                )
                .into());
            }
        }
    }
    let (count, opened) = (messages.len() * sockets.len(), sockets.len());
    let compressed = sockets.iter().filter(|socket| socket.deflate().is_some());
    let compressed = compressed.count();
    for socket in sockets {
        socket.close(CloseCode::NORMAL, "").await?;
        let code = socket.close_status().map(|status| status.code);
        if code != Some(1000) {
            return Err(format!("closed with {code:?}").into());
        }
    }
    say(format_args!(
        "{count} messages came back in {opened} WebSockets of one connection, {compressed} compressed"
    ));
    Ok(())
}

fn messages() -> Vec<Message> {
    let noise = |len: u32| {
        let byte = |at: u32| (at.wrapping_mul(2_654_435_761) >> 24) as u8;
        Message::Binary((0..len).map(byte).collect())
    };
    let mut messages = vec![
        Message::Text("Hello".into()),
        Message::Text("Grüße, κόσμε, 世界, 🙂".into()),
        Message::Text(String::new()),
        Message::Text("a row of a table, ".repeat(10_000)),
    ];
    messages.extend([0, 125, 126, 65_535, 65_536, 512 * 1024].map(noise));
    messages
}

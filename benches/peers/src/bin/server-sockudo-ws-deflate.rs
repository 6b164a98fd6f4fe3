//! sockudo-ws by its interface without I/O that compresses, `CompressedProtocol`: one write for all
//! that a read brought.

use std::process::ExitCode;

use bench_rig::{DEFLATE_MIN_LEN, Deflate};
use bytes::BytesMut;
use sockudo_ws::deflate::negotiate_server_deflate;
use sockudo_ws::protocol::CompressedProtocol;
use sockudo_ws::{DeflateConfig, Error, Message};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const MAX_MESSAGE: usize = 16 * 1024 * 1024;
const READ: usize = 64 * 1024;

fn main() -> ExitCode {
    peers::run_deflating(|stream, deflate| tokio::task::unconstrained(serve(stream, deflate)))
}

async fn serve(mut stream: TcpStream, deflate: Option<Deflate>) -> Result<(), Error> {
    let deflate = deflate.ok_or(Error::HandshakeFailed("--deflate is missing"))?;
    let policy = DeflateConfig {
        server_no_context_takeover: !deflate.takes_over,
        client_no_context_takeover: !deflate.takes_over,
        compression_level: deflate.level,
        compression_threshold: DEFLATE_MIN_LEN,
        ..DeflateConfig::default()
    };
    let mut agreed = None;
    let mut input = peers::sockudo::accept(&mut stream, |offers| {
        agreed = negotiate_server_deflate(offers, &policy);
        Some(agreed.as_ref()?.to_response_header())
    })
    .await?;
    let agreed = agreed.ok_or(Error::HandshakeFailed("no compression"))?;
    let mut protocol = CompressedProtocol::server(MAX_MESSAGE, MAX_MESSAGE, agreed.config);
    let mut messages = Vec::new();
    let mut output = BytesMut::new();
    loop {
        protocol.process_into(&mut input, &mut messages)?;
        for message in messages.drain(..) {
            match &message {
                Message::Text(_) | Message::Binary(_) => {
                    protocol.encode_message(&message, &mut output)?;
                }
                Message::Ping(payload) => protocol.encode_pong(payload, &mut output),
                Message::Pong(_) => {}
                Message::Close(_) => {
                    protocol.encode_close_response(&mut output);
                    stream.write_all(&output).await?;
                    return Ok(());
                }
            }
        }
        if !output.is_empty() {
            stream.write_all(&output).await?;
            output.clear();
        }
        input.reserve(READ);
        if stream.read_buf(&mut input).await? == 0 {
            return Ok(());
        }
    }
}

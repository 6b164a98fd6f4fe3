//! By `ws-h2`.

use std::net::SocketAddr;

use smol::io::{AsyncRead, AsyncWrite};
use ws_h2::{Config, Server, h2::ext::Protocol};
use ws_interop::Failure;
use ws_smol::{Acceptor, Response};

use super::{Number, WORDS, echo};

pub(super) async fn serve<S>(
    stream: S,
    peer: SocketAddr,
    acceptor: &Acceptor,
    number: Number,
) -> Result<(), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let mut server = Server::handshake(stream, &Config::default()).await?;
    while let Some(incoming) = server.accept().await? {
        if incoming.request().extensions().get::<Protocol>().is_none() {
            let words = Response::new(200).body(WORDS);
            incoming.respond(&words).or_else(is_reset)?;
            continue;
        }
        match incoming.accept(acceptor, peer) {
            Ok(websocket) => drop(tokio::spawn(echo(websocket, number))),
            Err(error) => eprintln!("refused: {error}"),
        }
    }
    Ok(())
}

/// A stream that was reset is not the end of the others.
fn is_reset(error: ws_h2::Error) -> Result<(), ws_h2::Error> {
    match &error {
        ws_h2::Error::Http2(inner) if inner.is_reset() => Ok(()),
        _ => Err(error),
    }
}

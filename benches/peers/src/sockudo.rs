//! The opening handshake of sockudo-ws, which leaves the reading and writing to its users.

use bytes::{Buf, BytesMut};
use sockudo_ws::Error;
use sockudo_ws::handshake::{build_response, generate_accept_key, parse_request};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Accepts with the extensions that `agree` makes of those that are offered; returns what came behind
/// the request.
pub async fn accept(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    agree: impl FnOnce(&str) -> Option<String>,
) -> Result<BytesMut, Error> {
    let mut input = BytesMut::with_capacity(4096);
    loop {
        if stream.read_buf(&mut input).await? == 0 {
            return Err(Error::ConnectionClosed);
        }
        if let Some((request, consumed)) = parse_request(&input)? {
            let accept = generate_accept_key(request.key);
            let extensions = request.extensions.and_then(agree);
            let response = build_response(&accept, None, extensions.as_deref());
            stream.write_all(&response).await?;
            input.advance(consumed);
            return Ok(input);
        }
    }
}

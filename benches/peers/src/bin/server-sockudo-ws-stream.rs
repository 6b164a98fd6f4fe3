//! sockudo-ws by its `Stream` and `Sink`: feeds replies as long as messages are ready, then flushes.

use std::process::ExitCode;

use bytes::BytesMut;
use futures_util::{FutureExt, SinkExt, StreamExt};
use sockudo_ws::handshake::{build_response, generate_accept_key, parse_request};
use sockudo_ws::{Config, Error, Message, WebSocketStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn main() -> ExitCode {
    peers::run(|stream| tokio::task::unconstrained(serve(stream)))
}

async fn serve(mut stream: TcpStream) -> Result<(), Error> {
    let mut input = BytesMut::with_capacity(4096);
    loop {
        if stream.read_buf(&mut input).await? == 0 {
            return Err(Error::ConnectionClosed);
        }
        if let Some((request, _)) = parse_request(&input)? {
            let accept = generate_accept_key(request.key);
            let response = build_response(&accept, None, None);
            stream.write_all(&response).await?;
            break;
        }
    }
    let mut socket = WebSocketStream::server(stream, Config::default());
    while let Some(message) = socket.next().await {
        let mut next = Some(message);
        while let Some(message) = next {
            let message = message?;
            if matches!(message, Message::Text(_) | Message::Binary(_)) {
                socket.feed(message).await?;
            }
            next = socket.next().now_or_never().flatten();
        }
        socket.flush().await?;
    }
    Ok(())
}

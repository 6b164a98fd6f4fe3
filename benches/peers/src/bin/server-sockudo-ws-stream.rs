//! sockudo-ws by its `Stream` and `Sink`: feeds replies as long as messages are ready, then flushes.

use std::process::ExitCode;

use futures_util::{FutureExt, SinkExt, StreamExt};
use sockudo_ws::{Config, Error, Message, WebSocketStream};
use tokio::io::{AsyncRead, AsyncWrite};

fn main() -> ExitCode {
    peers::run_secure(
        |stream| tokio::task::unconstrained(serve(stream)),
        |stream| tokio::task::unconstrained(serve(stream)),
    )
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<(), Error> {
    peers::sockudo::accept(&mut stream, |_| None).await?;
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

//! tokio-tungstenite: reads all messages that are ready, feeds the replies and flushes once.

use std::process::ExitCode;

use futures_util::{FutureExt, SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

/// The buffer is filled with zeros before every read: 128 KiB, the default, cost small messages twice
/// as much, and large ones no less.
const READ: usize = 16 * 1024;

fn main() -> ExitCode {
    peers::run(|stream| tokio::task::unconstrained(serve(stream)))
}

async fn serve(stream: TcpStream) -> Result<(), Error> {
    let config = WebSocketConfig::default().read_buffer_size(READ);
    let mut socket = tokio_tungstenite::accept_async_with_config(stream, Some(config)).await?;
    let mut messages = Vec::new();
    while let Some(message) = socket.next().await {
        messages.push(message?);
        while let Some(Some(message)) = socket.next().now_or_never() {
            messages.push(message?);
        }
        for message in messages.drain(..) {
            if message.is_text() || message.is_binary() {
                socket.feed(message).await?;
            }
        }
        socket.flush().await?;
    }
    Ok(())
}

//! tokio-tungstenite: reads all messages that are ready, feeds the replies and flushes once; or
//! broadcasts them.

use std::process::ExitCode;

use bench_rig::Mode;
use futures_util::{FutureExt, SinkExt, StreamExt};
use peers::Room;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};

/// The buffer is filled with zeros before every read: 128 KiB, the default, cost small messages twice
/// as much, and large ones no less.
const READ: usize = 16 * 1024;

fn main() -> ExitCode {
    let room = Room::default();
    peers::run_in_mode(
        |stream, mode| tokio::task::unconstrained(serve(stream, mode, room.clone())),
        |stream| tokio::task::unconstrained(async { echo(accept(stream).await?).await }),
    )
}

async fn serve<S>(stream: S, mode: Mode, room: Room<Message>) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let socket = accept(stream).await?;
    match mode {
        Mode::Echo => echo(socket).await,
        Mode::Broadcast => room.serve(socket, is_data).await,
    }
}

async fn accept<S>(stream: S) -> Result<WebSocketStream<S>, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let config = WebSocketConfig::default().read_buffer_size(READ);
    tokio_tungstenite::accept_async_with_config(stream, Some(config)).await
}

fn is_data(message: &Message) -> bool {
    message.is_text() || message.is_binary()
}

async fn echo<S>(mut socket: WebSocketStream<S>) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut messages = Vec::new();
    while let Some(message) = socket.next().await {
        messages.push(message?);
        while let Some(Some(message)) = socket.next().now_or_never() {
            messages.push(message?);
        }
        for message in messages.drain(..) {
            if is_data(&message) {
                socket.feed(message).await?;
            }
        }
        socket.flush().await?;
    }
    Ok(())
}

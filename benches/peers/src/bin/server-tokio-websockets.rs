//! tokio-websockets: reads all messages that are ready, feeds the replies and flushes once.

use std::process::ExitCode;

use futures_util::{FutureExt, SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_websockets::{Config, Error, Limits, ServerBuilder};

fn main() -> ExitCode {
    peers::run(|stream| tokio::task::unconstrained(serve(stream)))
}

async fn serve(stream: TcpStream) -> Result<(), Error> {
    let (_, mut socket) = ServerBuilder::new()
        .config(
            Config::default()
                .frame_size(usize::MAX)
                .flush_threshold(64 * 1024),
        )
        .limits(Limits::unlimited())
        .accept(stream)
        .await?;
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

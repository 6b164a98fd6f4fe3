//! yawc as its own comparison drives it: batches of up to 32 messages that are ready, then a flush;
//! 128 KiB to read into and 64 KiB until it writes. Where it compresses without context takeover, the
//! connections share its pool.

use std::process::ExitCode;

use bench_rig::{DEFLATE_MIN_LEN, Deflate};
use futures_util::{FutureExt, SinkExt, StreamExt};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use yawc::{CompressionLevel, DeflatePool, OpCode, Options, UpgradeFut, WebSocket};

const BATCH: usize = 32;
const MAX_MESSAGE: usize = 16 * 1024 * 1024;

/// Messages in work at the same moment: more than one thread ever has.
const POOLED: usize = 8;

fn main() -> ExitCode {
    let pool = DeflatePool::new(POOLED);
    peers::run_deflating(move |stream, deflate| serve(stream, options(deflate, &pool)))
}

async fn serve(stream: TcpStream, options: Options) -> hyper::Result<()> {
    let accept = |request| accept(request, options.clone());
    http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service_fn(accept))
        .with_upgrades()
        .await
}

fn options(deflate: Option<Deflate>, pool: &DeflatePool) -> Options {
    let options = Options::default()
        .without_compression()
        .with_utf8()
        .with_max_payload_read(MAX_MESSAGE)
        .with_max_read_buffer(MAX_MESSAGE)
        .with_read_buffer_capacity(128 * 1024)
        .with_backpressure_boundary(64 * 1024);
    let Some(deflate) = deflate else {
        return options;
    };
    let options = options
        .with_compression_level(CompressionLevel::new(deflate.level))
        .with_compression_threshold(DEFLATE_MIN_LEN);
    if deflate.takes_over {
        return options;
    }
    options
        .server_no_context_takeover()
        .client_no_context_takeover()
        .with_deflate_pool(pool.clone())
}

async fn accept(
    mut request: Request<Incoming>,
    options: Options,
) -> yawc::Result<Response<Empty<Bytes>>> {
    let (response, upgraded) = WebSocket::upgrade_with_options(&mut request, options)?;
    tokio::task::spawn_local(tokio::task::unconstrained(async move {
        drop(echo(upgraded).await);
    }));
    Ok(response)
}

async fn echo(upgraded: UpgradeFut) -> yawc::Result<()> {
    let mut socket = upgraded.await?;
    while let Some(frame) = socket.next().await {
        let mut next = Some(frame);
        let mut batched = 0;
        while let Some(frame) = next {
            if matches!(frame.opcode(), OpCode::Text | OpCode::Binary) {
                socket.feed(frame).await?;
            }
            batched += 1;
            next = match batched < BATCH {
                true => socket.next().now_or_never().flatten(),
                false => None,
            };
        }
        socket.flush().await?;
    }
    Ok(())
}

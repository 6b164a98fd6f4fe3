//! Every deadline and limit holds.

use std::{net, time::Duration};

use examples::deadlines::{check, check_handshake};
use tokio::runtime::Builder;
use ws_proto::EndpointConfig;

use super::{Outcome, TcpStream, serve};

/// Serves a stream on a runtime of its own.
fn serve_here(stream: net::TcpStream, time: Duration, config: EndpointConfig) -> Outcome {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    stream.set_nonblocking(true)?;
    runtime.block_on(async { serve(TcpStream::from_std(stream)?, time, config).await })
}

#[test]
fn every_deadline_and_limit_ends_the_connection() {
    check(&serve_here);
}

#[test]
fn bad_request_is_answered() {
    check_handshake(&serve_here);
}

//! Every deadline and limit holds.

use std::net;

use tokio::runtime::Builder;
use ws_testkit::behaviour::{Server, Settings, check, check_handshake};

use super::{TcpStream, serve};

/// Serves each stream on a runtime of its own.
struct OnTokio;

impl Server for OnTokio {
    const HAS_FLAG: bool = false;

    fn serve(&self, stream: net::TcpStream, settings: &Settings) -> Result<String, String> {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        stream.set_nonblocking(true).unwrap();
        let outcome = runtime.block_on(async {
            let stream = TcpStream::from_std(stream)?;
            serve(stream, settings.handshake_timeout, settings.endpoint).await
        });
        let told = outcome.map(|cause| cause.name().to_owned());
        told.map_err(|error| error.to_string())
    }
}

#[test]
fn every_deadline_and_limit_ends_the_connection() {
    check(&OnTokio);
}

#[test]
fn bad_request_is_answered() {
    check_handshake(&OnTokio);
}

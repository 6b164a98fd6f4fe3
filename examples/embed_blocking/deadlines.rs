//! Every deadline and limit holds.

use std::net::TcpStream;

use ws_testkit::behaviour::{Server, Settings, check, check_handshake};

struct Blocking;

impl Server for Blocking {
    const HAS_FLAG: bool = false;

    fn serve(&self, stream: TcpStream, settings: &Settings) -> Result<String, String> {
        let outcome = super::serve(stream, settings.handshake_timeout, settings.endpoint);
        let told = outcome.map(|cause| cause.name().to_owned());
        told.map_err(|error| error.to_string())
    }
}

#[test]
fn every_deadline_and_limit_ends_the_connection() {
    check(&Blocking);
}

#[test]
fn bad_request_is_answered() {
    check_handshake(&Blocking);
}

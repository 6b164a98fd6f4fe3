//! A server that runs out of file descriptors, in a process of its own.
#![cfg(unix)]

use std::io::Write;

#[path = "suite/common/mod.rs"]
mod common;

use common::{CLOSE, Echo, REPLY, REQUEST, Running, config, expect, masked, rest};
use ws_testkit::descriptors::{warnings, without_descriptors};

#[test]
fn server_out_of_descriptors_serves_on_and_accepts_again() {
    let warned = warnings();
    let server = Running::start(Echo, config());
    let mut open = server.connect();
    let mut stream = without_descriptors(server.address, &warned, || {
        open.write_all(&masked(0x81, b"still?")).unwrap();
        expect(&mut open, b"\x81\x06still?");
    });
    stream.write_all(REQUEST).unwrap();
    expect(&mut stream, REPLY);
    stream.write_all(CLOSE).unwrap();
    assert_eq!(rest(stream), b"\x88\x02\x03\xe8");
}

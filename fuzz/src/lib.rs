//! The properties that the fuzz targets try, one function each.
//!
//! Those of `ws-proto` are the same code that its tests run with generated
//! inputs: they lie beside those tests.

#[path = "../../crates/ws-proto/tests/properties/deflate.rs"]
pub mod deflate;
#[path = "../../crates/ws-proto/tests/properties/header.rs"]
pub mod header;
#[path = "../../crates/ws-proto/tests/properties/mask.rs"]
pub mod mask;
#[path = "../../crates/ws-proto/tests/properties/model.rs"]
pub mod model;
#[path = "../../crates/ws-proto/tests/properties/receive.rs"]
pub mod receive;
#[path = "../../crates/ws-proto/tests/properties/roundtrip.rs"]
pub mod roundtrip;
#[path = "../../crates/ws-proto/tests/properties/text.rs"]
pub mod text;

pub mod backplane;
pub mod differential_handshake;
pub mod differential_receive;
pub mod differential_reply;
pub mod engines;
pub mod handshake;
pub mod proxies;

use ws_proto::Limits;

/// A number that is different for most inputs, and the same for the same: it
/// chooses how an input is cut into reads, so that inputs are plain wire bytes.
#[must_use]
pub fn seed(bytes: &[u8]) -> u8 {
    bytes
        .iter()
        .fold(bytes.len() as u8, |sum, byte| sum.rotate_left(1) ^ byte)
}

/// No limits, and limits that a short input reaches.
#[must_use]
pub fn limits() -> [Limits; 2] {
    let mut small = Limits::UNLIMITED;
    small.max_frame = 40;
    small.max_message = 60;
    small.max_fragments = 4;
    [Limits::UNLIMITED, small]
}

//! Frames to a server and a client: the messages that tungstenite and tokio-websockets read too.
#![no_main]

libfuzzer_sys::fuzz_target!(|wire: &[u8]| {
    ws_fuzz::differential_receive::others_read_the_same(wire);
});

//! What a peer sends to a task of ws-smol: bounded work a poll, none without input, bounded memory.
#![no_main]

libfuzzer_sys::fuzz_target!(|wire: &[u8]| {
    ws_fuzz::engines::smol::polls_are_bounded(wire, ws_fuzz::seed(wire));
});

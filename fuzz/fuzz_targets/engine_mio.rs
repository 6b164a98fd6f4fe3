//! What a peer sends to a loop of ws-mio: bounded work a turn, none without input, bounded memory.
#![no_main]

libfuzzer_sys::fuzz_target!(|wire: &[u8]| {
    ws_fuzz::engines::mio::turns_are_bounded(wire, ws_fuzz::seed(wire));
});

//! Request heads: one well-formed answer in any chunking, in bounded memory.
#![no_main]

libfuzzer_sys::fuzz_target!(|head: &[u8]| {
    let seed = ws_fuzz::seed(head);
    ws_fuzz::handshake::request_is_answered_the_same_in_any_chunking(head, seed);
});

//! Request heads: read as httparse and http read them, and accepted where a plain reader of RFC
//! 6455 does.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    ws_fuzz::differential_handshake::others_read_the_same(input);
});

//! Replies: read as httparse reads them, and taken for a handshake where a plain reader of RFC 6455
//! does.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    ws_fuzz::differential_reply::others_read_the_same(input);
});

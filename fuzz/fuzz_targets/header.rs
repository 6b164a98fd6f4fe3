//! Frame headers: decode and encode are inverse, and no prefix decides otherwise.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    ws_fuzz::header::decoding_is_the_inverse_of_encoding(&bytes[..bytes.len().min(32)]);
});

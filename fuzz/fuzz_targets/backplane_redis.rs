//! Replies of Redis: read as another parser reads them, in any chunking.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    ws_fuzz::backplane::reply_is_read_alike_in_any_chunking(input, ws_fuzz::seed(input));
});

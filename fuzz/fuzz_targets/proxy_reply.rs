//! Answers of HTTP and SOCKS proxies: they come to the same in any chunking.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    ws_fuzz::proxies::replies_come_to_the_same_in_any_chunking(input, ws_fuzz::seed(input));
});

//! UTF-8 in pieces: judged as std judges the whole, at the same byte.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    ws_fuzz::text::pieces_are_judged_as_std_judges_the_whole(bytes, ws_fuzz::seed(bytes));
});

//! Replies to a client: one outcome in any chunking, in bounded memory.
#![no_main]

libfuzzer_sys::fuzz_target!(|reply: &[u8]| {
    let seed = ws_fuzz::seed(reply);
    ws_fuzz::handshake::reply_is_judged_the_same_in_any_chunking(reply, seed);
});

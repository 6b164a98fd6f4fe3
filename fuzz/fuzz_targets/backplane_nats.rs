//! Operations of the client protocol of NATS: each is decided on by its own bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    ws_fuzz::backplane::operation_is_decided_on_by_its_own_bytes(input);
});

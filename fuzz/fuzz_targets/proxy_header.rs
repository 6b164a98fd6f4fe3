//! Headers of the PROXY protocol: decided on by their own bytes, within their longest form.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    ws_fuzz::proxies::header_is_decided_on_by_its_own_bytes(input);
});

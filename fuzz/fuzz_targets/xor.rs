//! Masking: equal to its naive twin at any offset and alignment.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    if let [a, b, c, d, offset, data @ ..] = input {
        ws_fuzz::mask::masking_equals_its_naive_twin([*a, *b, *c, *d], *offset, data);
    }
});

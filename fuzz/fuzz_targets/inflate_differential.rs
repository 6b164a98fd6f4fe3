//! The payload of a compressed message: inflates as it does with another inflater.
#![no_main]

use ws_fuzz::deflate;

libfuzzer_sys::fuzz_target!(|payload: &[u8]| deflate::inflates_as_others_do(payload));

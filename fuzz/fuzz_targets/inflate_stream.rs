//! Frames, compressed ones too: any chunking gives the same messages.
#![no_main]

use ws_fuzz::deflate;

libfuzzer_sys::fuzz_target!(|wire: &[u8]| {
    for limits in ws_fuzz::limits() {
        deflate::any_chunking_inflates_alike(limits, wire, ws_fuzz::seed(wire));
    }
});

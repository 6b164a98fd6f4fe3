//! Frames to a server with accept_unmasked_frame: the same, and as strict but for unmasked frames.
#![no_main]

use ws_fuzz::receive;
use ws_proto::Inbound;

libfuzzer_sys::fuzz_target!(|wire: &[u8]| {
    for limits in ws_fuzz::limits() {
        receive::any_chunking_gives_the_events_of_the_model(
            Inbound::AcceptUnmasked,
            limits,
            wire,
            ws_fuzz::seed(wire),
        );
        receive::strict_and_accepting_servers_differ_only_by_unmasked_frames(limits, wire);
    }
});

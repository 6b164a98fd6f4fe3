//! Frames to a server that wants masks: any chunking gives the events of the model.
#![no_main]

use ws_fuzz::receive;
use ws_proto::Inbound;

libfuzzer_sys::fuzz_target!(|wire: &[u8]| {
    for limits in ws_fuzz::limits() {
        receive::any_chunking_gives_the_events_of_the_model(
            Inbound::RequireMasked,
            limits,
            wire,
            ws_fuzz::seed(wire),
        );
        receive::strict_and_accepting_servers_differ_only_by_unmasked_frames(limits, wire);
    }
});

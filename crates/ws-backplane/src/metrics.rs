//! Counters of a node.

use std::{fmt::Write as _, time::Duration};

macro_rules! metrics {
    (counters { $($(#[doc = $doc:literal])+ $name:ident,)+ } gauges { $($(#[doc = $gdoc:literal])+ $gname:ident,)+ }) => {
        /// What a node has done, and what it holds.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Metrics {
            $($(#[doc = $doc])+ pub $name: u64,)+
            $($(#[doc = $gdoc])+ pub $gname: u64,)+
            /// How long the last answer of the engine took.
            pub round_trip: Duration,
            /// How long the answers of the engine took in sum; with
            /// [`answers`](Self::answers) that is the mean.
            pub round_trips: Duration,
        }

        impl Metrics {
            /// Writes all of it in the text format of Prometheus; the names
            /// begin with `backplane_`.
            #[must_use]
            pub fn to_prometheus(&self) -> String {
                let mut out = String::new();
                // Writing to a string does not fail.
                $(
                    let _ = write!(
                        out,
                        "# HELP backplane_{name}_total {help}\n# TYPE backplane_{name}_total counter\n\
                        backplane_{name}_total {}\n",
                        self.$name,
                        name = stringify!($name),
                        help = concat!($($doc),+).trim(),
                    );
                )+
                $(
                    let _ = write!(
                        out,
                        "# HELP backplane_{name} {help}\n# TYPE backplane_{name} gauge\nbackplane_{name} {}\n",
                        self.$gname,
                        name = stringify!($gname),
                        help = concat!($($gdoc),+).trim(),
                    );
                )+
                let _ = write!(
                    out,
                    "# HELP backplane_round_trip_seconds How long the engine took for its answers.\n\
                    # TYPE backplane_round_trip_seconds summary\n\
                    backplane_round_trip_seconds_sum {}\nbackplane_round_trip_seconds_count {}\n",
                    self.round_trips.as_secs_f64(),
                    self.answers,
                );
                out
            }
        }
    };
}

metrics! {
    counters {
        /// Messages that the engine has numbered for this node.
        published,
        /// Publications that were refused, or whose fate is not known.
        publish_failures,
        /// Messages that were told to the application.
        delivered,
        /// Messages that came twice, and were told once.
        duplicates,
        /// Gaps that were found.
        gaps,
        /// Messages that were read from the history, for gaps and for clients.
        recovered,
        /// Discontinuities that were told.
        discontinuities,
        /// Requests for recovery that were answered in full.
        recoveries,
        /// Requests for recovery that were answered as lost.
        lost,
        /// Reads of a topic's history that were asked for, without those that only check its end.
        history_reads,
        /// Checks of the end of a topic.
        checks,
        /// Subscriptions that were asked for at the engine.
        subscribes,
        /// Subscriptions that were given up at the engine.
        unsubscribes,
        /// Connections to the engine that began.
        connects,
        /// Connections to the engine that ended.
        disconnects,
        /// Answers of the engine.
        answers,
    }
    gauges {
        /// Topics that the node subscribes to.
        topics,
        /// Requests for recovery that wait.
        waiting,
        /// Bytes of payloads that wait for the engine.
        pending_bytes,
        /// Whether the engine is there: 1 or 0.
        up,
    }
}

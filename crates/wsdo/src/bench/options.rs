//! The options of `wsdo bench`.

use crate::{
    client::SET_MASK_TO_ZERO,
    options::{Group, Opt, Value},
};

pub(crate) const LOAD: Group = Group {
    title: "The load",
    options: &[
        Opt {
            short: Some('c'),
            long: "connections",
            value: Value::One("N"),
            help: &["connections that send, in turn (default: 64)"],
        },
        Opt {
            short: Some('r'),
            long: "rate",
            value: Value::One("N"),
            help: &["messages a second over all of them (default: 1000)"],
        },
        Opt {
            short: None,
            long: "ramp",
            value: Value::One("SECONDS"),
            help: &[
                "have the rate grow from nothing for so long, before",
                "the warm-up",
            ],
        },
        Opt {
            short: None,
            long: "closed",
            value: Value::Optional("N"),
            help: &[
                "a closed loop instead of a rate: each connection sends",
                "N messages (default: 1), waits for the answers, and",
                "sends again",
            ],
        },
        Opt {
            short: Some('d'),
            long: "duration",
            value: Value::One("SECONDS"),
            help: &["how long to measure (default: 10)"],
        },
        Opt {
            short: None,
            long: "warm-up",
            value: Value::One("SECONDS"),
            help: &["how long not to, before (default: 1)"],
        },
        Opt {
            short: None,
            long: "broadcast",
            value: Value::Word(&["all", "others"]),
            help: &[
                "one connection sends, and each message goes to all, or",
                "to all others; tells how many it reached, and when",
            ],
        },
        Opt {
            short: None,
            long: "idle",
            value: Value::One("N"),
            help: &["connections besides that say nothing"],
        },
        Opt {
            short: None,
            long: "slow",
            value: Value::One("N"),
            help: &["connections besides that send in turn and do not read"],
        },
        Opt {
            short: None,
            long: "slow-rate",
            value: Value::One("BYTES"),
            help: &["have each of those read so much a second"],
        },
        Opt {
            short: None,
            long: "storm",
            value: Value::One("N"),
            help: &["so many handshakes at once when the measuring begins"],
        },
        Opt {
            short: None,
            long: "churn",
            value: Value::One("N"),
            help: &["so many connections a second that come and go"],
        },
        Opt {
            short: None,
            long: "connect-rate",
            value: Value::One("N"),
            help: &[
                "open so many connections a second (default: as soon as",
                "fewer than 64 are on their way)",
            ],
        },
        Opt {
            short: None,
            long: "from",
            value: Value::One("ADDRESSES"),
            help: &[
                "local addresses to leave from, in turn, such as",
                "10.0.0.1-10.0.0.9,10.1.0.1: one has ports for some",
                "28,000 connections (default: one, and 64 of loopback)",
            ],
        },
        Opt {
            short: None,
            long: "resume",
            value: Value::None,
            help: &["resume sessions of TLS (default: full handshakes)"],
        },
    ],
};

pub(crate) const MESSAGES: Group = Group {
    title: "Messages",
    options: &[
        Opt {
            short: None,
            long: "size",
            value: Value::One("BYTES,..."),
            help: &["lengths of messages, in turn (default: 125)"],
        },
        Opt {
            short: None,
            long: "messages",
            value: Value::File,
            help: &["send the lines of a file, in turn"],
        },
        Opt {
            short: None,
            long: "text",
            value: Value::None,
            help: &["send text; so are lines of a file by default"],
        },
        Opt {
            short: Some('b'),
            long: "binary",
            value: Value::None,
            help: &["send binary messages"],
        },
        Opt {
            short: None,
            long: "level",
            value: Value::One("0-9"),
            help: &["how hard to compress with --deflate (default: 6)"],
        },
        SET_MASK_TO_ZERO,
    ],
};

pub(crate) const REPORT: Group = Group {
    title: "The report",
    options: &[
        Opt {
            short: Some('j'),
            long: "json",
            value: Value::None,
            help: &["write it as JSON, with every second"],
        },
        Opt {
            short: None,
            long: "svg",
            value: Value::File,
            help: &["draw it, too"],
        },
        Opt {
            short: Some('e'),
            long: "expect",
            value: Value::One("CONDITION"),
            help: &[
                "exit with 11 if it is not so, such as 'p99<5ms',",
                "'rate>=900', 'lost<=0', 'reach>=100%': p50, p99.9,",
                "mean, max (of all, or of all- or handshake-), rate,",
                "lost, failed, unanswered, reach; may be given often",
            ],
        },
        Opt {
            short: None,
            long: "pid",
            value: Value::One("PID"),
            help: &["tell CPU time and memory of the server, too (Linux)"],
        },
        Opt {
            short: Some('q'),
            long: "quiet",
            value: Value::None,
            help: &["show no progress on the terminal"],
        },
    ],
};

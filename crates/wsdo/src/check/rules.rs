//! The rules for servers that can be seen from outside.

/// A rule, and how to see whether it is kept.
#[derive(Debug)]
pub(crate) struct Rule {
    /// Its number: the document, the section, and which rule of it.
    pub(crate) id: &'static str,
    pub(crate) text: &'static str,
    pub(crate) probe: Probe,
}

impl Rule {
    /// Tells whether a server may be told to break it ([MS-WSPE]).
    pub(crate) fn is_of_masking(&self) -> bool {
        self.id == "RFC6455-5.1-3"
    }
}

/// What is done to see it.
#[derive(Debug)]
pub(crate) enum Probe {
    /// A good request: something about the answer.
    Answer(About),
    /// A request that is changed so that it has to be refused.
    Refuses(&'static [Change]),
    /// A version that nobody speaks: an error, which lists the versions.
    Version { must_list: bool },
    /// Frames each of which fails the connection.
    Fails(&'static [&'static [Frame]]),
    /// The same, but many servers take them, and it does no harm.
    ShouldFail(&'static [&'static [Frame]]),
    /// A Close with a body of one byte: it does not come back.
    HalfCode,
    /// Frames that are in order: the server goes on, and answers a Ping.
    GoesOn(&'static [Frame]),
    /// Pings with these payloads: all that come back are the same.
    Pongs(&'static [&'static [u8]]),
    /// Closes with these bodies, which are to be answered with a Close.
    Closes(&'static [&'static [u8]]),
    /// Closes whose code is not to be sent: it does not come back.
    WrongCodes(&'static [u16]),
    /// After both Closes the server ends the connection.
    Ends,
    /// Frames of the server have no mask.
    Unmasked,
}

/// What an answer is asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum About {
    Status,
    Upgrade,
    Connection,
    Accept,
    NoSubprotocol,
    ListedSubprotocol,
    NoExtension,
    UnknownHeaders,
}

/// A change of the request.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    Method(&'static str),
    Without(&'static str),
    Value(&'static str, &'static str),
}

/// A frame as it is sent: the first byte, how the length is written, and the
/// payload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    pub(crate) first: u8,
    pub(crate) len: Len,
    pub(crate) is_masked: bool,
    pub(crate) payload: &'static [u8],
}

/// How a length is written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Len {
    /// In as few bytes as it takes.
    Short,
    /// In two bytes more, or in eight.
    Two,
    Eight,
    /// As this number, in eight bytes.
    Wrong(u64),
}

/// Makes a frame with a mask.
pub(crate) const fn frame(first: u8, payload: &'static [u8]) -> Frame {
    Frame {
        first,
        len: Len::Short,
        is_masked: true,
        payload,
    }
}

const fn long(first: u8, len: Len, payload: &'static [u8]) -> Frame {
    Frame {
        first,
        len,
        is_masked: true,
        payload,
    }
}

const UNMASKED: Frame = Frame {
    first: TEXT,
    len: Len::Short,
    is_masked: false,
    payload: b"Hello",
};

const FIN: u8 = 0x80;
const TEXT: u8 = FIN | 1;
const CONTINUATION: u8 = 0;
pub(crate) const CLOSE: u8 = FIN | 8;
pub(crate) const PING: u8 = FIN | 9;
pub(crate) const PONG: u8 = FIN | 10;

/// All rules, in the order of RFC 6455.
pub(crate) const RULES: &[Rule] = &[
    Rule {
        id: "RFC6455-4.2.1-2",
        text: "a request that is no GET is refused",
        probe: Probe::Refuses(&[Change::Method("POST")]),
    },
    Rule {
        id: "RFC6455-4.2.1-3",
        text: "a request without Host is refused",
        probe: Probe::Refuses(&[Change::Without("Host")]),
    },
    Rule {
        id: "RFC6455-4.2.1-4",
        text: "a request without Upgrade: websocket is refused",
        probe: Probe::Refuses(&[Change::Without("Upgrade"), Change::Value("Upgrade", "h2c")]),
    },
    Rule {
        id: "RFC6455-4.2.1-5",
        text: "a request without Connection: Upgrade is refused",
        probe: Probe::Refuses(&[
            Change::Without("Connection"),
            Change::Value("Connection", "keep-alive"),
        ]),
    },
    Rule {
        id: "RFC6455-4.2.1-6",
        text: "a request without a Sec-WebSocket-Key of 16 bytes is refused",
        probe: Probe::Refuses(&[
            Change::Without("Sec-WebSocket-Key"),
            Change::Value("Sec-WebSocket-Key", "c2hvcnQ="),
        ]),
    },
    Rule {
        id: "RFC6455-4.2.1-7",
        text: "a request without Sec-WebSocket-Version is refused",
        probe: Probe::Refuses(&[Change::Without("Sec-WebSocket-Version")]),
    },
    Rule {
        id: "RFC6455-4.2.1-11",
        text: "unknown headers, and their order and case, do not matter",
        probe: Probe::Answer(About::UnknownHeaders),
    },
    Rule {
        id: "RFC6455-4.2.2-8",
        text: "a version that nobody speaks is refused",
        probe: Probe::Version { must_list: false },
    },
    Rule {
        id: "RFC6455-4.2.2-10",
        text: "a subprotocol is chosen from the client's list",
        probe: Probe::Answer(About::ListedSubprotocol),
    },
    Rule {
        id: "RFC6455-4.2.2-11",
        text: "no subprotocol is chosen where none was asked for",
        probe: Probe::Answer(About::NoSubprotocol),
    },
    Rule {
        id: "RFC6455-4.2.2-15",
        text: "the answer has status 101",
        probe: Probe::Answer(About::Status),
    },
    Rule {
        id: "RFC6455-4.2.2-16",
        text: "the answer has Upgrade: websocket",
        probe: Probe::Answer(About::Upgrade),
    },
    Rule {
        id: "RFC6455-4.2.2-17",
        text: "the answer has Connection: Upgrade",
        probe: Probe::Answer(About::Connection),
    },
    Rule {
        id: "RFC6455-4.2.2-18",
        text: "Sec-WebSocket-Accept is made of the key",
        probe: Probe::Answer(About::Accept),
    },
    Rule {
        id: "RFC6455-4.4-2",
        text: "the refusal of a version lists those that are spoken",
        probe: Probe::Version { must_list: true },
    },
    Rule {
        id: "RFC6455-5.1-2",
        text: "frames of the server have no mask",
        probe: Probe::Unmasked,
    },
    Rule {
        id: "RFC6455-5.1-3",
        text: "an unmasked frame fails the connection",
        probe: Probe::Fails(&[&[UNMASKED]]),
    },
    Rule {
        id: "RFC6455-5.2-3",
        text: "a reserved bit without a meaning fails the connection",
        probe: Probe::Fails(&[
            &[frame(TEXT | 0x40, b"a")],
            &[frame(TEXT | 0x20, b"a")],
            &[frame(TEXT | 0x10, b"a")],
            &[frame(PING | 0x10, b"a")],
        ]),
    },
    Rule {
        id: "RFC6455-5.2-4",
        text: "an unknown opcode fails the connection",
        probe: Probe::Fails(&[
            &[frame(FIN | 3, b"a")],
            &[frame(FIN | 7, b"")],
            &[frame(FIN | 11, b"a")],
            &[frame(FIN | 15, b"")],
        ]),
    },
    Rule {
        id: "RFC6455-5.2-7",
        text: "a length of 2^63 or more fails the connection",
        probe: Probe::Fails(&[&[long(TEXT, Len::Wrong(1 << 63), b"")]]),
    },
    Rule {
        id: "RFC6455-5.2-8",
        text: "a length that could be shorter fails the connection",
        probe: Probe::ShouldFail(&[
            &[long(TEXT, Len::Two, b"a")],
            &[long(TEXT, Len::Eight, b"a")],
        ]),
    },
    Rule {
        id: "RFC6455-5.4-3",
        text: "a continuation of nothing fails the connection",
        probe: Probe::Fails(&[
            &[frame(FIN | CONTINUATION, b"a")],
            &[frame(CONTINUATION, b"a")],
        ]),
    },
    Rule {
        id: "RFC6455-5.4-5",
        text: "a control frame in fragments fails the connection",
        probe: Probe::Fails(&[&[frame(9, b"a")], &[frame(8, b"\x03\xe8")]]),
    },
    Rule {
        id: "RFC6455-5.4-7",
        text: "a message within another fails the connection",
        probe: Probe::Fails(&[&[frame(1, b"a"), frame(TEXT, b"b")]]),
    },
    Rule {
        id: "RFC6455-5.4-8",
        text: "control frames within a message are handled",
        // The Ping that shows it comes within the message.
        probe: Probe::GoesOn(&[frame(1, b"a"), frame(PONG, b"b"), frame(CONTINUATION, b"c")]),
    },
    Rule {
        id: "RFC6455-5.4-10",
        text: "a message in fragments, some of them empty, is received",
        probe: Probe::GoesOn(&[
            frame(1, b""),
            frame(CONTINUATION, b"a"),
            frame(CONTINUATION, b""),
            frame(FIN | CONTINUATION, b"b"),
        ]),
    },
    Rule {
        id: "RFC6455-5.5-1",
        text: "a control frame over 125 bytes fails the connection",
        probe: Probe::Fails(&[&[frame(PING, &[b'a'; 126])], &[frame(PONG, &[b'a'; 126])]]),
    },
    Rule {
        id: "RFC6455-5.5.1-2",
        text: "a Close with half a code does not come back",
        probe: Probe::HalfCode,
    },
    Rule {
        id: "RFC6455-5.5.1-7",
        text: "a Close is answered with a Close",
        probe: Probe::Closes(&[b"", b"\x03\xe8", b"\x03\xe8bye", b"\x0b\xb8"]),
    },
    Rule {
        id: "RFC6455-5.5.1-12",
        text: "the server ends the connection after both Closes",
        probe: Probe::Ends,
    },
    Rule {
        id: "RFC6455-5.5.2-2",
        text: "a Ping is answered with a Pong",
        probe: Probe::GoesOn(&[]),
    },
    Rule {
        id: "RFC6455-5.5.3-1",
        text: "a Pong has the payload of its Ping",
        probe: Probe::Pongs(&[b"", b"\0\xff\x80", &[0xfe; 125]]),
    },
    Rule {
        id: "RFC6455-5.5.3-3",
        text: "a Pong that nobody asked for does no harm",
        probe: Probe::GoesOn(&[frame(PONG, b""), frame(PONG, b"unasked")]),
    },
    Rule {
        id: "RFC6455-5.6-1",
        text: "a fragment of text may end within a character",
        probe: Probe::GoesOn(&[frame(1, b"\xe4\xb8"), frame(FIN | CONTINUATION, b"\x96")]),
    },
    Rule {
        id: "RFC6455-5.6-2",
        text: "a message that ends within a character fails the connection",
        probe: Probe::Fails(&[&[frame(TEXT, b"a\xe4\xb8")]]),
    },
    Rule {
        id: "RFC6455-7.4.1-2",
        text: "1005 does not come back in a Close",
        probe: Probe::WrongCodes(&[1005]),
    },
    Rule {
        id: "RFC6455-7.4.1-3",
        text: "1006 does not come back in a Close",
        probe: Probe::WrongCodes(&[1006]),
    },
    Rule {
        id: "RFC6455-7.4.2-1",
        text: "a code below 1000 does not come back in a Close",
        probe: Probe::WrongCodes(&[0, 999]),
    },
    Rule {
        id: "RFC6455-7.4.2-5",
        text: "a code from 5000 does not come back in a Close",
        probe: Probe::WrongCodes(&[5000, 65535]),
    },
    Rule {
        id: "RFC6455-8.1-1",
        text: "text that is no UTF-8 fails the connection",
        probe: Probe::Fails(&[
            &[frame(TEXT, b"a\xff")],
            &[frame(TEXT, b"\xc0\xaf")],
            &[frame(TEXT, b"\xed\xa0\x80")],
            &[
                frame(1, b"a"),
                frame(FIN | CONTINUATION, b"\xf4\x90\x80\x80"),
            ],
        ]),
    },
    Rule {
        id: "RFC6455-9-3",
        text: "no extension is chosen where none was offered",
        probe: Probe::Answer(About::NoExtension),
    },
];

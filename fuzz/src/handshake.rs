//! The opening handshake: any chunking, and what is held on the way.

use ws_handshake::{
    ClientHandshake, ClientProgress, ClientRequest, DeflateOffer, DeflatePolicy, HandshakeError,
    HeadLimits, HeadReader, Nonce, OriginPolicy, Request, ServerConfig, Uri,
};

/// Small enough that short inputs reach them.
const LIMITS: HeadLimits = HeadLimits {
    max_head: 1024,
    max_headers: 20,
};

const MAX_BODY: usize = 100;

/// What came of an input, and how many bytes of it decided that.
type Decided<T> = Option<(usize, T)>;

/// Runs `feed` with the input in one piece, byte by byte, and in pieces of any
/// size: the outcome is the same, in the piece with the byte that decides it.
fn any_chunking_is_the_same<T: PartialEq + core::fmt::Debug>(
    input: &[u8],
    seed: u8,
    feed: impl Fn(&mut dyn Iterator<Item = &[u8]>) -> Decided<T>,
) -> Decided<T> {
    let expected = feed(&mut input.chunks(1));
    for size in [input.len().max(1), usize::from(seed % 61) + 2] {
        let outcome = feed(&mut input.chunks(size));
        let decided_in = |outcome: &Decided<T>| outcome.as_ref().map(|(at, _)| at.div_ceil(size));
        assert_eq!(decided_in(&outcome), decided_in(&expected));
        let (outcome, expected) = (outcome.map(|o| o.1), expected.as_ref().map(|e| &e.1));
        assert_eq!(outcome.as_ref(), expected);
    }
    expected
}

/// How a server answers.
#[derive(Debug, PartialEq)]
struct Answer {
    /// Where the head ends, and the first frame begins.
    consumed: Option<usize>,
    result: Result<(), HandshakeError>,
    wire: Vec<u8>,
}

/// A request head gives one answer, whatever its chunking; the answer is a
/// well-formed reply; and no more than the limit is held on the way.
pub fn request_is_answered_the_same_in_any_chunking(input: &[u8], seed: u8) {
    let Ok(origins) = OriginPolicy::list(["https://example.com", "https://*.example.com"]) else {
        unreachable!("the origins are legal")
    };
    let config = ServerConfig::new(origins)
        .limits(LIMITS)
        .subprotocols(["chat", "superchat"])
        .deflate(DeflatePolicy::new().server_max_window_bits(12));
    let answer = any_chunking_is_the_same(input, seed, |pieces| {
        let mut reader = config.head_reader();
        let mut fed = 0;
        for piece in pieces {
            let before = fed;
            fed += piece.len();
            let head = match reader.receive(piece) {
                Ok(None) => {
                    let held = reader.heap_bytes();
                    assert!(held <= LIMITS.max_head && held <= 2 * fed);
                    continue;
                }
                Ok(Some(head)) => head,
                Err(error) => {
                    assert_eq!(reader.receive(b"GET").err(), Some(error));
                    assert_eq!(reader.heap_bytes(), 0);
                    return Some((fed, answer(None, Err(error), Vec::new())));
                }
            };
            assert!(head.as_bytes().len() <= LIMITS.max_head);
            let end = before + head.consumed();
            assert!(before < end && end <= fed);
            assert!(input[..end].ends_with(head.as_bytes()));
            assert!(head.as_bytes().ends_with(b"\r\n\r\n"));
            let mut wire = Vec::new();
            let result = head.request().and_then(|request| {
                look_at(&request);
                let acceptance = config.negotiate(&request)?;
                acceptance.write_to(&mut wire);
                Ok(())
            });
            return Some((fed, answer(Some(end), result, wire)));
        }
        None
    });
    // In one go, from memory, it is the same.
    let parsed = Request::parse(input, &LIMITS);
    match answer {
        None => assert_eq!(parsed.err(), Some(HandshakeError::IncompleteHead)),
        Some((_, answer)) => {
            if let Ok(request) = &parsed {
                assert_eq!(config.negotiate(request).err(), answer.result.err());
            } else {
                assert_eq!(parsed.err(), answer.result.err());
            }
        }
    }
}

fn answer(
    consumed: Option<usize>,
    result: Result<(), HandshakeError>,
    mut wire: Vec<u8>,
) -> Answer {
    if let Err(error) = &result {
        assert!(wire.is_empty());
        assert!((400..600).contains(&error.status()));
        error.rejection().write_to(&mut wire);
    }
    // What was in the request does not break out of its place in the reply.
    let limits = HeadLimits {
        max_head: 64 * 1024,
        ..LIMITS
    };
    let mut reader = HeadReader::reply(limits);
    let Ok(Some(head)) = reader.receive(&wire) else {
        panic!("the reply is a reply: {:?}", wire.escape_ascii())
    };
    if result.is_ok() {
        assert_eq!(head.consumed(), wire.len());
        assert!(wire.starts_with(b"HTTP/1.1 101 "));
    }
    Answer {
        consumed,
        result,
        wire,
    }
}

/// Reads all there is to a request: none of it panics.
fn look_at(request: &Request<'_>) {
    let _ = format!("{request:?} {} {}", request.version(), request.target());
    let _ = (request.path(), request.query(), request.authority());
    let _ = (request.origin(), request.key(), request.is_upgrade());
    let names = request.headers().filter(|(name, value)| {
        assert!(!name.is_empty() && !value.contains(&b'\n'));
        true
    });
    assert!(names.count() <= LIMITS.max_headers);
    for name in request.subprotocols() {
        assert!(!name.is_empty());
    }
    for extension in request.extensions() {
        assert!(!extension.name().is_empty());
        for param in extension.params() {
            assert!(!param.name().is_empty());
            let _ = param.value().map(|value| value.chars().count());
        }
    }
}

/// A peer that does not answer in HTTP is known by its first byte. How much of its line the error
/// shows depends on what came together with that byte.
fn without_excerpt(error: HandshakeError) -> HandshakeError {
    match error {
        HandshakeError::BadStatusLine { .. } => HandshakeError::IncompleteHead,
        other => other,
    }
}

/// How a handshake ends for a client: what it came to and where the reply
/// ends, or the error.
type Ended = Result<(usize, ClientProgress), HandshakeError>;

/// A reply gives one outcome, whatever its chunking, and the client holds no
/// more of it than its limits say.
pub fn reply_is_judged_the_same_in_any_chunking(input: &[u8], seed: u8) {
    let start = || -> ClientHandshake {
        let request = Uri::parse("ws://example.com/chat").map(ClientRequest::new);
        let Ok(request) = request else {
            unreachable!("the URI is legal")
        };
        let Ok(request) = request
            .subprotocol("chat")
            .and_then(|request| request.subprotocol("superchat"))
        else {
            unreachable!("the subprotocols are legal")
        };
        request
            .offer(DeflateOffer::new().client_max_window_bits(None))
            .limits(LIMITS)
            .max_body(MAX_BODY)
            .start(Nonce::from_bytes(*b"the sample nonce"))
    };
    let outcome = any_chunking_is_the_same(input, seed, |pieces| {
        let mut handshake = start();
        let mut fed = 0;
        for piece in pieces {
            let before = fed;
            fed += piece.len();
            let ended: Ended = match handshake.receive(piece) {
                Ok(ClientProgress::Incomplete) => {
                    let kept = handshake.response().map_or(0, |reply| reply.body.len());
                    assert!(kept <= MAX_BODY);
                    continue;
                }
                Ok(ClientProgress::Agreed { agreed, consumed }) => {
                    assert!(consumed <= piece.len());
                    let consumed_here = ClientProgress::Agreed {
                        agreed,
                        consumed: 0,
                    };
                    Ok((before + consumed, consumed_here))
                }
                Ok(ClientProgress::Refused { response, consumed }) => {
                    assert!(consumed <= piece.len() && response.body.len() <= MAX_BODY);
                    let _ = (response.location(), response.versions().count());
                    let refused = ClientProgress::Refused {
                        response,
                        consumed: 0,
                    };
                    Ok((before + consumed, refused))
                }
                Err(error) => {
                    assert_eq!(handshake.receive(b""), Err(error));
                    Err(without_excerpt(error))
                }
            };
            // It is over: nothing more is received.
            assert!(handshake.receive(piece).is_err());
            return Some((fed, ended));
        }
        None
    });
    if outcome.is_some() {
        return;
    }
    // The end of the transport is judged the same as well.
    let at_end = |size: usize| {
        let mut handshake = start();
        for piece in input.chunks(size) {
            assert_eq!(handshake.receive(piece), Ok(ClientProgress::Incomplete));
        }
        handshake.eof()
    };
    assert_eq!(at_end(1), at_end(input.len().max(1)));
}

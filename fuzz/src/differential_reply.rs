//! What `httparse` makes of a reply, and whether a plain reader of RFC 6455
//! would take it for a handshake.

use http::{HeaderMap, HeaderName, HeaderValue};
use ws_handshake::{
    ClientHandshake, ClientProgress, ClientRequest, DeflateOffer, HandshakeError, HeadLimits,
    Headers, Nonce, Uri,
};

use crate::differential_handshake::{lists, values};

const LIMITS: HeadLimits = HeadLimits {
    max_head: 4096,
    max_headers: 40,
};

const MAX_BODY: usize = 100;

/// The answer to the sample nonce of RFC 6455 section 1.3.
const ACCEPT: &[u8] = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A reply that we read is one that others read, with the same status, headers
/// and end; a connection is open where the letter of the RFC says so.
pub fn others_read_the_same(input: &[u8]) {
    let mut handshake = start();
    let ours = handshake.receive(input);
    let theirs = match parse(input) {
        Ok(theirs) => theirs,
        Err(why) => {
            let is_read = !matches!(ours, Ok(ClientProgress::Incomplete) | Err(_));
            assert!(!is_read, "read, though {why}");
            return;
        }
    };
    let verdict = theirs.judge();
    match ours {
        Ok(ClientProgress::Agreed { agreed, consumed }) => {
            assert_eq!(theirs.status, 101);
            assert_eq!(consumed, theirs.end);
            theirs.has(&agreed.headers);
            if let Verdict::Refuse(why) = verdict {
                panic!("agreed, though {why}");
            }
        }
        Ok(ClientProgress::Refused { response, consumed }) => {
            assert_eq!(response.status, theirs.status);
            assert!(theirs.end <= consumed && consumed <= input.len());
            theirs.has(&response.headers);
            theirs.has_body(&response.body, &input[theirs.end..]);
        }
        // The body is still to come.
        Ok(ClientProgress::Incomplete) => {
            assert_ne!(theirs.status, 101);
            let Ok(response) = handshake.eof() else {
                panic!("others have read a head")
            };
            assert_eq!(response.status, theirs.status);
            theirs.has(&response.headers);
            theirs.has_body(&response.body, &input[theirs.end..]);
        }
        Err(error) if is_stricter(&error) => {}
        Err(error) => {
            assert_eq!(theirs.status, 101, "{error}");
            assert!(
                !matches!(verdict, Verdict::Accept),
                "to be accepted, but {error}"
            );
        }
    }
}

fn start() -> ClientHandshake {
    let request = Uri::parse("ws://example.com/chat").map(ClientRequest::new);
    let Ok(Ok(request)) = request.map(|request| request.subprotocol("chat")) else {
        unreachable!("URI and subprotocol are legal")
    };
    request
        .offer(DeflateOffer::new())
        .limits(LIMITS)
        .max_body(MAX_BODY)
        .start(Nonce::from_bytes(*b"the sample nonce"))
}

/// Where we are stricter than others who read the same, and why.
const fn is_stricter(error: &HandshakeError) -> bool {
    matches!(
        error,
        // httparse takes a bare line feed, and so does a smuggler (RFC 9112 section 2.2 allows,
        // and does not ask for it).
        HandshakeError::BadLineEnding
            // Limits of ours.
            | HandshakeError::HeadTooLarge { .. }
            | HandshakeError::TooManyHeaders { .. }
            | HandshakeError::TooManyInterim { .. }
    )
}

/// A reply that is whole, after interim ones.
struct Theirs {
    is_http_11: bool,
    status: u16,
    headers: HeaderMap,
    /// Where its head ends.
    end: usize,
}

fn parse(input: &[u8]) -> Result<Theirs, String> {
    let mut end = 0;
    loop {
        let rest = &input[end..];
        // That empty lines may come first is for requests (RFC 9112 section 2.2).
        if rest.starts_with(b"\r") || rest.starts_with(b"\n") {
            return Err("it starts with an empty line".into());
        }
        let mut unfolded = unfold(rest);
        // httparse knows no HTTP/1.2, which is to be read as 1.1 (RFC 9110 section 2.5).
        if let [
            b'H',
            b'T',
            b'T',
            b'P',
            b'/',
            b'1',
            b'.',
            minor @ b'2'..=b'9',
            ..,
        ] = &mut unfolded[..]
        {
            *minor = b'1';
        }
        let mut fields = [httparse::EMPTY_HEADER; 64];
        let mut head = httparse::Response::new(&mut fields);
        match head.parse(&unfolded) {
            Ok(httparse::Status::Complete(len)) => end += len,
            Ok(httparse::Status::Partial) => return Err("it is not whole".into()),
            Err(error) => return Err(error.to_string()),
        }
        let status = head.code.unwrap_or_default();
        if (100..200).contains(&status) && status != 101 {
            continue;
        }
        let mut headers = HeaderMap::new();
        for field in head.headers {
            let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|e| e.to_string())?;
            let value = HeaderValue::from_bytes(field.value).map_err(|e| e.to_string())?;
            headers.append(name, value);
        }
        return Ok(Theirs {
            is_http_11: head.version == Some(1),
            status,
            headers,
            end,
        });
    }
}

/// Makes spaces of what folds a line, as a user agent has to (RFC 9112 section 5.2), which
/// httparse leaves to its user; and of the control characters in such lines what it takes, too.
fn unfold(input: &[u8]) -> Vec<u8> {
    let mut bytes = input.to_vec();
    let is_end = |at: &usize| input[*at..].starts_with(b"\r\n\r\n");
    let Some(end) = (0..input.len()).find(is_end) else {
        return bytes;
    };
    let mut is_folded = false;
    let first = input.windows(2).position(|pair| pair == b"\r\n");
    for at in first.unwrap_or(end) + 1..end {
        if input[at..].starts_with(b"\r\n") {
            is_folded = matches!(input[at + 2], b' ' | b'\t');
            if is_folded {
                bytes[at..at + 2].fill(b' ');
            }
        } else if is_folded && !matches!(input[at], b'\r' | b'\n') {
            bytes[at] = without_control(input[at]);
        }
    }
    bytes
}

/// NUL is no more than a space, and what is neither text nor space is not ASCII (RFC 9110 section
/// 5.5 leaves it to us).
const fn without_control(byte: u8) -> u8 {
    match byte {
        0 => b' ',
        b'\t' => byte,
        1..32 | 127 => byte | 0x80,
        _ => byte,
    }
}

/// Tells whether a list has no other element than this one, in any case.
fn names_only(value: &[u8], element: &[u8]) -> bool {
    let mut elements = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    elements.all(|found| found.is_empty() || found.eq_ignore_ascii_case(element))
}

/// The words of a value: how many spaces are between them is up to who unfolds.
fn words(value: &[u8]) -> Vec<Vec<u8>> {
    value
        .split(|byte| matches!(byte, b' ' | b'\t'))
        .filter(|word| !word.is_empty())
        .map(|word| word.iter().copied().map(without_control).collect())
        .collect()
}

/// What section 4.1 asks for.
enum Verdict {
    Accept,
    Refuse(&'static str),
    /// What this reader does not understand as well.
    Unsure,
}

impl Theirs {
    /// By the letter of the RFC, but for four differences: what other clients let pass as well.
    ///
    /// 1. `Upgrade` that names `websocket` several times and nothing else is one.
    /// 2. `Sec-WebSocket-Accept` that is repeated with the same value is one.
    /// 3. A subprotocol that is repeated is one, and an empty `Sec-WebSocket-Protocol` names none.
    /// 4. A subprotocol is known in any case.
    fn judge(&self) -> Verdict {
        let all = |name| values(&self.headers, name);
        let is_upgrade = |value: &&[u8]| names_only(value, b"websocket") && !names_only(value, b"");
        let is_websocket = !all("upgrade").is_empty() && all("upgrade").iter().all(is_upgrade);
        let accepts = all("sec-websocket-accept");
        let is_subprotocol = |value: &&[u8]| names_only(value, b"chat");
        let refusals = [
            (self.status != 101, "the status is not 101"),
            (!self.is_http_11, "it is no HTTP/1.1"),
            (!is_websocket, "Upgrade is not websocket"),
            (
                !lists(&self.headers, "connection", b"upgrade"),
                "Connection does not list Upgrade",
            ),
            (
                accepts.is_empty() || accepts.iter().any(|value| *value != ACCEPT),
                "the key is not answered",
            ),
            (
                !all("sec-websocket-protocol").iter().all(is_subprotocol),
                "the subprotocol was not asked for",
            ),
        ];
        match refusals.into_iter().find(|(refuses, _)| *refuses) {
            Some((_, why)) => Verdict::Refuse(why),
            None if all("sec-websocket-extensions").is_empty() => Verdict::Accept,
            None => Verdict::Unsure,
        }
    }

    fn has(&self, headers: &Headers) {
        assert_eq!(headers.len(), self.headers.len());
        for (name, value) in headers.iter() {
            let values = self.headers.get_all(name).iter();
            let mut values = values.map(|other| words(other.as_bytes()));
            assert!(values.any(|other| other == words(value)), "{name}");
        }
    }

    /// A body whose length is told is the bytes after the head.
    fn has_body(&self, body: &[u8], after: &[u8]) {
        assert!(body.len() <= MAX_BODY);
        let length = match values(&self.headers, "content-length")[..] {
            [length] if self.headers.get("transfer-encoding").is_none() => length,
            _ => return,
        };
        let length = str::from_utf8(length)
            .ok()
            .and_then(|text| text.parse::<usize>().ok());
        if let Some(length) = length
            && !matches!(self.status, 204 | 304)
        {
            assert_eq!(body, &after[..length.min(after.len()).min(MAX_BODY)]);
        }
    }
}

//! What `httparse` and `http` make of a request head, and whether a plain
//! reader of RFC 6455 would accept it.

use base64::{
    Engine as _, alphabet,
    engine::general_purpose::{GeneralPurpose, PAD},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use ws_handshake::{HandshakeError, HeadLimits, OriginPolicy, Request, ServerConfig};

const LIMITS: HeadLimits = HeadLimits {
    max_head: 4096,
    max_headers: 40,
};

/// What is left of the last digit is not looked at: the key is an opaque value.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    PAD.with_decode_allow_trailing_bits(true),
);

/// A head that we accept is one that others can read, and asks for a WebSocket
/// by the letter of the RFC; one that does is accepted. A request in the types
/// of `http` is answered as its head is.
pub fn others_read_the_same(input: &[u8]) {
    let config = ServerConfig::new(OriginPolicy::Any);
    let ours = Request::parse(input, &LIMITS);
    let accepted = ours.clone().and_then(|request| {
        let _ = config.negotiate(&request)?;
        Ok(())
    });
    let theirs = match parse(input) {
        Ok(theirs) => theirs,
        Err(why) => {
            let is_generous = ours.is_ok_and(|request| is_more_generous(&request));
            assert!(accepted.is_err() || is_generous, "accepted, though {why}");
            return;
        }
    };
    match &ours {
        Ok(request) => {
            assert_eq!(request.method(), theirs.method().as_str());
            assert_eq!(request.headers().count(), theirs.headers().len());
            for (name, value) in request.headers() {
                let mut values = theirs.headers().get_all(name).iter();
                assert!(values.any(|other| other == value), "{name}");
            }
            let again = Request::from_http(&theirs).and_then(|request| {
                let _ = config.negotiate(&request)?;
                Ok(())
            });
            // By its types a server has resolved the target: the scheme is no business of ours.
            let scheme = theirs.uri().scheme_str();
            let is_http = scheme.is_none_or(|scheme| ["http", "https"].contains(&scheme));
            // `http` drops a fragment, and there must be none (RFC 6455 section 3).
            if request.target().contains('#') {
                assert!(accepted.is_err(), "{}", request.target());
                return;
            }
            // Which rule is named first may differ.
            assert!(
                !is_http || again.is_ok() == accepted.is_ok(),
                "by http's types {again:?}, and by the head {accepted:?}"
            );
        }
        Err(error) => assert!(is_stricter(error), "refused, but others read it: {error}"),
    }
    match judge(&theirs) {
        Verdict::Accept => {
            let is_stricter = accepted.as_ref().is_err_and(is_stricter);
            assert!(
                accepted.is_ok() || is_stricter,
                "to be accepted, but {accepted:?}"
            );
        }
        Verdict::Refuse(why) => assert!(accepted.is_err(), "accepted, but {why}"),
        Verdict::Unsure => {}
    }
}

/// Where we are stricter than others who read the same, and why: one row each.
const fn is_stricter(error: &HandshakeError) -> bool {
    matches!(
        error,
        // httparse takes a bare line feed; with proxies that do not, that is how requests are
        // smuggled (RFC 9112 section 2.2 allows, and does not ask for it).
        HandshakeError::BadLineEnding
            // Limits of ours.
            | HandshakeError::HeadTooLarge { .. }
            | HandshakeError::TooManyHeaders { .. }
            | HandshakeError::TooManyEmptyLines { .. }
    )
}

/// Where we take what others do not read, and why: one row each.
fn is_more_generous(request: &Request<'_>) -> bool {
    // httparse knows no HTTP/1.2, which is to be served as 1.1 (RFC 9110 section 2.5).
    request.version() > ws_handshake::Version::HTTP_11
        // `http` takes fewer characters in a target than browsers write (WHATWG URL).
        || request.target().contains(['"', '<', '>', '[', '\\', ']', '^', '`', '{', '|', '}'])
}

/// Where we pass over what the letter of section 4.2.1 refuses, as every browser's server does, and
/// why: one row each. What is passed over has no effect on the answer.
fn is_passed_over(headers: &HeaderMap, name: &HeaderName) -> bool {
    match name.as_str() {
        // Pages send access tokens as subprotocols, which are no tokens of HTTP; libraries send an
        // empty list, or a name twice. A server that speaks no subprotocol names none,
        // whatever is listed.
        "sec-websocket-protocol" => true,
        // libwebsockets 1.x sends an empty list, and devices a semicolon without a parameter.
        "sec-websocket-extensions" => values(headers, name.as_str())
            .iter()
            .all(|value| value.iter().all(|byte| b" \t,;".contains(byte))),
        _ => false,
    }
}

/// A request as `http` has it.
fn parse(input: &[u8]) -> Result<http::Request<()>, String> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Request::new(&mut fields);
    match head.parse(input) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Err("it is not whole".into()),
        Err(error) => return Err(error.to_string()),
    }
    let mut request = http::Request::new(());
    let method = head.method.unwrap_or_default();
    *request.method_mut() = Method::from_bytes(method.as_bytes()).map_err(|e| e.to_string())?;
    *request.uri_mut() = head
        .path
        .unwrap_or_default()
        .parse()
        .map_err(|_| "no URI")?;
    *request.version_mut() = match head.version {
        Some(0) => Version::HTTP_10,
        _ => Version::HTTP_11,
    };
    for field in head.headers {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|e| e.to_string())?;
        let value = HeaderValue::from_bytes(field.value).map_err(|e| e.to_string())?;
        request.headers_mut().append(name, value);
    }
    Ok(request)
}

/// What section 4.2.1 asks for.
enum Verdict {
    Accept,
    Refuse(&'static str),
    /// What this reader does not understand as well.
    Unsure,
}

fn judge(request: &http::Request<()>) -> Verdict {
    let headers = request.headers();
    let one = |name| match values(headers, name)[..] {
        [value] => Some(value),
        _ => None,
    };
    let key = one("sec-websocket-key").and_then(|key| BASE64.decode(key).ok());
    let refusals = [
        (request.method() != Method::GET, "it is no GET"),
        (request.version() != Version::HTTP_11, "it is no HTTP/1.1"),
        (one("host").is_none(), "there is not one Host"),
        (
            !lists(headers, "upgrade", b"websocket"),
            "Upgrade does not list websocket",
        ),
        (
            !lists(headers, "connection", b"upgrade"),
            "Connection does not list Upgrade",
        ),
        (
            one("sec-websocket-version") != Some(b"13"),
            "the version is not 13",
        ),
        (
            key.is_none_or(|key| key.len() != 16),
            "the key is not 16 bytes",
        ),
    ];
    if let Some((_, why)) = refusals.into_iter().find(|(refuses, _)| *refuses) {
        return Verdict::Refuse(why);
    }
    let is_plain = |name: &HeaderName| {
        [
            "host",
            "upgrade",
            "connection",
            "sec-websocket-version",
            "sec-websocket-key",
        ]
        .contains(&name.as_str())
    };
    // A server that the URI of a request must name is none of its kind (RFC 9110 section 4.2.1).
    let is_host = one("host")
        .is_some_and(|host| !host.is_empty() && host.iter().all(u8::is_ascii_alphanumeric));
    match headers
        .keys()
        .all(|name| is_plain(name) || is_passed_over(headers, name))
        && is_host
        && request.uri().path() == "/"
        && request.uri().authority().is_none()
    {
        true => Verdict::Accept,
        false => Verdict::Unsure,
    }
}

pub(crate) fn values<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a [u8]> {
    let values = headers.get_all(name).iter();
    values.map(|value| value.as_bytes().trim_ascii()).collect()
}

/// Whether one of the lists under a name has a token.
pub(crate) fn lists(headers: &HeaderMap, name: &str, token: &[u8]) -> bool {
    let mut values = values(headers, name).into_iter();
    values.any(|value| {
        let mut tokens = value.split(|byte| *byte == b',');
        tokens.any(|other| other.trim_ascii().eq_ignore_ascii_case(token))
    })
}

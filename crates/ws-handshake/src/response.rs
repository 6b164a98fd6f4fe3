//! Replies that let nobody in: refusals, redirects, pages.

use alloc::vec::Vec;

use crate::{
    headers::{FieldBlock, HeaderError, Headers},
    request::Request,
};

/// An HTTP reply that ends the exchange: no WebSocket follows it, and the connection is closed.
///
/// It refuses a handshake (404, 401, 302, ...) or answers an ordinary request (200 with a page).
/// What the status demands is added when it is written: `Allow` to a 405, `Upgrade` to a 426; the
/// length of the body and `Connection: close` always.
///
/// ```
/// use ws_handshake::Response;
///
/// let mut out = Vec::new();
/// Response::new(302).header("Location", "wss://example.com/chat")?.write_to(&mut out);
/// assert!(out.starts_with(b"HTTP/1.1 302 Found\r\nLocation: wss://example.com/chat\r\n"));
/// # Ok::<(), ws_handshake::HeaderError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    status: u16,
    fields: FieldBlock,
    body: Vec<u8>,
    without_body: bool,
    is_http1: bool,
}

impl Response {
    /// Makes a reply without body.
    ///
    /// A status outside 200 to 599 would not end the exchange; it becomes 500. For 401 there is
    /// [`unauthorized`](Self::unauthorized), which does not forget the challenge.
    #[must_use]
    pub fn new(status: u16) -> Self {
        //= RFC6455-4.2.2-9
        let status = if (200..=599).contains(&status) {
            status
        } else {
            500
        };
        Self {
            status,
            fields: FieldBlock::default(),
            body: Vec::new(),
            without_body: false,
            is_http1: true,
        }
    }

    /// Makes a 401 with its challenge, such as `Basic realm="chat"` (RFC 9110 section 11.6.1).
    ///
    /// # Errors
    ///
    /// As [`header`](Self::header).
    pub fn unauthorized(challenge: &str) -> Result<Self, HeaderError> {
        //= RFC9110-11.6.1-1
        //= RFC6455-4.2.2-3
        Self::new(401).header("WWW-Authenticate", challenge)
    }

    /// Adds a header. It may be called several times with the same name.
    ///
    /// # Errors
    ///
    /// [`HeaderError`] if the name is not a token, the value has a control character, or the header
    /// is one that frames the reply: `Connection`, `Content-Length`, `Transfer-Encoding`,
    /// `Upgrade`, `Host` and `Sec-WebSocket-*`.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Result<Self, HeaderError> {
        //= RFC6455-4.2.2-4
        self.fields.push(name, value.as_ref())?;
        Ok(self)
    }

    /// Sets the body. Its length is told; its type is a `Content-Type` [`header`](Self::header).
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Makes it the answer to this request: one to HEAD tells the length of the body and comes
    /// without it, and one over HTTP/2 or HTTP/3 has no `Connection` and no `Upgrade`, and 400
    /// for 426, which has to ask for an upgrade.
    ///
    /// ```
    /// use ws_handshake::{HeadLimits, Request, Response};
    ///
    /// let head = b"HEAD /healthz HTTP/1.0\r\n\r\n";
    /// let request = Request::parse(head, &HeadLimits::default())?;
    /// let mut out = Vec::new();
    /// Response::new(200).body("healthy").for_request(&request).write_to(&mut out);
    /// assert!(out.ends_with(b"\r\nContent-Length: 7\r\nConnection: close\r\n\r\n"));
    /// # Ok::<(), ws_handshake::HandshakeError>(())
    /// ```
    #[must_use]
    pub fn for_request(mut self, request: &Request<'_>) -> Self {
        self.without_body = request.method() == "HEAD";
        self.is_http1 = request.version().major < 2;
        if !self.is_http1 {
            self.status = status_of_stream(self.status);
        }
        self
    }

    /// The status code.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// The body as it is sent: none with 204, 304 and in the answer to a HEAD.
    #[must_use]
    pub fn content(&self) -> &[u8] {
        self.body_and_length().0
    }

    /// The reply as the list of fields that HTTP/2 and HTTP/3 send: `:status`, then the headers in
    /// lower case. The [`content`](Self::content) goes behind it, and ends the stream.
    ///
    /// A 426 is told as 400: it would have to name a protocol in `Upgrade`, which these versions do
    /// not have.
    #[must_use]
    pub fn to_fields(&self) -> Headers {
        //= RFC9113-8.2.2-1
        let mut list = Headers::default();
        list.push_shown(":status", &status_of_stream(self.status));
        list.push_block(&self.fields);
        if self.status == 405 && !self.fields.contains("Allow") {
            list.push(b"allow", b"GET");
        }
        if self.may_have_body() {
            list.push_shown("content-length", &self.body.len());
        }
        list
    }

    /// Appends the reply to `out`, for HTTP/1.1.
    ///
    /// Send it, then close the connection: what the peer sends after a refused handshake is not for
    /// us.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"HTTP/1.1 ");
        push_decimal(out, self.status.into());
        out.push(b' ');
        out.extend_from_slice(reason(self.status).as_bytes());
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(self.fields.as_bytes());
        if self.status == 405 && !self.fields.contains("Allow") {
            //= RFC9110-15.5.6-1
            out.extend_from_slice(b"Allow: GET\r\n");
        }
        if self.may_have_body() {
            out.extend_from_slice(b"Content-Length: ");
            push_decimal(out, self.body.len());
            out.extend_from_slice(b"\r\n");
        }
        //= RFC6455-7.2.2-1
        if self.status == 426 {
            //= RFC9110-15.5.22-1
            //= RFC9110-7.8-2
            out.extend_from_slice(b"Upgrade: websocket\r\nConnection: Upgrade, close\r\n\r\n");
        } else {
            out.extend_from_slice(b"Connection: close\r\n\r\n");
        }
        if self.may_have_body() && !self.without_body {
            out.extend_from_slice(&self.body);
        }
    }

    /// Whether the status allows a body: 204 and 304 have none, whatever was set (RFC 9110 section
    /// 6.4.1).
    const fn may_have_body(&self) -> bool {
        !matches!(self.status, 204 | 304)
    }

    /// Sets a line of plain text as body.
    pub(crate) fn text(mut self, line: &str) -> Self {
        self.fields
            .push_own("Content-Type", b"text/plain; charset=utf-8");
        self.body = line.as_bytes().to_vec();
        self.body.push(b'\n');
        self
    }

    /// Names the methods that are allowed instead.
    pub(crate) fn allow(mut self, methods: &str) -> Self {
        self.fields.push_own("Allow", methods.as_bytes());
        self
    }

    /// Says which version of the protocol is spoken here.
    pub(crate) fn supported_version(mut self) -> Self {
        self.fields.push_own("Sec-WebSocket-Version", b"13");
        self
    }

    #[cfg(feature = "http")]
    pub(crate) const fn fields(&self) -> &FieldBlock {
        &self.fields
    }

    #[cfg(feature = "http")]
    pub(crate) const fn is_http1(&self) -> bool {
        self.is_http1
    }

    /// The body that is sent, and the length that is told where no body is.
    pub(crate) fn body_and_length(&self) -> (&[u8], Option<usize>) {
        match (self.may_have_body(), self.without_body) {
            (false, _) => (&[], None),
            (true, true) => (&[], Some(self.body.len())),
            (true, false) => (&self.body, None),
        }
    }
}

/// The status over HTTP/2 and HTTP/3, where nothing can be upgraded.
const fn status_of_stream(status: u16) -> u16 {
    match status {
        426 => 400,
        status => status,
    }
}

pub(crate) fn push_decimal(out: &mut Vec<u8>, number: usize) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = number;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// The usual words beside a status. They mean nothing to a program, so an unknown status has none.
const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        410 => "Gone",
        413 => "Content Too Large",
        414 => "URI Too Long",
        421 => "Misdirected Request",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_that_ends_nothing_becomes_500() {
        for status in [0, 100, 101, 199, 600, u16::MAX] {
            assert_eq!(Response::new(status).status(), 500);
        }
        assert_eq!(Response::new(200).status(), 200);
        assert_eq!(Response::new(599).status(), 599);
    }

    #[test]
    fn every_405_names_the_methods_and_every_426_the_protocol() {
        //= RFC9110-15.5.6-1
        //= RFC9110-15.5.22-1
        //= RFC9110-7.8-2
        let written = |response: Response| {
            let mut out = Vec::new();
            response.write_to(&mut out);
            out
        };
        assert_eq!(
            written(Response::new(405)),
            b"HTTP/1.1 405 Method Not Allowed\r\nAllow: GET\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        let own = Response::new(405)
            .header("allow", "GET, HEAD")
            .expect("fine");
        assert!(
            written(own).starts_with(
                b"HTTP/1.1 405 Method Not Allowed\r\nallow: GET, HEAD\r\nContent-Length"
            )
        );
        assert_eq!(
            written(Response::new(426)),
            b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\nUpgrade: websocket\r\n\
            Connection: Upgrade, close\r\n\r\n"
        );
    }

    #[test]
    fn the_usual_words_stand_beside_a_status() {
        let words = [
            (200, "OK"),
            (201, "Created"),
            (202, "Accepted"),
            (204, "No Content"),
            (301, "Moved Permanently"),
            (302, "Found"),
            (303, "See Other"),
            (304, "Not Modified"),
            (307, "Temporary Redirect"),
            (308, "Permanent Redirect"),
            (400, "Bad Request"),
            (401, "Unauthorized"),
            (403, "Forbidden"),
            (404, "Not Found"),
            (405, "Method Not Allowed"),
            (406, "Not Acceptable"),
            (408, "Request Timeout"),
            (410, "Gone"),
            (413, "Content Too Large"),
            (414, "URI Too Long"),
            (421, "Misdirected Request"),
            (426, "Upgrade Required"),
            (429, "Too Many Requests"),
            (431, "Request Header Fields Too Large"),
            (500, "Internal Server Error"),
            (501, "Not Implemented"),
            (502, "Bad Gateway"),
            (503, "Service Unavailable"),
            (504, "Gateway Timeout"),
            (505, "HTTP Version Not Supported"),
        ];
        for status in 200..600 {
            let mut out = Vec::new();
            Response::new(status).write_to(&mut out);
            let word = words.iter().find(|(known, _)| *known == status);
            let line = alloc::format!(
                "HTTP/1.1 {status} {}\r\n",
                word.map_or("", |(_, word)| word)
            );
            assert!(out.starts_with(line.as_bytes()), "{line}");
        }
    }

    #[test]
    fn statuses_without_body_are_written_without() {
        let mut out = Vec::new();
        Response::new(204).body("x").write_to(&mut out);
        assert_eq!(out, b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
    }

    #[test]
    fn numbers_are_written_in_full() {
        let mut out = Vec::new();
        push_decimal(&mut out, 0);
        out.push(b' ');
        push_decimal(&mut out, 1_234_567_890);
        assert_eq!(out, b"0 1234567890");
    }
}

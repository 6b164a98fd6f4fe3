//! Conversions to and from the types of the `http` crate.

use alloc::string::ToString as _;
use alloc::vec::Vec;

use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::client::HttpResponse;
use crate::error::{HandshakeError, Offered};
use crate::headers::{FieldBlock, Headers};
use crate::request::{Request, Version};
use crate::response::Response;
use crate::server::Acceptance;
use crate::uri::{Uri, UriError};

impl<'a> Request<'a> {
    /// Takes over a request from an HTTP server that speaks in the types of the `http` crate.
    ///
    /// # Errors
    ///
    /// As [`Request::from_parts`]; [`HandshakeError::BadHttpVersion`] for HTTP/2 and HTTP/3, whose handshake is another
    /// (RFC 8441, RFC 9220).
    pub fn from_http<B>(request: &'a http::Request<B>) -> Result<Self, HandshakeError> {
        let version = match request.version() {
            http::Version::HTTP_09 => Version { major: 0, minor: 9 },
            http::Version::HTTP_10 => Version::HTTP_10,
            http::Version::HTTP_11 => Version::HTTP_11,
            http::Version::HTTP_3 => {
                return Err(HandshakeError::BadHttpVersion { offered: HTTP_3 });
            }
            _ => return Err(HandshakeError::BadHttpVersion { offered: HTTP_2 }),
        };
        let uri = request.uri();
        let authority = uri.authority().map(|authority| authority.as_str());
        let target = match (uri.scheme(), authority) {
            // The target of a CONNECT, which is none of a request for a resource.
            (None, Some(authority)) => authority,
            _ => uri.path_and_query().map_or("/", |target| target.as_str()),
        };
        if let Some(authority) =
            authority.filter(|authority| crate::uri::split_authority(authority).is_none())
        {
            return Err(HandshakeError::BadTarget {
                offered: Offered::new(authority.as_bytes()),
            });
        }
        let headers = request
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()));
        let request = Self::from_parts(request.method().as_str(), target, version, headers)?;
        Ok(match (uri.scheme(), authority) {
            (Some(_), Some(authority)) => request.with_authority(authority),
            _ => request,
        })
    }
}

impl Acceptance<'_> {
    /// The 101 as a value of the `http` crate, for an HTTP server that writes the reply itself.
    #[must_use]
    pub fn to_http(&self) -> http::Response<()> {
        let mut response = http::Response::new(());
        *response.status_mut() = http::StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(http::header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(
            http::header::CONNECTION,
            HeaderValue::from_static("Upgrade"),
        );
        insert(
            headers,
            http::header::SEC_WEBSOCKET_ACCEPT,
            self.accept_key(),
        );
        if let Some(name) = self.agreed_subprotocol() {
            insert(headers, http::header::SEC_WEBSOCKET_PROTOCOL, name);
        }
        if let Some(answer) = self.deflate_answer() {
            insert(
                headers,
                http::header::SEC_WEBSOCKET_EXTENSIONS,
                &answer.to_string(),
            );
        }
        append_all(headers, self.fields());
        response
    }
}

impl Response {
    /// The reply as a value of the `http` crate, for an HTTP server that writes it itself.
    ///
    /// `Connection: close` is asked for. `Content-Length` is left to that server, but for the answer to a HEAD
    /// ([`for_request`](Self::for_request)), whose body is empty here.
    #[must_use]
    pub fn to_http(&self) -> http::Response<Vec<u8>> {
        let (body, length) = self.body_and_length();
        let mut response = http::Response::new(body.to_vec());
        let status = self.status();
        // INVARIANT: a `Response` has a status from 200 to 599.
        *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
        let headers = response.headers_mut();
        append_all(headers, self.fields());
        if let Some(length) = length {
            headers.insert(http::header::CONTENT_LENGTH, length.into());
        }
        if status == 405 && !headers.contains_key(http::header::ALLOW) {
            headers.insert(http::header::ALLOW, HeaderValue::from_static("GET"));
        }
        if status == 426 {
            headers.insert(http::header::UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(
                http::header::CONNECTION,
                HeaderValue::from_static("Upgrade, close"),
            );
        } else {
            headers.insert(http::header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

impl From<HttpResponse> for http::Response<Vec<u8>> {
    fn from(response: HttpResponse) -> Self {
        let mut converted = Self::new(response.body);
        // INVARIANT: the status line has three digits, and 1xx replies never become an `HttpResponse`; what is left
        // below 100 is no status, and is shown as the 500 that RFC 9110 section 15 takes it for.
        *converted.status_mut() = http::StatusCode::from_u16(response.status)
            .unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
        *converted.headers_mut() = HeaderMap::from(&response.headers);
        converted
    }
}

impl From<&Headers> for HeaderMap {
    /// A value that the `http` crate does not take, for a control character in an unfolded line, is left out.
    fn from(headers: &Headers) -> Self {
        let mut map = Self::with_capacity(headers.len());
        for (name, value) in headers.iter() {
            append_one(&mut map, name.as_bytes(), value);
        }
        map
    }
}

impl TryFrom<&http::Uri> for Uri {
    type Error = UriError;

    fn try_from(uri: &http::Uri) -> Result<Self, UriError> {
        Self::parse(&uri.to_string())
    }
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    // INVARIANT: base64, a token, or extensions of our own writing: never a control character.
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn append_all(headers: &mut HeaderMap, fields: &FieldBlock) {
    for (name, value) in fields.iter() {
        append_one(headers, name, value);
    }
}

fn append_one(headers: &mut HeaderMap, name: &[u8], value: &[u8]) {
    if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
        headers.append(name, value);
    }
}

const HTTP_2: Version = Version { major: 2, minor: 0 };
const HTTP_3: Version = Version { major: 3, minor: 0 };

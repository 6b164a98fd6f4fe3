//! Conversions to and from the types of the `http` crate.

use alloc::{string::ToString as _, vec::Vec};

use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::{
    client::HttpResponse,
    error::{HandshakeError, Offered},
    headers::{FieldBlock, Headers},
    request::Request,
    response::Response,
    server::Acceptance,
    uri::{Uri, UriError},
    version::Version,
};

impl<'a> Request<'a> {
    /// Takes over a request from an HTTP server that speaks in the types of the `http` crate.
    ///
    /// Those types do not have the `:protocol` of an extended CONNECT: over HTTP/2 and HTTP/3 a
    /// WebSocket is asked for with [`from_http_connect`](Self::from_http_connect), and what
    /// comes here is any other request.
    ///
    /// # Errors
    ///
    /// As [`Request::from_parts`]; over HTTP/2 and HTTP/3 as [`Request::from_fields`].
    pub fn from_http<B>(request: &'a http::Request<B>) -> Result<Self, HandshakeError> {
        let version = match request.version() {
            http::Version::HTTP_09 => Version { major: 0, minor: 9 },
            http::Version::HTTP_10 => Version::HTTP_10,
            http::Version::HTTP_11 => Version::HTTP_11,
            http::Version::HTTP_3 => return from_list(request, Version::HTTP_3, None),
            _ => return from_list(request, Version::HTTP_2, None),
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

    /// Takes over an extended CONNECT from an HTTP server that speaks in the types of the `http`
    /// crate, with the `:protocol` that it keeps elsewhere: `h2` and `hyper` in the request's
    /// extensions.
    ///
    /// # Errors
    ///
    /// As [`Request::from_fields`].
    pub fn from_http_connect<B>(
        request: &'a http::Request<B>,
        protocol: &'a str,
    ) -> Result<Self, HandshakeError> {
        let version = match request.version() {
            http::Version::HTTP_3 => Version::HTTP_3,
            _ => Version::HTTP_2,
        };
        from_list(request, version, Some(protocol))
    }
}

/// Reads a request of HTTP/2 or HTTP/3, whose pseudo-headers have become its method and URI.
fn from_list<'a, B>(
    request: &'a http::Request<B>,
    version: Version,
    protocol: Option<&'a str>,
) -> Result<Request<'a>, HandshakeError> {
    let uri = request.uri();
    let is_ordinary_connect = request.method() == http::Method::CONNECT && protocol.is_none();
    let path = uri.path_and_query().map(|path| path.as_str());
    let path = path.filter(|_| !is_ordinary_connect);
    // The `http` crate has no place for the scheme of a URI that is a path alone.
    let scheme = uri.scheme_str().or_else(|| path.map(|_| "http"));
    let pseudo = [
        (":method", Some(request.method().as_str())),
        (":protocol", protocol),
        (":scheme", scheme),
        (":path", path),
        (
            ":authority",
            uri.authority().map(|authority| authority.as_str()),
        ),
    ];
    let pseudo = pseudo
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?.as_bytes())));
    let headers = request
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()));
    Request::from_fields(version, pseudo.chain(headers))
}

impl Acceptance<'_> {
    /// The reply as a value of the `http` crate, for an HTTP server that writes it itself: a 101,
    /// or a 200 over HTTP/2 and HTTP/3.
    #[must_use]
    pub fn to_http(&self) -> http::Response<()> {
        let mut response = http::Response::new(());
        *response.status_mut() = match self.status() {
            101 => http::StatusCode::SWITCHING_PROTOCOLS,
            _ => http::StatusCode::OK,
        };
        for (name, value) in self.to_fields().iter().skip(1) {
            append_one(response.headers_mut(), name.as_bytes(), value);
        }
        response
    }
}

impl Response {
    /// The reply as a value of the `http` crate, for an HTTP server that writes it itself.
    ///
    /// `Connection: close` is asked for, but in the answer to a request over HTTP/2 or HTTP/3
    /// ([`for_request`](Self::for_request)). `Content-Length` is left to that server, but for the
    /// answer to a HEAD ([`for_request`](Self::for_request)), whose body is empty here.
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
        if !self.is_http1() {
            return response;
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
        // INVARIANT: the status line has three digits, and 1xx replies never become an
        // `HttpResponse`; what is left below 100 is no status, and is shown as the 500 that
        // RFC 9110 section 15 takes it for.
        *converted.status_mut() = http::StatusCode::from_u16(response.status)
            .unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
        *converted.headers_mut() = HeaderMap::from(&response.headers);
        converted
    }
}

impl From<&Headers> for HeaderMap {
    /// A value that the `http` crate does not take, for a control character in an unfolded line, is
    /// left out.
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

//! Redirects: whether a client follows one, and what it takes along.

use crate::{
    client::{ClientRequest, HttpResponse},
    uri::UriError,
};

impl ClientRequest {
    /// Makes the request that follows a redirect; `None` if the reply is none.
    ///
    /// Statuses 301, 302, 303, 307 and 308 redirect, if there is a `Location`. It may be a `ws`,
    /// `wss`, `http` or `https` URI, or relative to the one asked for.
    ///
    /// To another origin, which is another scheme, host or port, no [`header`](Self::header) goes
    /// along: any of them may be a secret of the first server (`Authorization`, `Cookie`, an
    /// API key). Subprotocols, offers and `Origin` do. Who wants it otherwise makes the request
    /// of [`HttpResponse::location`] and [`Uri::join`](crate::Uri::join).
    ///
    /// Redirects may go round in circles: bound how many are followed.
    ///
    /// # Errors
    ///
    /// [`RedirectError`] if it leads from `wss` to `ws`, or nowhere.
    pub fn follow(&self, reply: &HttpResponse) -> Result<Option<Self>, RedirectError> {
        //= RFC6455-4.1-35
        if !matches!(reply.status, 301 | 302 | 303 | 307 | 308) {
            return Ok(None);
        }
        let Some(location) = reply.location() else {
            return Ok(None);
        };
        let uri = self.uri().join(location)?;
        if self.uri().is_secure() && !uri.is_secure() {
            return Err(RedirectError::Insecure);
        }
        let mut next = self.clone();
        if !self.uri().is_same_origin(&uri) {
            next.fields.remove_added();
        }
        next.uri = uri;
        Ok(Some(next))
    }
}

/// Why a redirect is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RedirectError {
    /// It leads from TLS to plaintext.
    #[error("the redirect leads from wss:// to ws://")]
    Insecure,
    /// What it leads to is no WebSocket URI.
    #[error("the redirect leads to what cannot be connected to: {0}")]
    BadLocation(#[from] UriError),
}

impl RedirectError {
    /// The rule's name in snake case, stable for logs, metrics and tests.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Insecure => "insecure_redirect",
            Self::BadLocation(error) => error.kind(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{format, string::String, vec::Vec};

    use super::*;
    use crate::{client::ClientProgress, uri::Uri};

    fn request(uri: &str) -> ClientRequest {
        ClientRequest::new(Uri::parse(uri).unwrap())
            .header("Authorization", "secret")
            .and_then(|request| request.header("X-Api-Key", "secret"))
            .and_then(|request| request.origin("https://page.example"))
            .and_then(|request| request.subprotocol("chat"))
            .unwrap()
    }

    fn reply(status: u16, location: &str) -> HttpResponse {
        let head = format!("HTTP/1.1 {status} x\r\n{location}Content-Length: 0\r\n\r\n");
        match request("ws://a/")
            .start_random()
            .unwrap()
            .receive(head.as_bytes())
        {
            Ok(ClientProgress::Refused { response, .. }) => response,
            other => panic!("{other:?}"),
        }
    }

    fn follow(from: &str, to: &str) -> Result<Option<ClientRequest>, RedirectError> {
        request(from).follow(&reply(307, &format!("Location: {to}\r\n")))
    }

    fn sent(request: ClientRequest) -> String {
        let bytes = Vec::from(request.start_random().unwrap().request_bytes());
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn five_statuses_redirect_if_they_say_where_to() {
        //= RFC6455-4.1-35
        for status in 200..600 {
            let followed = request("ws://a/").follow(&reply(status, "Location: /b\r\n"));
            let is_redirect = [301, 302, 303, 307, 308].contains(&status);
            assert_eq!(followed.unwrap().is_some(), is_redirect, "{status}");
        }
        assert!(
            request("ws://a/")
                .follow(&reply(302, ""))
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn http_locations_are_those_of_web_sockets() {
        for (to, uri) in [
            ("http://b/x?y", "ws://b/x?y"),
            ("https://b:444/", "wss://b:444/"),
            ("WSS://b", "wss://b/"),
            ("//b/c", "ws://b/c"),
            ("c", "ws://a/b/c"),
        ] {
            let followed = follow("ws://a/b/", to).unwrap().unwrap();
            assert_eq!(format!("{}", followed.uri()), uri);
        }
        for to in ["ftp://b/", "javascript:alert(1)", "http://u:p@b/", "http:"] {
            assert!(
                matches!(follow("ws://a/", to), Err(RedirectError::BadLocation(_))),
                "{to}"
            );
        }
        let error = follow("ws://a/", "ftp://b/").unwrap_err();
        assert_eq!(error.kind(), "bad_scheme");
    }

    #[test]
    fn headers_stay_with_their_origin() {
        for to in ["/c", "ws://a:80/", "http://A/"] {
            let next = sent(follow("ws://a/", to).unwrap().unwrap());
            assert!(next.contains("secret"), "{next}");
        }
        for to in ["ws://b/", "ws://a:81/", "wss://a/", "ws://a.b/", "//sub.a/"] {
            let next = sent(follow("ws://a/", to).unwrap().unwrap());
            assert!(!next.contains("secret"), "{next}");
            assert!(next.contains("Origin: https://page.example"), "{next}");
            assert!(next.contains("Sec-WebSocket-Protocol: chat"), "{next}");
        }
    }

    #[test]
    fn credentials_of_the_uri_stay_with_their_origin() {
        let request = ClientRequest::new(Uri::parse("ws://user:pass@a/b").unwrap());
        for (to, is_sent) in [
            ("c", true),
            ("ws://a/c", true),
            ("ws://b/c", false),
            ("wss://a/c", false),
        ] {
            let next = request.follow(&reply(307, &format!("Location: {to}\r\n")));
            let next = sent(next.unwrap().unwrap());
            let credentials = "Authorization: Basic dXNlcjpwYXNz\r\n";
            assert_eq!(next.contains(credentials), is_sent, "{next}");
        }
    }

    #[test]
    fn tls_is_never_left() {
        for to in ["ws://a/", "http://a/", "http://a:443/"] {
            assert_eq!(follow("wss://a/", to).unwrap_err(), RedirectError::Insecure);
        }
        assert_eq!(RedirectError::Insecure.kind(), "insecure_redirect");
        assert!(
            follow("wss://a/", "//b/")
                .unwrap()
                .unwrap()
                .uri()
                .is_secure()
        );
    }
}

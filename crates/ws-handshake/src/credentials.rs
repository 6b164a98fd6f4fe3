//! What a request says about who asks: cookies, and the schemes Bearer and Basic of
//! `Authorization`.

use alloc::{string::String, vec::Vec};
use core::fmt;

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use crate::{headers::trim, request::Request};

impl<'a> Request<'a> {
    /// The cookies as name and value, in order, from all `Cookie` headers (RFC 6265 section 5.4).
    ///
    /// Values are as they came, but for a pair of double quotes around one. A cookie outside UTF-8,
    /// or without `=`, is left out.
    pub fn cookies(&self) -> impl Iterator<Item = (&'a str, &'a str)> + '_ {
        //= RFC6455-10.5-1
        self.headers()
            .filter(|(name, _)| name.eq_ignore_ascii_case("Cookie"))
            .flat_map(|(_, value)| value.split(|byte| *byte == b';'))
            .filter_map(cookie)
    }

    /// The value of the first of the [`cookies`](Self::cookies) of that name, which is compared
    /// exactly.
    ///
    /// ```
    /// use ws_handshake::{HeadLimits, Request};
    ///
    /// let head = b"GET / HTTP/1.1\r\nHost: h\r\nCookie: theme=dark; session=1a2b\r\n\r\n";
    /// let request = Request::parse(head, &HeadLimits::default())?;
    /// assert_eq!(request.cookie("session"), Some("1a2b"));
    /// # Ok::<(), ws_handshake::HandshakeError>(())
    /// ```
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<&'a str> {
        self.cookies()
            .find(|(other, _)| *other == name)
            .map(|(_, value)| value)
    }

    /// The token of `Authorization: Bearer` (RFC 6750 section 2.1): visible ASCII characters.
    ///
    /// `None` without it, and if there is more than one `Authorization`. Pages cannot send one with
    /// a WebSocket: they send a token as a cookie, in the query, or as
    /// [`subprotocols_as_sent`](Self::subprotocols_as_sent).
    #[must_use]
    pub fn bearer(&self) -> Option<&'a str> {
        let token = self.authorization("Bearer")?;
        let is_token = !token.is_empty() && token.iter().all(u8::is_ascii_graphic);
        str::from_utf8(token).ok().filter(|_| is_token)
    }

    /// The user and password of `Authorization: Basic` (RFC 7617), which browsers send for
    /// `ws://user:password@host/`.
    ///
    /// `None` without it, if there is more than one `Authorization`, and if the credentials are not
    /// base64 of a user in UTF-8 without control characters, a colon, and a password.
    #[must_use]
    pub fn basic(&self) -> Option<BasicCredentials> {
        let mut text = BASE64.decode(self.authorization("Basic")?).ok()?;
        let colon = text.iter().position(|byte| *byte == b':')?;
        let password = text.split_off(colon + 1);
        text.truncate(colon);
        let user = String::from_utf8(text).ok()?;
        if user.contains(char::is_control) {
            return None;
        }
        Some(BasicCredentials { user, password })
    }

    /// What follows the scheme in the one `Authorization`.
    fn authorization(&self, scheme: &str) -> Option<&'a [u8]> {
        let mut values: Vec<_> = self
            .headers()
            .filter(|(name, _)| name.eq_ignore_ascii_case("Authorization"))
            .map(|(_, value)| value)
            .take(2)
            .collect();
        let value = values.pop().filter(|_| values.is_empty())?;
        let (start, rest) = value.split_at_checked(scheme.len())?;
        let [b' ', rest @ ..] = rest else { return None };
        start
            .eq_ignore_ascii_case(scheme.as_bytes())
            .then(|| trim(rest))
    }
}

/// Cuts `name "=" value`.
fn cookie(pair: &[u8]) -> Option<(&str, &str)> {
    let (name, value) = str::from_utf8(trim(pair)).ok()?.split_once('=')?;
    let (name, value) = (name.trim_ascii(), value.trim_ascii());
    let unquoted = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'));
    Some((name, unquoted.unwrap_or(value)))
}

/// A user and a password. `Debug` does not show the password.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BasicCredentials {
    /// The name of the user, without a colon; it may be empty.
    pub user: String,
    /// The password; it may be empty. It is bytes and no text: chargers of electric cars (OCPP)
    /// send a key of 20 bytes.
    pub password: Vec<u8>,
}

impl fmt::Debug for BasicCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BasicCredentials")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// Devices leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

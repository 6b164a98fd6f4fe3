//! permessage-deflate: its parameters, and how client and server agree on them (RFC 7692 sections 5
//! and 7.1).

use alloc::vec::Vec;
use core::fmt;

use crate::{
    error::{HandshakeError, Offered},
    extensions::{Extension, Extensions, Param},
};

/// The agreed parameters of permessage-deflate (RFC 7692 section 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeflateParams {
    /// The server starts every message with an empty window.
    pub server_no_context_takeover: bool,
    /// The client starts every message with an empty window.
    pub client_no_context_takeover: bool,
    /// The server's window is at most 2 to this power, 8 to 15.
    pub server_max_window_bits: u8,
    /// The client's window is at most 2 to this power, 8 to 15.
    pub client_max_window_bits: u8,
}

impl DeflateParams {
    /// What holds for the messages of the server, and for those of the client: whether there is no
    /// context takeover, and the base-2 logarithm of the window. `ws_proto::DeflateCodec` takes
    /// them so.
    #[must_use]
    pub const fn windows(self) -> [(bool, u8); 2] {
        [
            (self.server_no_context_takeover, self.server_max_window_bits),
            (self.client_no_context_takeover, self.client_max_window_bits),
        ]
    }
}

impl Default for DeflateParams {
    /// What holds where nothing is said: context takeover both ways, windows of 2 to the power of
    /// 15.
    fn default() -> Self {
        Self {
            server_no_context_takeover: false,
            client_no_context_takeover: false,
            server_max_window_bits: MAX_BITS,
            client_max_window_bits: MAX_BITS,
        }
    }
}

/// What a server is ready to agree to for permessage-deflate.
///
/// The default agrees to whatever the client asks for and asks for nothing itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeflatePolicy {
    limits: DeflateParams,
}

impl DeflatePolicy {
    /// Makes the default policy.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether our window is emptied before every message, even if the client does not ask for it.
    #[must_use]
    pub const fn server_no_context_takeover(mut self, on: bool) -> Self {
        self.limits.server_no_context_takeover = on;
        self
    }

    /// Whether the client must empty its window before every message, so that we keep none for it.
    #[must_use]
    pub const fn client_no_context_takeover(mut self, on: bool) -> Self {
        self.limits.client_no_context_takeover = on;
        self
    }

    /// The largest window we compress with, in bits; brought into 8 to 15.
    #[must_use]
    pub const fn server_max_window_bits(mut self, bits: u8) -> Self {
        self.limits.server_max_window_bits = clamp_bits(bits);
        self
    }

    /// The largest window we want the client to compress with, in bits; brought into 8 to 15.
    ///
    /// It binds only clients that offer `client_max_window_bits`; others use up to 15 (RFC 7692
    /// section 7.1.2.2).
    #[must_use]
    pub const fn client_max_window_bits(mut self, bits: u8) -> Self {
        self.limits.client_max_window_bits = clamp_bits(bits);
        self
    }
}

/// What a client offers for permessage-deflate.
///
/// The default is the offer that browsers make: no demands, and a window size of the server's
/// choice for what we send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeflateOffer {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    client_max_window_bits: Option<Option<u8>>,
}

impl DeflateOffer {
    /// Makes an offer without any parameter. Unlike the default it does not let the server choose
    /// our window size.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            server_no_context_takeover: false,
            client_no_context_takeover: false,
            server_max_window_bits: None,
            client_max_window_bits: None,
        }
    }

    /// Demands that the server empties its window before every message, so that we keep none for
    /// it.
    #[must_use]
    pub const fn server_no_context_takeover(mut self, on: bool) -> Self {
        self.server_no_context_takeover = on;
        self
    }

    /// Says beforehand that we empty our window before every message even if the server does not
    /// ask for it.
    #[must_use]
    pub const fn client_no_context_takeover(mut self, on: bool) -> Self {
        self.client_no_context_takeover = on;
        self
    }

    /// Demands a window of at most that many bits of the server; brought into 8 to 15.
    #[must_use]
    pub const fn server_max_window_bits(mut self, bits: u8) -> Self {
        self.server_max_window_bits = Some(clamp_bits(bits));
        self
    }

    /// Lets the server limit our window; `Some` says beforehand that we use no more than that,
    /// brought into 8 to 15.
    #[must_use]
    pub const fn client_max_window_bits(mut self, bits: Option<u8>) -> Self {
        self.client_max_window_bits = Some(match bits {
            Some(bits) => Some(clamp_bits(bits)),
            None => None,
        });
        self
    }

    /// Reads offers from the form of the header, such as `permessage-deflate;
    /// server_max_window_bits=10, permessage-deflate`.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::BadExtensionsHeader`] for what is outside the grammar,
    /// [`HandshakeError::UnexpectedExtension`] for extensions other than permessage-deflate, and
    /// [`HandshakeError::BadExtensionParams`] for parameters or values that it does not have.
    pub fn parse_list(value: &str) -> Result<Vec<Self>, HandshakeError> {
        Extensions::parse(value.as_bytes())?
            .map(|extension| {
                //= RFC6455-9.1-3
                if !is_deflate(&extension) {
                    let offered = Offered::new(extension.name.as_bytes());
                    return Err(HandshakeError::UnexpectedExtension { offered });
                }
                let offered = Offered::new(extension.params);
                Self::read(&extension).ok_or(HandshakeError::BadExtensionParams { offered })
            })
            .collect()
    }

    /// Reads the parameters of an offer, `None` if one is unknown, repeated or out of its range.
    fn read(extension: &Extension<'_>) -> Option<Self> {
        //= RFC6455-9.1-4
        //= RFC7692-7-1, RFC7692-7-2
        let named = NamedParams::read(extension)?;
        Some(Self {
            server_no_context_takeover: named.flag(SERVER_NO_CONTEXT)?,
            client_no_context_takeover: named.flag(CLIENT_NO_CONTEXT)?,
            server_max_window_bits: match named.0[SERVER_BITS] {
                Some(param) => Some(window_bits(&param)?),
                None => None,
            },
            client_max_window_bits: match named.0[CLIENT_BITS] {
                Some(param) if param.value.is_none() => Some(None),
                Some(param) => Some(Some(window_bits(&param)?)),
                None => None,
            },
        })
    }

    /// Whether a server that agreed to `named` answered this offer.
    fn is_answered_by(&self, agreed: &DeflateParams, named: &NamedParams<'_>) -> bool {
        //= RFC7692-7.1.2.1-5, RFC7692-7.1.2.2-4
        (!self.server_no_context_takeover || agreed.server_no_context_takeover)
            && self.server_max_window_bits.is_none_or(|bits| {
                named.0[SERVER_BITS].is_some() && agreed.server_max_window_bits <= bits
            })
            && (named.0[CLIENT_BITS].is_none() || self.client_max_window_bits.is_some())
    }
}

impl Default for DeflateOffer {
    fn default() -> Self {
        Self::new().client_max_window_bits(None)
    }
}

impl fmt::Display for DeflateOffer {
    /// Writes the offer in the form of the header.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAME)?;
        write_flags(
            f,
            self.server_no_context_takeover,
            self.client_no_context_takeover,
        )?;
        if let Some(bits) = self.server_max_window_bits {
            write!(f, "; {}={bits}", PARAMS[SERVER_BITS])?;
        }
        match self.client_max_window_bits {
            Some(Some(bits)) => write!(f, "; {}={bits}", PARAMS[CLIENT_BITS]),
            Some(None) => write!(f, "; {}", PARAMS[CLIENT_BITS]),
            None => Ok(()),
        }
    }
}

/// A server's answer to an offer of permessage-deflate. `Display` writes it in the form of the
/// header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeflateAnswer {
    params: DeflateParams,
    tells_server_bits: bool,
    tells_client_bits: bool,
}

impl DeflateAnswer {
    /// What is agreed by it.
    #[must_use]
    pub const fn params(&self) -> DeflateParams {
        self.params
    }
}

impl fmt::Display for DeflateAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAME)?;
        write_flags(
            f,
            self.params.server_no_context_takeover,
            self.params.client_no_context_takeover,
        )?;
        if self.tells_server_bits {
            write!(
                f,
                "; {}={}",
                PARAMS[SERVER_BITS], self.params.server_max_window_bits
            )?;
        }
        if self.tells_client_bits {
            write!(
                f,
                "; {}={}",
                PARAMS[CLIENT_BITS], self.params.client_max_window_bits
            )?;
        }
        Ok(())
    }
}

/// Answers the first acceptable offer as a server, `None` if there is none (RFC 7692 section 5.1).
///
/// Extensions other than permessage-deflate, and offers with parameters or values that it does not
/// have, are passed over.
pub fn answer<'a>(
    offers: impl IntoIterator<Item = Extension<'a>>,
    policy: &DeflatePolicy,
) -> Option<DeflateAnswer> {
    //= RFC6455-9.1-6
    //= RFC6455-4.2.2-13
    //= RFC7692-5-1, RFC7692-5-2, RFC7692-5-3, RFC7692-5-4, RFC7692-6-1, RFC7692-7-4
    let mut offers = offers.into_iter().filter(is_deflate);
    let offer = offers.find_map(|extension| DeflateOffer::read(&extension))?;
    let limits = policy.limits;
    //= RFC7692-7.1.2.1-3
    let server_bits = limits
        .server_max_window_bits
        .min(offer.server_max_window_bits.unwrap_or(MAX_BITS));
    let client_bits = match offer.client_max_window_bits {
        Some(hint) => limits.client_max_window_bits.min(hint.unwrap_or(MAX_BITS)),
        // A client that does not offer the parameter cannot be limited (RFC 7692 section 7.1.2.2).
        //= RFC7692-7.1.2.2-4
        None => MAX_BITS,
    };
    Some(DeflateAnswer {
        params: DeflateParams {
            //= RFC7692-7.1.1.1-2, RFC7692-7.1.1.1-3
            server_no_context_takeover: limits.server_no_context_takeover
                || offer.server_no_context_takeover,
            // What the client says it does anyway is told back: then neither side keeps the window.
            client_no_context_takeover: limits.client_no_context_takeover
                || offer.client_no_context_takeover,
            server_max_window_bits: server_bits,
            client_max_window_bits: client_bits,
        },
        tells_server_bits: offer.server_max_window_bits.is_some() || server_bits < MAX_BITS,
        tells_client_bits: client_bits < MAX_BITS,
    })
}

/// Checks a server's reply against our offers as a client, `None` if it answers none of them (RFC
/// 7692 section 5.1).
#[must_use]
pub fn agree(reply: &Extension<'_>, offers: &[DeflateOffer]) -> Option<DeflateParams> {
    //= RFC6455-9-4
    //= RFC6455-9.1-4
    //= RFC7692-5-5, RFC7692-7-6, RFC7692-7-8
    let named = NamedParams::read(reply)?;
    let bits = |index: usize| {
        named.0[index].map_or(Some(MAX_BITS), |param: Param<'_>| window_bits(&param))
    };
    let agreed = DeflateParams {
        server_no_context_takeover: named.flag(SERVER_NO_CONTEXT)?,
        client_no_context_takeover: named.flag(CLIENT_NO_CONTEXT)?,
        server_max_window_bits: bits(SERVER_BITS)?,
        client_max_window_bits: bits(CLIENT_BITS)?,
    };
    offers
        .iter()
        .any(|offer| offer.is_answered_by(&agreed, &named))
        .then_some(agreed)
}

/// Checks the extensions of a reply as a client.
pub(crate) fn agree_all<'h>(
    values: impl Iterator<Item = &'h [u8]>,
    offers: &[DeflateOffer],
) -> Result<Option<DeflateParams>, HandshakeError> {
    let mut replies = Vec::new();
    //= RFC6455-11.3.2-2
    //= RFC6455-4.2.2-19
    //= RFC6455-9.1-2
    for value in values {
        Extensions::check(value)?;
        replies.extend(Extensions::unchecked(value));
    }
    //= RFC6455-4.1-39
    //= RFC6455-9.1-5
    if let Some(other) = replies
        .iter()
        .find(|reply| !is_deflate(reply) || offers.is_empty())
    {
        return Err(HandshakeError::UnexpectedExtension {
            offered: Offered::new(other.name.as_bytes()),
        });
    }
    let mut agreed = None;
    for reply in &replies {
        let offered = Offered::new(reply.params);
        let params = agree(reply, offers).ok_or(HandshakeError::BadExtensionParams { offered })?;
        // A proxy that writes a header twice says nothing new.
        //= RFC7692-6-2
        if agreed
            .replace(params)
            .is_some_and(|before| before != params)
        {
            return Err(HandshakeError::DuplicateExtension);
        }
    }
    Ok(agreed)
}

/// Whether an extension is permessage-deflate, in whatever case.
fn is_deflate(extension: &Extension<'_>) -> bool {
    extension.name.eq_ignore_ascii_case(NAME)
}

/// The parameters of permessage-deflate by their place in [`PARAMS`].
struct NamedParams<'a>([Option<Param<'a>>; 4]);

impl<'a> NamedParams<'a> {
    /// `None` if a parameter is unknown or repeated.
    fn read(extension: &Extension<'a>) -> Option<Self> {
        //= RFC7692-7-3, RFC7692-7-5, RFC7692-7-7
        let mut named = [None; 4];
        for param in extension.params() {
            let mut names = PARAMS.iter();
            let index = names.position(|name| name.eq_ignore_ascii_case(param.name))?;
            if named[index].replace(param).is_some() {
                return None;
            }
        }
        Some(Self(named))
    }

    /// `None` if the parameter has a value, which it must not have.
    fn flag(&self, index: usize) -> Option<bool> {
        match self.0[index] {
            Some(Param { value: Some(_), .. }) => None,
            param => Some(param.is_some()),
        }
    }
}

fn write_flags(f: &mut fmt::Formatter<'_>, server: bool, client: bool) -> fmt::Result {
    if server {
        write!(f, "; {}", PARAMS[SERVER_NO_CONTEXT])?;
    }
    if client {
        write!(f, "; {}", PARAMS[CLIENT_NO_CONTEXT])?;
    }
    Ok(())
}

/// The value of a parameter as a window size in bits.
fn window_bits(param: &Param<'_>) -> Option<u8> {
    //= RFC6455-9-4
    //= RFC7692-7.1.2.1-2, RFC7692-7.1.2.2-2, RFC7692-7.1.2.2-6
    const SIZES: [(&str, u8); 8] = [
        ("8", 8),
        ("9", 9),
        ("10", 10),
        ("11", 11),
        ("12", 12),
        ("13", 13),
        ("14", 14),
        ("15", 15),
    ];
    let value = param.value()?;
    SIZES
        .iter()
        .find(|(text, _)| value == **text)
        .map(|&(_, bits)| bits)
}

const fn clamp_bits(bits: u8) -> u8 {
    match bits {
        0..8 => 8,
        8..=15 => bits,
        _ => MAX_BITS,
    }
}

const NAME: &str = "permessage-deflate";
const PARAMS: [&str; 4] = [
    "server_no_context_takeover",
    "client_no_context_takeover",
    "server_max_window_bits",
    "client_max_window_bits",
];
const SERVER_NO_CONTEXT: usize = 0;
const CLIENT_NO_CONTEXT: usize = 1;
const SERVER_BITS: usize = 2;
const CLIENT_BITS: usize = 3;
const MAX_BITS: u8 = 15;

#[cfg(test)]
mod tests {
    use alloc::{string::ToString as _, vec};

    use super::*;

    fn reply(value: &str) -> Extension<'_> {
        Extensions::parse(value.as_bytes())
            .expect("sound")
            .next()
            .expect("an extension")
    }

    fn answered(offers: &str, policy: DeflatePolicy) -> Option<alloc::string::String> {
        answer(
            Extensions::parse(offers.as_bytes()).expect("sound"),
            &policy,
        )
        .map(|answer| answer.to_string())
    }

    #[test]
    fn the_first_acceptable_offer_is_answered() {
        //= RFC6455-9.1-6
        //= RFC6455-4.2.2-13
        //= RFC6455-9-4
        //= RFC6455-9.1-4
        //= RFC6455-9.1-3
        //= RFC7692-6-1, RFC7692-7-4, RFC7692-7.1.1.1-2
        let default = DeflatePolicy::new();
        for (offers, expected) in [
            (
                "permessage-deflate, permessage-deflate; server_no_context_takeover",
                Some("permessage-deflate"),
            ),
            ("permessage-deflate", Some("permessage-deflate")),
            (
                "permessage-deflate; client_max_window_bits",
                Some("permessage-deflate"),
            ),
            ("foo, Permessage-Deflate", Some("permessage-deflate")),
            ("permessage-deflate; foo", None),
            ("permessage-deflate; server_no_context_takeover=1", None),
            ("permessage-deflate; server_max_window_bits", None),
            ("permessage-deflate; server_max_window_bits=08", None),
            ("permessage-deflate; server_max_window_bits=16", None),
            ("permessage-deflate; client_max_window_bits=7", None),
            (
                "permessage-deflate; client_max_window_bits; client_max_window_bits",
                None,
            ),
            (
                "permessage-deflate; x, permessage-deflate",
                Some("permessage-deflate"),
            ),
            (
                "permessage-deflate; server_max_window_bits=\"1\\0\"; server_no_context_takeover",
                Some("permessage-deflate; server_no_context_takeover; server_max_window_bits=10"),
            ),
            (
                "permessage-deflate; server_max_window_bits=15",
                Some("permessage-deflate; server_max_window_bits=15"),
            ),
            (
                "permessage-deflate; client_max_window_bits=9",
                Some("permessage-deflate; client_max_window_bits=9"),
            ),
        ] {
            assert_eq!(answered(offers, default).as_deref(), expected, "{offers}");
        }
    }

    #[test]
    fn a_policy_narrows_what_is_answered() {
        let policy = DeflatePolicy::new()
            .server_no_context_takeover(true)
            .client_no_context_takeover(true)
            .server_max_window_bits(11)
            .client_max_window_bits(3);
        assert_eq!(
            answered("permessage-deflate; client_max_window_bits", policy).as_deref(),
            Some(
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
                server_max_window_bits=11; client_max_window_bits=8"
            )
        );
        assert_eq!(
            answered("permessage-deflate; server_max_window_bits=9", policy).as_deref(),
            Some(
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=9"
            )
        );
    }

    #[test]
    fn every_answer_is_agreed_to_by_the_client_that_offered() {
        let bits = [None, Some(8), Some(10), Some(15)];
        let hints = [
            None,
            Some(None),
            Some(Some(8)),
            Some(Some(12)),
            Some(Some(15)),
        ];
        for case in 0..16 * bits.len() * hints.len() {
            let (flags, server, hint) = (case % 16, bits[case / 16 % 4], hints[case / 64]);
            let offer = DeflateOffer {
                server_no_context_takeover: flags & 1 != 0,
                client_no_context_takeover: flags & 2 != 0,
                server_max_window_bits: server,
                client_max_window_bits: hint,
            };
            let text = offer.to_string();
            assert_eq!(DeflateOffer::parse_list(&text), Ok(vec![offer]));
            for limit in 8..=15 {
                let policy = DeflatePolicy::new()
                    .server_no_context_takeover(flags & 4 != 0)
                    .client_no_context_takeover(flags & 8 != 0)
                    .server_max_window_bits(limit)
                    .client_max_window_bits(23 - limit);
                let answer = answer([reply(&text)], &policy).expect("acceptable");
                let told = answer.to_string();
                assert_eq!(
                    agree(&reply(&told), &[offer]),
                    Some(answer.params()),
                    "{text} -> {told}"
                );
            }
        }
    }

    #[test]
    fn a_reply_must_answer_one_of_the_offers() {
        //= RFC6455-9-4
        //= RFC6455-9.1-4
        //= RFC7692-7-8, RFC7692-7.1.2.2-6
        let offers = |text: &str| DeflateOffer::parse_list(text).expect("offers");
        let fits = |text: &str, list: &str| agree(&reply(text), &offers(list)).is_some();
        assert!(fits(
            "permessage-deflate",
            "permessage-deflate; server_max_window_bits=10, permessage-deflate"
        ));
        assert!(!fits(
            "permessage-deflate",
            "permessage-deflate; server_max_window_bits=10"
        ));
        assert!(!fits(
            "permessage-deflate; server_max_window_bits=11",
            "permessage-deflate; server_max_window_bits=10"
        ));
        assert!(!fits(
            "permessage-deflate",
            "permessage-deflate; server_no_context_takeover"
        ));
        assert!(!fits(
            "permessage-deflate; client_max_window_bits=10",
            "permessage-deflate"
        ));
        assert!(!fits(
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate; client_max_window_bits"
        ));
        assert!(fits(
            "permessage-deflate; client_no_context_takeover",
            "permessage-deflate"
        ));
    }

    #[test]
    fn only_offers_of_permessage_deflate_can_be_made() {
        //= RFC6455-9.1-3
        let kind = |text: &str| {
            DeflateOffer::parse_list(text)
                .map_err(|error| error.kind())
                .map(|list| list.len())
        };
        assert_eq!(
            kind("permessage-deflate, permessage-deflate; server_no_context_takeover"),
            Ok(2)
        );
        assert_eq!(kind("Permessage-Deflate;"), Ok(1));
        assert_eq!(kind("permessage-deflate; ="), Err("bad_extensions_header"));
        assert_eq!(kind("set-mask-to-zero"), Err("unexpected_extension"));
        assert_eq!(
            kind("permessage-deflate; server_max_window_bits=99"),
            Err("bad_extension_params")
        );
        assert_eq!(
            DeflateOffer::default().to_string(),
            "permessage-deflate; client_max_window_bits"
        );
    }
}

//! The header of the PROXY protocol, versions 1 and 2, with which a proxy tells a server where its
//! client is.

use core::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// What a proxy says of the connection that it hands on, in front of the client's first byte.
///
/// It is to be believed of a [trusted](super::TrustedProxies) proxy alone, and must be there if
/// that proxy is set up to send it: whether it is there cannot be guessed.
///
/// ```
/// use ws_handshake::proxy::ProxyHeader;
///
/// let input = b"PROXY TCP4 192.0.2.7 203.0.113.1 56324 443\r\nGET / HTTP/1.1\r\n";
/// assert_eq!(ProxyHeader::parse(&input[..20])?, None); // more is needed
/// let (header, consumed) = ProxyHeader::parse(input)?.expect("the header is complete");
/// assert_eq!(header.source(), Some("192.0.2.7:56324".parse()?));
/// assert_eq!(&input[consumed..], b"GET / HTTP/1.1\r\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProxyHeader {
    /// The proxy speaks for itself (`LOCAL` of version 2), as for a health check: the address is
    /// that of the connection.
    Local,
    /// A client that the proxy does not name (`UNKNOWN` of version 1, with addresses or without; no
    /// family in version 2). Where it is, is not known: it is not the proxy, and has none of
    /// the proxy's rights.
    Unknown,
    /// A client and the address that it connected to.
    Inet {
        /// The client.
        source: SocketAddr,
        /// What it connected to.
        destination: SocketAddr,
    },
    /// A client over a Unix-domain socket of the proxy's, which names no address.
    Unix {
        /// The client's path; often empty.
        source: UnixPath,
        /// The path that it connected to.
        destination: UnixPath,
    },
}

impl ProxyHeader {
    /// How long a header of version 1 can be, by its specification.
    pub const MAX_V1: usize = 107;
    /// How long a header of version 2 may be for [`parse`](Self::parse): its fixed part, the
    /// longest addresses, and more than 3 KiB of what proxies add to them.
    pub const MAX_V2: usize = 4096;

    /// Reads a header of either version off the front of the input, and tells how many bytes it
    /// has.
    ///
    /// `None` if the input stops before it does, which is never so with [`MAX_V2`](Self::MAX_V2)
    /// bytes or more. What is no header is told at the first byte that shows it. Additions to a
    /// header of version 2 (TLVs) are passed over, a checksum among them: it is there against
    /// errors of transmission, which TCP finds.
    ///
    /// # Errors
    ///
    /// Why there is no header; the connection is then to be dropped.
    pub fn parse(input: &[u8]) -> Result<Option<(Self, usize)>, ProxyHeaderError> {
        match input.first() {
            None => Ok(None),
            Some(b'P') => parse_v1(input),
            Some(_) => parse_v2(input, Self::MAX_V2),
        }
    }

    /// The client's address, if it has one.
    #[must_use]
    pub const fn source(&self) -> Option<SocketAddr> {
        match self {
            Self::Inet { source, .. } => Some(*source),
            Self::Local | Self::Unknown | Self::Unix { .. } => None,
        }
    }

    /// The address that the client connected to, if there is one.
    #[must_use]
    pub const fn destination(&self) -> Option<SocketAddr> {
        match self {
            Self::Inet { destination, .. } => Some(*destination),
            Self::Local | Self::Unknown | Self::Unix { .. } => None,
        }
    }
}

/// The path of a Unix-domain socket in a header: at most 108 bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct UnixPath([u8; UNIX_PATH]);

impl UnixPath {
    /// The path, up to the first NUL; one that starts with NUL is an abstract name, and whole.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        let bytes = &self.0;
        let end = match bytes.first() {
            Some(0) => bytes
                .iter()
                .rposition(|&byte| byte != 0)
                .map_or(0, |last| last + 1),
            _ => bytes
                .iter()
                .position(|&byte| byte == 0)
                .unwrap_or(UNIX_PATH),
        };
        &bytes[..end]
    }
}

impl fmt::Debug for UnixPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.as_bytes().escape_ascii())
    }
}

/// Why the bytes of a connection start with no header of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyHeaderError {
    /// The connection starts with something else.
    #[error("the connection does not start with a header of the PROXY protocol")]
    NoHeader,
    /// A header of version 1 is not `PROXY TCP4|TCP6 source destination port port`, or `PROXY
    /// UNKNOWN`, with CR LF.
    #[error("malformed header of the PROXY protocol, version 1")]
    BadText,
    /// A header of version 2 has another version, or a command that is neither `LOCAL` nor `PROXY`.
    #[error("version and command of a PROXY header are {offered:#04x}")]
    BadCommand {
        /// The byte.
        offered: u8,
    },
    /// A header of version 2 names a family or transport that carries no stream.
    #[error("family and transport of a PROXY header are {offered:#04x}")]
    BadFamily {
        /// The byte.
        offered: u8,
    },
    /// A header of version 2 is too short for its addresses.
    #[error("a PROXY header of {length} bytes is too short for its addresses")]
    TooShort {
        /// How many bytes follow the fixed part.
        length: u16,
    },
    /// The header is longer than [`ProxyHeader::MAX_V1`] or [`ProxyHeader::MAX_V2`].
    #[error("header of the PROXY protocol is longer than {limit} bytes")]
    TooLong {
        /// The limit.
        limit: usize,
    },
    /// The connection ended within the header.
    #[error("connection lost before the header of the PROXY protocol was complete")]
    Lost,
}

impl ProxyHeaderError {
    /// The rule's name in snake case, stable for logs, metrics and tests.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::NoHeader => "no_header",
            Self::BadText => "bad_text",
            Self::BadCommand { .. } => "bad_command",
            Self::BadFamily { .. } => "bad_family",
            Self::TooShort { .. } => "too_short",
            Self::TooLong { .. } => "too_long",
            Self::Lost => "lost",
        }
    }
}

fn parse_v1(input: &[u8]) -> Result<Option<(ProxyHeader, usize)>, ProxyHeaderError> {
    let start = input.len().min(V1_START.len());
    if input[..start] != V1_START[..start] {
        return Err(ProxyHeaderError::NoHeader);
    }
    let within = &input[..input.len().min(ProxyHeader::MAX_V1)];
    let Some(end) = within.iter().position(|byte| !matches!(byte, b' '..=b'~')) else {
        if within.len() == ProxyHeader::MAX_V1 {
            return Err(ProxyHeaderError::TooLong {
                limit: ProxyHeader::MAX_V1,
            });
        }
        return Ok(None);
    };
    match &within[end..] {
        [b'\r'] if within.len() < ProxyHeader::MAX_V1 => return Ok(None),
        [b'\r', b'\n', ..] => {}
        _ => return Err(ProxyHeaderError::BadText),
    }
    let text = str::from_utf8(&within[start..end]).ok();
    let header = text.and_then(parse_line).ok_or(ProxyHeaderError::BadText)?;
    Ok(Some((header, end + 2)))
}

/// Reads what is between `PROXY ` and CR LF.
fn parse_line(text: &str) -> Option<ProxyHeader> {
    let mut words = text.split(' ');
    let family = words.next()?;
    if family == "UNKNOWN" {
        return Some(ProxyHeader::Unknown);
    }
    let (source, destination) = (words.next()?, words.next()?);
    let (source, destination): (IpAddr, IpAddr) = match family {
        "TCP4" => (
            source.parse::<Ipv4Addr>().ok()?.into(),
            destination.parse::<Ipv4Addr>().ok()?.into(),
        ),
        "TCP6" => (
            source.parse::<Ipv6Addr>().ok()?.into(),
            destination.parse::<Ipv6Addr>().ok()?.into(),
        ),
        _ => return None,
    };
    let header = ProxyHeader::Inet {
        source: SocketAddr::new(source, parse_port(words.next()?)?),
        destination: SocketAddr::new(destination, parse_port(words.next()?)?),
    };
    words.next().is_none().then_some(header)
}

fn parse_port(digits: &str) -> Option<u16> {
    let is_canonical = digits.bytes().all(|byte| byte.is_ascii_digit())
        && (digits == "0" || !digits.starts_with('0'));
    digits.parse().ok().filter(|_| is_canonical)
}

fn parse_v2(input: &[u8], max: usize) -> Result<Option<(ProxyHeader, usize)>, ProxyHeaderError> {
    let start = input.len().min(V2_START.len());
    if input[..start] != V2_START[..start] {
        return Err(ProxyHeaderError::NoHeader);
    }
    let fixed = &input[start..];
    let is_local = match fixed.first() {
        None => return Ok(None),
        Some(&LOCAL) => true,
        Some(&PROXY) => false,
        Some(&offered) => return Err(ProxyHeaderError::BadCommand { offered }),
    };
    // Of a proxy that speaks for itself, the family does not matter.
    let addresses = match fixed.get(1) {
        None => return Ok(None),
        Some(_) if is_local => 0,
        Some(&UNSPECIFIED) => 0,
        Some(&TCP4) => 12,
        Some(&TCP6) => 36,
        Some(&UNIX_STREAM) => 2 * UNIX_PATH,
        Some(&offered) => return Err(ProxyHeaderError::BadFamily { offered }),
    };
    let &[_, family, high, low, ref rest @ ..] = fixed else {
        return Ok(None);
    };
    let length = u16::from_be_bytes([high, low]);
    let end = V2_START.len() + 4 + usize::from(length);
    if usize::from(length) < addresses {
        return Err(ProxyHeaderError::TooShort { length });
    }
    if end > max {
        return Err(ProxyHeaderError::TooLong { limit: max });
    }
    if input.len() < end {
        return Ok(None);
    }
    let header = match family {
        _ if is_local => ProxyHeader::Local,
        TCP4 => inet(rest, |address: [u8; 4]| address.into()),
        TCP6 => inet(rest, |address: [u8; 16]| address.into()),
        UNIX_STREAM => ProxyHeader::Unix {
            source: UnixPath(array(rest, 0)),
            destination: UnixPath(array(rest, UNIX_PATH)),
        },
        _ => ProxyHeader::Unknown,
    };
    Ok(Some((header, end)))
}

/// Reads both addresses and then both ports, all of which is there.
fn inet<const N: usize>(bytes: &[u8], address: impl Fn([u8; N]) -> IpAddr) -> ProxyHeader {
    let port = |at| u16::from_be_bytes(array(bytes, at));
    ProxyHeader::Inet {
        source: SocketAddr::new(address(array(bytes, 0)), port(2 * N)),
        destination: SocketAddr::new(address(array(bytes, N)), port(2 * N + 2)),
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

const V1_START: &[u8] = b"PROXY ";
const V2_START: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
const UNSPECIFIED: u8 = 0x00;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;
const UNIX_STREAM: u8 = 0x31;
const UNIX_PATH: usize = 108;

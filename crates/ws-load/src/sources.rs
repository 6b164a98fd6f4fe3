//! Where connections leave from.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    str::FromStr,
};

/// The local addresses that connections leave from, in turn.
///
/// An address has ports for some 28,000 connections to one server, as Linux is configured: more
/// need more addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources(Vec<IpAddr>);

/// How many loopback addresses are taken.
const LOOPBACKS: u8 = 64;
/// How many addresses a list may name.
const MAX: usize = 65_536;

impl Sources {
    /// Lets the system choose one address for all.
    #[must_use]
    pub const fn any() -> Self {
        Self(Vec::new())
    }

    /// Chooses for a server: several loopback addresses if it is reached by IPv4's, on Linux, where
    /// all of 127.0.0.0/8 are addresses of the machine; otherwise as [`any`](Self::any).
    #[must_use]
    pub fn for_server(server: SocketAddr) -> Self {
        match server.ip() {
            IpAddr::V4(ip) if ip.is_loopback() && cfg!(target_os = "linux") => Self(
                (1..=LOOPBACKS)
                    .map(|last| Ipv4Addr::new(127, 0, 0, last).into())
                    .collect(),
            ),
            _ => Self::any(),
        }
    }

    /// Returns the address of connection `number`; `None` if the system is to choose.
    #[must_use]
    pub fn of_number(&self, number: usize) -> Option<IpAddr> {
        match self.0.len() {
            0 => None,
            len => Some(self.0[number % len]),
        }
    }

    /// Returns whether all of the addresses are of the family of `server`'s.
    #[must_use]
    pub fn suit(&self, server: SocketAddr) -> bool {
        self.0.iter().all(|ip| ip.is_ipv4() == server.is_ipv4())
    }
}

/// A list that names no addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadSource(String);

impl fmt::Display for BadSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is neither an address nor a range of IPv4 addresses such as 10.0.0.1-10.0.0.9",
            self.0
        )
    }
}

impl std::error::Error for BadSource {}

impl FromStr for Sources {
    type Err = BadSource;

    /// Reads addresses, and ranges of IPv4 addresses, with commas between them.
    fn from_str(list: &str) -> Result<Self, BadSource> {
        let mut addresses = Vec::new();
        for part in list.split(',') {
            let bad = || BadSource(part.to_owned());
            match part.split_once('-') {
                None => addresses.push(part.parse().map_err(|_| bad())?),
                Some((first, last)) => {
                    let number =
                        |ip: &str| ip.parse::<Ipv4Addr>().map(u32::from).map_err(|_| bad());
                    let range = number(first)?..=number(last)?;
                    if range.is_empty() || range.clone().count() > MAX {
                        return Err(bad());
                    }
                    addresses.extend(range.map(|ip| IpAddr::V4(ip.into())));
                }
            }
        }
        Ok(Self(addresses))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_in_turn() {
        let sources: Sources = "10.0.0.9-10.0.0.11,10.1.0.1".parse().unwrap();
        let taken: Vec<_> = (0..5)
            .map(|n| sources.of_number(n).unwrap().to_string())
            .collect();
        assert_eq!(
            taken,
            ["10.0.0.9", "10.0.0.10", "10.0.0.11", "10.1.0.1", "10.0.0.9"]
        );
        assert_eq!(Sources::any().of_number(7), None);
        assert_eq!(
            "::1".parse::<Sources>().unwrap().of_number(3),
            "::1".parse().ok()
        );
    }

    #[test]
    fn lists_that_name_no_addresses_are_refused() {
        for list in [
            "",
            "a",
            "10.0.0.1,",
            "10.0.0.2-10.0.0.1",
            "::1-::2",
            "0.0.0.0-255.255.255.255",
        ] {
            assert!(list.parse::<Sources>().is_err(), "{list}");
        }
    }

    #[test]
    fn sources_are_of_the_family_of_the_server() {
        let sources: Sources = "10.0.0.1".parse().unwrap();
        assert!(sources.suit("10.0.0.2:80".parse().unwrap()));
        assert!(!sources.suit("[::1]:80".parse().unwrap()));
    }
}

//! What the programs of `cargo xtask interop` share: how they say where they listen, and what they
//! counted.

use std::{
    fmt,
    io::{self, Write as _},
    net::SocketAddr,
};

use lexopt::{Parser, ValueExt as _};

/// Why a program failed.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What an open connection received, by how it was masked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frames {
    /// All frames.
    pub all: u64,
    /// Those with the MASK bit clear.
    pub unmasked: u64,
    /// Those with the key 00 00 00 00.
    pub zero_key: u64,
}

impl Frames {
    /// What came since `before`.
    #[must_use]
    pub const fn since(self, before: Self) -> Self {
        Self {
            all: self.all - before.all,
            unmasked: self.unmasked - before.unmasked,
            zero_key: self.zero_key - before.zero_key,
        }
    }
}

impl fmt::Display for Frames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            all,
            unmasked,
            zero_key,
        } = self;
        write!(f, "{all} frames, {unmasked} unmasked, {zero_key} zero key")
    }
}

/// Prints a line at once, for the program that waits for it.
pub fn say(line: impl fmt::Display) {
    let mut out = io::stdout().lock();
    // Who waits for it is gone, or reads it.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Takes the value of an option that is an address with a port.
///
/// # Errors
///
/// One that names the option, if there is no value or another.
pub fn address(arguments: &mut Parser, option: &str) -> Result<SocketAddr, lexopt::Error> {
    let value = arguments.value()?.string()?;
    value
        .parse()
        .map_err(|error| format!("{option} {value:?}: {error}").into())
}

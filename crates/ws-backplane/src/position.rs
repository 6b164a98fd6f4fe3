//! Where a message is in its topic.

use std::{fmt, num::ParseIntError, str::FromStr};

/// One life of a topic's numbering. An engine begins a new one when it cannot
/// prove that the numbering goes on: the topic was new, the engine lost its
/// data, or it came back with less than it had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(u64);

impl Epoch {
    /// An epoch of this number. Numbers are drawn by chance, and say nothing
    /// of which epoch came first.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Epoch {
    type Err = ParsePositionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() || text.len() > 16 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(ParsePositionError);
        }
        Ok(Self(u64::from_str_radix(text, 16)?))
    }
}

/// The position of a message in its topic: the epoch, and an offset that
/// rises within it.
///
/// Positions of one epoch are ordered; those of two are not. As text it is
/// `EPOCH-OFFSET`, to be given to a client, which brings it back when it
/// connects again.
///
/// ```
/// use ws_backplane::{Epoch, Position};
///
/// let position = Position::new(Epoch::new(0xfeed), 17);
/// assert_eq!(position.to_string(), "000000000000feed-17");
/// assert_eq!("000000000000feed-17".parse(), Ok(position));
/// assert!("17".parse::<Position>().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// The epoch.
    pub epoch: Epoch,
    /// The offset; 0 stands before the first message.
    pub offset: u64,
}

impl Position {
    /// The position of this offset in this epoch.
    #[must_use]
    pub const fn new(epoch: Epoch, offset: u64) -> Self {
        Self { epoch, offset }
    }
}

impl PartialOrd for Position {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        (self.epoch == other.epoch).then(|| self.offset.cmp(&other.offset))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.offset)
    }
}

impl FromStr for Position {
    type Err = ParsePositionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (epoch, offset) = text.split_once('-').ok_or(ParsePositionError)?;
        if !offset.bytes().all(|b| b.is_ascii_digit()) {
            return Err(ParsePositionError);
        }
        Ok(Self::new(epoch.parse()?, offset.parse()?))
    }
}

/// The text is not a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a position is written EPOCH-OFFSET, in hexadecimal and decimal digits")]
pub struct ParsePositionError;

impl From<ParseIntError> for ParsePositionError {
    fn from(_: ParseIntError) -> Self {
        Self
    }
}

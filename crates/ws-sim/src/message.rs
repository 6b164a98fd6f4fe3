//! Messages that say which they are, and are the same wherever they are made.

use std::sync::LazyLock;

use ws_proto::Message;

use crate::random::{Random, mix};

/// Which row of messages one belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Row {
    /// From a peer to the application.
    Peer,
    /// From the application to one peer.
    Direct,
    /// Published to a topic, which takes the place of the connection.
    Topic,
}

impl Row {
    const ALL: [Self; 3] = [Self::Peer, Self::Direct, Self::Topic];

    const fn letter(self) -> char {
        match self {
            Self::Peer => 'p',
            Self::Direct => 'd',
            Self::Topic => 't',
        }
    }
}

/// Names a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) row: Row,
    pub(crate) connection: u32,
    pub(crate) number: u32,
}

/// The name and the length stand in front.
pub(crate) const HEAD: usize = 25;
const STOCK: usize = 4 * 1024 * 1024;

/// What bodies are cut from: characters of all lengths, in no order.
static STOCK_TEXT: LazyLock<String> = LazyLock::new(|| {
    let mut random = Random::new(1);
    let mut text = String::with_capacity(STOCK + 4);
    while text.len() < STOCK {
        text.push(random.choose(&['a', 'b', 'c', '0', ' ', 'é', '–', '€', '😀']));
    }
    text
});

/// Makes the stock, which is one for all.
pub(crate) fn prepare() {
    LazyLock::force(&STOCK_TEXT);
}

impl Name {
    /// Makes the message, of about `len` bytes.
    pub(crate) fn write(self, len: usize, buffer: &mut String) {
        use std::fmt::Write as _;
        let body = self.body(len.saturating_sub(HEAD));
        buffer.clear();
        let _ = write!(
            buffer,
            "{}{:08x}{:08x}{:08x}{body}",
            self.row.letter(),
            self.connection,
            self.number,
            body.len(),
        );
    }

    /// Tells whether it is a text message.
    pub(crate) const fn is_text(self) -> bool {
        mix(self.number as u64 ^ 7) & 1 == 0
    }

    /// Returns the message in the kind that it is sent in.
    pub(crate) const fn message(self, buffer: &str) -> Message<'_> {
        match self.is_text() {
            true => Message::Text(buffer),
            false => Message::Binary(buffer.as_bytes()),
        }
    }

    /// Reads which message this is, and compares it with what was sent.
    pub(crate) fn read(message: Message<'_>) -> Result<Self, String> {
        let bytes = message.as_bytes();
        let head = bytes
            .get(..HEAD)
            .and_then(|head| std::str::from_utf8(head).ok())
            .filter(|head| head.is_ascii())
            .ok_or_else(|| format!("a message of {} bytes without a name", bytes.len()))?;
        let field = |at: usize| u32::from_str_radix(&head[at..at + 8], 16).ok();
        let row = Row::ALL
            .into_iter()
            .find(|row| head.starts_with(row.letter()));
        let (Some(row), Some(connection), Some(number), Some(len)) =
            (row, field(1), field(9), field(17))
        else {
            return Err(format!("a message with the broken name {head:?}"));
        };
        let name = Self {
            row,
            connection,
            number,
        };
        if bytes[HEAD..] != *name.body(len as usize).as_bytes()
            || name.message("").kind() != message.kind()
        {
            return Err(format!("{name:?} came with other bytes than were sent"));
        }
        Ok(name)
    }

    /// Returns `len` bytes of the stock, or a few less: characters stay whole.
    fn body(self, len: usize) -> &'static str {
        let len = len.min(STOCK / 2);
        let seed = u64::from(self.connection) << 32 | u64::from(self.number);
        let mut from = mix(seed ^ self.row as u64) as usize % (STOCK / 2);
        while !STOCK_TEXT.is_char_boundary(from) {
            from += 1;
        }
        let mut to = from + len;
        while !STOCK_TEXT.is_char_boundary(to) {
            to -= 1;
        }
        &STOCK_TEXT[from..to.max(from)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_tells_which_it_is_and_any_other_byte_is_seen() {
        let mut buffer = String::new();
        for number in 0..100 {
            let name = Name {
                row: Row::Topic,
                connection: 7,
                number,
            };
            name.write(number as usize * 50, &mut buffer);
            assert_eq!(Name::read(name.message(&buffer)), Ok(name));
            let other = buffer.replacen("0000000700", "0000000800", 1);
            assert!(number == 0 || Name::read(name.message(&other)) != Ok(name));
            buffer.push('a');
            assert!(Name::read(name.message(&buffer)).is_err());
        }
    }
}

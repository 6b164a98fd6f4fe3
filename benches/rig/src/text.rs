//! Text as applications send it.

use std::fmt::Write as _;

/// Makes JSON of `size` bytes, the end cut off: a page of events, of which no two are alike and all
/// have much in common. Every seed has its own.
#[must_use]
pub fn json(size: usize, seed: u64) -> Vec<u8> {
    let mut random = Random(seed);
    let mut id = 48_000_000 + random.below(1_000_000);
    let mut millis = random.below(86_400_000);
    let mut text = format!(r#"{{"page":{seed},"events":["#);
    while text.len() < size {
        id += 1 + random.below(9);
        millis += random.below(2_000);
        let _ = write!(
            text,
            r#"{{"id":{id},"at":"2025-03-14T{:02}:{:02}:{:02}.{:03}Z","kind":"{}","user":{{"id":{},"name":"{}"}},"#,
            millis / 3_600_000 % 24,
            millis / 60_000 % 60,
            millis / 1_000 % 60,
            millis % 1_000,
            random.of(&KINDS),
            random.below(100_000),
            random.of(&NAMES),
        );
        let _ = write!(
            text,
            r#""price":{}.{:02},"quantity":{},"tags":["{}"],"text":""#,
            random.below(500),
            random.below(100),
            1 + random.below(20),
            random.of(&WORDS),
        );
        for _ in 0..4 + random.below(12) {
            text.push_str(random.of(&WORDS));
            text.push(' ');
        }
        text.push_str(r#""},"#);
    }
    text.truncate(size);
    text.into_bytes()
}

const KINDS: [&str; 6] = ["created", "paid", "packed", "shipped", "returned", "closed"];
const NAMES: [&str; 8] = [
    "Ada Park",
    "Bruno Lima",
    "Chen Wei",
    "Dora Novak",
    "Emil Berg",
    "Fatima Haddad",
    "Goran Ilic",
    "Hana Sato",
];
const WORDS: [&str; 32] = [
    "order",
    "delivery",
    "window",
    "please",
    "before",
    "noon",
    "left",
    "at",
    "the",
    "door",
    "with",
    "neighbour",
    "second",
    "floor",
    "broken",
    "parcel",
    "replace",
    "invoice",
    "sent",
    "again",
    "customer",
    "asked",
    "for",
    "a",
    "refund",
    "of",
    "shipping",
    "gift",
    "wrap",
    "fragile",
    "call",
    "first",
];

/// A generator of numbers that is the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn of<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len() as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_its_size_and_every_seed_its_own() {
        for size in [0, 1, 1024, 65_536] {
            let text = json(size, 1);
            assert_eq!(text.len(), size);
            assert!(text.is_ascii());
        }
        assert_eq!(json(1024, 7), json(1024, 7));
        assert_ne!(json(1024, 7), json(1024, 8));
    }
}

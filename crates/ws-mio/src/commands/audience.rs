//! Who is to be given what was published.

/// Connections by their keys, and which publications each of them gets.
///
/// Publications are bits of a word: bit 0 is the first that is to be delivered.
#[derive(Debug, Default)]
pub(crate) struct Audience {
    keys: Vec<u32>,
    /// By key; 0 for who is not in `keys`. It is as long as there are slots, for
    /// an audience in no order is found fastest in a table.
    wanted: Vec<u64>,
}

/// How many publications are delivered together.
pub(crate) const MOST: usize = u64::BITS as usize;

impl Audience {
    /// Adds subscribers who get the publications of `bits`.
    pub(crate) fn add(&mut self, subscribers: impl IntoIterator<Item = u32>, bits: u64) {
        for key in subscribers {
            let index = key as usize;
            if index >= self.wanted.len() {
                self.wanted.resize(index + 1, 0);
            }
            if self.wanted[index] == 0 {
                self.keys.push(key);
            }
            self.wanted[index] |= bits;
        }
    }

    /// Takes out everybody, in the order in which they came, with the bits of what each gets.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = (u32, u64)> + '_ {
        let Self { keys, wanted } = self;
        keys.drain(..).map(|key| {
            let bits = std::mem::take(&mut wanted[key as usize]);
            (key, bits)
        })
    }
}

/// The numbers of the bits of a word that are set, from the lowest on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bits(pub(crate) u64);

impl Iterator for Bits {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let lowest = self.0.trailing_zeros();
        // None of an empty word.
        self.0 &= self.0.wrapping_sub(1);
        (lowest < u64::BITS).then_some(lowest as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_comes_once_with_all_that_it_gets() {
        let mut audience = Audience::default();
        audience.add([7, 3], 0b001);
        audience.add([3, 9], 0b110);
        audience.add([], 0b1000);
        let everybody: Vec<_> = audience.drain().collect();
        assert_eq!(everybody, [(7, 0b001), (3, 0b111), (9, 0b110)]);
        assert_eq!(audience.drain().next(), None);
        audience.add([3], 1 << (MOST - 1));
        assert_eq!(audience.drain().next(), Some((3, 1 << 63)));
    }

    #[test]
    fn bits_are_numbered_from_the_lowest() {
        assert_eq!(Bits(0).next(), None);
        assert_eq!(Bits(1 << 63 | 0b101).collect::<Vec<_>>(), [0, 2, 63]);
        assert_eq!(Bits(u64::MAX).count(), MOST);
    }
}

//! Masking keys, and where they come from (RFC 6455 sections 5.3 and 10.3).

use core::fmt;

use chacha20::{
    ChaCha12Rng,
    rand_core::{Rng, SeedableRng},
};

/// The four bytes that a payload is XORed with (section 5.3).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct MaskKey([u8; 4]);

impl MaskKey {
    /// The key that changes nothing.
    pub(crate) const ZERO: Self = Self([0; 4]);

    /// Makes a key of its bytes, in the order of the wire.
    #[must_use]
    #[inline]
    pub const fn new(bytes: [u8; 4]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes in the order of the wire.
    #[must_use]
    #[inline]
    pub const fn bytes(self) -> [u8; 4] {
        self.0
    }

    /// Tells whether the key is `00 00 00 00`, which leaves a payload as it is.
    #[must_use]
    #[inline]
    pub const fn is_zero(self) -> bool {
        u32::from_ne_bytes(self.0) == 0
    }

    /// Returns the key that does what this one and `other` do together.
    pub(crate) const fn combined(self, other: Self) -> Self {
        let bits = u32::from_ne_bytes(self.0) ^ u32::from_ne_bytes(other.0);
        Self(bits.to_ne_bytes())
    }

    /// Returns the key for the rest of a payload of which `offset` bytes were
    /// masked already.
    #[must_use]
    #[inline]
    pub const fn rotated(self, offset: usize) -> Self {
        let bits = (offset % 4) as u32 * 8;
        Self(u32::from_le_bytes(self.0).rotate_right(bits).to_le_bytes())
    }
}

impl fmt::Debug for MaskKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d] = self.0;
        write!(f, "MaskKey({a:02x} {b:02x} {c:02x} {d:02x})")
    }
}

/// Where the keys of a client come from: [`ThreadEntropy`], or [`SeededKeys`].
///
/// The trait is sealed. A source that gave the keys which its author likes
/// would be the flag `set-mask-to-zero` of [MS-WSPE] without its name, and one
/// that changes during a connection.
pub trait KeySource: sealed::Sealed {
    /// Returns the next key.
    ///
    /// # Errors
    ///
    /// [`NoEntropy`] if there is none.
    fn draw(&mut self) -> Result<MaskKey, NoEntropy>;
}

mod sealed {
    #[expect(
        unnameable_types,
        reason = "sealed: outside this crate nobody implements it"
    )]
    pub trait Sealed {}
}

/// The operating system gave no random bytes, so there are no masking keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoEntropy;

impl fmt::Display for NoEntropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the operating system gave no random bytes for masking keys")
    }
}

impl core::error::Error for NoEntropy {}

/// A generator of keys that a caller has started with a seed: ChaCha with 12
/// rounds. See [`ClientMasking::from_seed`](crate::ClientMasking::from_seed).
pub struct SeededKeys(ChaCha12Rng);

impl SeededKeys {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self(ChaCha12Rng::from_seed(seed))
    }
}

impl fmt::Debug for SeededKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeededKeys").finish_non_exhaustive()
    }
}

impl sealed::Sealed for SeededKeys {}

impl KeySource for SeededKeys {
    #[inline]
    fn draw(&mut self) -> Result<MaskKey, NoEntropy> {
        Ok(MaskKey::new(self.0.next_u32().to_ne_bytes()))
    }
}

/// The thread's cryptographically secure generator of keys, ChaCha with 12
/// rounds, as a handle of no size: a connection holds no state for it.
///
/// The operating system gives the seed, at the first key of a thread. A
/// process that has forked gets a new one with the first connection that it
/// makes afterwards, and for connections that were there before within 64
/// keys: these belong to one of the two processes only.
///
/// Without the feature `std` it gives no keys, and a client brings a seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadEntropy(());

#[cfg(feature = "std")]
impl ThreadEntropy {
    pub(crate) fn new() -> Self {
        thread::look_again();
        Self(())
    }
}

impl sealed::Sealed for ThreadEntropy {}

#[cfg(feature = "std")]
impl KeySource for ThreadEntropy {
    #[inline]
    fn draw(&mut self) -> Result<MaskKey, NoEntropy> {
        thread::draw()
    }
}

/// The generator of a thread.
#[cfg(feature = "std")]
mod thread {
    use std::{cell::RefCell, thread_local};

    use chacha20::{
        ChaCha12Rng,
        rand_core::{Rng, SeedableRng},
    };

    use super::{MaskKey, NoEntropy};

    struct Generator {
        rng: ChaCha12Rng,
        /// The process that it was started in.
        process: u32,
        /// After how many keys to ask which process this is.
        left: u32,
    }

    impl Generator {
        const fn new(rng: ChaCha12Rng, process: u32) -> Self {
            let left = KEYS;
            Self { rng, process, left }
        }

        /// Returns the next 32 bits, which count against those that are left.
        #[inline]
        fn next(&mut self) -> u32 {
            self.left -= 1;
            self.rng.next_u32()
        }
    }

    thread_local! {
        static GENERATOR: RefCell<Option<Generator>> = const { RefCell::new(None) };
    }

    /// How many keys are drawn before the process is asked for: it takes a
    /// system call.
    const KEYS: u32 = 64;

    /// Returns the next key of the thread.
    #[inline]
    pub(super) fn draw() -> Result<MaskKey, NoEntropy> {
        let drawn = GENERATOR.try_with(|generator| {
            let mut place = generator.borrow_mut();
            match &mut *place {
                Some(generator) if generator.left > 0 => Ok(generator.next()),
                _ => renew(&mut place),
            }
        });
        // A thread that ends has no generator any more.
        let drawn = drawn.unwrap_or_else(|_| getrandom::u32().map_err(|_| NoEntropy));
        drawn.map(|key| MaskKey::new(key.to_ne_bytes()))
    }

    /// Has the next key ask which process this is.
    pub(super) fn look_again() {
        let _ = GENERATOR.try_with(|generator| {
            if let Some(generator) = &mut *generator.borrow_mut() {
                generator.left = 0;
            }
        });
    }

    /// Starts the generator, if there is none or if another process did.
    #[cold]
    fn renew(place: &mut Option<Generator>) -> Result<u32, NoEntropy> {
        let process = process();
        let is_same = |old: &Generator| old.process == process || fault!("keys-of-the-parent");
        let old = place.take().filter(is_same);
        let rng = match old {
            Some(old) => old.rng,
            None => {
                let mut seed = [0; 32];
                if !fault!("seed-shared") {
                    getrandom::fill(&mut seed).map_err(|_| NoEntropy)?;
                }
                ChaCha12Rng::from_seed(seed)
            }
        };
        Ok(place.insert(Generator::new(rng, process)).next())
    }

    /// Returns a number that a fork changes, where there are forks.
    fn process() -> u32 {
        if cfg!(unix) { std::process::id() } else { 0 }
    }

    #[cfg(test)]
    mod tests {
        use std::{thread, vec::Vec};

        use super::*;
        use crate::{
            ClientMasking, MaskingPolicy as _,
            keys::{KeySource, SeededKeys},
        };

        /// The first bytes of ChaCha with 12 rounds for a key and a nonce of zeros: TC1 of
        /// draft-strombergson-chacha-test-vectors.
        const PUBLISHED: [u8; 32] = [
            0x9b, 0xf4, 0x9a, 0x6a, 0x07, 0x55, 0xf9, 0x53, 0x81, 0x1f, 0xce, 0x12, 0x5f, 0x26,
            0x83, 0xd5, 0x04, 0x29, 0xc3, 0xbb, 0x49, 0xe0, 0x74, 0x14, 0x7e, 0x00, 0x89, 0xa5,
            0x2e, 0xae, 0x15, 0x5f,
        ];

        /// What a fork leaves in the child: a generator of another process.
        /// Returns it as the parent has it.
        fn fork() -> ChaCha12Rng {
            let process = process().wrapping_add(1);
            start([7; 32], process);
            ChaCha12Rng::from_seed([7; 32])
        }

        fn start(seed: [u8; 32], process: u32) {
            let rng = ChaCha12Rng::from_seed(seed);
            GENERATOR.set(Some(Generator::new(rng, process)));
        }

        /// The bits of a key, as the generator gave them.
        fn bits(key: Result<MaskKey, NoEntropy>) -> u32 {
            u32::from_ne_bytes(key.unwrap().bytes())
        }

        /// The seed of this thread's generator.
        fn seed() -> [u8; 32] {
            GENERATOR.with_borrow(|generator| generator.as_ref().unwrap().rng.get_seed())
        }

        #[test]
        fn keys_are_the_published_stream_of_chacha12() {
            //= RFC6455-5.3-3, RFC6455-5.3-4, RFC6455-10.3-1
            start([0; 32], process());
            let mut seeded = SeededKeys::new([0; 32]);
            for word in PUBLISHED.as_chunks().0 {
                let published = u32::from_le_bytes(*word);
                assert_eq!(bits(draw()), published);
                assert_eq!(bits(seeded.draw()), published);
            }
        }

        #[test]
        fn all_keys_of_a_thread_are_one_stream_of_chacha12() {
            //= RFC6455-5.3-2, RFC6455-5.3-3, RFC6455-10.3-1
            let keys: Vec<u32> = (0..100)
                .flat_map(|_| {
                    let mut policies = [ClientMasking::new(), ClientMasking::new()];
                    policies.each_mut().map(|policy| policy.next_key().unwrap())
                })
                .map(|key| u32::from_ne_bytes(key.unwrap().bytes()))
                .collect();
            let mut stream = ChaCha12Rng::from_seed(seed());
            assert!(keys.iter().all(|key| *key == stream.next_u32()));
        }

        #[test]
        fn every_thread_has_a_seed_of_256_random_bits() {
            //= RFC6455-5.3-3, RFC6455-5.3-4, RFC6455-10.3-1
            const THREADS: usize = 64;
            let mut seeds: Vec<[u8; 32]> = (0..THREADS)
                .map(|_| {
                    let drawing = thread::spawn(|| {
                        draw().unwrap();
                        seed()
                    });
                    drawing.join().unwrap()
                })
                .collect();
            for at in 0..256 {
                let ones = seeds
                    .iter()
                    .filter(|seed| seed[at / 8] >> (at % 8) & 1 == 1);
                // 6.5 standard deviations to either side.
                let ones = ones.count();
                assert!(
                    (6..=58).contains(&ones),
                    "bit {at} is set in {ones} seeds of {THREADS}"
                );
            }
            seeds.sort_unstable();
            seeds.dedup();
            assert_eq!(seeds.len(), THREADS);
        }

        #[test]
        fn keys_after_a_fork_are_not_those_of_the_parent() {
            //= RFC6455-5.3-2, RFC6455-10.3-1
            let mut parent = fork();
            let _ = ClientMasking::new();
            assert_ne!(
                [draw(), draw()].map(|key| key.unwrap().bytes()),
                [(); 2].map(|()| parent.next_u32().to_ne_bytes())
            );
            // Connections from before it have no more than 64 keys in common.
            let mut parent = fork();
            let common = (0..1000).filter(|_| {
                let key = draw().unwrap().bytes();
                key == parent.next_u32().to_ne_bytes()
            });
            assert!(common.count() <= KEYS as usize + 1);
        }

        #[test]
        fn the_process_is_asked_for_without_a_new_seed() {
            start([7; 32], process());
            let mut same = ChaCha12Rng::from_seed([7; 32]);
            for _ in 0..200 {
                assert_eq!(draw().unwrap().bytes(), same.next_u32().to_ne_bytes());
                look_again();
            }
        }
    }
}

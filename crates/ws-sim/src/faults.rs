//! What a transport does wrong, as far as it may.

use crate::random::Random;

/// How often a transport does what, in a thousand calls.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Faults {
    pub(crate) interrupted: usize,
    pub(crate) would_block: usize,
    pub(crate) short: usize,
    pub(crate) over_long: usize,
    /// How much a transport holds in one direction.
    pub(crate) capacity: usize,
    /// Readiness is told at every change, as epoll does; else only where the
    /// loop was told that there is nothing for now.
    pub(crate) is_eager: bool,
    /// How often, in a thousand, readiness reaches the loop in a turn.
    pub(crate) prompt: usize,
}

impl Faults {
    pub(crate) fn new(random: &mut Random, least: usize) -> Self {
        let rate = |random: &mut Random| random.choose(&[0, 0, 10, 100, 300]);
        Self {
            interrupted: rate(random),
            would_block: rate(random),
            short: rate(random),
            over_long: random.choose(&[0, 0, 100]),
            capacity: random
                .choose(&[1, 500, 4096, 64 * 1024, 1 << 20])
                .max(least),
            is_eager: random.chance(500),
            prompt: random.choose(&[1000, 900, 300]),
        }
    }
}

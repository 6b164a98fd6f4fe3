//! What a seed decides before the first step.

use std::time::Duration;

use ws_handshake::{DeflateOffer, DeflatePolicy};
use ws_mio::{Config, OnPanic, OriginPolicy, SlowConsumer};

use crate::{
    faults::Faults,
    front::{Identity, Layer},
    random::Random,
};

/// How large a simulation may be.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// How many steps it takes before it comes to rest.
    pub steps: usize,
    /// The most connections at a time; most seeds have far fewer.
    pub connections: usize,
}

/// What a seed has chosen for a simulation.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) connections: usize,
    pub(crate) config: Config,
    pub(crate) faults: Faults,
    /// The longest message that is sent, in bytes.
    pub(crate) longest: usize,
    /// How often, in a thousand, a message is answered.
    pub(crate) answers: usize,
    /// How often, in a thousand, a message is sent back as it came.
    pub(crate) echoes: usize,
    /// How often, in a thousand, the application does something unusual.
    pub(crate) moods: usize,
    /// How often, in a thousand, a peer does something wrong.
    pub(crate) wrongs: usize,
    pub(crate) offers_deflate: bool,
    /// Much is sent, and little of it taken.
    pub(crate) is_bulky: bool,
    /// What connections go through that are not begun by an address.
    pub(crate) layer: Layer,
    identity: Option<Identity>,
    /// What servers agree to.
    pub(crate) deflate: Option<DeflatePolicy>,
}

impl Plan {
    pub(crate) fn new(random: &mut Random, size: Size, layer: Layer) -> Self {
        let mut connections = connections(random, size.connections);
        if layer == Layer::Tls {
            // A handshake takes longer than a seed without.
            connections = connections.min(20);
        }
        // With very many connections the simulation is about their number.
        let longest = match connections {
            0..=4 => random.choose(&[100, 3000, 20_000, 150_000, 1_200_000]),
            5..=16 => random.choose(&[100, 3000, 20_000, 150_000]),
            17..=128 => random.choose(&[100, 3000, 20_000]),
            _ => random.choose(&[100, 1000]),
        };
        let mut config = config(random, longest);
        let deflate = random.chance(700).then(|| {
            DeflatePolicy::new()
                .server_no_context_takeover(random.chance(300))
                .client_no_context_takeover(random.chance(300))
        });
        if let Some(policy) = &deflate {
            config.handshake = config.handshake.deflate(*policy);
        }
        // What may wait passes in a number of turns that can be played.
        let least = longest.max(config.max_backpressure / 100) / 100;
        Self {
            connections,
            config,
            faults: Faults::new(random, least),
            longest,
            answers: random.choose(&[0, 300, 900, 1000]),
            echoes: random.choose(&[0, 0, 300, 900]),
            moods: random.choose(&[0, 2, 10, 50]),
            wrongs: random.choose(&[0, 2, 20, 20]),
            offers_deflate: random.chance(300),
            is_bulky: random.chance(100),
            layer,
            deflate,
            identity: (layer == Layer::Tls).then(Identity::new),
        }
    }

    /// Returns both sides of TLS, where there is TLS.
    pub(crate) fn identity(&self) -> &Identity {
        self.identity.as_ref().expect("there is TLS")
    }

    pub(crate) const fn is_lossy(&self) -> bool {
        !matches!(
            self.config.slow_consumer,
            SlowConsumer::DropNewest | SlowConsumer::Close
        )
    }

    /// Chooses the length of a message: most are short.
    pub(crate) fn len(&self, random: &mut Random) -> usize {
        let longest = match random.below(10) {
            _ if self.is_bulky => self.longest,
            0 => self.longest,
            1..=3 => self.longest.min(2000),
            _ => self.longest.min(200),
        };
        random.below(longest + 1)
    }

    pub(crate) fn offer(&self, random: &mut Random) -> Option<DeflateOffer> {
        let offer = DeflateOffer::new()
            .server_no_context_takeover(random.chance(300))
            .client_no_context_takeover(random.chance(300))
            .client_max_window_bits(None)
            .server_max_window_bits(random.between(9, 15) as u8);
        (self.offers_deflate && random.chance(700)).then_some(offer)
    }
}

/// In how many fragments a peer sends a message.
pub(crate) const MOST_PIECES: usize = 5;

/// Few in most seeds: those are quick, and find what is wrong with one.
fn connections(random: &mut Random, most: usize) -> usize {
    let range = match random.below(100) {
        0..70 => (1, 16),
        70..92 => (17, 128),
        92..98 => (129, 500),
        _ => (501, 1000),
    };
    match most {
        1000 => random.between(range.0, range.1),
        // Scaled to what was asked for.
        _ => (random.between(range.0, range.1) * most).div_ceil(1000),
    }
}

fn config(random: &mut Random, longest: usize) -> Config {
    let mut config = Config::new(OriginPolicy::Any);
    // What the application finds wrong is a finding, and not for the loop to catch.
    config.on_panic = OnPanic::Propagate;
    config.read_buffer = random.choose(&[1024, 4096, 16 * 1024, 64 * 1024]);
    config.gather_buffers = random.choose(&[0, 64 * 1024, 256 * 1024]);
    config.high_water = random.choose(&[1, 1000, 16 * 1024, 64 * 1024]);
    config.max_backpressure = random.choose(&[2000, 32 * 1024, 1024 * 1024, 16 * 1024 * 1024]);
    config.slow_consumer = random.choose(&[
        SlowConsumer::DropNewest,
        SlowConsumer::DropNewest,
        SlowConsumer::DropOldest,
        SlowConsumer::Conflate,
        SlowConsumer::Close,
    ]);
    config.limits.max_message = 2 * longest as u64 + 200;
    // A message that is not compressible becomes somewhat longer.
    let longest_frame = longest as u64 * 5 / 4 + 200;
    config.limits.max_frame = random.choose(&[longest_frame, config.limits.max_message]);
    config.limits.max_fragments = random.choose(&[MOST_PIECES as u32, 131_072]);
    config.time_limits.max_control_rate = random.choose(&[100, 1000]);
    if random.chance(200) {
        config.max_connections_per_address = random.between(1, 20);
    }
    config.handshake_timeout = Duration::from_secs(random.between(1, 20) as u64);
    config.close_timeout = Duration::from_secs(random.between(1, 10) as u64);
    let seconds = |random: &mut Random, low, high| {
        random
            .chance(700)
            .then(|| Duration::from_secs(random.between(low, high) as u64))
    };
    config.keepalive.ping_interval = seconds(random, 3, 40);
    config.keepalive.pong_timeout = seconds(random, 5, 40);
    config.keepalive.idle_timeout = seconds(random, 20, 200);
    config.time_limits.write_progress = seconds(random, 2, 60);
    config.time_limits.message = seconds(random, 5, 60);
    config.time_limits.lifetime = random.chance(50).then(|| Duration::from_secs(30));
    if random.chance(300) {
        config.max_memory = random.choose(&[256 * 1024, 1024 * 1024, 4 * 1024 * 1024]);
    }
    if random.chance(100) {
        config.max_connections = random.between(1, 50);
    }
    config.accept_unmasked_frame = random.chance(300).into();
    config.set_mask_to_zero = random.chance(300).into();
    config.deflate.max_live = 3;
    config.deflate.level = 1;
    config.deflate.min_len = random.choose(&[0, 128]);
    config.max_frame_sent = random.choose(&[usize::MAX, usize::MAX, 131, 4096]);
    config
}

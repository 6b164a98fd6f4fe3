//! What a loop has for those that agreed on compression.

use std::{collections::HashMap, mem, sync::Arc};

use ws_proto::{DeflateConfig, Deflater, InflateConfig, Inflater};

use super::{Deflating, Inflating, Terms};
use crate::{
    ClientConfig, Config,
    metrics::Counters,
    share::SHARE,
    wheel::{TICK, Tick},
};

/// The memory that compressing takes, and what connections keep of it from one
/// message to the next.
#[derive(Debug)]
pub(crate) struct Codecs {
    inflating: Inflating,
    deflating: Deflating,
    /// Whose they are now.
    lent: Option<u32>,
    /// What is kept, by the keys of connections.
    by_key: HashMap<u32, Codec>,
    /// When to look for memory that nobody uses.
    sweep_at: Option<Tick>,
    /// Somebody had a turn since that was done.
    is_used: bool,
}

/// What one connection keeps.
#[derive(Debug)]
struct Codec {
    inflater: Inflater,
    deflater: Deflater,
}

/// How many ticks memory stays that nobody uses: 10 s, and at most as long again.
const SWEEP: Tick = (10_000 / TICK.as_millis()) as Tick;

impl Codecs {
    pub(crate) fn of_loop(config: &Config, counters: &Arc<Counters>) -> Self {
        Self::new(config.deflate, config.inflate.clone(), Some(counters))
    }

    pub(crate) fn of_socket(config: &ClientConfig) -> Self {
        Self::new(config.deflate, config.inflate.clone(), None)
    }

    fn new(
        deflate: DeflateConfig,
        inflate: InflateConfig,
        counters: Option<&Arc<Counters>>,
    ) -> Self {
        Self {
            inflating: Inflating::new(inflate, counters.cloned()),
            deflating: Deflating::new(deflate, counters.cloned()),
            lent: None,
            by_key: HashMap::new(),
            sweep_at: None,
            is_used: false,
        }
    }

    /// Lends a connection what it needs for its turn, to receive and to send;
    /// [`settle`](Self::settle) afterwards. Nothing, if it agreed on nothing.
    #[inline]
    pub(crate) fn lend(
        &mut self,
        key: u32,
        terms: Option<Terms>,
        max_message: u64,
    ) -> (Option<&mut Inflating>, Option<&mut Deflating>) {
        match terms {
            None => (None, None),
            Some(terms) => {
                self.inflating.max_message = max_message;
                self.begin(key, terms);
                (Some(&mut self.inflating), Some(&mut self.deflating))
            }
        }
    }

    /// Takes out what a connection has kept, or makes it.
    fn begin(&mut self, key: u32, terms: Terms) {
        self.inflating.share = SHARE;
        if self.lent == Some(key) {
            return;
        }
        self.put_back();
        let kept = self.by_key.remove(&key);
        let Codec { inflater, deflater } = kept.unwrap_or_else(|| Codec::new(terms));
        self.inflating.inflater = inflater;
        self.deflating.deflater = deflater;
        self.lent = Some(key);
    }

    /// Keeps what a connection still needs after its turn, and drops the rest.
    pub(crate) fn settle(&mut self, now: Tick) {
        self.put_back();
        self.is_used = true;
        self.sweep_at
            .get_or_insert_with(|| now.saturating_add(SWEEP));
    }

    fn put_back(&mut self) {
        let Some(key) = self.lent.take() else { return };
        let fresh = Codec::new(Terms {
            sends: self.deflating.deflater.window(),
            receives: self.inflating.inflater.window(),
        });
        let codec = Codec {
            inflater: mem::replace(&mut self.inflating.inflater, fresh.inflater),
            deflater: mem::replace(&mut self.deflating.deflater, fresh.deflater),
        };
        if !codec.is_idle() {
            self.by_key.insert(key, codec);
        }
    }

    /// Forgets a connection that is gone.
    pub(crate) fn remove(&mut self, key: u32) {
        if !self.by_key.is_empty() {
            self.by_key.remove(&key);
        }
    }

    /// Gives back memory that nobody used for some seconds.
    pub(crate) fn keep_time(&mut self, now: Tick) {
        if self.sweep_at.take_if(|at| *at <= now).is_none() {
            return;
        }
        self.deflating.sweep();
        if mem::take(&mut self.is_used) {
            self.sweep_at = Some(now.saturating_add(SWEEP));
        } else {
            self.inflating.shrink();
            self.by_key.shrink_to_fit();
        }
    }

    /// Returns when [`keep_time`](Self::keep_time) has something to do.
    pub(crate) const fn next_sweep(&self) -> Option<Tick> {
        self.sweep_at
    }
}

impl Codec {
    const fn new(terms: Terms) -> Self {
        Self {
            inflater: Inflater::new(terms.receives),
            deflater: Deflater::new(terms.sends),
        }
    }

    /// Tells whether one that is made anew would do as well.
    fn is_idle(&self) -> bool {
        self.inflater.is_idle() && self.deflater.is_idle() && !self.deflater.is_worn()
    }
}

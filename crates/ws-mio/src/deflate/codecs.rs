//! What a loop has for those that agreed on compression.

use std::{collections::HashMap, mem};

use ws_proto::{DeflateConfig, Deflater, InflateConfig, InflatePool, Inflater};

use super::{Deflating, Inflating, Terms, deflating::Press};
use crate::{
    ClientConfig, Config,
    connection::SHARE,
    metrics::Counters,
    wheel::{TICK, Tick},
};

/// The memory that compressing takes, and what connections keep of it from one
/// message to the next.
#[derive(Debug)]
pub(crate) struct Codecs {
    press: Press,
    pool: InflatePool,
    max_message: u64,
    /// Of the connections that hold anything, by their keys.
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
    pub(crate) fn of_loop(config: &Config) -> Self {
        let max_message = config.limits.max_message;
        Self::new(config.deflate, config.inflate.clone(), max_message)
    }

    pub(crate) fn of_socket(config: &ClientConfig) -> Self {
        let max_message = config.limits.max_message;
        Self::new(config.deflate, config.inflate.clone(), max_message)
    }

    fn new(deflate: DeflateConfig, inflate: InflateConfig, max_message: u64) -> Self {
        Self {
            press: Press::new(deflate),
            pool: InflatePool::new(inflate),
            max_message,
            by_key: HashMap::new(),
            sweep_at: None,
            is_used: false,
        }
    }

    /// Lends a connection what it needs for its turn, to receive and to send;
    /// [`settle`](Self::settle) afterwards. Nothing, if it agreed on nothing.
    pub(crate) fn lend<'a>(
        &'a mut self,
        key: u32,
        terms: Option<Terms>,
        counters: Option<&'a Counters>,
    ) -> (Option<Inflating<'a>>, Option<Deflating<'a>>) {
        let Some(Terms { sends, receives }) = terms else {
            return (None, None);
        };
        let Codec { inflater, deflater } = self.by_key.entry(key).or_insert_with(|| Codec {
            inflater: Inflater::new(receives),
            deflater: Deflater::new(sends),
        });
        let inflating = Inflating {
            inflater,
            pool: &mut self.pool,
            max_message: self.max_message,
            share: SHARE,
            counters,
        };
        let deflating = Deflating {
            deflater,
            press: &mut self.press,
            counters,
        };
        (Some(inflating), Some(deflating))
    }

    /// Keeps what a connection still needs after its turn, and drops the rest.
    pub(crate) fn settle(&mut self, key: u32, now: Tick) {
        if self.by_key.get(&key).is_some_and(Codec::is_idle) {
            self.by_key.remove(&key);
        }
        self.is_used = true;
        self.sweep_at
            .get_or_insert_with(|| now.saturating_add(SWEEP));
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
        self.press.sweep();
        if mem::take(&mut self.is_used) {
            self.sweep_at = Some(now.saturating_add(SWEEP));
        } else {
            self.pool.shrink();
            self.by_key.shrink_to_fit();
        }
    }

    /// Returns when [`keep_time`](Self::keep_time) has something to do.
    pub(crate) const fn next_sweep(&self) -> Option<Tick> {
        self.sweep_at
    }
}

impl Codec {
    /// Tells whether one that is made anew would do as well.
    fn is_idle(&self) -> bool {
        self.inflater.is_idle() && self.deflater.is_idle() && !self.deflater.is_worn()
    }
}

//! What a loop has for those that agreed on compression.

use std::{collections::HashMap, mem, sync::Arc};

use ws_handshake::DeflateParams;
use ws_proto::{
    Chunk, DeflateCodec, DeflateConfig, DeflatePool, InflateConfig, InflatePool, ProtocolError,
};

use super::Deflating;
use crate::{
    ClientConfig, Config,
    connection::share::SHARE,
    metrics::Counters,
    slots::wheel::{TICK, Tick},
};

/// The memory that compressing takes, and what connections keep of it from one
/// message to the next.
#[derive(Debug)]
pub(crate) struct Codecs {
    inflating: Inflating,
    /// `None` before the first that agreed.
    deflating: Option<Deflating>,
    config: DeflateConfig,
    /// Whose they are now.
    lent: Option<u32>,
    /// What is kept, by the keys of connections.
    by_key: HashMap<u32, DeflateCodec>,
    /// When to look for memory that nobody uses.
    sweep_at: Option<Tick>,
    /// Somebody had a turn since that was done.
    is_used: bool,
}

/// What inflates the messages of one connection at a time.
#[derive(Debug)]
pub(crate) struct Inflating {
    pool: InflatePool,
    /// That of the connection.
    max_message: u64,
    /// How many bytes may still come out in this turn.
    share: usize,
    /// `None` if the loop is not ours.
    counters: Option<Arc<Counters>>,
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
            inflating: Inflating {
                pool: InflatePool::new(inflate),
                max_message: 0,
                share: 0,
                counters: counters.cloned(),
            },
            deflating: None,
            config: deflate,
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
        is_client: bool,
        agreed: Option<DeflateParams>,
        max_message: u64,
    ) -> (Option<&mut Inflating>, Option<&mut Deflating>) {
        let Some(params) = agreed else {
            return (None, None);
        };
        (self.inflating.max_message, self.inflating.share) = (max_message, SHARE);
        if self.lent != Some(key) {
            self.begin(key, is_client, params);
        }
        (Some(&mut self.inflating), self.deflating.as_mut())
    }

    /// Takes out what a connection has kept, or makes it.
    fn begin(&mut self, key: u32, is_client: bool, params: DeflateParams) {
        self.put_back();
        let kept = self.by_key.remove(&key);
        let fresh = || DeflateCodec::negotiated(is_client, Some(params.windows()));
        let Some(codec) = kept.or_else(fresh) else {
            return;
        };
        match &mut self.deflating {
            Some(deflating) => deflating.codec = codec,
            None => {
                self.deflating = Some(Deflating {
                    codec,
                    pool: DeflatePool::new(self.config),
                    counters: self.inflating.counters.clone(),
                });
            }
        }
        self.lent = Some(key);
    }

    /// Returns how much memory a connection holds for a message that it sends.
    pub(crate) fn held(&self, key: u32) -> usize {
        let codec = match (self.lent == Some(key), &self.deflating) {
            (true, Some(deflating)) => Some(&deflating.codec),
            _ => self.by_key.get(&key),
        };
        codec.map_or(0, DeflateCodec::held)
    }

    /// Keeps what a connection still needs after its turn, and drops the rest.
    pub(crate) fn settle(&mut self, now: Tick) {
        self.put_back();
        self.is_used = true;
        self.sweep_at
            .get_or_insert_with(|| now.saturating_add(SWEEP));
    }

    fn put_back(&mut self) {
        if let Some(key) = self.lent.take()
            && let Some(deflating) = &mut self.deflating
        {
            let codec = deflating.codec.take();
            if !codec.is_idle() {
                self.by_key.insert(key, codec);
            }
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
        if let Some(deflating) = &mut self.deflating {
            deflating.pool.sweep();
        }
        if mem::take(&mut self.is_used) {
            self.sweep_at = Some(now.saturating_add(SWEEP));
        } else {
            self.inflating.pool.shrink();
            self.by_key.shrink_to_fit();
        }
    }

    /// Returns when [`keep_time`](Self::keep_time) has something to do.
    pub(crate) const fn next_sweep(&self) -> Option<Tick> {
        self.sweep_at
    }
}

impl Inflating {
    /// Inflates the next chunk of the piece that `input` begins with; see
    /// [`DeflateCodec::inflate`].
    pub(crate) fn inflate(
        &mut self,
        codec: &mut DeflateCodec,
        input: &mut &[u8],
    ) -> Result<Option<Chunk<'_>>, ProtocolError> {
        let before = input.len();
        let chunk = codec.inflate(input, self.max_message, &mut self.pool);
        let inflated = chunk.as_ref().ok().and_then(Option::as_ref);
        if let Some(chunk) = inflated {
            self.share = self.share.saturating_sub(chunk.data.len());
        }
        if let Some(counters) = &self.counters {
            let used = before - input.len();
            counters.compressed_bytes_received.add(used as u64);
            if let Some(chunk) = inflated {
                let messages = &counters.compressed_messages_received;
                messages.add(chunk.last.into());
                counters.inflated_bytes.add(chunk.data.len() as u64);
            }
        }
        chunk
    }

    /// Has nothing more than the next chunk come out in this turn.
    pub(crate) const fn spend_share(&mut self) {
        self.share = 0;
    }

    /// Tells whether more may come out in this turn.
    pub(crate) const fn has_share(&self) -> bool {
        self.share > 0
    }
}

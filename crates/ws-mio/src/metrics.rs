//! Counters of what loops do.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use ws_proto::{FrameCounts, Masking, OpCode};

use crate::Cause;

/// A number that one loop changes and any thread reads.
///
/// One writer needs no atomic addition: a load and a store compile to the
/// same as for a plain number.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    #[inline]
    pub(crate) fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// Notes what is so now, where nothing is added up.
    #[inline]
    pub(crate) fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// The counters of one loop, changed by it alone.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: Counter,)+
            pub(crate) held_bytes: Counter,
            /// In nanoseconds.
            longest_turn: Counter,
            frames_received: [Counter; 11],
            frames_sent: [Counter; 11],
            closed: [Counter; CAUSES.len()],
            refused_requests: Mutex<BTreeMap<u16, u64>>,
        }

        /// What a server has done since it began, over all of its loops.
        ///
        /// Read by [`Remote::metrics`](crate::Remote::metrics), from any
        /// thread and without stopping a loop: each number is right as of the
        /// end of the loop's last turn, and numbers only grow, but for
        /// [`held_bytes`](Self::held_bytes).
        ///
        /// ```
        /// # use ws_mio::{Config, Handler, Message, OriginPolicy, Peer, Server};
        /// # struct Echo;
        /// # impl Handler for Echo {
        /// #     type Data = ();
        /// #     fn on_message(&mut self, peer: &mut Peer<'_, ()>, message: Message<'_>) {
        /// #         peer.send(message);
        /// #     }
        /// # }
        /// let server: Server<Echo> = Server::bind("127.0.0.1:0", Config::new(OriginPolicy::Any))?;
        /// let remote = server.remote();
        /// // On another thread, while the server runs:
        /// let metrics = remote.metrics();
        /// assert_eq!((metrics.opened, metrics.open()), (0, 0));
        /// assert!(metrics.to_prometheus().contains("\nwebsocket_opened_total 0\n"));
        /// # Ok::<(), std::io::Error>(())
        /// ```
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Metrics {
            $($(#[doc = $doc])+ pub $name: u64,)+
            /// Bytes that the loops hold for their connections now, of
            /// [`Config::max_memory`](crate::Config::max_memory).
            pub held_bytes: u64,
            /// How long the longest turn of a loop took, since it began. Callbacks
            /// run in a turn, so one that blocks makes it long.
            pub longest_turn: Duration,
            /// Frames received, by opcode: the value at
            /// [`OpCode::bits`](ws_proto::OpCode::bits).
            pub frames_received: [u64; 11],
            /// Frames sent or queued, as [`frames_received`](Self::frames_received).
            pub frames_sent: [u64; 11],
            /// Connections that are over, by cause: see [`Cause::name`].
            pub closed: BTreeMap<&'static str, u64>,
            /// Requests that did not become connections, by the status of the
            /// answer.
            pub refused_requests: BTreeMap<u16, u64>,
        }

        impl Metrics {
            pub(crate) fn add(&mut self, counters: &Counters) {
                $(self.$name += counters.$name.get();)+
                self.held_bytes += counters.held_bytes.get();
                let longest_turn = Duration::from_nanos(counters.longest_turn.get());
                self.longest_turn = self.longest_turn.max(longest_turn);
                for (sum, counter) in self.frames_received.iter_mut().zip(&counters.frames_received) {
                    *sum += counter.get();
                }
                for (sum, counter) in self.frames_sent.iter_mut().zip(&counters.frames_sent) {
                    *sum += counter.get();
                }
                for (name, counter) in CAUSES.iter().zip(&counters.closed) {
                    *self.closed.entry(name).or_default() += counter.get();
                }
                let refused = counters.refused_requests.lock();
                for (status, count) in refused.unwrap_or_else(PoisonError::into_inner).iter() {
                    *self.refused_requests.entry(*status).or_default() += count;
                }
            }

            /// Returns how many connections are open.
            #[must_use]
            pub fn open(&self) -> u64 {
                self.opened.saturating_sub(self.closed.values().sum())
            }

            /// Renders the counters in the text format of Prometheus, every
            /// name beginning with `websocket_`.
            #[must_use]
            pub fn to_prometheus(&self) -> String {
                use std::fmt::Write as _;
                let mut out = String::new();
                // Writing to a string does not fail.
                $(
                    let help = concat!($($doc),+).trim();
                    let _ = write!(
                        out,
                        "# HELP websocket_{name}_total {help}\n# TYPE websocket_{name}_total counter\n\
                        websocket_{name}_total {}\n",
                        self.$name,
                        name = stringify!($name),
                    );
                )+
                let gauges = [
                    ("open_connections", "Connections that are open.", self.open() as f64),
                    (
                        "held_bytes",
                        "Bytes that the loops hold for their connections.",
                        self.held_bytes as f64,
                    ),
                    (
                        "longest_turn_seconds",
                        "How long the longest turn of a loop took.",
                        self.longest_turn.as_secs_f64(),
                    ),
                ];
                for (name, help, value) in gauges {
                    let _ = write!(
                        out,
                        "# HELP websocket_{name} {help}\n# TYPE websocket_{name} gauge\n\
                        websocket_{name} {value}\n",
                    );
                }
                for (way, frames) in
                    [("received", &self.frames_received), ("sent", &self.frames_sent)]
                {
                    let _ = writeln!(out, "# TYPE websocket_frames_{way}_total counter");
                    for (bits, count) in frames.iter().enumerate() {
                        if let Some(opcode) = OpCode::from_bits(bits as u8) {
                            let opcode = format!("{opcode:?}").to_lowercase();
                            let _ = writeln!(
                                out,
                                "websocket_frames_{way}_total{{opcode=\"{opcode}\"}} {count}"
                            );
                        }
                    }
                }
                let _ = out.write_str("# TYPE websocket_closed_total counter\n");
                for (cause, count) in &self.closed {
                    let _ = writeln!(out, "websocket_closed_total{{cause=\"{cause}\"}} {count}");
                }
                let _ = out.write_str("# TYPE websocket_refused_requests_total counter\n");
                for (status, count) in &self.refused_requests {
                    let _ = writeln!(
                        out,
                        "websocket_refused_requests_total{{status=\"{status}\"}} {count}"
                    );
                }
                out
            }
        }
    };
}

counters! {
    /// Transports that were accepted.
    accepted,
    /// Connections that were taken over after their opening handshake.
    adopted,
    /// Transports that were dropped at once, over max_connections.
    over_max_connections,
    /// Transports that were dropped at once, over max_connections_per_address.
    over_max_connections_per_address,
    /// Transports that were dropped at once, as the loop held more than three
    /// quarters of its share of max_memory.
    refused_over_memory,
    /// Connections that were dropped for max_memory, open or not.
    dropped_over_memory,
    /// Transports that ended before their request was whole.
    abandoned,
    /// Transports whose own handshake failed, as that of TLS does.
    handshakes_failed,
    /// Connections to servers that were begun.
    connects,
    /// Connections to servers that never came to be.
    connects_failed,
    /// Connections that were opened.
    opened,
    /// Bytes received on open connections.
    bytes_received,
    /// Messages received; whole ones, or the last piece of one.
    messages_received,
    /// Messages received that were compressed.
    compressed_messages_received,
    /// Bytes received as the payload of compressed messages.
    compressed_bytes_received,
    /// Bytes that compressed messages were inflated to.
    inflated_bytes,
    /// Messages sent or queued that were compressed.
    compressed_messages_sent,
    /// Bytes of messages that were compressed, before they were.
    deflated_bytes,
    /// Bytes of frames sent or queued of messages that were compressed.
    compressed_bytes_sent,
    /// Bytes of frames sent or queued.
    bytes_sent,
    /// Frames received with the MASK bit clear.
    unmasked_frames_received,
    /// Frames received with the key 00 00 00 00.
    zero_key_frames_received,
    /// Frames sent or queued with the MASK bit clear.
    unmasked_frames_sent,
    /// Frames sent or queued with the key 00 00 00 00, by the flag.
    zero_key_frames_sent,
    /// Frames that had to wait for a slow peer.
    queued,
    /// Frames that were refused for a slow peer.
    refused,
    /// Messages that waited for a slow peer and were dropped, or replaced by a
    /// newer one.
    dropped,
    /// Panics of the application's callbacks.
    panics,
    /// Turns of a loop that took as long as slow_turn, or longer.
    slow_turns,
}

/// The names of [`Cause`]s.
const CAUSES: [&str; 16] = [
    "peer",
    "local",
    "aborted",
    "slow_consumer",
    "protocol",
    "lost",
    "io",
    "pong_timeout",
    "idle_timeout",
    "close_timeout",
    "write_timeout",
    "message_timeout",
    "lifetime",
    "control_flood",
    "over_memory",
    "panicked",
];

impl Counters {
    /// Returns how many connections are open.
    pub(crate) fn open(&self) -> u64 {
        let closed = self.closed.iter().map(Counter::get).sum();
        self.opened.get().saturating_sub(closed)
    }

    pub(crate) fn note_turn(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        if nanos > self.longest_turn.get() {
            self.longest_turn.set(nanos);
        }
    }

    pub(crate) fn count_received(&self, counts: &FrameCounts) {
        for (counter, count) in self.frames_received.iter().zip(counts.by_opcode) {
            if count > 0 {
                counter.add(count.into());
            }
        }
        if counts.unmasked > 0 {
            self.unmasked_frames_received.add(counts.unmasked.into());
        }
        if counts.zero_key > 0 {
            self.zero_key_frames_received.add(counts.zero_key.into());
        }
    }

    /// Counts what a connection has sent, with its masking policy.
    pub(crate) fn count_sent(&self, counts: &SentCounts, masking: &Masking) {
        self.bytes_sent.add(counts.bytes);
        self.queued.add(counts.queued);
        self.refused.add(counts.refused);
        self.dropped.add(counts.dropped);
        for (counter, count) in self.frames_sent.iter().zip(counts.frames) {
            if count > 0 {
                counter.add(count);
            }
        }
        let frames = counts.frames.iter().sum();
        match masking {
            Masking::Server(_) => self.unmasked_frames_sent.add(frames),
            Masking::Client(client) if client.set_mask_to_zero() => {
                self.zero_key_frames_sent.add(frames);
            }
            Masking::Client(_) => {}
        }
    }

    pub(crate) fn count_closed(&self, cause: &Cause<'_>) {
        let name = cause.name();
        if let Some(index) = CAUSES.iter().position(|cause| *cause == name) {
            self.closed[index].add(1);
        }
    }

    pub(crate) fn count_refused(&self, status: u16) {
        let refused = self.refused_requests.lock();
        *refused
            .unwrap_or_else(PoisonError::into_inner)
            .entry(status)
            .or_default() += 1;
    }
}

/// What was sent since this was last asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SentCounts {
    pub(crate) bytes: u64,
    /// Frames by opcode: the value at [`OpCode::bits`].
    pub(crate) frames: [u64; 11],
    pub(crate) queued: u64,
    pub(crate) refused: u64,
    pub(crate) dropped: u64,
}

impl SentCounts {
    pub(crate) const NONE: Self = Self {
        bytes: 0,
        frames: [0; 11],
        queued: 0,
        refused: 0,
        dropped: 0,
    };

    #[inline]
    pub(crate) fn count(&mut self, opcode: OpCode, len: usize) {
        self.bytes += len as u64;
        self.frames[usize::from(opcode.bits())] += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loops_are_added_up_and_rendered() {
        let counters = [Counters::default(), Counters::default()];
        counters[0].opened.add(2);
        counters[1].opened.add(3);
        counters[1].count_closed(&Cause::Lost);
        counters[0].count_refused(403);
        let mut metrics = Metrics::default();
        counters.iter().for_each(|counters| metrics.add(counters));
        assert_eq!(metrics.opened, 5);
        assert_eq!(metrics.closed["lost"], 1);
        assert_eq!(metrics.open(), 4);
        let text = metrics.to_prometheus();
        assert!(text.contains("\nwebsocket_opened_total 5\n"), "{text}");
        assert!(text.contains("websocket_closed_total{cause=\"lost\"} 1\n"));
        assert!(text.contains("websocket_refused_requests_total{status=\"403\"} 1\n"));
        assert!(text.contains("websocket_frames_received_total{opcode=\"ping\"} 0\n"));
    }
}

//! What is to be sent, before it is a frame.

use ws_proto::{
    CloseFrame, DeflatePool, MAX_HEADER_LEN, Masking, OutFrame, Outbox, Prepared, SendError, Sender,
};

use crate::{
    compression::{Agreed, Compression, LentPool},
    outbound::Outbound,
};

/// Something to send, borrowed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outgoing<'m> {
    Message(Outbound<'m>),
    Fragment(Outbound<'m>, bool),
    Prepared(&'m Prepared),
    Ping(&'m [u8]),
    Pong(&'m [u8]),
    Close(Option<CloseFrame<'m>>),
}

impl<'m> Outgoing<'m> {
    /// Makes the frame, as the next one that the peer gets. One that is
    /// compressed lies in what the thread lends.
    #[inline]
    pub(crate) fn frame<'a>(
        &self,
        sender: &mut Sender<Masking>,
        compression: &mut Compression,
        lent: &'a mut LentPool<DeflatePool>,
    ) -> Result<OutFrame<'a>, SendError>
    where
        'm: 'a,
    {
        match compression.agreed() {
            None => self.plain_frame(sender),
            Some(agreed) => self.compressed_frame(sender, agreed, lent),
        }
    }

    /// Makes the frame, compressed where it may be.
    //= RFC7692-6-4
    #[cold]
    fn compressed_frame<'a>(
        &self,
        sender: &mut Sender<Masking>,
        agreed: &mut Agreed,
        lent: &'a mut LentPool<DeflatePool>,
    ) -> Result<OutFrame<'a>, SendError>
    where
        'm: 'a,
    {
        match *self {
            Self::Message(outbound) if outbound.may_compress => {
                let (codec, pool) = agreed.compressor(lent);
                codec.message(sender, outbound.message, pool)
            }
            Self::Fragment(outbound, last) => {
                let (codec, pool) = agreed.compressor(lent);
                codec.fragment(sender, outbound.message, last, outbound.may_compress, pool)
            }
            Self::Prepared(prepared) => {
                let (codec, pool) = agreed.compressor(lent);
                codec.shared(sender, prepared, pool)
            }
            _ => self.plain_frame(sender),
        }
    }

    /// Makes the frame without compression.
    #[inline(always)]
    pub(crate) fn plain_frame(
        &self,
        sender: &mut Sender<Masking>,
    ) -> Result<OutFrame<'m>, SendError> {
        match *self {
            Self::Message(outbound) => sender.message(outbound.message),
            Self::Fragment(outbound, last) => sender.fragment(outbound.message, last),
            Self::Prepared(prepared) => sender.prepared(prepared),
            Self::Ping(payload) => sender.ping(payload),
            Self::Pong(payload) => sender.pong(payload),
            Self::Close(None) => sender.close(None),
            Self::Close(Some(CloseFrame { code, reason })) => sender.close_with(code, reason),
        }
    }

    /// Returns the length of the frame in bytes, before it is compressed or
    /// split.
    pub(crate) fn frame_len(&self, sender: &Sender<Masking>) -> usize {
        let payload = match *self {
            Self::Message(outbound) | Self::Fragment(outbound, _) => outbound.message.len(),
            Self::Prepared(prepared) => prepared.payload().len(),
            Self::Ping(payload) | Self::Pong(payload) => payload.len(),
            Self::Close(frame) => frame.map_or(0, |frame| 2 + frame.reason.len()),
        };
        let length = match payload {
            0..=125 => 2,
            126..=0xffff => 4,
            _ => 10,
        };
        let key = match sender.masking() {
            Masking::Server(_) => 0,
            Masking::Client(_) => 4,
        };
        payload.saturating_add(length + key)
    }

    /// Tells whether the frame is one of the short ones that have room of
    /// their own.
    pub(crate) const fn is_control(&self) -> bool {
        matches!(self, Self::Ping(_) | Self::Pong(_) | Self::Close(_))
    }
}

/// What waits for the transport.
#[derive(Debug)]
pub(crate) struct Output {
    /// Has no limit of its own, as a message larger than `limit` may go out
    /// when nothing else waits.
    pub(crate) outbox: Outbox,
    /// The payload of the last Ping that there is no room to answer yet.
    pub(crate) held_pong: Option<Box<[u8]>>,
    pub(crate) limit: usize,
    /// A longer frame is split; `u32::MAX` is no limit.
    max_frame: u32,
    /// A reply was queued that the transport was not offered yet.
    pub(crate) has_reply: bool,
    /// The transport took bytes that it was not asked to flush yet.
    pub(crate) is_unflushed: bool,
    /// The transport did not take all the last time.
    pub(crate) is_blocked: bool,
    /// What waited was given up.
    pub(crate) is_lost: bool,
}

impl Output {
    pub(crate) const fn new(limit: usize, max_frame: usize) -> Self {
        Self {
            outbox: Outbox::with_limit(usize::MAX),
            held_pong: None,
            limit,
            max_frame: if max_frame < u32::MAX as usize {
                max_frame as u32
            } else {
                u32::MAX
            },
            has_reply: false,
            is_unflushed: false,
            is_blocked: false,
            is_lost: false,
        }
    }

    /// The longest frame that is sent.
    pub(crate) const fn max_frame(&self) -> usize {
        match self.max_frame {
            u32::MAX => usize::MAX,
            max_frame => max_frame as usize,
        }
    }

    /// Tells whether all was written and flushed.
    pub(crate) const fn is_done(&self) -> bool {
        self.outbox.is_empty() && self.held_pong.is_none() && !self.is_unflushed
    }

    /// Tells whether as much waits as may.
    pub(crate) const fn is_full(&self) -> bool {
        self.outbox.len() >= self.limit && !self.outbox.is_empty()
    }

    /// Tells whether `len` more bytes are within the limit. Control frames
    /// have some room beyond it.
    pub(crate) const fn has_room(&self, len: usize, is_control: bool) -> bool {
        let extra = if is_control { CONTROL_ROOM } else { 0 };
        len <= self
            .limit
            .saturating_add(extra)
            .saturating_sub(self.outbox.len())
    }

    /// Queues a frame whatever the limit, or the fragments of one that is too
    /// long.
    pub(crate) fn queue(
        &mut self,
        frame: OutFrame<'_>,
        sender: &mut Sender<Masking>,
    ) -> Result<(), SendError> {
        if frame.len() <= self.max_frame() {
            self.push(&frame, 0);
            return Ok(());
        }
        for frame in sender.split(frame, self.max_frame())?.iter() {
            self.push(&frame, 0);
        }
        Ok(())
    }

    /// Queues a frame whatever the limit.
    pub(crate) fn push(&mut self, frame: &OutFrame<'_>, skip: usize) {
        // INVARIANT: the outbox has no limit, so it refuses nothing.
        let _ = self.outbox.push(frame, skip);
        if !self.is_blocked {
            // Nobody is slow, so each Ping gets its Pong.
            self.outbox.keep_pong();
        }
    }

    /// Gives up all that waits.
    pub(crate) fn give_up(&mut self) {
        self.is_lost |= !self.is_done();
        self.outbox.advance(usize::MAX);
        self.held_pong = None;
        self.is_unflushed = false;
        self.has_reply = false;
    }
}

/// Room for control frames beyond the limit.
const CONTROL_ROOM: usize = 8 * (MAX_HEADER_LEN + 125);

#[cfg(test)]
mod tests {
    use ws_proto::{ClientMasking, CloseCode, ServerMasking};

    use super::*;
    use crate::AsOutbound;

    #[test]
    fn length_is_known_before_the_frame_is_made() {
        for masking in [
            Masking::Server(ServerMasking::new()),
            Masking::Client(ClientMasking::new()),
        ] {
            let mut sender = Sender::new(masking);
            for len in [0, 1, 125, 126, 65_535, 65_536] {
                let payload = vec![7; len];
                let outgoing = Outgoing::Message(payload.as_outbound());
                let expected = outgoing.frame_len(&sender);
                assert_eq!(len_of(outgoing, &mut sender), expected);
            }
            let reason = "bye";
            let code = CloseCode::NORMAL;
            let close = Outgoing::Close(Some(CloseFrame { code, reason }));
            let expected = close.frame_len(&sender);
            assert_eq!(len_of(close, &mut sender), expected);
        }
    }

    fn len_of(outgoing: Outgoing<'_>, sender: &mut Sender<Masking>) -> usize {
        let mut lent = LentPool::default();
        let frame = outgoing.frame(sender, &mut Compression::none(), &mut lent);
        frame.unwrap().len()
    }
}

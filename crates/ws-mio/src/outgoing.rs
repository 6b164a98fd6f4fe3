//! Frames on their way to the transport: corked, written, queued.

use std::io::{self, IoSlice};

use ws_proto::{Masking, OutFrame, Outbox, OutboxFull, SendError, Sender};

use crate::Transport;

/// What became of something that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backpressure {
    /// It leaves with this turn of the loop.
    Sent,
    /// The peer reads slowly: it waits, and this many bytes with it.
    Queued(usize),
    /// It was not sent, and will not be.
    Refused(Refused),
}

/// Why something was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// More waits for the peer than `max_backpressure`.
    #[error("the peer reads too slowly: {0}")]
    Full(#[from] OutboxFull),
    /// It cannot be sent now, or ever.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The connection is over.
    #[error("the connection is over")]
    Over,
}

impl<E: Into<Refused>> From<E> for Backpressure {
    fn from(error: E) -> Self {
        Self::Refused(error.into())
    }
}

/// The sending side of a connection.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) sender: Sender<Masking>,
    pub(crate) outbox: Outbox,
    /// The transport failed: nothing more is written.
    pub(crate) broken: Option<io::Error>,
    /// The application wants nothing more to be read for now.
    pub(crate) paused: bool,
    /// The application dropped the connection.
    pub(crate) aborted: bool,
}

/// A payload up to this size is copied beside other frames; a longer one is
/// written from where it lies.
const COPY_MAX: usize = 16 * 1024;
/// The cork is written once it holds this much.
const CORK_MAX: usize = 64 * 1024;

impl Outgoing {
    pub(crate) const fn new(masking: Masking, max_backpressure: usize) -> Self {
        Self {
            sender: Sender::new(masking),
            outbox: Outbox::with_limit(max_backpressure),
            broken: None,
            paused: false,
            aborted: false,
        }
    }

    /// Tells whether nothing is held that a new one would not have.
    pub(crate) const fn is_idle(&self) -> bool {
        self.sender.is_idle()
            && self.outbox.is_empty()
            && self.broken.is_none()
            && !self.paused
            && !self.aborted
    }

    /// Sends a frame: behind what waits, else with the cork, else at once.
    #[inline]
    pub(crate) fn send(
        &mut self,
        frame: &OutFrame<'_>,
        cork: &mut Vec<u8>,
        transport: &mut dyn Transport,
    ) -> Backpressure {
        if self.is_over() {
            return Refused::Over.into();
        }
        if !self.outbox.is_empty() {
            return match self.outbox.push(frame, 0) {
                Ok(()) => Backpressure::Queued(self.outbox.len()),
                Err(full) => full.into(),
            };
        }
        match frame.as_slices() {
            Some([head, payload]) if payload.len() > COPY_MAX => {
                let corked = cork.len();
                let slices = [
                    IoSlice::new(cork),
                    IoSlice::new(head),
                    IoSlice::new(payload),
                ];
                let slices = if corked == 0 { &slices[1..] } else { &slices };
                let written = write(transport, slices);
                if let Some(written) = self.note(written) {
                    if written < corked {
                        self.outbox.push_bytes(&cork[written..]);
                    }
                    if written < corked + frame.len() {
                        self.outbox.append(frame, written.saturating_sub(corked));
                    }
                }
                cork.clear();
            }
            _ => {
                frame.append_to(cork, 0);
                if cork.len() >= CORK_MAX {
                    self.flush_cork(cork, transport);
                }
            }
        }
        match self.outbox.len() {
            0 => Backpressure::Sent,
            pending => Backpressure::Queued(pending),
        }
    }

    /// Writes the cork; what the transport refuses waits in the outbox.
    #[inline]
    pub(crate) fn flush_cork(&mut self, cork: &mut Vec<u8>, transport: &mut dyn Transport) {
        if cork.is_empty() {
            return;
        }
        let written = match self.outbox.is_empty() {
            true => write(transport, &[IoSlice::new(cork)]),
            false => Ok(0),
        };
        if let Some(written) = self.note(written)
            && written < cork.len()
        {
            self.outbox.push_bytes(&cork[written..]);
        }
        cork.clear();
        if cork.capacity() > 4 * CORK_MAX {
            cork.shrink_to(CORK_MAX);
        }
    }

    /// Writes what waits, as much as the transport takes.
    pub(crate) fn flush_outbox(&mut self, transport: &mut dyn Transport) {
        while !self.outbox.is_empty() {
            let pending = self.outbox.len();
            let written = write(transport, &[IoSlice::new(self.outbox.as_slice())]);
            let Some(written) = self.note(written) else {
                return;
            };
            self.outbox.advance(written);
            // A short write has filled the transport: it tells when it has
            // room again.
            if written < pending {
                return;
            }
        }
    }

    /// Tells whether nothing more can be sent, not even what waits.
    pub(crate) const fn is_over(&self) -> bool {
        self.broken.is_some() || self.aborted
    }

    /// Notes a failure of the transport, which drops what waits.
    fn note(&mut self, written: io::Result<usize>) -> Option<usize> {
        match written {
            Ok(written) if !self.is_over() => Some(written),
            Ok(_) => None,
            Err(error) => {
                self.broken = Some(error);
                self.outbox.advance(usize::MAX);
                None
            }
        }
    }
}

/// Writes once; 0 if the transport takes nothing for now.
fn write(transport: &mut dyn Transport, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    let len = slices.iter().map(|slice| slice.len()).sum();
    loop {
        match transport.write(slices) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            // A transport that claims more than it was given does not get to
            // move us beyond it.
            Ok(written) => return Ok(written.min(len)),
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted => {}
                io::ErrorKind::WouldBlock => return Ok(0),
                _ => return Err(error),
            },
        }
    }
}

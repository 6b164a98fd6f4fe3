//! The compressed forms of a message that is sent to many.

use bytes::Bytes;

use super::{Deflater, pool::DeflatePool};
use crate::{DeflateWindow, Prepared, SendError, prepared::encode};

/// A compressed form of a prepared message.
#[derive(Clone, Debug)]
pub(crate) struct DeflatedFrame {
    bits: u8,
    /// The frame and the length of its head; `None` if the plain form is no
    /// longer.
    frame: Option<(Bytes, u8)>,
}

impl Prepared {
    /// Makes the compressed form for a window of that size, unless it is there
    /// or the message is shorter than `DeflateConfig::min_len`.
    ///
    /// [`Deflater::prepared`] does this at the first need. Done before cloning,
    /// it serves all clones.
    ///
    /// # Errors
    ///
    /// [`SendError::CannotCompress`], which no message leads to.
    pub fn deflate(
        &mut self,
        window: DeflateWindow,
        pool: &mut DeflatePool,
    ) -> Result<(), SendError> {
        let bits = window.bits();
        let len = self.payload().len();
        if len < pool.config().min_len || self.deflated.iter().any(|form| form.bits == bits) {
            return Ok(());
        }
        let mut fresh = Deflater::new(DeflateWindow::new(true, bits));
        let payload = fresh.deflate(self.payload(), true, pool)?;
        let frame = (payload.len() < len).then(|| encode(self.kind(), payload, true));
        self.deflated.push(DeflatedFrame { bits, frame });
        Ok(())
    }

    /// Returns the whole frame of the [compressed form](Self::deflate) as a
    /// server sends it; `None` if there is none, and the plain one is to be
    /// sent.
    #[must_use]
    pub fn deflated_frame(&self, window: DeflateWindow) -> Option<&Bytes> {
        self.form(window).map(|(frame, _)| frame)
    }

    pub(super) fn deflated_payload(&self, window: DeflateWindow) -> Option<&[u8]> {
        self.form(window)
            .map(|(frame, head_len)| &frame[usize::from(*head_len)..])
    }

    fn form(&self, window: DeflateWindow) -> Option<&(Bytes, u8)> {
        let mut forms = self.deflated.iter();
        forms
            .find(|form| form.bits == window.bits())?
            .frame
            .as_ref()
    }
}

//! Where a connection's state lies that it has beside its slot.

/// Where a connection's state lies that it has beside its slot: a
/// [`Place`] in four bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kept(u32);

/// Which state a connection has beside its slot, by its index among all of that
/// kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// None: it is idle, or nothing of a request has come.
    Nothing,
    /// A client's request that came in part, or waits for a decision.
    Request(usize),
    /// An opening handshake of our own.
    ClientOpening(usize),
    /// An open connection, or one that ends, in the middle of something.
    Link(usize),
}

/// The bits of the index; the kind is in those above it.
const INDEX: u32 = (1 << 30) - 1;
const REQUEST: u32 = 1 << 30;
const CLIENT_OPENING: u32 = 2 << 30;

impl Kept {
    pub(crate) const NOTHING: Self = Self(u32::MAX);

    pub(crate) const fn request(index: usize) -> Self {
        Self(index as u32 | REQUEST)
    }

    pub(crate) const fn client_opening(index: usize) -> Self {
        Self(index as u32 | CLIENT_OPENING)
    }

    pub(crate) const fn link_at(index: usize) -> Self {
        Self(index as u32)
    }

    pub(crate) const fn place(self) -> Place {
        let index = (self.0 & INDEX) as usize;
        match self.0 & !INDEX {
            0 => Place::Link(index),
            REQUEST => Place::Request(index),
            CLIENT_OPENING => Place::ClientOpening(index),
            _ => Place::Nothing,
        }
    }

    /// Returns the index of its link, if it has one.
    #[inline]
    pub(crate) const fn link(self) -> Option<usize> {
        match self.0 <= INDEX {
            true => Some(self.0 as usize),
            false => None,
        }
    }

    /// Returns the index of its request, if it has one.
    pub(crate) const fn pending_request(self) -> Option<usize> {
        match self.place() {
            Place::Request(index) => Some(index),
            _ => None,
        }
    }

    /// Takes it out.
    pub(crate) const fn take(&mut self) -> Self {
        std::mem::replace(self, Self::NOTHING)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn place_is_what_was_kept() {
        let kept = [
            Kept::NOTHING,
            Kept::request(7),
            Kept::client_opening(0),
            Kept::link_at(1_000_000),
        ];
        let places = kept.map(Kept::place);
        assert_eq!(
            places,
            [
                Place::Nothing,
                Place::Request(7),
                Place::ClientOpening(0),
                Place::Link(1_000_000),
            ]
        );
        assert_eq!(kept.map(Kept::link), [None, None, None, Some(1_000_000)]);
    }
}

//! Which side of a connection is ours.

use ws_proto::{ClientMasking, Masking, ServerMasking};

/// Which side of a connection is ours, and its flag of [MS-WSPE]: a masking
/// policy in one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Server,
    ServerAcceptingUnmasked,
    Client,
    ClientMaskingWithZero,
}

impl Role {
    pub(crate) const ALL: [Self; 4] = [
        Self::Server,
        Self::ServerAcceptingUnmasked,
        Self::Client,
        Self::ClientMaskingWithZero,
    ];

    pub(crate) const fn server(accept_unmasked_frame: bool) -> Self {
        match accept_unmasked_frame {
            false => Self::Server,
            true => Self::ServerAcceptingUnmasked,
        }
    }

    pub(crate) const fn client(set_mask_to_zero: bool) -> Self {
        match set_mask_to_zero {
            false => Self::Client,
            true => Self::ClientMaskingWithZero,
        }
    }

    pub(crate) const fn is_client(self) -> bool {
        matches!(self, Self::Client | Self::ClientMaskingWithZero)
    }

    /// Returns its place in [`ALL`](Self::ALL).
    pub(crate) const fn index(self) -> usize {
        self as usize
    }

    pub(crate) fn masking(self) -> Masking {
        match self {
            Self::Server | Self::ServerAcceptingUnmasked => {
                let flag = self == Self::ServerAcceptingUnmasked;
                ServerMasking::with_accept_unmasked_frame(flag).into()
            }
            Self::Client | Self::ClientMaskingWithZero => {
                let flag = self == Self::ClientMaskingWithZero;
                ClientMasking::with_set_mask_to_zero(flag).into()
            }
        }
    }
}

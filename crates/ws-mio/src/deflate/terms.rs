//! What was agreed on.

use ws_handshake::{Acceptance, ClientRequest, DeflateParams};
use ws_proto::DeflateWindow;

/// The parameters that were agreed on, as this side needs them; small enough
/// for every connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(super) sends: DeflateWindow,
    pub(super) receives: DeflateWindow,
}

/// Where there is nobody to agree with.
pub(super) const NO_WINDOW: DeflateWindow = DeflateWindow::new(true, 15);

impl Terms {
    pub(crate) fn of_server(agreed: Option<DeflateParams>) -> Option<Self> {
        let [sends, receives] = windows(agreed?);
        Some(Self { sends, receives })
    }

    pub(crate) fn of_client(agreed: Option<DeflateParams>) -> Option<Self> {
        let [receives, sends] = windows(agreed?);
        Some(Self { sends, receives })
    }

    pub(crate) const fn params(self, is_client: bool) -> DeflateParams {
        let (server, client) = match is_client {
            false => (self.sends, self.receives),
            true => (self.receives, self.sends),
        };
        DeflateParams {
            server_no_context_takeover: !server.takes_over(),
            client_no_context_takeover: !client.takes_over(),
            server_max_window_bits: server.bits(),
            client_max_window_bits: client.bits(),
        }
    }

    /// Lets through what this build can keep.
    pub(crate) const fn admit(acceptance: Acceptance<'_>) -> Acceptance<'_> {
        acceptance
    }

    /// Lets through what this build can keep.
    pub(crate) const fn offer(request: ClientRequest) -> ClientRequest {
        request
    }
}

/// The server's window, and the client's.
const fn windows(params: DeflateParams) -> [DeflateWindow; 2] {
    [
        DeflateWindow::new(
            params.server_no_context_takeover,
            params.server_max_window_bits,
        ),
        DeflateWindow::new(
            params.client_no_context_takeover,
            params.client_max_window_bits,
        ),
    ]
}

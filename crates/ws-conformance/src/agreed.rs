//! The parameters of permessage-deflate that a vector has its endpoints agree on.

use ws_proto::DeflateWindow;

use super::{json::Object, role::Role};
use crate::Failure;

/// The agreed parameters, by who compresses with them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deflate {
    server: DeflateWindow,
    client: DeflateWindow,
}

impl Default for Deflate {
    fn default() -> Self {
        Self {
            server: DeflateWindow::new(false, 15),
            client: DeflateWindow::new(false, 15),
        }
    }
}

impl Deflate {
    pub(super) fn parse(config: Object<'_>) -> Result<Option<Self>, Failure> {
        if config.get("deflate").is_none() {
            return Ok(None);
        }
        let agreed = config.object("deflate")?;
        let window = |takeover: &str, bits: &str| {
            let bits = agreed.number_or_none(bits)?.unwrap_or(15);
            let bits = u8::try_from(bits).map_err(|_| agreed.wrong("bits", "8 to 15"))?;
            Ok::<_, Failure>(DeflateWindow::new(agreed.flag(takeover)?, bits))
        };
        Ok(Some(Self {
            server: window("server_no_context_takeover", "server_max_window_bits")?,
            client: window("client_no_context_takeover", "client_max_window_bits")?,
        }))
    }

    pub(super) const fn sent_by(self, role: Role) -> DeflateWindow {
        match role {
            Role::Server => self.server,
            Role::Client => self.client,
        }
    }
}

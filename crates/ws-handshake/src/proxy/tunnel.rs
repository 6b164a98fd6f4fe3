//! The way through a proxy, as far as it is open.

use alloc::boxed::Box;
use core::fmt;

use super::{
    connect::Connect,
    outcome::{TunnelError, TunnelProgress},
    socks::Socks,
    url::{Proxy, ProxyScheme},
};

/// Opens a way through a proxy to a server: what is to be sent, and what comes back.
///
/// 1. Connect to the proxy.
/// 2. Send what [`to_send`](Self::to_send) shows, and tell [`sent`](Self::sent) how much of it was.
/// 3. Read, and hand over all that comes to [`receive`](Self::receive), and the end of the
///    transport to [`eof`](Self::eof). Then there may be more to send.
/// 4. On [`TunnelProgress::Open`] the connection is one to the server, and starts with the rest of
///    the input.
///
/// The head of a reply has at most 8 KiB, and 4 KiB of the page that comes with a refusal are kept.
/// Time is the caller's to bound.
pub struct Tunnel(Dialogue);

enum Dialogue {
    Http(Connect),
    Socks(Socks),
    Over(TunnelError),
}

impl Tunnel {
    /// Starts to open a way to a host and port.
    ///
    /// The host is a name, for the proxy to resolve, or an address; an IPv6 address may be in
    /// brackets.
    ///
    /// # Errors
    ///
    /// [`TunnelError::BadTarget`] if it is neither, or is longer than 255 bytes, or the port is 0.
    pub fn new(proxy: &Proxy, host: &str, port: u16) -> Result<Self, TunnelError> {
        let dialogue = match proxy.scheme() {
            ProxyScheme::Http => Dialogue::Http(Connect::new(proxy, host, port)?),
            ProxyScheme::Socks5 => Dialogue::Socks(Socks::new(proxy, host, port)?),
        };
        Ok(Self(dialogue))
    }

    /// What is to be sent now; empty if the proxy has the next word.
    #[must_use]
    pub fn to_send(&self) -> &[u8] {
        match &self.0 {
            Dialogue::Http(connect) => connect.to_send(),
            Dialogue::Socks(socks) => socks.to_send(),
            Dialogue::Over(_) => &[],
        }
    }

    /// Tells that the first `bytes` of [`to_send`](Self::to_send) were sent. More than there is
    /// counts as all.
    pub fn sent(&mut self, bytes: usize) {
        match &mut self.0 {
            Dialogue::Http(connect) => connect.sent(bytes),
            Dialogue::Socks(socks) => socks.sent(bytes),
            Dialogue::Over(_) => {}
        }
    }

    /// How many bytes to read from the proxy next, at most. Then none is read of what the server
    /// says behind the proxy's last word, and it stays in the stream.
    #[must_use]
    pub fn room(&self) -> usize {
        match &self.0 {
            Dialogue::Http(connect) => connect.room(),
            Dialogue::Socks(socks) => socks.room(),
            Dialogue::Over(_) => usize::MAX,
        }
    }

    /// Takes the next bytes from the proxy.
    ///
    /// # Errors
    ///
    /// Why there is no way through. The tunnel gives the same error again from then on.
    pub fn receive(&mut self, input: &[u8]) -> Result<TunnelProgress, TunnelError> {
        let progress = match &mut self.0 {
            Dialogue::Http(connect) => connect.receive(input),
            Dialogue::Socks(socks) => socks.receive(input),
            Dialogue::Over(error) => Err(error.clone()),
        };
        match &progress {
            Err(error) => self.0 = Dialogue::Over(error.clone()),
            // The bytes of the server are none of ours.
            Ok(TunnelProgress::Open { .. }) => self.0 = Dialogue::Over(TunnelError::Lost),
            Ok(TunnelProgress::Incomplete) => {}
        }
        progress
    }

    /// Tells that the transport has ended, or that its end is not waited for, and returns why there
    /// is no way through: a refusal whose page was still coming, and else
    /// [`TunnelError::Lost`].
    pub fn eof(&mut self) -> TunnelError {
        let error = match &mut self.0 {
            Dialogue::Http(connect) => match connect.take_refusal() {
                Some(response) => TunnelError::Refused(Box::new(response)),
                None => TunnelError::Lost,
            },
            Dialogue::Socks(_) => TunnelError::Lost,
            Dialogue::Over(error) => error.clone(),
        };
        self.0 = Dialogue::Over(error.clone());
        error
    }
}

impl fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dialogue = match &self.0 {
            Dialogue::Http(_) => "http",
            Dialogue::Socks(_) => "socks5",
            Dialogue::Over(_) => "over",
        };
        f.debug_tuple("Tunnel").field(&dialogue).finish()
    }
}

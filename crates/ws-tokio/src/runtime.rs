//! What tokio is asked for.

use std::time::Instant;
#[cfg(feature = "net")]
use std::{io, net::SocketAddr};

#[cfg(feature = "net")]
use tokio::net::TcpStream;
use tokio::time;
use ws_smol::{Sleep, Timer};

/// The runtime of tokio that runs: its clock, timers, name look-ups and TCP.
///
/// A timer belongs to the runtime in which it was made.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tokio;

impl Timer for Tokio {
    fn now(&self) -> Instant {
        time::Instant::now().into_std()
    }

    fn sleep_until(&self, deadline: Instant) -> Sleep {
        Box::pin(time::sleep_until(deadline.into()))
    }
}

#[cfg(feature = "net")]
impl ws_smol::Runtime for Tokio {
    type TcpStream = crate::Stream<TcpStream>;

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((host, port)).await?.collect())
    }

    async fn connect(&self, address: SocketAddr) -> io::Result<Self::TcpStream> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(crate::Stream::new(stream))
    }
}

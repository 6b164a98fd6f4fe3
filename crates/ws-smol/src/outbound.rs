//! What the application gives to be sent.

use ws_proto::{AsMessage, Message as MessageRef};

/// A message to be sent, and whether it may be compressed: what
/// [`send`](crate::WebSocket::send) and [`queue`](crate::WebSocket::queue) make
/// of text, bytes, a [`Message`](crate::Message), and any of these as
/// [`Uncompressed`].
#[derive(Clone, Copy, Debug)]
pub struct Outbound<'m> {
    pub(crate) message: MessageRef<'m>,
    pub(crate) may_compress: bool,
}

/// A message that goes out plain, also where compression was agreed on.
///
/// For secrets, which are not to be compressed beside what others wrote, and
/// for what is compressed already. Of a message in fragments, the first
/// decides.
///
/// ```
/// # use ws_smol::{Error, Uncompressed, WebSocket};
/// # async fn example(websocket: &mut WebSocket<smol::net::TcpStream>) -> Result<(), Error> {
/// # let (token, picture) = (String::new(), Vec::new());
/// websocket.send(Uncompressed(&token)).await?;
/// websocket.queue(Uncompressed(&picture))?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uncompressed<M>(pub M);

/// What can be sent: a message, borrowed or owned, or one of these as
/// [`Uncompressed`].
///
/// ```
/// # use std::borrow::Cow;
/// # use ws_smol::{Error, WebSocket};
/// # async fn example(websocket: &mut WebSocket<smol::net::TcpStream>) -> Result<(), Error> {
/// websocket.send("borrowed").await?;
/// websocket.send(format!("owned {}", 1)).await?;
/// websocket.send(Cow::Borrowed("either")).await?;
/// websocket.send(vec![1, 2, 3]).await?;
/// # Ok(())
/// # }
/// ```
pub trait AsOutbound {
    /// Lends what is to be sent.
    fn as_outbound(&self) -> Outbound<'_>;
}

impl<M: AsMessage> AsOutbound for M {
    fn as_outbound(&self) -> Outbound<'_> {
        Outbound {
            message: self.as_message(),
            may_compress: true,
        }
    }
}

impl<M: AsMessage> AsOutbound for Uncompressed<M> {
    fn as_outbound(&self) -> Outbound<'_> {
        Outbound {
            message: self.0.as_message(),
            may_compress: false,
        }
    }
}

impl AsOutbound for Outbound<'_> {
    fn as_outbound(&self) -> Outbound<'_> {
        *self
    }
}

//! What the application gives to be sent.

use ws_proto::Message as MessageRef;

/// A message to be sent, and whether it may be compressed: what
/// [`send`](crate::WebSocket::send) and [`queue`](crate::WebSocket::queue) make
/// of text, bytes, a [`Message`](crate::Message), and any of these as
/// [`Uncompressed`].
#[derive(Clone, Copy, Debug)]
pub struct Outbound<'m> {
    pub(crate) message: MessageRef<'m>,
    #[cfg_attr(
        not(feature = "deflate"),
        expect(dead_code, reason = "everything goes out plain")
    )]
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

impl<'m, M: Into<MessageRef<'m>>> From<M> for Outbound<'m> {
    fn from(message: M) -> Self {
        Self {
            message: message.into(),
            may_compress: true,
        }
    }
}

impl<'m, M: Into<MessageRef<'m>>> From<Uncompressed<M>> for Outbound<'m> {
    fn from(message: Uncompressed<M>) -> Self {
        Self {
            message: message.0.into(),
            may_compress: false,
        }
    }
}

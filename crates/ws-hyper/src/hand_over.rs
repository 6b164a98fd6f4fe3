//! Connections that leave hyper for a loop of `ws-mio`.

use std::io;

use hyper::{
    rt::{Read, Write},
    upgrade::Upgraded,
};
use hyper_util::{rt::TokioIo, server::conn::auto};
use ws_mio::{Handover, Transport};
use ws_smol::{Error, WebSocket};
use ws_tokio::Tokio;

use crate::{Stream, Upgrade};

/// A plain socket of mio's that is made of the one of tokio's that hyper serves: TCP, and
/// Unix-domain sockets where there are such.
pub trait PlainSocket: Transport + Sized {
    /// What hyper serves.
    type OfTokio: Send + Unpin + 'static;

    /// Takes a socket out of tokio's reactor. It stays non-blocking.
    ///
    /// # Errors
    ///
    /// Those of the system.
    fn from_tokio(socket: Self::OfTokio) -> io::Result<Self>;
}

impl PlainSocket for mio::net::TcpStream {
    type OfTokio = tokio::net::TcpStream;

    fn from_tokio(socket: tokio::net::TcpStream) -> io::Result<Self> {
        socket.into_std().map(Self::from_std)
    }
}

#[cfg(unix)]
impl PlainSocket for mio::net::UnixStream {
    type OfTokio = tokio::net::UnixStream;

    fn from_tokio(socket: tokio::net::UnixStream) -> io::Result<Self> {
        socket.into_std().map(Self::from_std)
    }
}

/// Why a connection is not handed over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandOverError {
    /// The connection is gone, or hyper does not give it out.
    #[error(transparent)]
    Open(#[from] Error),
    /// hyper serves something else than a plain socket of that type: TLS, or a stream of
    /// HTTP/2. The WebSocket is open, to be served where it is.
    #[error("the connection is not a plain socket of that type")]
    NotPlain(Box<WebSocket<Stream>>),
}

impl Upgrade {
    /// Takes the socket out of hyper once it has sent the reply, for a loop of `ws-mio` to
    /// [adopt](ws_mio::Remote::adopt): hyper and axum for HTTP, `ws-mio` for the WebSockets.
    ///
    /// What was agreed on goes along: compression, the flag of [MS-WSPE], and the bytes that hyper
    /// has read too far. `data` is the application's, the place for a
    /// [`subprotocol`](Self::subprotocol), too. Limits and times are those of the loop's
    /// [`Config`](ws_mio::Config), which has to name the peers that may leave out masking, as
    /// the acceptor has.
    ///
    /// `S` is [`mio::net::TcpStream`](ws_mio::mio::net::TcpStream) or `UnixStream`, where
    /// hyper serves `TokioIo<tokio::net::TcpStream>` or that of `UnixStream`, as `axum::serve`
    /// does.
    ///
    /// ```no_run
    /// use axum::{extract::State, response::{IntoResponse, Response}};
    /// use ws_hyper::WebSocketUpgrade;
    /// use ws_mio::{Handler, Remote};
    ///
    /// # #[derive(Clone)] struct App { sockets: Remote<Chat> }
    /// # struct Chat;
    /// # impl Handler for Chat { type Data = String; }
    /// async fn chat(State(app): State<App>, upgrade: WebSocketUpgrade) -> Response {
    ///     let (reply, upgrade) = match upgrade.upgrade() {
    ///         Ok(upgraded) => upgraded,
    ///         Err(rejection) => return rejection.into_response(),
    ///     };
    ///     tokio::spawn(async move {
    ///         let name = "of a session".to_owned();
    ///         match upgrade.hand_over(name).await {
    ///             Ok(handover) => drop(app.sockets.adopt(handover, |adopted| {
    ///                 if let Err(refused) = adopted {
    ///                     refused.turn_away();
    ///                 }
    ///             })),
    ///             Err(error) => eprintln!("{error}"),
    ///         }
    ///     });
    ///     reply
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`HandOverError`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the connection.
    pub async fn hand_over<S, D>(self, data: D) -> Result<Handover<S, D>, HandOverError>
    where
        S: PlainSocket,
        TokioIo<S::OfTokio>: Read + Write,
    {
        let (opening, upgraded) = self.into_upgraded().await?;
        let (socket, leftover) = match take_apart(upgraded) {
            Ok(parts) => parts,
            Err(upgraded) => {
                let websocket = opening.open(Stream::new(upgraded), Vec::new());
                let websocket = websocket.with_timer(Tokio);
                return Err(HandOverError::NotPlain(Box::new(websocket)));
            }
        };
        let socket = S::from_tokio(socket).map_err(Error::Io)?;
        Ok(Handover::server(socket, data)
            .deflate(opening.deflate())
            .accept_unmasked_frame(opening.accept_unmasked_frame())
            .leftover(leftover))
    }
}

/// Takes the socket and what was read of it out of hyper's connection, whichever builder of a
/// server made it.
fn take_apart<S>(upgraded: Upgraded) -> Result<(S, Vec<u8>), Upgraded>
where
    S: Send + Unpin + 'static,
    TokioIo<S>: Read + Write,
{
    match auto::upgrade::downcast::<TokioIo<S>>(upgraded) {
        Ok(parts) => Ok((parts.io.into_inner(), parts.read_buf.into())),
        Err(upgraded) => {
            let parts = upgraded.downcast::<TokioIo<S>>()?;
            Ok((parts.io.into_inner(), parts.read_buf.into()))
        }
    }
}

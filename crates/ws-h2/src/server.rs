//! The server's side of a connection.

use std::{
    fmt,
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Instant,
};

use bytes::Bytes;
use futures_io::{AsyncRead, AsyncWrite};
use h2::{Reason, RecvStream, server::SendResponse};
use ws_handshake::{HandshakeError, Request, Response};
use ws_smol::{Acceptor, Decision, Opening, PeerAddr, WebSocket};

use crate::{
    Config, Error, Stream,
    io::{Io, News},
    meter::{Meter, PREFACE},
};

/// An HTTP/2 connection of a client, from which its requests come.
///
/// The connection lives while [`accept`](Self::accept) is polled, and so do its
/// streams; dropping it ends them all.
pub struct Server<S> {
    connection: h2::server::Connection<Io<S>, Bytes>,
    news: Arc<News>,
    is_ended: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Server<S> {
    /// Begins an HTTP/2 connection on a stream, and announces that WebSockets may
    /// be opened in it (`SETTINGS_ENABLE_CONNECT_PROTOCOL`).
    ///
    /// How long the client may take for its preface is the caller's to bound.
    ///
    /// # Errors
    ///
    /// [`Error::Http2`] if the client does not speak HTTP/2 or the stream fails;
    /// [`Error::Config`] as [`Config::check`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the stream.
    pub async fn handshake(stream: S, config: &Config) -> Result<Self, Error> {
        config.check()?;
        let news = Arc::new(News::default());
        let meter = Meter::new(config.rates(), PREFACE, Instant::now());
        let io = Io::new(stream, meter, None, Arc::clone(&news));
        //= RFC8441-3-1
        //= RFC8441-3-3
        //= RFC8441-3-4
        let connection = h2::server::Builder::new()
            .enable_connect_protocol()
            .max_concurrent_streams(config.max_streams)
            .initial_window_size(config.stream_window)
            .initial_connection_window_size(config.connection_window())
            .max_send_buffer_size(config.send_buffer)
            .max_frame_size(config.max_frame)
            .max_header_list_size(config.max_header_list)
            .handshake(io)
            .await?;
        Ok(Self {
            connection,
            news,
            is_ended: false,
        })
    }

    /// Waits for the next request, and does all the work of the connection
    /// meanwhile; `None` once the connection is over.
    ///
    /// # Errors
    ///
    /// What ended the connection: [`Error::Http2`], or [`Error::Flood`] if a rate was passed.
    /// Its streams fail as well.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn accept(&mut self) -> Result<Option<Incoming>, Error> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    /// Polls for the next request, as [`accept`](Self::accept) waits for it.
    ///
    /// # Errors
    ///
    /// As [`accept`](Self::accept).
    pub fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Incoming>, Error>> {
        loop {
            let is_told = self.is_ended;
            let polled = self.connection.poll_accept(cx);
            if let Some(flood) = self.news.flood() {
                if !is_told {
                    self.is_ended = true;
                    self.connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                    continue;
                }
                // What came meanwhile is not looked at; the rest is to be said.
                if let Poll::Ready(Some(Ok(_))) = polled {
                    continue;
                }
                ready!(polled);
                return Poll::Ready(Err(Error::Flood {
                    limit: flood.limit,
                    value: flood.value,
                }));
            }
            return Poll::Ready(match ready!(polled) {
                Some(Ok((request, respond))) => Ok(Some(Incoming::new(request, respond))),
                Some(Err(error)) => Err(error.into()),
                None => Ok(None),
            });
        }
    }

    /// Takes no more requests: tells the client with GOAWAY. Streams that are open
    /// go on, and [`accept`](Self::accept) gives `None` once the last has
    /// ended.
    pub fn drain(&mut self) {
        self.connection.graceful_shutdown();
    }
}

impl<S> fmt::Debug for Server<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").finish_non_exhaustive()
    }
}

/// A request that has come in a stream of its own.
///
/// Dropped without an answer, its stream is reset.
pub struct Incoming {
    request: http::Request<()>,
    recv: RecvStream,
    respond: SendResponse<Bytes>,
}

impl Incoming {
    fn new(request: http::Request<RecvStream>, respond: SendResponse<Bytes>) -> Self {
        let (head, recv) = request.into_parts();
        Self {
            request: http::Request::from_parts(head, ()),
            recv,
            respond,
        }
    }

    /// The request as h2 has read it. Its extensions hold the
    /// [`h2::ext::Protocol`] of an extended CONNECT.
    #[must_use]
    pub const fn request(&self) -> &http::Request<()> {
        &self.request
    }

    /// The request as an opening handshake is looked at: for a [`Decision`] by its
    /// path, cookies and origin.
    ///
    /// # Errors
    ///
    /// What makes the request malformed. [`decide`](Self::decide) answers it.
    pub fn handshake(&self) -> Result<Request<'_>, HandshakeError> {
        match self.request.extensions().get::<h2::ext::Protocol>() {
            Some(protocol) => Request::from_http_connect(&self.request, protocol.as_str()),
            None => Request::from_http(&self.request),
        }
    }

    /// Accepts the WebSocket that is asked for, or refuses the request with the
    /// status that says why.
    ///
    /// `peer` is the client's address, as the connection below tells it.
    ///
    /// # Errors
    ///
    /// [`Error::WebSocket`] says why the request was refused, which was answered;
    /// [`Error::Http2`] if the stream was reset meanwhile.
    pub fn accept(
        self,
        acceptor: &Acceptor,
        peer: impl Into<PeerAddr>,
    ) -> Result<WebSocket<Stream>, Error> {
        self.decide(acceptor, peer, Decision::accept())
    }

    /// Does with the request what was decided. What is accepted is still checked by the
    /// rules of RFC 8441 and by the acceptor.
    ///
    /// ```
    /// use ws_h2::{Error, Incoming, Stream, WebSocket};
    /// use ws_smol::{Acceptor, Decision, PeerAddr, Response};
    ///
    /// async fn open(incoming: Incoming, acceptor: &Acceptor) -> Result<WebSocket<Stream>, Error> {
    /// #   async fn is_known(_: Option<&str>) -> bool { true }
    ///     let request = incoming.handshake()?;
    ///     let decision = match request.path() {
    ///         "/chat" if is_known(request.cookie("session")).await => {
    ///             Decision::accept().subprotocol("chat")
    ///         }
    ///         "/chat" => Decision::respond(Response::new(401)),
    ///         _ => Decision::respond(Response::new(404)),
    ///     };
    ///     incoming.decide(acceptor, PeerAddr::Unknown, decision)
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`accept`](Self::accept).
    pub fn decide(
        self,
        acceptor: &Acceptor,
        peer: impl Into<PeerAddr>,
        decision: Decision,
    ) -> Result<WebSocket<Stream>, Error> {
        let (stream, opening) = self.open(acceptor, peer, decision)?;
        Ok(opening.open(stream, Vec::new()))
    }

    /// Does with the request what was decided, as [`decide`](Self::decide), and gives the
    /// stream with what was agreed on: for a gateway that hands the frames on as they are.
    ///
    /// # Errors
    ///
    /// As [`accept`](Self::accept).
    pub fn open(
        mut self,
        acceptor: &Acceptor,
        peer: impl Into<PeerAddr>,
        decision: Decision,
    ) -> Result<(Stream, Opening), Error> {
        let peer = peer.into();
        let judged = self.handshake().map(|request| {
            let judged = acceptor.judge(&request, peer, decision);
            judged.map(|(acceptance, opening)| (acceptance.to_http(), opening))
        });
        match judged {
            Ok(Ok((reply, opening))) => {
                let send = self.respond.send_response(reply, false)?;
                Ok((Stream::new(send, self.recv), opening))
            }
            Ok(Err(rejection)) => {
                self.answer(&rejection.response)?;
                Err(rejection.error.into())
            }
            Err(error) => {
                //= RFC9113-8.1.1-1
                match error.is_malformed() {
                    true => self.respond.send_reset(Reason::PROTOCOL_ERROR),
                    false => self.answer(&error.rejection())?,
                }
                Err(error.into())
            }
        }
    }

    /// Answers with a response, and ends the stream: there is no WebSocket.
    ///
    /// # Errors
    ///
    /// [`Error::Http2`] if the stream was reset meanwhile.
    pub fn respond(mut self, response: &Response) -> Result<(), Error> {
        self.answer(response)
    }

    /// Takes the request apart, for what else a server does with HTTP/2.
    pub fn into_parts(self) -> (http::Request<()>, RecvStream, SendResponse<Bytes>) {
        (self.request, self.recv, self.respond)
    }

    fn answer(&mut self, response: &Response) -> Result<(), Error> {
        let mut head = http::Response::new(());
        for (name, value) in response.to_fields().iter() {
            match name {
                ":status" => *head.status_mut() = status(value),
                _ => append(head.headers_mut(), name, value),
            }
        }
        let body = response.content();
        let mut send = self.respond.send_response(head, body.is_empty())?;
        if !body.is_empty() {
            send.send_data(Bytes::copy_from_slice(body), true)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming")
            .field("method", self.request.method())
            .field("path", &self.request.uri().path())
            .finish_non_exhaustive()
    }
}

fn status(value: &[u8]) -> http::StatusCode {
    // INVARIANT: a `Response` has a status from 200 to 599.
    http::StatusCode::from_bytes(value).unwrap_or_default()
}

fn append(headers: &mut http::HeaderMap, name: &str, value: &[u8]) {
    let name = http::HeaderName::from_bytes(name.as_bytes());
    // INVARIANT: both were checked when they were set.
    if let (Ok(name), Ok(value)) = (name, http::HeaderValue::from_bytes(value)) {
        headers.append(name, value);
    }
}

//! The client's side of a connection.

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Instant,
};

use bytes::{Buf as _, Bytes};
use futures_io::{AsyncRead, AsyncWrite};
use h2::{RecvStream, client::SendRequest, ext::Protocol};
use ws_handshake::{Agreed, ConnectProgress, ExtendedConnect, HttpResponse};
use ws_smol::{ClientRequest, Connector, PeerAddr, WebSocket};

use crate::{
    Config, Error, Stream,
    io::{Io, News},
    meter::{AckSearch, Meter, PREFACE},
};

/// Opens WebSockets in one HTTP/2 connection. Clones open them in the same one.
#[derive(Clone)]
pub struct Client {
    send: SendRequest<Bytes>,
    news: Arc<News>,
}

/// The work of a client's connection: a future to be polled, by a task of its own, for
/// as long as there are WebSockets in it.
///
/// It is over once all [`Client`]s and streams are gone, or with the connection.
/// Dropping it ends all streams.
#[must_use = "nothing is sent and nothing comes unless this is polled"]
pub struct Connection<S: AsyncRead + AsyncWrite + Unpin> {
    connection: h2::client::Connection<Io<S>, Bytes>,
    news: Arc<News>,
}

impl Client {
    /// Begins an HTTP/2 connection on a stream that is connected to a server.
    ///
    /// # Errors
    ///
    /// [`Error::Http2`] if the stream fails; [`Error::Config`] as [`Config::check`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the stream.
    pub async fn handshake<S>(stream: S, config: &Config) -> Result<(Self, Connection<S>), Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        config.check()?;
        let news = Arc::new(News::default());
        let meter = Meter::new(config.rates(), 0, Instant::now());
        let search = AckSearch::new(PREFACE);
        let io = Io::new(stream, meter, Some(search), Arc::clone(&news));
        let (send, connection) = h2::client::Builder::new()
            .enable_push(false)
            .initial_window_size(config.stream_window)
            .initial_connection_window_size(config.connection_window())
            .max_send_buffer_size(config.send_buffer)
            .max_frame_size(config.max_frame)
            .max_header_list_size(config.max_header_list)
            .handshake(io)
            .await?;
        let client = Self {
            send,
            news: Arc::clone(&news),
        };
        Ok((client, Connection { connection, news }))
    }

    /// Opens a WebSocket in a stream of its own: waits for the server's SETTINGS and
    /// for a stream to be free, sends the request, and judges the reply.
    ///
    /// `connector` says what the WebSocket is to be like: its
    /// [`Config`](ws_smol::Config), and the flag of [MS-WSPE] by `peer`, the server's
    /// address. Its times for the handshake are not used: give the future a
    /// deadline.
    ///
    /// # Errors
    ///
    /// [`Error::ExtendedConnectNotSupported`] if the server does not allow it, before
    /// anything is sent; [`Error::WebSocket`] with
    /// [`Refused`](ws_smol::Error::Refused) for a status that does not accept,
    /// [`Handshake`](ws_smol::Error::Handshake) for a reply that breaks a rule, and
    /// [`NoTls`](ws_smol::Error::NoTls) for a `wss://` URL without
    /// [`Connector::under_tls`]; [`Error::Http2`] if the connection or the stream fails.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future resets the stream, if it was opened.
    pub async fn connect(
        &self,
        connector: &Connector,
        peer: impl Into<PeerAddr>,
        request: ClientRequest,
    ) -> Result<WebSocket<Stream>, Error> {
        let (stream, agreed) = self.open(connector, request).await?;
        Ok(connector.after_handshake(stream, peer, agreed, Vec::new())?)
    }

    /// Opens a stream for a WebSocket, as [`connect`](Self::connect), and gives it with what
    /// the server has agreed to: for a gateway that hands the frames on as they are.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    ///
    /// # Cancel safety
    ///
    /// As [`connect`](Self::connect).
    pub async fn open(
        &self,
        connector: &Connector,
        request: ClientRequest,
    ) -> Result<(Stream, Agreed), Error> {
        connector.check_request(&request)?;
        poll_fn(|cx| self.news.poll_settings(cx)).await;
        let mut send = self.send.clone().ready().await?;
        //= RFC8441-3-2
        if !send.is_extended_connect_protocol_enabled() {
            return Err(Error::ExtendedConnectNotSupported);
        }
        let mut handshake = request.extended_connect();
        let (reply, stream) = send.send_request(to_http(&handshake), false)?;
        let (reply, mut body) = reply.await?.into_parts();
        let status = (":status", reply.status.as_str().as_bytes());
        let headers = reply.headers.iter();
        let headers = headers.map(|(name, value)| (name.as_str(), value.as_bytes()));
        match handshake.receive(std::iter::once(status).chain(headers))? {
            ConnectProgress::Agreed(agreed) => Ok((Stream::new(stream, body), agreed)),
            ConnectProgress::Refused(mut response) => {
                poll_fn(|cx| poll_body(&mut body, handshake.max_body(), &mut response, cx)).await;
                Err(ws_smol::Error::Refused(Box::new(response)).into())
            }
            // INVARIANT: h2 passes over interim replies.
            ConnectProgress::Interim => Err(h2::Error::from(h2::Reason::PROTOCOL_ERROR).into()),
        }
    }
}

/// Makes the request that h2 takes, which has its pseudo-headers elsewhere.
fn to_http(handshake: &ExtendedConnect) -> http::Request<()> {
    let mut request = http::Request::new(());
    let mut uri = http::Uri::builder();
    for (name, value) in handshake.fields().iter() {
        uri = match name {
            ":method" => {
                *request.method_mut() = http::Method::CONNECT;
                uri
            }
            ":protocol" => {
                let protocol = Protocol::from_static("websocket");
                request.extensions_mut().insert(protocol);
                uri
            }
            ":scheme" => uri.scheme(value),
            ":authority" => uri.authority(value),
            ":path" => uri.path_and_query(value),
            name => {
                let name = http::HeaderName::from_bytes(name.as_bytes());
                // INVARIANT: both were checked when they were added.
                if let (Ok(name), Ok(value)) = (name, http::HeaderValue::from_bytes(value)) {
                    request.headers_mut().append(name, value);
                }
                uri
            }
        };
    }
    // INVARIANT: the parts of a `Uri` of ws-handshake are those of one of `http`.
    *request.uri_mut() = uri.build().unwrap_or_default();
    *request.version_mut() = http::Version::HTTP_2;
    request
}

/// Reads the body of a refusal, as much of it as is to be kept.
fn poll_body(
    body: &mut RecvStream,
    max: usize,
    response: &mut HttpResponse,
    cx: &mut Context<'_>,
) -> Poll<()> {
    loop {
        let mut bytes = match ready!(body.poll_data(cx)) {
            None => return Poll::Ready(()),
            Some(Err(_)) => {
                response.truncated = true;
                return Poll::Ready(());
            }
            Some(Ok(bytes)) => bytes,
        };
        // A stream that is over has no window to give back.
        let _ = body.flow_control().release_capacity(bytes.len());
        let kept = bytes.len().min(max - response.body.len());
        response.body.extend_from_slice(&bytes[..kept]);
        bytes.advance(kept);
        if !bytes.is_empty() {
            response.truncated = true;
            return Poll::Ready(());
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Future for Connection<S> {
    type Output = Result<(), Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.connection).poll(cx);
        if let Some(flood) = this.news.flood() {
            this.news.end();
            return Poll::Ready(Err(Error::Flood {
                limit: flood.limit,
                value: flood.value,
            }));
        }
        let result = ready!(polled);
        this.news.end();
        Poll::Ready(result.map_err(Error::from))
    }
}

#[cfg(feature = "tls")]
impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Does the work of the connection until something in it is done.
    pub(crate) async fn drive<T>(&mut self, done: impl Future<Output = T>) -> T {
        let mut done = std::pin::pin!(done);
        let mut is_over = false;
        poll_fn(|cx| {
            // What ends the connection ends what waits in it, with its reason.
            is_over = is_over || Pin::new(&mut *self).poll(cx).is_ready();
            done.as_mut().poll(cx)
        })
        .await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Drop for Connection<S> {
    fn drop(&mut self) {
        self.news.end();
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> fmt::Debug for Connection<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

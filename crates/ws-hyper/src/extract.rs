//! The extractor for axum.

use std::{fmt, future::Future, sync::Arc};

use axum::{
    body::Body,
    extract::{FromRef, FromRequestParts},
    response::{IntoResponse, Response},
};
use hyper::upgrade::OnUpgrade;
use ws_handshake::{HandshakeError, Request};
use ws_smol::{Acceptor, Decision, PeerAddr, WebSocket};

use crate::{Rejection, Stream, Upgrade, upgrade};

/// Extracts a request for a WebSocket, in axum.
///
/// The state holds the [`Acceptor`], as an `Arc<Acceptor>` of its own or by [`FromRef`]: what it
/// decides is decided once, and so an origin policy is always named. Route it with
/// [`any`](axum::routing::any), as a WebSocket over HTTP/2 is a CONNECT.
///
/// ```no_run
/// use std::{net::SocketAddr, sync::Arc, time::Duration};
///
/// use axum::{Router, extract::{FromRef, State}, http::StatusCode, response::{IntoResponse, Response}, routing::any};
/// use ws_hyper::{Stream, Tokio, WebSocket, WebSocketUpgrade};
/// use ws_smol::{Acceptor, CloseCode, Error, Gate, OriginPolicy, Pass};
///
/// #[derive(Clone)]
/// struct App {
///     acceptor: Arc<Acceptor>,
///     gate: Gate,
/// }
/// # impl FromRef<App> for Arc<Acceptor> { fn from_ref(app: &App) -> Self { Arc::clone(&app.acceptor) } }
///
/// async fn chat(State(app): State<App>, upgrade: WebSocketUpgrade) -> Response {
///     match app.gate.admit(upgrade.peer()) {
///         Ok(pass) => upgrade.on_upgrade(|websocket| talk(websocket, pass)),
///         Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
///     }
/// }
///
/// async fn talk(mut websocket: WebSocket<Stream>, pass: Pass) -> Result<(), Error> {
///     loop {
///         tokio::select! {
///             message = websocket.receive() => match message? {
///                 Some(message) => websocket.send(&message).await?,
///                 None => return Ok(()),
///             },
///             () = pass.drained() => return websocket.close(CloseCode::GOING_AWAY, "").await,
///         }
///     }
/// }
///
/// async fn serve(listener: tokio::net::TcpListener, stop: impl Future<Output = ()> + Send + 'static) {
///     let gate = Gate::new(10_000, usize::MAX).timer(Tokio);
///     let acceptor = Acceptor::new(OriginPolicy::SameHost).gate(&gate);
///     let app = App { acceptor: Arc::new(acceptor), gate: gate.clone() };
///     let router = Router::new().route("/chat", any(chat)).with_state(app);
///     let service = router.into_make_service_with_connect_info::<SocketAddr>();
///     let drain = gate.clone();
///     let stop = async move {
///         stop.await;
///         drain.drain(Duration::from_secs(10), Duration::from_secs(30));
///     };
///     axum::serve(listener, service).with_graceful_shutdown(stop).await.unwrap();
///     // axum has served its requests; these are the WebSockets.
///     gate.gone().await;
/// }
/// ```
///
/// # From axum's own extractor
///
/// | `axum::extract::ws` | here |
/// |---|---|
/// | `WebSocketUpgrade` | the same name; the state needs an `Arc<Acceptor>` |
/// | `protocols(["a", "b"])` | `Acceptor::subprotocols` |
/// | `max_message_size`, `max_frame_size` | `Acceptor::limits`, or `Decision::limits` |
/// | `write_buffer_size`, `max_write_buffer_size` | `Config::max_backpressure` |
/// | `accept_unmasked_frames(true)` | `Acceptor::accept_unmasked_frame`, which may be for some networks |
/// | `on_upgrade(f)` | the same; [`upgrade`](Self::upgrade) gives the future, to be spawned elsewhere |
/// | `on_failed_upgrade(f)` | the error that [`upgrade`](Self::upgrade)'s future has |
/// | `WebSocket::recv() -> Option<Result<Message, _>>` | `receive() -> Result<Option<Message>, _>` |
/// | `Message::Ping`, `Pong`, `Close` | are not messages: Pings are answered, `close_status` tells of the Close |
/// | `socket.split()` of `futures` | `WebSocket::split`; `Stream` and `Sink` are there too |
/// | dropped sockets in a graceful shutdown | a `Gate`, as above |
#[must_use = "the request is accepted by `on_upgrade` or `upgrade`"]
pub struct WebSocketUpgrade {
    request: http::Request<()>,
    upgrade: OnUpgrade,
    acceptor: Arc<Acceptor>,
    decision: Decision,
}

impl WebSocketUpgrade {
    /// The request as an opening handshake is looked at: for its path, cookies, origin and
    /// subprotocols.
    ///
    /// # Errors
    ///
    /// What makes the request malformed; there is none in an extracted request.
    pub fn handshake(&self) -> Result<Request<'_>, HandshakeError> {
        upgrade::read(&self.request)
    }

    /// The address of the client, as [the crate](crate#who-the-peer-is) says.
    #[must_use]
    pub fn peer(&self) -> PeerAddr {
        upgrade::peer(self.request.extensions())
    }

    /// Decides more about this request: a subprotocol, headers of the reply, limits, a flag of
    /// [MS-WSPE].
    pub fn decide(mut self, decision: Decision) -> Self {
        self.decision = decision;
        self
    }

    /// Accepts the request, and has `callback` called in a task of tokio's once the WebSocket is
    /// open. The response is to be returned from the handler; it is a refusal if the acceptor
    /// does not let the request in.
    ///
    /// What the callback returns ends the task and is not looked at.
    ///
    /// # Panics
    ///
    /// Outside a runtime of tokio.
    pub fn on_upgrade<C, F>(self, callback: C) -> Response
    where
        C: FnOnce(WebSocket<Stream>) -> F + Send + 'static,
        F: Future + Send + 'static,
    {
        match self.upgrade() {
            Ok((reply, upgrade)) => {
                tokio::spawn(async move {
                    // A connection that is gone before it was open is nobody's to hear of.
                    if let Ok(websocket) = upgrade.await {
                        callback(websocket).await;
                    }
                });
                reply
            }
            Err(rejection) => rejection.into_response(),
        }
    }

    /// Accepts the request: the response to return from the handler, and the WebSocket as a future,
    /// to be spawned wherever it is to live.
    ///
    /// # Errors
    ///
    /// [`Rejection`] if the acceptor does not let the request in.
    pub fn upgrade(self) -> Result<(Response, Upgrade), Rejection> {
        let judged = upgrade::judge(&self.request, &self.acceptor, self.decision)?;
        let (reply, upgrade) = upgrade::finish(judged, Some(self.upgrade))?;
        Ok((reply.map(|()| Body::empty()), upgrade))
    }
}

impl<S> FromRequestParts<S> for WebSocketUpgrade
where
    S: Send + Sync,
    Arc<Acceptor>: FromRef<S>,
{
    type Rejection = Rejection;

    async fn from_request_parts(
        parts: &mut http::request::Parts,
        state: &S,
    ) -> Result<Self, Self::Rejection> {
        let upgrade = parts.extensions.remove::<OnUpgrade>();
        let request = http::Request::from_parts(parts.clone(), ());
        let acceptor = Arc::<Acceptor>::from_ref(state);
        // One that asks for something else is refused here, so that a handler may take an `Option`
        // or a `Result`.
        let is_upgrade = upgrade::read(&request).is_ok_and(|request| request.is_upgrade());
        if !is_upgrade {
            upgrade::judge(&request, &acceptor, Decision::accept()).map(drop)?;
        }
        Ok(Self {
            request,
            upgrade: upgrade.ok_or_else(Rejection::not_upgradable)?,
            acceptor,
            decision: Decision::accept(),
        })
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        self.into_http().map(Body::from)
    }
}

impl fmt::Debug for WebSocketUpgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketUpgrade")
            .field("method", self.request.method())
            .field("path", &self.request.uri().path())
            .finish_non_exhaustive()
    }
}

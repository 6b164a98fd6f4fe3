//! Servers of hyper and axum, and clients.

use std::{convert::Infallible, future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{io::DuplexStream, sync::mpsc};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt as _};
use ws_h2::{Client, Config};
use ws_hyper::{Acceptor, Decision, Peer, PeerAddr, Stream, WebSocket};
use ws_smol::{ClientRequest, Connector, OriginPolicy, Uri};

pub(crate) type Near = Compat<DuplexStream>;

/// Runs a future on a runtime of its own; a test that hangs fails.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let limit = Duration::from_secs(120);
        tokio::time::timeout(limit, future)
            .await
            .expect("the test hangs")
    })
}

pub(crate) fn acceptor() -> Acceptor {
    Acceptor::new(OriginPolicy::SameHost)
}

pub(crate) fn request() -> ClientRequest {
    ClientRequest::new(Uri::parse("ws://localhost/chat").unwrap())
}

/// What a server is to do, and where its WebSockets go.
#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) acceptor: Arc<Acceptor>,
    pub(crate) decision: Decision,
    pub(crate) peer: Option<Peer>,
    pub(crate) is_without_upgrades: bool,
    opened: mpsc::UnboundedSender<Opened>,
}

pub(crate) type Opened = Result<WebSocket<Stream>, ws_smol::Error>;

impl Service {
    pub(crate) fn new(acceptor: Acceptor) -> (Self, mpsc::UnboundedReceiver<Opened>) {
        let (opened, receiver) = mpsc::unbounded_channel();
        let service = Self {
            acceptor: Arc::new(acceptor),
            decision: Decision::accept(),
            peer: None,
            is_without_upgrades: false,
            opened,
        };
        (service, receiver)
    }

    async fn answer(
        self,
        mut request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        if let Some(peer) = self.peer {
            request.extensions_mut().insert(peer);
        }
        let upgraded = ws_hyper::upgrade_with(&mut request, &self.acceptor, self.decision);
        Ok(match upgraded {
            Ok((reply, upgrade)) => {
                tokio::spawn(async move { self.opened.send(upgrade.await) });
                reply.map(|()| Full::default())
            }
            Err(rejection) => rejection.into_http().map(Full::from),
        })
    }

    /// Serves a connection over HTTP/1.1; the client's end of it.
    pub(crate) fn http1(self) -> DuplexStream {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let is_without_upgrades = self.is_without_upgrades;
        let service = service_fn(move |request| self.clone().answer(request));
        let connection =
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(far), service);
        tokio::spawn(async move {
            match is_without_upgrades {
                true => connection.await,
                false => connection.with_upgrades().await,
            }
        });
        near
    }

    /// Serves a connection over HTTP/2; its client.
    pub(crate) async fn http2(self) -> Client {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let service = service_fn(move |request| self.clone().answer(request));
        tokio::spawn(
            hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .enable_connect_protocol()
                .serve_connection(TokioIo::new(far), service),
        );
        let (client, connection) = Client::handshake(near.compat(), &Config::default())
            .await
            .unwrap();
        tokio::spawn(connection);
        client
    }
}

/// Opens a WebSocket over HTTP/1.1.
pub(crate) async fn over_http1(
    stream: DuplexStream,
    request: ClientRequest,
) -> Result<WebSocket<Near>, ws_smol::Error> {
    Connector::new()
        .handshake(stream.compat(), PeerAddr::Unknown, request)
        .await
}

/// Opens one over HTTP/2.
pub(crate) async fn over_http2(
    client: &Client,
    request: ClientRequest,
) -> Result<WebSocket<ws_h2::Stream>, ws_h2::Error> {
    client
        .connect(&Connector::new(), PeerAddr::Unknown, request)
        .await
}

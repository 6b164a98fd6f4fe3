//! By `ws-hyper`, on hyper.

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Request, Response,
    body::Incoming,
    header::UPGRADE,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use smol::io::{AsyncRead, AsyncWrite};
use tokio_util::compat::FuturesAsyncReadCompatExt as _;
use ws_hyper::Peer;
use ws_interop::Failure;
use ws_smol::Acceptor;

use super::{Number, WORDS, echo};

pub(super) async fn serve<S>(
    stream: S,
    peer: SocketAddr,
    acceptor: &Acceptor,
    number: Number,
    is_http1: bool,
) -> Result<(), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let acceptor = Arc::new(acceptor.clone());
    let service = service_fn(move |mut request| {
        let acceptor = Arc::clone(&acceptor);
        async move {
            request.extensions_mut().insert(Peer::from(peer));
            Ok::<_, Infallible>(answer(request, &acceptor, number))
        }
    });
    let stream = TokioIo::new(stream.compat());
    if is_http1 {
        let connection = http1::Builder::new().serve_connection(stream, service);
        connection.with_upgrades().await?;
        return Ok(());
    }
    http2::Builder::new(TokioExecutor::new())
        .enable_connect_protocol()
        .serve_connection(stream, service)
        .await?;
    Ok(())
}

fn answer(
    mut request: Request<Incoming>,
    acceptor: &Acceptor,
    number: Number,
) -> Response<Full<Bytes>> {
    let is_connect = request.extensions().get::<hyper::ext::Protocol>().is_some();
    if !is_connect && !request.headers().contains_key(UPGRADE) {
        return Response::new(WORDS.into());
    }
    match ws_hyper::upgrade(&mut request, acceptor) {
        Ok((reply, upgrade)) => {
            tokio::spawn(async move { echo(upgrade.await?, number).await });
            reply.map(|()| Full::default())
        }
        Err(rejection) => rejection.into_http().map(Full::from),
    }
}

//! What the servers here have in common: one thread, a listener as that of `ws-mio`, and the mode.

mod room;
pub mod sockudo;

use std::error::Error;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;

use bench_rig::rustls::ServerConfig;
use bench_rig::{Arguments, Deflate, Mode, finish, server_tls};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

pub use room::Room;

/// Serves every connection with `serve`, on this thread.
pub fn run<F, E>(serve: impl Fn(TcpStream) -> F) -> ExitCode
where
    F: Future<Output = Result<(), E>> + 'static,
    E: 'static,
{
    finish(Arguments::from_env().end().and_then(|()| serve_all(serve)))
}

/// Serves every connection with `serve`, on this thread; with `serve_secure` where `--tls-cert` and
/// `--tls-key` are given.
pub fn run_secure<F, S, E>(
    serve: impl Fn(TcpStream) -> F,
    serve_secure: impl Fn(TlsStream<TcpStream>) -> S + Copy + 'static,
) -> ExitCode
where
    F: Future<Output = Result<(), E>> + 'static,
    S: Future<Output = Result<(), E>> + 'static,
    E: 'static,
{
    run_in_mode(|stream, _| serve(stream), serve_secure)
}

/// Does the same in the mode that `--mode` says, which is for connections without TLS.
pub fn run_in_mode<F, S, E>(
    serve: impl Fn(TcpStream, Mode) -> F,
    serve_secure: impl Fn(TlsStream<TcpStream>) -> S + Copy + 'static,
) -> ExitCode
where
    F: Future<Output = Result<(), E>> + 'static,
    S: Future<Output = Result<(), E>> + 'static,
    E: 'static,
{
    finish((|| {
        let mut arguments = Arguments::from_env();
        let mode = arguments.value("--mode")?.unwrap_or_default();
        let tls = server_tls(&mut arguments)?;
        arguments.end()?;
        match tls {
            None => serve_all(|stream| serve(stream, mode)),
            Some(config) => serve_all_secure(config, serve_secure),
        }
    })())
}

fn serve_all_secure<F, E>(
    config: Arc<ServerConfig>,
    serve: impl Fn(TlsStream<TcpStream>) -> F + Copy + 'static,
) -> Result<(), Box<dyn Error>>
where
    F: Future<Output = Result<(), E>> + 'static,
    E: 'static,
{
    let acceptor = TlsAcceptor::from(config);
    serve_all(move |stream| {
        let shaking = acceptor.accept(stream);
        async move {
            let Ok(stream) = shaking.await else {
                return Ok(());
            };
            serve(stream).await
        }
    })
}

/// Serves every connection with `serve`, on this thread, with the compression that `--deflate` says.
pub fn run_deflating<F, E>(serve: impl Fn(TcpStream, Option<Deflate>) -> F) -> ExitCode
where
    F: Future<Output = Result<(), E>> + 'static,
    E: 'static,
{
    finish((|| {
        let mut arguments = Arguments::from_env();
        let deflate = Deflate::from_arguments(&mut arguments)?;
        arguments.end()?;
        serve_all(|stream| serve(stream, deflate))
    })())
}

fn serve_all<F, E>(serve: impl Fn(TcpStream) -> F) -> Result<(), Box<dyn Error>>
where
    F: Future<Output = Result<(), E>> + 'static,
    E: 'static,
{
    block_on(async {
        let listener = listen()?;
        loop {
            let (stream, _) = listener.accept().await?;
            let served = serve(stream);
            // How a connection ends is told by what the generator gets to see.
            tokio::task::spawn_local(async move { drop(served.await) });
        }
    })
}

/// Runs a client or a server on a runtime of one thread.
///
/// # Errors
///
/// Those of the future.
pub fn block_on<T>(
    future: impl Future<Output = Result<T, Box<dyn Error>>>,
) -> Result<T, Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    tokio::task::LocalSet::new().block_on(&runtime, future)
}

fn listen() -> Result<TcpListener, Box<dyn Error>> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.listen(4096)?;
    socket.set_nonblocking(true)?;
    // Inherited by the connections that are accepted.
    socket.set_tcp_nodelay(true)?;
    let listener = TcpListener::from_std(socket.into())?;
    println!("listening on {}", listener.local_addr()?);
    Ok(listener)
}

//! On `ws-smol`: each connection counts for itself.

use smol::{
    LocalExecutor, future,
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use ws_interop::{Failure, Frames, say};
use ws_smol::{Acceptor, Decision, Error, OriginPolicy, PeerAddr, Request, WebSocket};

use super::{Options, failed};

pub(super) fn serve(options: Options) -> Result<(), Failure> {
    let acceptor = Acceptor::new(OriginPolicy::Any).accept_unmasked_frame(options.accepts_unmasked);
    // Nothing is ever sent on it: it ends with a signal.
    let (stop, stopped) = smol::channel::bounded::<()>(1);
    examples::on_stop(move || drop(stop))?;
    let executor = LocalExecutor::new();
    let serving = async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        say(format_args!("listening on ws://{}", listener.local_addr()?));
        loop {
            let (stream, peer) = listener.accept().await?;
            let (acceptor, peer) = (acceptor.clone(), PeerAddr::from(peer));
            executor
                .spawn(async move {
                    if let Err(error) = talk(options, &acceptor, stream, peer).await {
                        eprintln!("{error}");
                    }
                })
                .detach();
        }
    };
    let until_stopped = async {
        let _ = stopped.recv().await;
        Ok(())
    };
    smol::block_on(executor.run(future::or(until_stopped, serving)))
}

async fn talk(
    options: Options,
    acceptor: &Acceptor,
    stream: TcpStream,
    peer: PeerAddr,
) -> Result<(), Failure> {
    let decide = async |request: &Request<'_>, _: &PeerAddr| match options.agreement(request) {
        Some((name, value)) => Decision::accept().header(name, value),
        None => Decision::accept(),
    };
    let mut websocket = acceptor.accept_with(stream, peer, decide).await?;
    let ended = match options.to {
        None => echo(&mut websocket).await,
        Some(to) => pass(&mut websocket, TcpStream::connect(to).await?).await,
    };
    let counts = websocket.take_frame_counts();
    let frames = Frames {
        all: counts.by_opcode.iter().map(|&count| u64::from(count)).sum(),
        unmasked: counts.unmasked.into(),
        zero_key: counts.zero_key.into(),
    };
    let ended = match ended {
        Err(Error::Protocol(error)) => failed(&error),
        _ => {
            let code = websocket.close_status().map_or(1006, |status| status.code);
            format!("closed {code}")
        }
    };
    say(format_args!("{ended}: {frames}"));
    Ok(())
}

async fn echo(websocket: &mut WebSocket<TcpStream>) -> Result<(), Error> {
    while let Some(message) = websocket.receive().await? {
        websocket.send(&message).await?;
    }
    Ok(())
}

/// Passes bytes on both ways, until either end has ended.
async fn pass(websocket: &mut WebSocket<TcpStream>, mut to: TcpStream) -> Result<(), Error> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let there = async { Ok::<_, Error>(Came::Message(websocket.receive().await?)) };
        let back = async { Ok(Came::Bytes(to.read(&mut buffer).await.map_err(Error::Io)?)) };
        // Neither loses anything when the other is first.
        match future::or(there, back).await? {
            Came::Message(Some(message)) => {
                to.write_all(message.as_bytes()).await.map_err(Error::Io)?;
            }
            Came::Message(None) | Came::Bytes(0) => return Ok(()),
            Came::Bytes(len) => websocket.send(&buffer[..len]).await?,
        }
    }
}

enum Came {
    Message(Option<ws_smol::Message>),
    Bytes(usize),
}

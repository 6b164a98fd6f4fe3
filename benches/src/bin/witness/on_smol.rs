//! `ws-smol`, on async-io and on its own reactor.

use std::{error::Error, io, net::SocketAddr};

use smol::{
    LocalExecutor,
    channel::{Receiver, unbounded},
    future,
    io::{AsyncRead, AsyncWrite},
};
use ws_smol::{
    Acceptor, CloseCode, Config, Connector, Error as Failure, OriginPolicy, WebSocket, net,
    net::TcpListener,
};

use crate::{Command, MESSAGE, Task, obey, request, tell};

pub(crate) fn serve(address: SocketAddr, task: Task) -> Result<(), Box<dyn Error>> {
    let commands = commands();
    smol::block_on(async {
        let listener = smol::net::TcpListener::bind(address).await?;
        tell(format_args!("listening on {}", listener.local_addr()?));
        let (stream, peer) = listener.accept().await?;
        report(acceptor(task).accept(stream, peer).await, &commands, task).await;
        Ok(())
    })
}

pub(crate) fn serve_on_net(address: SocketAddr, task: Task) -> Result<(), Box<dyn Error>> {
    let commands = commands();
    let executor = LocalExecutor::new();
    let served: io::Result<()> = net::block_on(executor.run(async {
        let listener = TcpListener::bind(address)?;
        tell(format_args!("listening on {}", listener.local_addr()?));
        let (stream, peer) = listener.accept().await?;
        report(acceptor(task).accept(stream, peer).await, &commands, task).await;
        Ok(())
    }))?;
    Ok(served?)
}

pub(crate) fn call(address: SocketAddr, task: Task) -> Result<(), Box<dyn Error>> {
    let commands = commands();
    let mut connector = Connector::new().config(config(task));
    if let Some(limit) = task.limits.handshake {
        connector = connector.connect_timeout(limit);
    }
    let request = request(address)?;
    smol::block_on(async {
        report(connector.connect(request).await, &commands, task).await;
    });
    Ok(())
}

fn acceptor(task: Task) -> Acceptor {
    Acceptor::new(OriginPolicy::Any).config(config(task))
}

fn config(task: Task) -> Config {
    let mut config = Config::default();
    let limits = &task.limits;
    limits.apply(&mut config.keepalive, &mut config.time_limits);
    config.close_timeout = limits.close.unwrap_or(config.close_timeout);
    config.handshake_timeout = limits.handshake.unwrap_or(config.handshake_timeout);
    config
}

fn commands() -> Receiver<Command> {
    let (sender, commands) = unbounded();
    obey(move |command| {
        if sender.try_send(command).is_err() {
            tell("the connection is not told");
        }
    });
    commands
}

async fn report<S>(opened: Result<WebSocket<S>, Failure>, commands: &Receiver<Command>, task: Task)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut websocket = match opened {
        Ok(websocket) => websocket,
        Err(error) => return tell(format_args!("failed: {}", Causes(&error))),
    };
    tell("open");
    let ended = match task.floods {
        true => flood(&mut websocket).await,
        false => wait(&mut websocket, commands).await,
    };
    let code = websocket.close_status().map_or(0, |status| status.code);
    match ended {
        Ok(()) => tell(format_args!("over {code}: closed")),
        Err(error) => tell(format_args!("over {code}: {}", Causes(&error))),
    }
}

async fn flood<S>(websocket: &mut WebSocket<S>) -> Result<(), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let error = loop {
        if let Err(error) = websocket.send(MESSAGE).await {
            break error;
        }
    };
    // It is over once all that the peer sent before has been received.
    while let Ok(Some(_)) = websocket.receive().await {}
    Err(error)
}

async fn wait<S>(websocket: &mut WebSocket<S>, commands: &Receiver<Command>) -> Result<(), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        let received = async { Ok::<_, Failure>(websocket.receive().await?.map(|_| None)) };
        let asked = async {
            match commands.recv().await {
                Ok(command) => Ok(Some(Some(command))),
                Err(_) => future::pending().await,
            }
        };
        match future::or(received, asked).await? {
            None => return Ok(()),
            Some(None) => {}
            Some(Some(Command::Say)) => websocket.send("something").await?,
            Some(Some(Command::Close)) => return websocket.close(CloseCode::NORMAL, "").await,
        }
    }
}

/// An error with all that is behind it.
struct Causes<'a>(&'a Failure);

impl std::fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut next = self.0.source();
        while let Some(cause) = next {
            write!(f, ": {cause}")?;
            next = cause.source();
        }
        Ok(())
    }
}

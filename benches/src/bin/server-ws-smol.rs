//! `ws-smol` on one thread: as the example `echo` has it, or a task for each connection that waits for
//! its peer and for its deliveries.

use std::cell::RefCell;
use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::rc::Rc;

use bench_rig::{Arguments, Mode, finish};
use smol::channel::{Receiver, Sender, unbounded};
use smol::net::{TcpListener, TcpStream};
use smol::{LocalExecutor, future};
use socket2::{Domain, Protocol, Socket, Type};
use ws_smol::{Acceptor, OriginPolicy, Prepared, WebSocket};

const HELP: &str = "\
server-ws-smol [--mode echo|broadcast] [--accept-unmasked-frame]
";

/// Shorter messages wait for others to leave with.
const BATCH: usize = 16 * 1024;

fn main() -> ExitCode {
    finish(run())
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut arguments = Arguments::from_env();
    if arguments.flag("--help") || arguments.flag("-h") {
        print!("{HELP}");
        return Ok(());
    }
    let mode = arguments.value("--mode")?.unwrap_or_default();
    let flag = arguments.flag("--accept-unmasked-frame");
    arguments.end()?;
    let server = Rc::new(Server {
        acceptor: Acceptor::new(OriginPolicy::Any).accept_unmasked_frame(flag),
        mode,
        everybody: RefCell::default(),
    });
    let executor = LocalExecutor::new();
    smol::block_on(executor.run(async {
        let listener = listen()?;
        println!("listening on {}", listener.local_addr()?);
        loop {
            let (stream, peer) = listener.accept().await?;
            let server = Rc::clone(&server);
            // How a connection ends is told by what the generator gets to see.
            let served = async move { drop(server.serve(stream, peer).await) };
            executor.spawn(served).detach();
        }
    }))
}

fn listen() -> Result<TcpListener, Box<dyn Error>> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
    socket.listen(4096)?;
    // Inherited by the connections that are accepted.
    socket.set_tcp_nodelay(true)?;
    let listener = std::net::TcpListener::from(socket);
    Ok(smol::Async::<std::net::TcpListener>::try_from(listener)?.into())
}

struct Server {
    acceptor: Acceptor,
    mode: Mode,
    /// Where deliveries to each connection go.
    everybody: RefCell<Vec<Sender<Prepared>>>,
}

impl Server {
    async fn serve(&self, stream: TcpStream, peer: SocketAddr) -> Result<(), ws_smol::Error> {
        let websocket = self.acceptor.accept(stream, peer).await?;
        match self.mode {
            Mode::Echo => echo(websocket).await,
            Mode::Broadcast => {
                let (sender, deliveries) = unbounded();
                self.everybody.borrow_mut().push(sender);
                self.broadcast(websocket, deliveries).await
            }
        }
    }

    async fn broadcast(
        &self,
        mut websocket: WebSocket<TcpStream>,
        deliveries: Receiver<Prepared>,
    ) -> Result<(), ws_smol::Error> {
        loop {
            // Whichever of the two is dropped loses nothing.
            let delivered = async { Ok(deliveries.recv().await.ok().map(Next::Delivered)) };
            let received = async {
                let message = websocket.receive_ref().await?;
                Ok::<_, ws_smol::Error>(message.map(Prepared::new).map(Next::Received))
            };
            let Some(next) = future::or(delivered, received).await? else {
                return Ok(());
            };
            match next {
                Next::Delivered(message) => {
                    websocket.queue_prepared(&message)?;
                    while let Ok(message) = deliveries.try_recv() {
                        websocket.queue_prepared(&message)?;
                    }
                    websocket.flush().await?;
                }
                Next::Received(message) => {
                    let mut everybody = self.everybody.borrow_mut();
                    everybody.retain(|sender| sender.try_send(message.clone()).is_ok());
                }
            }
        }
    }
}

enum Next {
    Delivered(Prepared),
    Received(Prepared),
}

async fn echo(mut websocket: WebSocket<TcpStream>) -> Result<(), ws_smol::Error> {
    while let Some(message) = websocket.receive().await? {
        if message.len() < BATCH {
            websocket.room(message.len()).await?;
            websocket.queue(&message)?;
        } else {
            websocket.send(&message).await?;
        }
    }
    Ok(())
}

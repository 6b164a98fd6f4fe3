//! A process without file descriptors, for the servers of both adapters.

use std::{
    net::{SocketAddr, TcpStream},
    sync::mpsc::{self, Receiver, Sender},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{
    Registry,
    layer::{Context, Layer, SubscriberExt},
};

/// Tells of every warning.
struct Warnings(Sender<()>);

impl<S: Subscriber> Layer<S> for Warnings {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() == Level::WARN {
            let _ = self.0.send(());
        }
    }
}

/// Collects the warnings of this process; once, before there are any.
pub fn warnings() -> Receiver<()> {
    let (warnings, warned) = mpsc::channel();
    let subscriber = Registry::default().with(Warnings(warnings));
    tracing::subscriber::set_global_default(subscriber).unwrap();
    warned
}

/// Connects to a server of this process that cannot accept, as there is no
/// descriptor for it, and does something while it tries again and again.
/// Returns the connection, for which there is a descriptor now.
pub fn without_descriptors(
    address: SocketAddr,
    warned: &Receiver<()>,
    meanwhile: impl FnOnce(),
) -> TcpStream {
    // Connecting takes no descriptor of a socket that is there.
    let waiting = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let before = getrlimit(Resource::Nofile);
    let none = Rlimit {
        current: Some(3),
        ..before
    };
    setrlimit(Resource::Nofile, none).unwrap();
    waiting.connect(&address.into()).unwrap();
    // It is tried more than once.
    warned.recv().unwrap();
    warned.recv().unwrap();
    meanwhile();
    setrlimit(Resource::Nofile, before).unwrap();
    waiting.into()
}

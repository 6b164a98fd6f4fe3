//! Work for a server's loops from other threads.

use std::{fmt, io, ops::Range, sync::Arc};

use mio::net::TcpStream;
use ws_proto::{CloseCode, Prepared};

use super::{
    adoption::Adopted,
    mailbox::{Mailbox, Task, Wake},
    peer_id::number_loops,
};
use crate::{
    AdoptError, Drain, Handler, Handover, Loop, Metrics, NoPeer, Peer, PeerId, Transport,
    commands::{
        publication_log::{Publication, PublicationLog},
        topic_sizes::TopicSizes,
    },
    slots::connections_by_address::AddressCounts,
};

/// Reaches the loops of a running [`Server`](crate::Server) from any thread.
///
/// Every call returns at once: what is asked for is done in the loop's next
/// turn, in the order of the calls. However many calls come before the loop
/// looks, they wake it once. What is asked of a loop that has ended is not
/// done.
///
/// ```
/// use std::thread;
///
/// use ws_mio::{Config, Handler, Message, OriginPolicy, Peer, Server};
///
/// /// Counts messages.
/// struct Count(u64);
///
/// impl Handler for Count {
///     type Data = ();
///
///     fn on_message(&mut self, _: &mut Peer<'_, ()>, _: Message<'_>) {
///         self.0 += 1;
///     }
/// }
///
/// let server: Server<Count> = Server::bind("127.0.0.1:0", Config::new(OriginPolicy::Any))?;
/// let remote = server.remote();
/// let elsewhere = thread::spawn(move || {
///     remote.run(0, |context| println!("{} messages", context.handler().0))?;
///     remote.stop()
/// });
/// server.run(Count(0))?;
/// # elsewhere.join().unwrap()?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Remote<H: Handler, T = TcpStream> {
    loops: Arc<[Mailbox<H, T>]>,
    /// The number of the first loop among all of the process.
    first_loop: u32,
    log: Arc<PublicationLog>,
    topic_sizes: Arc<TopicSizes>,
    address_counts: Arc<AddressCounts>,
}

impl<H: Handler, T> Remote<H, T> {
    pub(crate) fn new(wakers: Vec<Wake>) -> Self {
        let log = Arc::new(PublicationLog::new(wakers.len()));
        let topic_sizes = Arc::new(TopicSizes::new(wakers.len()));
        let first_loop = number_loops(wakers.len());
        let mailbox = |wake| Mailbox::new(wake, Arc::clone(&log));
        Self {
            loops: wakers.into_iter().map(mailbox).collect(),
            first_loop,
            log,
            topic_sizes,
            address_counts: Arc::default(),
        }
    }

    /// Stops the server: [`drain`](Self::drain) with Closes to all peers at
    /// once, and up to `close_timeout`.
    ///
    /// # Errors
    ///
    /// Those of waking a loop, which the system gives when it is out of
    /// resources; here and below. That loop does what it was asked once
    /// something else wakes it; the other loops do it now.
    pub fn stop(&self) -> io::Result<()> {
        self.push_to_all(|| Task::Stop(None))
    }

    /// Ends the server in order: it accepts nothing more, answers requests that
    /// are not whole with 503, and sends a Close to every open connection, one
    /// after the other over [`Drain::over`]. It returns from
    /// [`run`](crate::Server::run) when all are closed, or at
    /// [`Drain::until`], when those that are left are dropped.
    ///
    /// A connection is served as ever until its Close is sent. Then its
    /// messages still come until its own Close does, and what was sent to it
    /// before still leaves, however slowly it reads, up to the deadline and
    /// `time_limits.write_progress`.
    ///
    /// Asked again it can be over sooner, and not later.
    ///
    /// # Errors
    ///
    /// As [`stop`](Self::stop).
    pub fn drain(&self, drain: &Drain) -> io::Result<()> {
        self.push_to_all(|| Task::Stop(Some(drain.clone())))
    }

    /// Stops the loops that do not stop or drain already: one has ended.
    pub(crate) fn end(&self) -> io::Result<()> {
        self.push_to_all(|| Task::End)
    }

    pub(crate) const fn address_counts(&self) -> &Arc<AddressCounts> {
        &self.address_counts
    }

    pub(crate) const fn first_loop(&self) -> u32 {
        self.first_loop
    }

    /// Returns the numbers of the loops among all of the process.
    pub(crate) fn loop_numbers(&self) -> Range<u32> {
        self.first_loop..self.first_loop + self.loops.len() as u32
    }

    pub(crate) const fn log(&self) -> &Arc<PublicationLog> {
        &self.log
    }

    pub(crate) const fn topic_sizes(&self) -> &Arc<TopicSizes> {
        &self.topic_sizes
    }

    /// Sends a message to one peer; nothing happens if it is gone, or if the
    /// message is refused.
    ///
    /// # Errors
    ///
    /// As [`stop`](Self::stop), and [`io::ErrorKind::InvalidInput`] with
    /// [`NoPeer::OtherServer`] if the peer is none of this server's.
    pub fn send(&self, to: PeerId, message: &Prepared) -> io::Result<()> {
        self.push(to, Task::Send(to, message.clone()))
    }

    /// Starts the closing handshake with one peer, as
    /// [`Peer::close`](crate::Peer::close); nothing happens if it is gone.
    ///
    /// # Errors
    ///
    /// As [`stop`](Self::stop), and [`io::ErrorKind::InvalidInput`] with
    /// [`NoPeer::OtherServer`] if the peer is none of this server's.
    pub fn close(&self, peer: PeerId, code: CloseCode, reason: &str) -> io::Result<()> {
        self.push(peer, Task::Close(peer, code, reason.into()))
    }

    /// Sends a message to all subscribers of a topic, of all loops. Its place
    /// in [the order of publications](crate#the-order-of-publications) is that
    /// of this call.
    ///
    /// # Errors
    ///
    /// As [`stop`](Self::stop).
    pub fn publish(&self, topic: impl Into<Arc<str>>, message: &Prepared) -> io::Result<()> {
        self.publish_to(Some(topic.into()), message)
    }

    /// Sends a message to every peer of all loops.
    ///
    /// # Errors
    ///
    /// As [`stop`](Self::stop).
    pub fn broadcast(&self, message: &Prepared) -> io::Result<()> {
        self.publish_to(None, message)
    }

    /// Returns how many connections of all loops are subscribed to a topic.
    ///
    /// A subscription counts from the end of the turn in which the handler asked
    /// for it, until the connection ends or until the end of the turn that
    /// unsubscribes it.
    #[must_use]
    pub fn subscriber_count(&self, topic: &str) -> usize {
        self.topic_sizes.sum(topic)
    }

    /// Runs a closure on a loop, with its handler and all of its peers; before
    /// the server runs, too.
    ///
    /// ```
    /// use std::net::SocketAddr;
    /// use ws_mio::{Connect, Handler, Remote};
    ///
    /// /// Connects to a server from the first loop.
    /// fn connect<H>(remote: &Remote<H>, server: SocketAddr, to: Connect<H::Data>) -> std::io::Result<()>
    /// where
    ///     H: Handler<Data: Send> + 'static,
    /// {
    ///     remote.run(0, move |context| {
    ///         context.connect(server, to);
    ///     })
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`stop`](Self::stop), and [`io::ErrorKind::NotFound`] if there is no
    /// loop of this index; they count from 0.
    pub fn run(
        &self,
        index: usize,
        task: impl FnOnce(&mut Loop<'_, H, T>) + Send + 'static,
    ) -> io::Result<()> {
        let mailbox = self.loops.get(index).ok_or(io::ErrorKind::NotFound)?;
        mailbox.push(Task::Run(Box::new(task)))
    }

    /// Runs a closure on the loop of a peer, with its handler and that peer;
    /// nothing happens if it is gone.
    ///
    /// # Errors
    ///
    /// As [`stop`](Self::stop), and [`io::ErrorKind::InvalidInput`] with
    /// [`NoPeer::OtherServer`] if the peer is none of this server's.
    pub fn with_peer(
        &self,
        peer: PeerId,
        task: impl FnOnce(&mut H, &mut Peer<'_, H::Data>) + Send + 'static,
    ) -> io::Result<()>
    where
        T: Transport,
    {
        let task = move |context: &mut Loop<'_, H, T>| {
            // A peer that is gone is not an error here.
            let _ = context.with_peer(peer, task);
        };
        self.push(peer, Task::Run(Box::new(task)))
    }

    /// Has the loop with the fewest open connections take over one whose opening
    /// handshake was made elsewhere, as [`EventLoop::adopt`](crate::EventLoop::adopt).
    /// Those that are on their way to a loop count, and loops that have ended do not.
    ///
    /// `told` is called once, on the loop's thread, behind all that the handler was
    /// called for; or at once, or where the server is dropped, if no loop is there
    /// to do it. It gets the name of the connection, or the connection back.
    ///
    /// A [`Handler`] that keeps a `Remote` hands connections over likewise:
    ///
    /// ```
    /// use std::sync::mpsc::Receiver;
    ///
    /// use ws_mio::{Commands, Handler, Handover, Remote, mio::net::TcpStream};
    ///
    /// /// Takes over what another thread has accepted and shaken hands with.
    /// struct Site {
    ///     remote: Remote<Site>,
    ///     from_elsewhere: Receiver<TcpStream>,
    /// }
    ///
    /// impl Handler for Site {
    ///     type Data = ();
    ///
    ///     fn on_loop_timer(&mut self, _: u64, _: &mut Commands<()>) {
    ///         for stream in self.from_elsewhere.try_iter() {
    ///             // One that cannot be woken now does it later.
    ///             let _ = self.remote.adopt(Handover::server(stream, ()), |adopted| {
    ///                 if let Err(refused) = adopted {
    ///                     eprintln!("{refused}");
    ///                 }
    ///             });
    ///         }
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`stop`](Self::stop).
    pub fn adopt(
        &self,
        handover: Handover<T, H::Data>,
        told: impl FnOnce(Adopted<T, H::Data>) + Send + 'static,
    ) -> io::Result<()>
    where
        T: Transport + Send + 'static,
        H::Data: Send + 'static,
    {
        let running = self.loops.iter().filter(|mailbox| !mailbox.has_ended());
        match running.min_by_key(|mailbox| mailbox.load()) {
            Some(mailbox) => mailbox.adopt(handover, told),
            None => {
                told(Err(AdoptError::Stopped.of(handover)));
                Ok(())
            }
        }
    }

    /// Has a certain loop take over a connection, as [`adopt`](Self::adopt).
    ///
    /// # Errors
    ///
    /// As [`stop`](Self::stop). That there is no loop of this index is told to
    /// `told`.
    pub fn adopt_on(
        &self,
        index: usize,
        handover: Handover<T, H::Data>,
        told: impl FnOnce(Adopted<T, H::Data>) + Send + 'static,
    ) -> io::Result<()>
    where
        T: Transport + Send + 'static,
        H::Data: Send + 'static,
    {
        match self.loops.get(index) {
            Some(mailbox) => mailbox.adopt(handover, told),
            None => {
                told(Err(AdoptError::NoLoop(index).of(handover)));
                Ok(())
            }
        }
    }

    /// Returns how many loops there are.
    #[must_use]
    pub fn loops(&self) -> usize {
        self.loops.len()
    }

    /// Reads the counters of all loops, without stopping them.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let mut metrics = Metrics::default();
        for mailbox in &*self.loops {
            metrics.add(&mailbox.counters);
        }
        metrics
    }

    pub(crate) fn mailboxes(&self) -> &[Mailbox<H, T>] {
        &self.loops
    }

    /// Hands a task to the loop of a peer.
    fn push(&self, peer: PeerId, task: Task<H, T>) -> io::Result<()> {
        let index = peer.of_loop.checked_sub(self.first_loop);
        let mailbox = index.and_then(|index| self.loops.get(index as usize));
        match mailbox {
            Some(mailbox) => mailbox.push(task),
            None => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                NoPeer::OtherServer,
            )),
        }
    }

    fn publish_to(&self, topic: Option<Arc<str>>, message: &Prepared) -> io::Result<()> {
        self.log.append(Publication {
            topic,
            message: message.clone(),
            except: None,
        });
        self.loops
            .iter()
            .map(Mailbox::wake)
            .fold(Ok(()), io::Result::and)
    }

    fn push_to_all(&self, task: impl Fn() -> Task<H, T>) -> io::Result<()> {
        let pushed = self.loops.iter().map(|mailbox| mailbox.push(task()));
        pushed.fold(Ok(()), io::Result::and)
    }
}

impl<H: Handler, T> Clone for Remote<H, T> {
    fn clone(&self) -> Self {
        Self {
            loops: Arc::clone(&self.loops),
            first_loop: self.first_loop,
            log: Arc::clone(&self.log),
            topic_sizes: Arc::clone(&self.topic_sizes),
            address_counts: Arc::clone(&self.address_counts),
        }
    }
}

impl<H: Handler, T> fmt::Debug for Remote<H, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote")
            .field("loops", &self.loops.len())
            .finish()
    }
}

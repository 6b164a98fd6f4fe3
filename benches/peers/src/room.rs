//! Broadcasts between the tasks of a thread.

use std::cell::RefCell;
use std::rc::Rc;

use futures_util::{Sink, SinkExt, Stream, StreamExt};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Where messages to every connection go: a channel for each.
pub struct Room<M> {
    everybody: Rc<RefCell<Vec<UnboundedSender<M>>>>,
}

impl<M: Clone> Room<M> {
    /// Sends everybody what this peer sends, and this peer what everybody does; what is to be
    /// delivered at once leaves with one flush.
    pub async fn serve<S, E>(self, mut socket: S, is_data: impl Fn(&M) -> bool) -> Result<(), E>
    where
        S: Stream<Item = Result<M, E>> + Sink<M, Error = E> + Unpin,
    {
        let mut deliveries = self.join();
        loop {
            tokio::select! {
                Some(message) = deliveries.recv() => {
                    socket.feed(message).await?;
                    while let Ok(message) = deliveries.try_recv() {
                        socket.feed(message).await?;
                    }
                    socket.flush().await?;
                }
                received = socket.next() => match received.transpose()? {
                    Some(message) if is_data(&message) => self.send(&message),
                    Some(_) => {}
                    None => return Ok(()),
                }
            }
        }
    }

    fn join(&self) -> UnboundedReceiver<M> {
        let (sender, deliveries) = unbounded_channel();
        self.everybody.borrow_mut().push(sender);
        deliveries
    }

    fn send(&self, message: &M) {
        let mut everybody = self.everybody.borrow_mut();
        everybody.retain(|sender| sender.send(message.clone()).is_ok());
    }
}

impl<M> Clone for Room<M> {
    fn clone(&self) -> Self {
        Self {
            everybody: Rc::clone(&self.everybody),
        }
    }
}

impl<M> Default for Room<M> {
    fn default() -> Self {
        Self {
            everybody: Rc::default(),
        }
    }
}

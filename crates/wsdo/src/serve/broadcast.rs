//! Messages that go to all.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use ws_smol::{CloseCode, Error, Pass, Prepared, ReadHalf, WriteHalf};

use crate::{
    runtime::{
        channel::{Receiver, Sender, TrySendError, bounded},
        future,
    },
    transport::{Socket, Transport},
};

/// All who are connected.
#[derive(Debug, Default)]
pub(crate) struct Everybody(RefCell<Members>);

#[derive(Debug, Default)]
struct Members {
    next: u64,
    queues: BTreeMap<u64, Sender<Rc<Prepared>>>,
}

/// How many messages wait for a client; who takes fewer is closed with 1008.
const MAX_WAITING: usize = 1024;

impl Everybody {
    /// Gives a client what all say, and all what it says.
    pub(crate) async fn join(&self, websocket: Socket, pass: &Pass) -> Result<(), Error> {
        let (number, queue) = self.enter();
        let (read, write) = websocket.split();
        let heard = self.hear(read);
        let told = tell(write, queue, pass);
        let outcome = future::or(heard, told).await;
        self.0.borrow_mut().queues.remove(&number);
        outcome
    }

    fn enter(&self) -> (u64, Receiver<Rc<Prepared>>) {
        let (sender, receiver) = bounded(MAX_WAITING);
        let mut members = self.0.borrow_mut();
        members.next += 1;
        let number = members.next;
        members.queues.insert(number, sender);
        (number, receiver)
    }

    async fn hear(&self, mut read: ReadHalf<Box<dyn Transport>>) -> Result<(), Error> {
        while let Some(message) = read.receive().await? {
            let message = Rc::new(Prepared::new(message.as_ref()));
            let mut members = self.0.borrow_mut();
            // Who is gone or too slow has no queue any more, and is closed.
            members.queues.retain(|_, queue| {
                !matches!(
                    queue.try_send(Rc::clone(&message)),
                    Err(TrySendError::Full(_) | TrySendError::Closed(_))
                )
            });
        }
        Ok(())
    }
}

/// Sends what is queued, until the queue is closed or the server ends.
async fn tell(
    mut write: WriteHalf<Box<dyn Transport>>,
    queue: Receiver<Rc<Prepared>>,
    pass: &Pass,
) -> Result<(), Error> {
    let telling = async {
        loop {
            match queue.recv().await {
                Err(_) => return (CloseCode::POLICY_VIOLATION, "too slow"),
                Ok(message) => match write.send_prepared(&message).await {
                    Ok(()) => {}
                    // How it ended is told to who hears.
                    Err(_) => future::pending().await,
                },
            }
        }
    };
    let drained = async {
        pass.drained().await;
        (CloseCode::GOING_AWAY, "")
    };
    let (code, reason) = future::or(telling, drained).await;
    write.close(code, reason).await
}

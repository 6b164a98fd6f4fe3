//! Work for a loop from another thread.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use mio::Waker;

/// Reaches a running [`Server`](crate::Server) from any thread.
#[derive(Clone, Debug)]
pub struct Remote {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    commands: Mutex<Vec<Command>>,
    waker: Waker,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Command {
    Stop,
}

impl Remote {
    pub(crate) fn new(waker: Waker) -> Self {
        Self {
            shared: Arc::new(Shared {
                commands: Mutex::default(),
                waker,
            }),
        }
    }

    /// Stops the server: it accepts nothing more, sends Close 1001 to every
    /// peer, waits for their replies up to `close_timeout`, and returns from
    /// [`run`](crate::Server::run). Returns at once. Connections that are not
    /// open yet are dropped.
    ///
    /// # Errors
    ///
    /// Those of waking the loop, which the system gives when it is out of
    /// resources.
    pub fn stop(&self) -> io::Result<()> {
        self.push(Command::Stop)
    }

    fn push(&self, command: Command) -> io::Result<()> {
        let mut commands = self
            .shared
            .commands
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // One wake-up takes all that is pushed before the loop looks; one
        // that failed is no wake-up for what follows.
        if commands.is_empty() {
            self.shared.waker.wake()?;
        }
        commands.push(command);
        Ok(())
    }

    pub(crate) fn take(&self) -> Vec<Command> {
        let mut commands = self
            .shared
            .commands
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *commands)
    }
}

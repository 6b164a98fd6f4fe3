//! Ctrl-C and SIGTERM.

use std::io;

use async_signal::{Signal, Signals};

use crate::runtime::{future, stream::StreamExt as _};

/// The signals that ask the program to end.
#[derive(Debug)]
pub(crate) struct Interrupts(Signals);

impl Interrupts {
    pub(crate) fn new() -> io::Result<Self> {
        #[cfg(unix)]
        let signals = [Signal::Int, Signal::Term];
        #[cfg(not(unix))]
        let signals = [Signal::Int];
        Ok(Self(Signals::new(signals)?))
    }

    /// Waits for the next of them.
    pub(crate) async fn next(&mut self) {
        if self.0.next().await.is_none() {
            future::pending::<()>().await;
        }
    }
}

//! Looks names up where it keeps nobody waiting: the system has no other way
//! than to wait.

use std::{
    collections::VecDeque,
    io, mem,
    net::{SocketAddr, ToSocketAddrs},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use crate::handles::mailbox::Wake;

/// Threads that ask the system for addresses. They are started when there is
/// something to ask, and end when there was nothing for a while.
pub(crate) struct Resolver {
    shared: Arc<Shared>,
}

/// What is known about a name.
pub(crate) struct Answer {
    pub(crate) ticket: u64,
    pub(crate) addresses: io::Result<Vec<SocketAddr>>,
}

struct Shared {
    state: Mutex<State>,
    /// There is something to ask, or nothing will be.
    changed: Condvar,
    wake: Wake,
}

#[derive(Default)]
struct State {
    questions: VecDeque<Question>,
    answers: Vec<Answer>,
    threads: usize,
    /// Of those, the ones that have nothing to ask.
    idle: usize,
    is_over: bool,
}

struct Question {
    ticket: u64,
    host: String,
    port: u16,
}

/// How many names may wait.
const QUESTIONS: usize = 1024;
/// A name whose servers do not answer takes a thread for seconds.
const THREADS: usize = 4;
/// How long a thread waits for the next name.
const PATIENCE: Duration = Duration::from_secs(5);

impl Resolver {
    /// `wake` is called when there are answers.
    pub(crate) fn new(wake: Wake) -> Self {
        Self {
            shared: Arc::new(Shared {
                state: Mutex::default(),
                changed: Condvar::new(),
                wake,
            }),
        }
    }

    /// Asks for the addresses of a host.
    ///
    /// # Errors
    ///
    /// If too many names wait, or no thread can be started.
    pub(crate) fn ask(&self, ticket: u64, host: &str, port: u16) -> io::Result<()> {
        let mut state = self.shared.lock();
        if state.questions.len() >= QUESTIONS {
            return Err(io::Error::other("too many names wait to be looked up"));
        }
        if state.idle <= state.questions.len() && state.threads < THREADS {
            let shared = Arc::clone(&self.shared);
            let thread = thread::Builder::new().name("ws-mio names".into());
            match thread.spawn(move || shared.serve()) {
                Ok(_) => state.threads += 1,
                Err(error) if state.threads == 0 => return Err(error),
                // Those that are there do.
                Err(_) => {}
            }
        }
        state.questions.push_back(Question {
            ticket,
            host: host.into(),
            port,
        });
        self.shared.changed.notify_one();
        Ok(())
    }

    /// Takes a question back, if nobody has asked it yet.
    pub(crate) fn forget(&self, ticket: u64) {
        let questions = &mut self.shared.lock().questions;
        questions.retain(|question| question.ticket != ticket);
    }

    pub(crate) fn answers(&self) -> Vec<Answer> {
        mem::take(&mut self.shared.lock().answers)
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.is_over = true;
        state.questions.clear();
        self.shared.changed.notify_all();
    }
}

impl Shared {
    /// What a thread does.
    fn serve(&self) {
        while let Some(question) = self.next() {
            let host = (question.host.as_str(), question.port);
            let addresses = host.to_socket_addrs().map(Iterator::collect);
            self.lock().answers.push(Answer {
                ticket: question.ticket,
                addresses,
            });
            // A loop that cannot be woken looks when it has another reason to,
            // and gives the name up in time.
            let _ = (self.wake)();
        }
    }

    /// Waits for the next question; `None` once the thread is to end.
    fn next(&self) -> Option<Question> {
        let mut state = self.lock();
        state.idle += 1;
        let mut waited = false;
        loop {
            let question = state.questions.pop_front();
            if question.is_some() || waited || state.is_over {
                state.idle -= 1;
                state.threads -= usize::from(question.is_none());
                return question;
            }
            let result = self.changed.wait_timeout(state, PATIENCE);
            let (woken, timeout) = result.unwrap_or_else(PoisonError::into_inner);
            (state, waited) = (woken, timeout.timed_out());
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn names_are_answered_each_with_its_ticket() {
        let (tell, told) = mpsc::channel();
        let resolver = Resolver::new(Arc::new(move || {
            let _ = tell.send(());
            Ok(())
        }));
        let hosts = ["localhost", "127.0.0.1", "no such host", "localhost"];
        for (ticket, host) in hosts.iter().enumerate() {
            resolver.ask(ticket as u64, host, 80).unwrap();
        }
        let mut answers = Vec::new();
        while answers.len() < hosts.len() {
            told.recv_timeout(Duration::from_secs(30)).unwrap();
            answers.extend(resolver.answers());
        }
        assert!(resolver.shared.lock().threads <= THREADS);
        answers.sort_by_key(|answer| answer.ticket);
        for (ticket, answer) in answers.iter().enumerate() {
            assert_eq!(answer.ticket, ticket as u64);
            let is_loopback = |address: &SocketAddr| address.ip().is_loopback();
            match &answer.addresses {
                Ok(addresses) => assert!(addresses.iter().all(is_loopback)),
                Err(_) => assert_eq!(ticket, 2),
            }
        }
    }

    #[test]
    fn threads_end_with_the_resolver() {
        let resolver = Resolver::new(Arc::new(|| Ok(())));
        resolver.ask(0, "127.0.0.1", 80).unwrap();
        let shared = Arc::downgrade(&resolver.shared);
        drop(resolver);
        while shared.strong_count() > 0 {
            thread::yield_now();
        }
    }

    #[test]
    fn no_more_names_wait_than_there_is_room_for() {
        let resolver = Resolver::new(Arc::new(|| Ok(())));
        // As if all were busy.
        resolver.shared.lock().threads = THREADS;
        for ticket in 0..QUESTIONS as u64 {
            resolver.ask(ticket, "localhost", 80).unwrap();
        }
        resolver.ask(9999, "localhost", 80).unwrap_err();
        resolver.forget(7);
        resolver.ask(9999, "localhost", 80).unwrap();
    }
}

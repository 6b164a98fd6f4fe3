//! Which address of a server is connected to (Happy Eyeballs, RFC 8305).

use std::{
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::Pin,
    task::Poll,
    time::Duration,
};

/// Connects to the first address that can be.
///
/// The families take turns. An attempt starts as the one before it fails, or
/// has taken as long as `wait` does. The first connection is taken and the
/// other attempts are dropped; if there is none, the last error is told.
pub(crate) async fn connect_first<S, C, W>(
    addresses: Vec<SocketAddr>,
    mut connect: impl FnMut(SocketAddr) -> C,
    mut wait: impl FnMut() -> W,
) -> io::Result<(S, SocketAddr)>
where
    C: Future<Output = io::Result<S>>,
    W: Future<Output = ()>,
{
    let mut addresses = interleave(addresses).into_iter();
    let mut attempts: Vec<(SocketAddr, Pin<Box<C>>)> = Vec::new();
    let mut pause: Option<Pin<Box<W>>> = None;
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    poll_fn(|cx| {
        loop {
            let mut index = 0;
            while let Some((address, attempt)) = attempts.get_mut(index) {
                match attempt.as_mut().poll(cx) {
                    Poll::Ready(Ok(stream)) => return Poll::Ready(Ok((stream, *address))),
                    Poll::Ready(Err(error)) => {
                        failure = error;
                        pause = None;
                        drop(attempts.remove(index));
                    }
                    Poll::Pending => index += 1,
                }
            }
            if let Some(pause) = &mut pause
                && pause.as_mut().poll(cx).is_pending()
            {
                return Poll::Pending;
            }
            pause = None;
            match addresses.next() {
                Some(address) => {
                    attempts.push((address, Box::pin(connect(address))));
                    pause = Some(Box::pin(wait()));
                }
                None if attempts.is_empty() => {
                    let failure = std::mem::replace(&mut failure, io::ErrorKind::NotFound.into());
                    return Poll::Ready(Err(failure));
                }
                None => return Poll::Pending,
            }
        }
    })
    .await
}

/// Lets the families take turns, the resolver's favourite first, each in the
/// resolver's order.
fn interleave(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let Some(first) = addresses.first() else {
        return addresses;
    };
    let prefers_ipv6 = first.is_ipv6();
    let (mut one, mut other): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv6() == prefers_ipv6);
    let mut turns = Vec::with_capacity(one.len() + other.len());
    let (mut one, mut other) = (one.drain(..), other.drain(..));
    loop {
        let pair = (one.next(), other.next());
        if pair == (None, None) {
            return turns;
        }
        turns.extend(pair.0);
        turns.extend(pair.1);
    }
}

/// How long an attempt has the way for itself: the "Connection Attempt Delay".
pub(crate) const STAGGER: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use std::{
        cell::RefCell,
        future::{pending, ready},
        rc::Rc,
    };

    use smol::{channel, future::yield_now};

    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        let addresses = texts.iter().map(|text| format!("{text}:1"));
        addresses.map(|text| text.parse().unwrap()).collect()
    }

    /// What becomes of attempts, in the order in which they start.
    #[derive(Clone, Copy)]
    enum Fate {
        Connects,
        Refuses,
        Hangs,
        /// Connects once the attempt of that number has started.
        ConnectsAfter(usize),
    }
    use Fate::*;

    /// Notes that an attempt was dropped.
    struct Attempt(Rc<RefCell<Vec<String>>>, SocketAddr);

    impl Drop for Attempt {
        fn drop(&mut self) {
            let ip = self.1.ip();
            self.0.borrow_mut().push(format!("end {ip}"));
        }
    }

    /// Runs a race; returns who won and what happened. Waiting is over at once
    /// if `is_impatient`, and never otherwise.
    fn race(texts: &[&str], fates: &[Fate], is_impatient: bool) -> (Option<String>, Vec<String>) {
        let log = Rc::new(RefCell::new(Vec::new()));
        let mut started = 0;
        let count = Rc::new(RefCell::new(0));
        let connect = |address: SocketAddr| {
            log.borrow_mut().push(format!("try {}", address.ip()));
            let fate = fates[started];
            started += 1;
            *count.borrow_mut() = started;
            let (attempt, count) = (Attempt(Rc::clone(&log), address), Rc::clone(&count));
            async move {
                let _attempt = attempt;
                match fate {
                    Connects => Ok(()),
                    Refuses => Err(io::Error::other(address.ip().to_string())),
                    Hangs => pending().await,
                    ConnectsAfter(number) => {
                        while *count.borrow() < number {
                            yield_now().await;
                        }
                        Ok(())
                    }
                }
            }
        };
        let wait = || async move {
            if !is_impatient {
                pending::<()>().await;
            }
        };
        let outcome = smol::block_on(connect_first(addresses(texts), connect, wait));
        let winner = outcome.map(|((), address)| address.ip().to_string());
        let log = log.take();
        (winner.ok(), log)
    }

    #[test]
    fn families_take_turns() {
        let mixed = addresses(&["[::1]", "[::2]", "[::3]", "10.0.0.1", "10.0.0.2"]);
        let turns = addresses(&["[::1]", "10.0.0.1", "[::2]", "10.0.0.2", "[::3]"]);
        assert_eq!(interleave(mixed), turns);
        let mixed = addresses(&["10.0.0.1", "[::1]", "[::2]"]);
        assert_eq!(interleave(mixed.clone()), mixed);
        assert_eq!(interleave(Vec::new()), []);
    }

    #[test]
    fn address_that_connects_is_the_only_one_tried() {
        let (winner, log) = race(&["[::1]", "10.0.0.1"], &[Connects], false);
        assert_eq!(winner.as_deref(), Some("::1"));
        assert_eq!(log, ["try ::1", "end ::1"]);
    }

    #[test]
    fn next_address_does_not_wait_for_a_failed_one() {
        let (winner, log) = race(&["[::1]", "10.0.0.1"], &[Refuses, Connects], false);
        assert_eq!(winner.as_deref(), Some("10.0.0.1"));
        let expected = ["try ::1", "end ::1", "try 10.0.0.1", "end 10.0.0.1"];
        assert_eq!(log, expected);
    }

    #[test]
    fn hanging_address_is_overtaken_and_dropped() {
        let addresses = ["[::1]", "[::2]", "10.0.0.1"];
        let (winner, log) = race(&addresses, &[Hangs, Connects, Connects], true);
        assert_eq!(winner.as_deref(), Some("10.0.0.1"));
        assert!(log.contains(&"end ::1".to_owned()), "{log:?}");
        assert!(!log.contains(&"try ::2".to_owned()), "{log:?}");
    }

    #[test]
    fn slow_address_may_still_win() {
        let (winner, log) = race(&["[::1]", "10.0.0.1"], &[ConnectsAfter(2), Hangs], true);
        assert_eq!(winner.as_deref(), Some("::1"));
        assert!(log.contains(&"end 10.0.0.1".to_owned()), "{log:?}");
    }

    #[test]
    fn last_error_is_told_once_all_have_failed() {
        let connect =
            |address: SocketAddr| ready(Err::<(), _>(io::Error::other(address.ip().to_string())));
        let both = addresses(&["[::1]", "10.0.0.1"]);
        let outcome = smol::block_on(connect_first(both, connect, pending::<()>));
        assert_eq!(outcome.unwrap_err().to_string(), "10.0.0.1");
        let outcome = smol::block_on(connect_first(Vec::new(), connect, pending::<()>));
        assert_eq!(outcome.unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn waiting_for_the_last_address_wakes_by_itself() {
        let (sender, receiver) = channel::bounded::<()>(1);
        let connect = |_| {
            let receiver = receiver.clone();
            async move { Ok(receiver.recv().await.is_ok()) }
        };
        let race = connect_first(addresses(&["[::1]"]), connect, || ready(()));
        let send = async { sender.send(()).await.unwrap() };
        let (outcome, ()) = smol::block_on(smol::future::zip(race, send));
        assert!(outcome.unwrap().0);
    }
}

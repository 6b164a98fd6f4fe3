//! A transport in memory, for tests, simulations and peers within one process.

use std::{
    collections::VecDeque,
    io::{self, IoSlice, Read as _},
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use mio::event::Source;

use crate::{PeerAddr, Ready, Transport};

/// Makes two ends of a stream that holds at most `capacity` bytes in each
/// direction.
///
/// No poll watches them: whoever moves bytes asks an end what changed, with
/// [`Duplex::take_ready`], and tells its loop, with
/// [`EventLoop::wake`](crate::EventLoop::wake), where there is an example.
#[must_use]
pub fn pair(capacity: usize) -> (Duplex, Duplex) {
    let stream = Stream {
        pipes: [Pipe::default(), Pipe::default()],
        capacity: u32::try_from(capacity.max(1)).unwrap_or(u32::MAX),
    };
    let first = Arc::new(Mutex::new(stream));
    let second = Arc::clone(&first);
    let end = |stream, side| Duplex { stream, side };
    (end(first, 0), end(second, 1))
}

/// One end of a stream in memory. The ends may be on different threads;
/// dropping one ends the stream in both directions.
///
/// A stream that holds no bytes has 64 bytes allocated, for both ends together.
#[derive(Debug)]
pub struct Duplex {
    stream: Arc<Mutex<Stream>>,
    /// Which of the pipes this end writes to; it reads from the other.
    side: usize,
}

#[derive(Debug)]
struct Stream {
    pipes: [Pipe; 2],
    capacity: u32,
}

/// One direction, and what both its ends are not told yet.
#[derive(Debug, Default)]
struct Pipe {
    /// `None` while there are none.
    #[expect(clippy::box_collection, reason = "most of the time it is one word")]
    bytes: Option<Box<VecDeque<u8>>>,
    /// Bytes came, for the end that reads.
    came: bool,
    /// There is room again, for the end that writes.
    went: bool,
    /// A write found less room than it asked for.
    is_full: bool,
    /// Nothing more is written.
    is_ended: bool,
    /// Nothing more is read.
    is_abandoned: bool,
}

impl Duplex {
    /// Returns what changed since this was last asked, as an edge-triggered
    /// poll does.
    pub fn take_ready(&mut self) -> Ready {
        let mut stream = self.lock();
        let incoming = &mut stream.pipes[1 - self.side];
        let readable = mem::take(&mut incoming.came);
        let read_closed = readable && incoming.is_ended;
        let writable = mem::take(&mut stream.pipes[self.side].went);
        Ready {
            readable,
            writable,
            read_closed,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Stream> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pipe {
    fn end(&mut self) {
        (self.is_ended, self.came) = (true, true);
    }
}

impl Transport for Duplex {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let pipe = &mut self.lock().pipes[1 - self.side];
        let Some(bytes) = &mut pipe.bytes else {
            return match pipe.is_ended {
                true => Ok(0),
                false => Err(io::ErrorKind::WouldBlock.into()),
            };
        };
        let mut len = 0;
        while len < buffer.len() && !bytes.is_empty() {
            // It lies in up to two parts.
            len += bytes.read(&mut buffer[len..])?;
        }
        if bytes.is_empty() {
            pipe.bytes = None;
        }
        pipe.went |= mem::take(&mut pipe.is_full);
        Ok(len)
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut stream = self.lock();
        let capacity = stream.capacity as usize;
        let pipe = &mut stream.pipes[self.side];
        if pipe.is_ended || pipe.is_abandoned {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let mut len = 0;
        for slice in slices.iter().filter(|slice| !slice.is_empty()) {
            let bytes = pipe.bytes.get_or_insert_default();
            let taken = slice.len().min(capacity - bytes.len());
            bytes.extend(&slice[..taken]);
            len += taken;
            if taken < slice.len() {
                pipe.is_full = true;
                break;
            }
        }
        pipe.came |= len > 0;
        match len {
            0 if pipe.is_full => Err(io::ErrorKind::WouldBlock.into()),
            len => Ok(len),
        }
    }

    fn shutdown(&mut self) -> io::Result<()> {
        self.lock().pipes[self.side].end();
        Ok(())
    }

    fn peer_addr(&self) -> PeerAddr {
        PeerAddr::Local
    }

    fn source(&mut self) -> Option<&mut dyn Source> {
        None
    }

    fn short_is_all(&self) -> bool {
        true
    }
}

impl Drop for Duplex {
    fn drop(&mut self) {
        let mut stream = self.lock();
        stream.pipes[self.side].end();
        let incoming = &mut stream.pipes[1 - self.side];
        incoming.bytes = None;
        (incoming.is_abandoned, incoming.went) = (true, true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Ready = Ready {
        readable: false,
        writable: false,
        read_closed: false,
    };

    fn write(end: &mut Duplex, bytes: &[u8]) -> Option<usize> {
        end.write(&[IoSlice::new(bytes)]).ok()
    }

    fn read(end: &mut Duplex, len: usize) -> Option<Vec<u8>> {
        let mut buffer = vec![0; len];
        let len = end.read(&mut buffer).ok()?;
        buffer.truncate(len);
        Some(buffer)
    }

    #[test]
    fn bytes_go_both_ways_in_order_up_to_the_capacity() {
        let (mut a, mut b) = pair(4);
        assert_eq!(read(&mut b, 9), None);
        assert_eq!(write(&mut a, b"abc"), Some(3));
        assert_eq!(
            a.write(&[IoSlice::new(b""), IoSlice::new(b"de")]).ok(),
            Some(1)
        );
        assert_eq!(write(&mut a, b"e"), None);
        assert_eq!(write(&mut b, b"z"), Some(1));
        assert_eq!(read(&mut b, 3).unwrap(), b"abc");
        assert_eq!(write(&mut a, b"e"), Some(1));
        assert_eq!(read(&mut b, 9).unwrap(), b"de");
        assert_eq!(read(&mut a, 9).unwrap(), b"z");
    }

    #[test]
    fn stream_without_bytes_has_64_bytes_for_both_ends() {
        let mut ends = None;
        let empty = allocation_counter::measure(|| ends = Some(pair(1024)));
        // On 64 bits; pointers are shorter elsewhere.
        assert!(empty.bytes_current <= 64, "{empty:?}");
        let used = allocation_counter::measure(|| {
            let (a, b) = ends.as_mut().unwrap();
            write(a, &[1; 100]);
            read(b, 100);
        });
        assert_eq!(used.bytes_current, 0);
    }

    #[test]
    fn change_is_told_once() {
        let (mut a, mut b) = pair(2);
        assert_eq!((a.take_ready(), b.take_ready()), (NOTHING, NOTHING));
        write(&mut a, b"abc");
        assert!(b.take_ready().readable);
        assert_eq!(b.take_ready(), NOTHING);
        assert_eq!(a.take_ready(), NOTHING, "nothing was read");
        read(&mut b, 1);
        assert!(a.take_ready().writable);
        assert_eq!(a.take_ready(), NOTHING);
    }

    #[test]
    fn end_is_read_behind_the_bytes() {
        let (mut a, mut b) = pair(9);
        write(&mut a, b"a");
        a.shutdown().unwrap();
        assert!(b.take_ready().read_closed);
        assert_eq!(read(&mut b, 9).unwrap(), b"a");
        assert_eq!(read(&mut b, 9).unwrap(), b"");
        assert_eq!(write(&mut a, b"b"), None);
        assert_eq!(write(&mut b, b"b"), Some(1));
        assert_eq!(read(&mut a, 9).unwrap(), b"b");
    }

    #[test]
    fn end_that_was_dropped_takes_nothing_more() {
        let (mut a, b) = pair(9);
        drop(b);
        let ready = a.take_ready();
        assert!(ready.writable && ready.read_closed);
        let error = a.write(&[IoSlice::new(b"a")]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(read(&mut a, 9).unwrap(), b"");
    }
}

//! What carries the bytes of a connection.

use std::{
    io::{self, IoSlice, Read, Write},
    net::Shutdown,
};

use mio::net::TcpStream;

/// A non-blocking byte stream.
///
/// The four verbs are what an event loop needs of a transport. All of them
/// return at once, with [`io::ErrorKind::WouldBlock`] where nothing can be
/// done yet.
pub trait Transport {
    /// Reads into `buffer` and returns how many bytes came; 0 is the end of
    /// the stream.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if nothing is there; any other error ends the connection.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes the slices one after the other, and returns how many bytes were
    /// taken.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if nothing can be taken; any other error ends the
    /// connection.
    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Ends the stream in the direction of the peer; reading goes on.
    ///
    /// # Errors
    ///
    /// Those of the system, which do not matter to a connection that is over.
    fn shutdown(&mut self) -> io::Result<()>;
}

impl Transport for TcpStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Read::read(self, buffer)
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match slices {
            [slice] => Write::write(self, slice),
            _ => self.write_vectored(slices),
        }
    }

    fn shutdown(&mut self) -> io::Result<()> {
        Self::shutdown(self, Shutdown::Write)
    }
}

/// Whether a read or a write that moves less than it could has met the end of
/// what there is, so that readiness is told again without a `WouldBlock`
/// first.
pub(crate) const SHORT_IS_ALL: bool = cfg!(any(
    target_os = "linux",
    target_os = "android",
    target_os = "macos",
    target_os = "ios",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
    target_os = "dragonfly",
));

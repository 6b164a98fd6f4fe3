//! Peers and transports that are meant to hurt. `crates/ws-conformance/HOSTILE.md` says which
//! attack each is.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use futures_io::{AsyncRead, AsyncWrite};
use ws_smol::{Error, Message, ProtocolError};

use crate::support::{config, masked, pipe, put, run, server};

/// A transport that claims whatever it likes.
struct Liar {
    script: Vec<u8>,
    read: usize,
    written: usize,
}

impl AsyncRead for Liar {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let len = self.script.len().min(buffer.len());
        let script = std::mem::take(&mut self.script);
        buffer[..len].copy_from_slice(&script[..len]);
        Poll::Ready(Ok(if len == 0 { 0 } else { self.read }))
    }
}

impl AsyncWrite for Liar {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(self.written))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[test]
fn transport_that_lies_about_counts_ends_its_connection_and_nothing_else() {
    for claim in [0, 1, 100, usize::MAX / 2, usize::MAX] {
        for (read, written) in [(claim, 1), (8, claim), (claim, claim)] {
            run(async {
                let script = masked(0x81, b"Hi");
                let mut far = server(
                    Liar {
                        script,
                        read,
                        written,
                    },
                    &config(),
                );
                // Whatever comes of it, it ends.
                let _ = far.send(&[7; 100_000][..]).await;
                while let Ok(Some(_)) = far.receive().await {
                    let _ = far.send("more").await;
                }
            });
        }
    }
}

#[test]
fn million_tiny_fragments_are_stopped_by_their_count() {
    for payload in [&b""[..], b"x"] {
        run(async {
            let (mut near, far) = pipe(100_000);
            let mut far = server(far, &config());
            put(&mut near, &masked(0x02, payload)).await;
            let many = masked(0x00, payload).repeat(10_000);
            let receiving = async {
                let error = far.receive().await.unwrap_err();
                assert!(matches!(
                    error,
                    Error::Protocol(ProtocolError::TooManyFragments { limit: 131_072 })
                ));
            };
            let sending = async {
                for _ in 0..100 {
                    put(&mut near, &many).await;
                }
                // It ends as the peer does.
                drop(near);
            };
            smol::future::zip(receiving, sending).await;
        });
    }
}

#[test]
fn text_may_be_split_at_any_byte_and_read() {
    let text = "Grüße, 世界 🦀";
    for cut in 0..=text.len() {
        run(async {
            let (mut near, far) = pipe(1000);
            let mut far = server(far, &config());
            let (first, second) = text.as_bytes().split_at(cut);
            let wire = [masked(0x01, first), masked(0x80, second)].concat();
            let sending = async {
                for byte in &wire {
                    put(&mut near, &[*byte]).await;
                }
            };
            let receiving = async { far.receive().await.unwrap() };
            let (got, ()) = smol::future::zip(receiving, sending).await;
            assert_eq!(got, Some(Message::from(text)));
        });
    }
}

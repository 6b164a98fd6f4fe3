//! What a connection holds, counted by an allocator.

use std::{
    cell::RefCell,
    io::{self, IoSlice, Read, Write},
    net::SocketAddr,
    thread,
    time::Duration,
};

use mio::event::Source;
use ws_mio::{
    Chunk, EventLoop, Handler, Message, Peer, PeerAddr, Ready, Remote, Server, Transport,
};

use crate::{
    common,
    common::{CLOSE, REQUEST, config, dial, head, masked},
};

/// Sends every message back in pieces, as it comes.
struct Through;

impl Handler for Through {
    type Data = ();
    const CHUNKS: bool = true;

    fn on_message(&mut self, _: &mut Peer<'_, ()>, _: Message<'_>) {}

    fn on_chunk(&mut self, peer: &mut Peer<'_, ()>, chunk: Chunk<'_>) {
        peer.send_fragment(chunk.data, chunk.last);
    }
}

/// Runs a server on this thread, and `talk` on another; returns the most bytes
/// that the server had allocated at once, and the number of allocations.
fn measure<H: Handler + 'static>(
    handler: H,
    max_message: u64,
    talk: impl FnOnce(SocketAddr, &Remote<H>) + Send + 'static,
) -> (u64, u64) {
    let mut config = config();
    config.limits.max_message = max_message;
    let server = Server::bind("127.0.0.1:0", config).unwrap();
    let (address, remote) = (server.local_addr().unwrap(), server.remote());
    let client = thread::spawn(move || {
        talk(address, &remote);
        remote.stop().unwrap();
    });
    let info = allocation_counter::measure(|| server.run(handler).unwrap());
    client.join().unwrap();
    (info.bytes_max, info.count_total)
}

#[test]
fn streamed_message_of_100_mib_is_never_held() {
    let len = 100 << 20;
    let (most, _) = measure(Through, u64::MAX, move |address, _| {
        let mut stream = dial(address);
        stream.write_all(REQUEST).unwrap();
        head(&mut stream);
        let mut writer = stream.try_clone().unwrap();
        let sending = thread::spawn(move || {
            writer
                .write_all(b"\x82\xff\x00\x00\x00\x00\x06\x40\x00\x00\x00\x00\x00\x00")
                .unwrap();
            let piece = vec![5; 1 << 20];
            for _ in 0..100 {
                writer.write_all(&piece).unwrap();
            }
        });
        // The same payload, in whatever frames.
        let mut stream = io::BufReader::with_capacity(1 << 20, stream);
        let mut got = 0;
        let mut frames = 0;
        while got < len {
            let mut head = [0; 2];
            stream.read_exact(&mut head).unwrap();
            assert_eq!(head[0] & 0x7f, if frames == 0 { 2 } else { 0 });
            let payload_len = match head[1] {
                126 => {
                    let mut len = [0; 2];
                    stream.read_exact(&mut len).unwrap();
                    u16::from_be_bytes(len).into()
                }
                127 => {
                    let mut len = [0; 8];
                    stream.read_exact(&mut len).unwrap();
                    u64::from_be_bytes(len)
                }
                len => len.into(),
            };
            let mut payload = (&mut stream).take(payload_len);
            got += io::copy(&mut payload, &mut io::sink()).unwrap();
            frames += 1;
            // The last one may be empty.
            assert!(head[0] & 0x80 == 0 || got == len);
        }
        sending.join().unwrap();
    });
    // The loop's own buffers, and what waits for a reader that is slower.
    assert!(most < 4 << 20, "{most} bytes");
}

#[test]
fn declared_length_reserves_nothing() {
    //= RFC6455-10.4-1
    let (most, _) = measure(common::Echo, u64::MAX, |address, _| {
        for _ in 0..50 {
            let mut stream = dial(address);
            stream.write_all(REQUEST).unwrap();
            head(&mut stream);
            // 2^62 bytes are to come, of which there are three.
            stream
                .write_all(b"\x82\xff\x40\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00abc")
                .unwrap();
            // The turn is over once another frame could be answered.
            let mut other = dial(address);
            other.write_all(&[REQUEST, CLOSE].concat()).unwrap();
            head(&mut other);
            common::rest(other);
        }
    });
    assert!(most < 2 << 20, "{most} bytes");
}

#[test]
fn warm_echo_allocates_nothing() {
    let allocations = |messages: usize| {
        let (_, count) = measure(common::Echo, 1 << 20, move |address, _| {
            let mut stream = dial(address);
            stream.write_all(REQUEST).unwrap();
            head(&mut stream);
            let (frame, mut echo) = (masked(0x82, &[1; 1000]), [0; 1004]);
            for _ in 0..messages {
                stream.write_all(&frame).unwrap();
                stream.read_exact(&mut echo).unwrap();
            }
            stream.write_all(CLOSE).unwrap();
            common::rest(stream);
        });
        count
    };
    assert_eq!(allocations(10), allocations(1000));
}

#[test]
fn connections_that_come_and_go_leave_nothing() {
    let run = |rounds: usize| {
        let (most, _) = measure(common::Echo, 1 << 20, move |address, _| {
            for i in 0..rounds {
                let mut stream = dial(address);
                // Some never finish their request, some are in the middle of a
                // frame or a message, and some say goodbye.
                stream.write_all(&REQUEST[..REQUEST.len() - i % 2]).unwrap();
                if i % 2 == 0 {
                    head(&mut stream);
                    let wire: &[u8] = match i % 8 {
                        0 => CLOSE,
                        2 => b"\x81\x85\x00",
                        4 => b"\x01\x81\x00\x00\x00\x00a",
                        _ => b"\xff\xff",
                    };
                    stream.write_all(wire).unwrap();
                }
                stream.shutdown(std::net::Shutdown::Write).unwrap();
                common::rest(stream);
            }
        });
        most
    };
    let (few, many) = (run(100), run(2000));
    // Entries on the timer wheel stay until their time comes.
    assert!(many < few + 200_000, "{few} and then {many} bytes");
}

thread_local! {
    /// What the connection that is woken reads, and what it has written.
    static WIRE: RefCell<(Vec<u8>, Vec<u8>)> =
        RefCell::new((Vec::with_capacity(4096), Vec::with_capacity(1 << 20)));
}

/// A transport of the size of a descriptor.
struct Handle(#[expect(dead_code, reason = "it is there for its size")] u32);

impl Transport for Handle {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        WIRE.with_borrow_mut(|(there, _)| match there.len() {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            len => {
                buffer[..len].copy_from_slice(there);
                there.clear();
                Ok(len)
            }
        })
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        WIRE.with_borrow_mut(|(_, back)| {
            let before = back.len();
            for slice in slices {
                back.extend_from_slice(slice);
            }
            Ok(back.len() - before)
        })
    }

    fn shutdown(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn peer_addr(&self) -> PeerAddr {
        PeerAddr::Local
    }

    fn source(&mut self) -> Option<&mut dyn Source> {
        None
    }
}

#[test]
fn idle_connection_holds_less_than_96_bytes_all_counted() {
    let mut inner = EventLoop::new(config(), common::Echo, || Ok(())).unwrap();
    let mut keys = Vec::with_capacity(20_000);
    let exchange = |inner: &mut EventLoop<_, _>, key, bytes: &[u8]| {
        WIRE.with_borrow_mut(|(there, back)| {
            there.extend_from_slice(bytes);
            back.clear();
        });
        let readable = Ready {
            readable: true,
            ..Ready::default()
        };
        inner.wake(key, readable);
    };
    let mut open = |inner: &mut EventLoop<_, _>, count: usize| {
        for _ in 0..count {
            inner.start_turn(Duration::ZERO);
            let key = inner.admit(Handle(0)).unwrap();
            keys.push(key);
            exchange(inner, key, REQUEST);
            exchange(inner, key, &masked(0x81, b"Hi"));
            WIRE.with_borrow(|(_, back)| assert_eq!(back, b"\x81\x02Hi"));
            inner.finish_turn();
        }
    };
    // What the loop itself holds is there with the first.
    open(&mut inner, 1);
    let info = allocation_counter::measure(|| open(&mut inner, 10_000));
    let each = info.bytes_current as f64 / 10_000.0;
    assert!(each <= 96.0, "{each} bytes");
    // Nor does time make more of it: all are asked with a Ping, and then gone.
    let info = allocation_counter::measure(|| {
        inner.start_turn(Duration::from_secs(30));
        inner.finish_turn();
        inner.start_turn(Duration::from_secs(50));
        inner.finish_turn();
    });
    assert_eq!(inner.lend().connections(), 0);
    assert!(info.bytes_current <= 4096, "{info:?}");
}

//! How long the end of the transport is waited for once both Closes were seen.

use std::{io::IoSlice, time::Duration};

use ws_mio::{
    ClientRequest, Connect, Transport, Uri,
    memory::{self, Duplex},
    ws_handshake::accept_key,
    ws_proto::{DISCARD_MAX, END_WAIT},
};

use crate::common::{
    CLOSE, Echo, REPLY, REQUEST,
    bench::{Bench, quiet},
};

fn read(stream: &mut Duplex) -> Vec<u8> {
    let mut buffer = [0; 1024];
    let len = stream.read(&mut buffer).unwrap_or(0);
    buffer[..len].to_vec()
}

#[test]
fn server_ends_at_once() {
    //= RFC6455-7.1.1-3
    let mut bench: Bench<_> = Bench::new(Echo, quiet());
    let (mut client, key) = bench.dial(4096, REQUEST).unwrap();
    client.write(&[IoSlice::new(CLOSE)]).unwrap();
    bench.turn(&[key]);
    assert_eq!(read(&mut client), [REPLY, b"\x88\x02\x03\xe8"].concat());
    assert_eq!(bench.inner.lend().connections(), 0);
}

#[test]
fn client_waits_a_second_at_most() {
    //= RFC6455-7.1.1-6
    let mut config = quiet();
    config.close_timeout = Duration::from_secs(1000);
    let mut bench: Bench<_> = Bench::new(Echo, config);
    let (near, mut far) = memory::pair(4096);
    let request = ClientRequest::new(Uri::parse("ws://example.com/").unwrap());
    bench
        .inner
        .lend()
        .connect_over(near, Connect::new(request, ()))
        .unwrap();
    bench.turn(&[0]);
    let request = String::from_utf8(read(&mut far)).unwrap();
    let key = request.split("Sec-WebSocket-Key: ").nth(1).unwrap();
    let accept = accept_key(&key.as_bytes()[..24]);
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\n\r\n",
        str::from_utf8(&accept).unwrap()
    );
    far.write(&[IoSlice::new(answer.as_bytes())]).unwrap();
    bench.turn(&[0]);
    far.write(&[IoSlice::new(b"\x88\x02\x03\xe8")]).unwrap();
    bench.turn(&[0]);
    // Its answer is there, and it waits.
    assert_eq!(read(&mut far).len(), 8);
    assert_eq!(bench.inner.lend().connections(), 1);
    bench.pass(END_WAIT * 2);
    assert_eq!(bench.inner.lend().connections(), 0);
}

#[test]
fn refused_peer_that_sends_without_end_is_read_up_to_discard_max() {
    const ROOM: usize = 1024 * 1024;
    // A frame that nothing was agreed on; a request that is none.
    let opened = [REQUEST, b"\xff\xff"].concat();
    for wrong in [&opened[..], b"GET / HTTP/1.1\r\n\r\n"] {
        let mut config = quiet();
        config.close_timeout = Duration::from_secs(1000);
        let mut bench: Bench<_> = Bench::new(Echo, config);
        let (mut client, key) = bench.dial(ROOM, wrong).unwrap();
        assert_eq!(bench.inner.lend().connections(), 1);
        let mut sent = 0;
        while bench.inner.lend().connections() > 0 {
            sent += client.write(&[IoSlice::new(&[b'x'; 64 * 1024])]).unwrap();
            bench.turn(&[key]);
            assert!(sent <= DISCARD_MAX + ROOM, "{sent} bytes");
        }
        assert!(sent >= DISCARD_MAX / 2);
    }
}

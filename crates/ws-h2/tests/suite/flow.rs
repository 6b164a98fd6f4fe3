//! Flow control: who waits for whom.

use smol::{
    future::{poll_once, zip},
    io::{AsyncReadExt as _, AsyncWriteExt as _},
};
use ws_h2::Config;
use ws_smol::Message;

use crate::support::{echo, open, run, served};

#[test]
fn a_stream_that_is_not_read_stops_its_peer_and_nobody_else() {
    let mut config = Config::default();
    config.max_streams = 8;
    config.stream_window = 20_000;
    run(async {
        let (client, sockets, _tasks) = served(&config).await;
        // All but one are not read.
        let mut stuck = Vec::new();
        for _ in 0..7 {
            let (mut near, far) = open(&client, &sockets).await;
            near.queue(vec![1; 500_000]).unwrap();
            assert!(poll_once(near.flush()).await.is_none());
            stuck.push((near, far));
        }
        let (mut near, far) = open(&client, &sockets).await;
        smol::spawn(echo(far)).detach();
        for i in 0..50 {
            let message = Message::from(vec![i; 15_000]);
            near.send(&message).await.unwrap();
            assert_eq!(near.receive().await.unwrap(), Some(message));
        }
        for (near, far) in &mut stuck {
            assert!(poll_once(near.flush()).await.is_none(), "nobody reads it");
            let (flushed, received) = zip(near.flush(), far.receive()).await;
            flushed.unwrap();
            assert_eq!(received.unwrap().unwrap().len(), 500_000);
        }
    });
}

#[test]
fn a_window_is_given_back_as_it_is_read() {
    let mut config = Config::default();
    config.stream_window = 1000;
    config.send_buffer = 3000;
    run(async {
        let (client, sockets, _tasks) = served(&config).await;
        let (near, far) = open(&client, &sockets).await;
        let (mut near, mut far) = (near.into_stream(), far.into_stream());
        let sent: Vec<u8> = (0..300_000_u32).map(|i| (i % 251) as u8).collect();
        let writing = async {
            near.write_all(&sent).await.unwrap();
            near.flush().await.unwrap();
        };
        let reading = async {
            let mut received = vec![0; sent.len()];
            far.read_exact(&mut received).await.unwrap();
            received
        };
        let ((), received) = zip(writing, reading).await;
        assert!(received == sent);
    });
}

#[test]
fn a_client_waits_for_a_stream_to_be_free() {
    let mut config = Config::default();
    config.max_streams = 1;
    run(async {
        let (client, sockets, _tasks) = served(&config).await;
        let (mut first, far) = open(&client, &sockets).await;
        let serving = smol::spawn(echo(far));
        let mut second = Box::pin(crate::support::connect(&client));
        assert!(poll_once(&mut second).await.is_none());
        first.close(ws_smol::CloseCode::NORMAL, "").await.unwrap();
        drop(first);
        serving.await.unwrap();
        let second = second.await.unwrap();
        assert_eq!(second.stream().unwrap().id(), 3);
    });
}

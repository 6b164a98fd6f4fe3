//! Peers that flood a connection.

use smol::{future::zip, io::AsyncWriteExt as _};
use ws_h2::{Config, Error, Server};
use ws_smol::{Duplex, PeerAddr};

use crate::{
    raw::{self, CONNECT, DATA, ENHANCE_YOUR_CALM, GOAWAY, PING, RST_STREAM, SETTINGS, read_until},
    support::{acceptor, run},
};

/// Serves until the connection is over; why it is.
async fn serve(server: &mut Server<Duplex>) -> Error {
    let mut sockets = Vec::new();
    loop {
        match server.accept().await {
            Ok(Some(incoming)) => sockets.extend(incoming.accept(&acceptor(), PeerAddr::Unknown)),
            Ok(None) => panic!("the connection is over without an error"),
            Err(error) => return error,
        }
    }
}

/// Sends bytes to a server, and returns with what code it said goodbye, and why.
async fn flood(bytes: &[u8]) -> (u32, Error) {
    let (mut near, mut server) = raw::client(&Config::default()).await;
    let serving = async {
        let error = serve(&mut server).await;
        drop(server);
        error
    };
    let flooding = async {
        near.write_all(bytes).await.unwrap();
        read_until(&mut near, GOAWAY).await.code()
    };
    let (error, code) = zip(serving, flooding).await;
    (code, error)
}

#[test]
fn pings_without_end_end_the_connection() {
    run(async {
        let (code, error) = flood(&raw::frame(PING, 0, 0, &[0; 8]).repeat(1001)).await;
        assert_eq!(code, ENHANCE_YOUR_CALM);
        let Error::Flood { limit, value } = error else {
            panic!("{error}")
        };
        assert_eq!((limit, value), ("max_control_rate", 1000));
    });
}

#[test]
fn settings_without_end_end_the_connection() {
    run(async {
        let (code, error) = flood(&raw::frame(SETTINGS, 0, 0, &[]).repeat(1001)).await;
        assert_eq!(code, ENHANCE_YOUR_CALM);
        assert!(matches!(error, Error::Flood { .. }), "{error}");
        assert_eq!(
            error.to_string(),
            "the peer floods the connection: max_control_rate is 1000 frames a second"
        );
    });
}

#[test]
fn streams_that_are_reset_as_they_are_accepted_end_the_connection() {
    let mut config = Config::default();
    config.max_reset_rate = 30;
    run(async {
        let (mut near, mut server) = raw::client(&config).await;
        for stream in (0..31).map(|i| 2 * i + 1) {
            near.write_all(&raw::headers(stream, &CONNECT))
                .await
                .unwrap();
            let incoming = server.accept().await.unwrap().unwrap();
            let _socket = incoming.accept(&acceptor(), PeerAddr::Unknown).unwrap();
            near.write_all(&raw::frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]))
                .await
                .unwrap();
        }
        let reading = async { read_until(&mut near, GOAWAY).await.code() };
        let serving = async {
            let error = serve(&mut server).await;
            drop(server);
            error
        };
        let (code, error) = zip(reading, serving).await;
        assert_eq!(code, ENHANCE_YOUR_CALM);
        let Error::Flood { limit, value } = error else {
            panic!("{error}")
        };
        assert_eq!((limit, value), ("max_reset_rate", 30));
    });
}

#[test]
fn streams_that_are_reset_before_they_are_accepted_end_the_connection() {
    run(async {
        let streams = (0..200).map(|i| 2 * i + 1);
        let bytes: Vec<u8> = streams
            .flat_map(|stream| {
                let reset = raw::frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]);
                [raw::headers(stream, &CONNECT), reset].concat()
            })
            .collect();
        let (code, _) = flood(&bytes).await;
        assert_eq!(code, ENHANCE_YOUR_CALM);
    });
}

#[test]
fn data_of_no_length_without_end_ends_the_connection() {
    run(async {
        let mut bytes = raw::headers(1, &CONNECT);
        bytes.extend(raw::frame(DATA, 0, 1, &[]).repeat(20_000));
        let (code, error) = flood(&bytes).await;
        assert_eq!(code, ENHANCE_YOUR_CALM);
        assert!(matches!(error, Error::Http2(_)), "{error}");
    });
}

#[test]
fn streams_beyond_max_streams_are_refused() {
    let mut config = Config::default();
    config.max_streams = 2;
    run(async {
        let (mut near, mut server) = raw::client(&config).await;
        // The limit is in force once it is acknowledged.
        near.write_all(&raw::frame(SETTINGS, raw::ACK, 0, &[]))
            .await
            .unwrap();
        for stream in [1, 3, 5] {
            near.write_all(&raw::headers(stream, &CONNECT))
                .await
                .unwrap();
        }
        let mut accepted = Vec::new();
        for _ in 0..2 {
            accepted.push(server.accept().await.unwrap().unwrap());
        }
        let reading = async {
            let refused = read_until(&mut near, RST_STREAM).await;
            assert_eq!((refused.stream, refused.code()), (5, 7), "REFUSED_STREAM");
            drop(near);
        };
        let (rest, ()) = zip(server.accept(), reading).await;
        assert!(!matches!(rest, Ok(Some(_))));
    });
}

//! Where a peer is, by every transport and wrapper, and what both flags of
//! [MS-WSPE] make of it.

use std::sync::Arc;

use mio::net::{TcpListener, TcpStream};
use ws_mio::{
    ClientConfig, ControlledNetwork, Listener as _, PeerAddr, Socket, Transport, UnderTls, memory,
    ws_proto::Masking,
};

use crate::common::{
    config,
    located::{Located, open},
};

fn at(address: &str) -> PeerAddr {
    PeerAddr::Socket(address.parse().unwrap())
}

/// Opens a connection; tells which flags were set, those of the client and of
/// the server.
fn flags<T: Transport>(
    peer: PeerAddr,
    wrap: impl Fn(Located) -> T,
    network: &ControlledNetwork,
) -> [bool; 2] {
    let mut client = ClientConfig::default();
    client.set_mask_to_zero = network.clone();
    let mut server = config();
    server.accept_unmasked_frame = network.clone();
    let (client, server) = open(peer, wrap, &client, server);
    let (Masking::Client(client), Masking::Server(server)) = (client.masking(), server.masking())
    else {
        panic!("other roles");
    };
    [client.set_mask_to_zero(), server.accept_unmasked_frame()]
}

#[test]
fn both_flags_are_for_who_is_known_to_be_near() {
    //= MSWS-1.6-2, MSWS-1.6-3, MSWS-5.1-2
    let loopback = ControlledNetwork::new().loopback();
    let under_tls = ControlledNetwork::new().loopback().require_tls();
    for (peer, is_near) in [
        (PeerAddr::Unknown, false),
        (PeerAddr::Local, true),
        (at("127.0.0.1:1"), true),
        (at("[::1]:1"), true),
        (at("0.0.0.0:80"), false),
        (at("192.0.2.1:80"), false),
    ] {
        let plain = |network: &ControlledNetwork| flags(peer, |stream| stream, network);
        assert_eq!(plain(&loopback), [is_near; 2], "{peer}");
        assert_eq!(plain(&under_tls), [false; 2], "{peer}");
        assert_eq!(plain(&true.into()), [true; 2], "{peer}");
        assert_eq!(plain(&false.into()), [false; 2], "{peer}");
        assert_eq!(
            flags(peer, UnderTls::new, &under_tls),
            [is_near; 2],
            "{peer}"
        );
        #[cfg(feature = "proxy")]
        {
            use ws_mio::{Proxied, Tunneled};
            assert_eq!(flags(peer, Proxied::direct, &loopback), [is_near; 2]);
            assert_eq!(flags(peer, Tunneled::direct, &loopback), [is_near; 2]);
        }
        #[cfg(feature = "tls")]
        assert_eq!(flags(peer, ws_mio::Tls::plain, &loopback), [is_near; 2]);
    }
}

#[test]
fn every_transport_says_where_its_peer_is() {
    let (near, _far) = memory::pair(1);
    assert_eq!(near.peer_addr(), PeerAddr::Local);
    #[cfg(unix)]
    {
        let (stream, _other) = mio::net::UnixStream::pair().unwrap();
        assert_eq!(Transport::peer_addr(&stream), PeerAddr::Local);
    }
    let mut listener = TcpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let client = std::net::TcpStream::connect(address).unwrap();
    let stream = loop {
        match ws_mio::Listener::accept(&mut listener) {
            Ok((stream, peer)) => {
                assert_eq!(peer, client.local_addr().unwrap().into());
                break stream;
            }
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
        }
    };
    let peer = client.local_addr().unwrap().into();
    assert_eq!(Transport::peer_addr(&stream), peer);
    assert_eq!(UnderTls::new(stream).peer_addr(), peer);
    assert!(UnderTls::new(listener).accept().is_err());
}

#[test]
fn peer_of_a_transport_that_is_not_connected_is_unknown() {
    // A socket that nobody has connected.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let stream = TcpStream::from_std(socket.into());
    assert_eq!(Transport::peer_addr(&stream), PeerAddr::Unknown);
    let socket = Socket::<()>::accept(stream, Arc::new(config())).unwrap();
    drop(socket);
}

#[cfg(feature = "proxy")]
#[test]
fn far_end_of_a_tunnel_and_a_client_not_named_yet_are_unknown() {
    use ws_mio::{Proxied, Proxy, Tunneled};

    for peer in [PeerAddr::Local, at("127.0.0.1:1")] {
        let (near, _far) = memory::pair(1);
        let proxy = Proxy::parse("http://proxy.example").unwrap();
        let stream = Tunneled::new(Located(near, peer), &proxy, "127.0.0.1", 80).unwrap();
        assert_eq!(stream.peer_addr(), PeerAddr::Unknown);
        let (near, _far) = memory::pair(1);
        let stream = Proxied::behind(Located(near, peer));
        assert_eq!(stream.peer_addr(), PeerAddr::Unknown);
    }
}

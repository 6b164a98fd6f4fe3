//! Connections that a loop makes to servers.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    sync::mpsc::{self, Receiver, Sender},
    time::Duration,
};

use ws_mio::{
    Agreed, ClientRequest, CloseCode, Closed, Commands, Config, Connect, ControlledNetwork,
    Decision, EventLoop, Handler, Incoming, Message, OpenError, Peer, PeerId, Ready, Response,
    Server, Uri,
    memory::{self, Duplex},
};

use crate::{
    common,
    common::{CLOSE, REQUEST, Running, config, dial, head, masked},
};

fn request(address: impl std::fmt::Display, path: &str) -> ClientRequest {
    ClientRequest::new(Uri::parse(&format!("ws://{address}{path}")).unwrap())
}

/// Runs a server whose handler is to know its address.
fn start<H: Handler + 'static>(
    config: Config,
    handler: impl FnOnce(SocketAddr) -> H + Send + 'static,
) -> Running<H> {
    Running::start_with(config, |server| {
        let address = server.local_addr()?;
        server.run(handler(address))
    })
}

/// Echoes under `/echo`, and hands everything on to `/echo` of the same server
/// otherwise.
struct Proxy {
    backend: SocketAddr,
}

/// The other side of a connection through the proxy, once it is open.
#[derive(Default)]
struct Side {
    is_echo: bool,
    other: Option<PeerId>,
}

impl Handler for Proxy {
    type Data = Side;

    fn on_request<'r>(&mut self, incoming: Incoming<'r>) -> Decision<'r, Side> {
        let is_echo = incoming.request().path() == "/echo";
        match incoming.negotiate() {
            Ok(acceptance) => {
                let side = Side {
                    is_echo,
                    other: None,
                };
                ws_mio::Accept::new(acceptance, side).into()
            }
            Err(error) => error.rejection().into(),
        }
    }

    fn on_open(&mut self, peer: &mut Peer<'_, Side>) {
        if !peer.data().is_echo {
            // Until there is somebody to hand it to.
            peer.pause();
            let side = Side {
                is_echo: false,
                other: Some(peer.id()),
            };
            let request = request(self.backend, "/echo");
            peer.connect(self.backend, Connect::new(request, side));
        }
    }

    fn on_connected(&mut self, peer: &mut Peer<'_, Side>, _: &Agreed) {
        assert!(peer.is_server());
        let id = peer.id();
        if let Some(other) = peer.data().other {
            let resumed = peer.with_peer(other, move |other| {
                other.data_mut().other = Some(id);
                other.resume();
            });
            resumed.unwrap();
        }
    }

    fn on_connect_failed(&mut self, side: Side, _: OpenError, commands: &mut Commands<Side>) {
        if let Some(other) = side.other {
            let _ = commands.with_peer(other, |other| {
                other.resume();
                other.close(CloseCode::TRY_AGAIN_LATER, "");
            });
        }
    }

    fn on_message(&mut self, peer: &mut Peer<'_, Side>, message: Message<'_>) {
        if peer.data().is_echo {
            peer.send(message);
        } else if let Some(other) = peer.data().other {
            let bytes = message.as_bytes().to_vec();
            let _ = peer.with_peer(other, move |other| {
                other.send_binary(&bytes);
            });
        }
    }

    fn on_close(&mut self, peer: &mut Peer<'_, Side>, _: Closed<'_>) {
        if let Some(other) = peer.data().other {
            let _ = peer.with_peer(other, |other| {
                other.close(CloseCode::NORMAL, "");
            });
        }
    }
}

#[test]
fn proxy_and_its_backend_share_a_loop() {
    let server = start(config(), |backend| Proxy { backend });
    let mut clients: Vec<_> = (0..20).map(|_| dial(server.address)).collect();
    for client in &mut clients {
        // The message comes before there is anybody to hand it to.
        client
            .write_all(&[REQUEST, &masked(0x82, b"through")].concat())
            .unwrap();
        head(client);
        common::expect(client, b"\x82\x07through");
    }
    for mut client in clients {
        client.write_all(CLOSE).unwrap();
        common::expect(&mut client, b"\x88\x02\x03\xe8");
        assert_eq!(common::rest(client), b"");
    }
    let metrics = server.metrics();
    assert_eq!(
        (metrics.accepted, metrics.connects, metrics.opened),
        (40, 20, 60)
    );
}

#[test]
fn client_of_a_proxy_is_told_that_nobody_is_there() {
    let nobody = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let server = start(config(), move |_| Proxy { backend: nobody });
    let mut client = dial(server.address);
    client.write_all(REQUEST).unwrap();
    head(&mut client);
    common::expect(&mut client, b"\x88\x02\x03\xf5");
    assert_eq!(server.remote.metrics().connects_failed, 1);
}

/// A client that tells a test what happens.
struct Caller {
    told: Sender<String>,
    on_open: fn(&mut Peer<'_, u32>),
}

impl Handler for Caller {
    type Data = u32;

    fn on_open(&mut self, peer: &mut Peer<'_, u32>) {
        let _ = self.told.send(format!("{} open", peer.data()));
        (self.on_open)(peer);
    }

    fn on_message(&mut self, peer: &mut Peer<'_, u32>, message: Message<'_>) {
        let _ = self.told.send(format!("{} {message:?}", peer.data()));
        peer.close(CloseCode::NORMAL, "");
    }

    fn on_close(&mut self, peer: &mut Peer<'_, u32>, closed: Closed<'_>) {
        let _ = self
            .told
            .send(format!("{} closed by {}", peer.data(), closed.cause.name()));
    }

    fn on_connect_failed(&mut self, data: u32, error: OpenError, _: &mut Commands<u32>) {
        let _ = self.told.send(format!("{data} failed: {error}"));
    }
}

/// Runs a client loop until it is dropped.
fn calling(config: Config, on_open: fn(&mut Peer<'_, u32>)) -> (Running<Caller>, Receiver<String>) {
    let (told, tellings) = mpsc::channel();
    let server = Server::without_listener(config).unwrap();
    assert!(server.local_addr().is_err());
    let run = move |server: Server<_>| server.run(Caller { told, on_open });
    let running = Running::of(server, ([127, 0, 0, 1], 0).into(), run);
    (running, tellings)
}

fn next(tellings: &Receiver<String>) -> String {
    tellings.recv_timeout(Duration::from_secs(30)).unwrap()
}

#[test]
fn client_loop_talks_and_waits_for_the_server_to_end_the_transport() {
    let echo = start(config(), |_| common::Echo);
    let (client, told) = calling(config(), |peer| {
        peer.send_text("Hi");
    });
    for n in 0..100 {
        let connect = Connect::new(request(echo.address, "/"), n);
        common::connect_to(&client.remote, echo.address, connect);
    }
    let mut all: Vec<_> = (0..300).map(|_| next(&told)).collect();
    all.sort();
    let mut expected: Vec<_> = (0..100)
        .flat_map(|n| {
            [
                format!("{n} open"),
                format!("{n} Text(\"Hi\")"),
                format!("{n} closed by local"),
            ]
        })
        .collect();
    expected.sort();
    assert_eq!(all, expected);
    let metrics = client.metrics();
    assert_eq!(
        (metrics.connects, metrics.opened, metrics.open()),
        (100, 100, 0)
    );
}

#[test]
fn failure_is_told_with_its_cause_and_the_data() {
    let (client, told) = calling(config(), |_| {});
    let nobody = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let connect = |n| Connect::new(request("localhost", "/"), n);
    common::connect_to(&client.remote, nobody, connect(1));
    let failed = next(&told);
    assert!(
        failed.starts_with("1 failed: the transport failed"),
        "{failed}"
    );

    // Answers, and a server that is none.
    for (answer, expected) in [
        (
            Response::new(404),
            "2 failed: the server refused: 404 Not Found",
        ),
        (Response::new(200), "2 failed: the server refused: 200 OK"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        common::connect_to(&client.remote, listener.local_addr().unwrap(), connect(2));
        let (mut stream, _) = listener.accept().unwrap();
        head(&mut stream);
        let mut bytes = Vec::new();
        answer.write_to(&mut bytes);
        stream.write_all(&bytes).unwrap();
        drop(stream);
        assert_eq!(next(&told), expected);
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    common::connect_to(&client.remote, listener.local_addr().unwrap(), connect(3));
    let (mut stream, _) = listener.accept().unwrap();
    head(&mut stream);
    stream.write_all(b"220 smtp.example ESMTP\r\n\r\n").unwrap();
    assert!(next(&told).starts_with("3 failed: "));
    assert_eq!(client.remote.metrics().connects_failed, 4);
}

#[test]
fn server_is_connected_to_by_its_name() {
    let echo = start(config(), |_| common::Echo);
    let (client, told) = calling(config(), |peer| {
        peer.send_text("Hi");
    });
    let port = echo.address.port();
    for (n, host) in ["localhost", "127.0.0.1"].into_iter().enumerate() {
        let connect = Connect::new(request(format!("{host}:{port}"), "/"), n as u32);
        common::connect_by_name(&client.remote, connect);
        let all = [next(&told), next(&told), next(&told)];
        let expected = ["open", "Text(\"Hi\")", "closed by local"];
        assert_eq!(all, expected.map(|what| format!("{n} {what}")));
    }
    let connect = Connect::new(request("name.invalid", "/"), 9);
    common::connect_by_name(&client.remote, connect);
    let failed = next(&told);
    assert!(
        failed.starts_with("9 failed: the server's name could not be looked up"),
        "{failed}"
    );
}

#[test]
fn connection_that_is_not_open_yet_comes_back_when_the_loop_stops() {
    let (client, told) = calling(config(), |_| {});
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    common::connect_to(
        &client.remote,
        address,
        Connect::new(request(address, "/"), 5),
    );
    let (mut stream, _) = listener.accept().unwrap();
    head(&mut stream);
    client.remote.stop().unwrap();
    assert_eq!(next(&told), "5 failed: the loop stops");
}

#[test]
fn connection_may_be_ended_in_the_call_that_opens_it() {
    let echo = start(config(), |_| common::Echo);
    let connect = || Connect::new(request(echo.address, "/"), 1);
    let (client, told) = calling(config(), |peer| {
        peer.close(CloseCode::NORMAL, "");
        peer.close(CloseCode::NORMAL, "");
    });
    common::connect_to(&client.remote, echo.address, connect());
    assert_eq!([next(&told), next(&told)], ["1 open", "1 closed by local"]);
    let (client, told) = calling(config(), |peer| peer.abort());
    common::connect_to(&client.remote, echo.address, connect());
    assert_eq!(
        [next(&told), next(&told)],
        ["1 open", "1 closed by aborted"]
    );
}

#[test]
fn flag_is_for_the_servers_that_the_loop_names_and_the_connection_chooses() {
    //= MSWS-3.1.3-1, MSWS-3.1.4-1
    let wire = |network: ControlledNetwork, choice: Option<bool>| {
        let mut config = config();
        config.set_mask_to_zero = network;
        let (client, told) = calling(config, |peer| {
            peer.send_text("Hi");
        });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut connect = Connect::new(request(address, "/"), 1);
        if let Some(choice) = choice {
            connect = connect.set_mask_to_zero(choice);
        }
        common::connect_to(&client.remote, address, connect);
        let (mut stream, _) = listener.accept().unwrap();
        let bytes = head(&mut stream);
        stream.write_all(&accept(&bytes)).unwrap();
        assert_eq!(next(&told), "1 open");
        let mut frame = [0; 8];
        stream.read_exact(&mut frame).unwrap();
        assert_eq!(frame[..2], *b"\x81\x82");
        (frame[2..6] == [0; 4], client.metrics().zero_key_frames_sent)
    };
    let loopback = || ControlledNetwork::new().loopback();
    assert_eq!(wire(true.into(), None), (true, 1));
    assert_eq!(wire(loopback(), None), (true, 1));
    assert_eq!(wire(loopback(), Some(true)), (true, 1));
    assert_eq!(wire(loopback(), Some(false)), (false, 0));
    assert_eq!(wire(ControlledNetwork::new(), Some(true)), (false, 0));
    let elsewhere = ControlledNetwork::new().network("10.0.0.0/8".parse().unwrap());
    assert_eq!(wire(elsewhere, Some(true)), (false, 0));
}

/// Answers a request with the 101 that fits.
fn accept(request: &[u8]) -> Vec<u8> {
    use ws_mio::{OriginPolicy, ServerConfig};
    let mut reader = ServerConfig::new(OriginPolicy::Any).head_reader();
    let head = reader.receive(request).unwrap().unwrap();
    let request = head.request().unwrap();
    let mut out = Vec::new();
    let acceptance = ServerConfig::new(OriginPolicy::Any);
    acceptance.negotiate(&request).unwrap().write_to(&mut out);
    out
}

/// Serves and calls in one loop, over memory.
struct Both {
    opened: usize,
    echoed: usize,
    failed: Vec<(u32, String)>,
}

impl Handler for Both {
    type Data = u32;

    fn on_connected(&mut self, peer: &mut Peer<'_, u32>, _: &Agreed) {
        self.opened += 1;
        peer.send_text("Hi");
    }

    fn on_message(&mut self, peer: &mut Peer<'_, u32>, message: Message<'_>) {
        match peer.is_server() {
            true => self.echoed += 1,
            false => drop(peer.send(message)),
        }
    }

    fn on_connect_failed(&mut self, data: u32, error: OpenError, _: &mut Commands<u32>) {
        self.failed.push((data, error.to_string()));
    }
}

fn both(config: Config) -> EventLoop<Both, Duplex> {
    let handler = Both {
        opened: 0,
        echoed: 0,
        failed: Vec::new(),
    };
    EventLoop::new(config, handler, || Ok(())).unwrap()
}

#[test]
fn thousands_of_both_sides_in_one_loop_open_and_talk() {
    let mut config = config();
    config.set_mask_to_zero = ControlledNetwork::new().loopback();
    config.accept_unmasked_frame = ControlledNetwork::new().loopback();
    let mut inner = both(config);
    let mut keys = Vec::new();
    inner.start_turn(Duration::ZERO);
    for n in 0..5000 {
        let (client, server) = memory::pair(1024);
        keys.push(inner.admit(server).unwrap());
        let connect = Connect::new(request("localhost", "/"), n);
        keys.push(inner.lend().connect_over(client, connect).unwrap().key());
    }
    let mut is_busy = true;
    while is_busy {
        inner.start_turn(Duration::ZERO);
        is_busy = inner.next_timeout() == Some(Duration::ZERO);
        for key in &keys {
            let ready = inner.transport(*key).unwrap().take_ready();
            is_busy |= ready != Ready::default();
            inner.wake(*key, ready);
        }
        assert!(inner.finish_turn());
    }
    let context = inner.lend();
    let both = context.handler();
    assert_eq!((both.opened, both.echoed), (5000, 5000));
    assert!(both.failed.is_empty());
    let metrics = inner.remote().metrics();
    assert_eq!(
        (metrics.connects, metrics.accepted, metrics.opened),
        (5000, 5000, 10_000)
    );
    assert_eq!(metrics.zero_key_frames_sent, 5000);
    assert_eq!(metrics.zero_key_frames_received, 5000);
}

#[test]
fn server_that_never_answers_is_given_up() {
    let mut inner = both(config());
    let (client, _silent) = memory::pair(1024);
    inner.start_turn(Duration::ZERO);
    let connect = Connect::new(request("localhost", "/"), 9);
    inner.lend().connect_over(client, connect).unwrap();
    inner.finish_turn();
    inner.start_turn(Duration::from_millis(9_900));
    inner.finish_turn();
    assert!(inner.lend().handler().failed.is_empty());
    assert_eq!(inner.next_timeout(), Some(Duration::from_secs(10)));
    inner.start_turn(Duration::from_secs(10));
    inner.finish_turn();
    let message = "no opening handshake within handshake_timeout".to_owned();
    assert_eq!(inner.lend().handler().failed, [(9, message)]);
    assert_eq!(inner.lend().connections(), 0);
}

#[test]
fn loop_connects_to_no_more_than_max_connections_nor_without_an_address() {
    let mut config = config();
    config.max_connections = 1;
    let mut inner = both(config);
    let connect = |n| Connect::new(request("localhost", "/"), n);
    let (first, _a) = memory::pair(1);
    let (second, _b) = memory::pair(1);
    assert!(inner.lend().connect_over(first, connect(1)).is_some());
    assert!(inner.lend().connect_over(second, connect(2)).is_none());
    // What is in memory has no address to connect to.
    let address = ([127, 0, 0, 1], 1).into();
    assert!(inner.lend().connect(address, connect(3)).is_none());
    let context = inner.lend();
    let failed = &context.handler().failed;
    assert_eq!(
        failed.iter().map(|(data, _)| *data).collect::<Vec<_>>(),
        [2, 3]
    );
}

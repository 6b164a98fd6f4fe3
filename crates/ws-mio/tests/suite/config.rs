//! Configurations with which a server cannot do its work.

use std::{io::ErrorKind, sync::Arc, time::Duration};

use ws_mio::{
    ClientConfig, ClientRequest, Config, ConfigError, EventLoop, Profile, Server, ServerConfig,
    Socket, Uri, memory,
};

use crate::common::{Echo, config};

fn error(change: impl FnOnce(&mut Config)) -> String {
    let mut config = config();
    change(&mut config);
    let error = Server::<Echo>::bind("127.0.0.1:0", config.clone()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let error = error.into_inner().unwrap();
    let error = error.downcast::<ConfigError>().unwrap();
    assert_eq!(*error, config.check().unwrap_err());
    let alone = EventLoop::<Echo>::new(config.clone(), Echo, || Ok(()));
    assert_eq!(alone.unwrap_err(), *error);
    let socket = Socket::<(), _>::accept(memory::pair(1).0, Arc::new(config));
    assert_eq!(socket.unwrap_err(), *error);
    error.to_string()
}

#[test]
fn value_that_is_not_allowed_is_refused_with_its_field_and_what_is_allowed() {
    assert_eq!(config().check(), Ok(()));
    let at_least_1 = |field: &str| format!("{field} = 0; allowed is at least 1");
    let above_0 = |field: &str| format!("{field} = 0 s; allowed is more than 0 s");
    assert_eq!(error(|c| c.max_memory = 0), at_least_1("max_memory"));
    assert_eq!(
        error(|c| c.max_connections = 0),
        at_least_1("max_connections")
    );
    assert_eq!(
        error(|c| c.max_connections_per_address = 0),
        at_least_1("max_connections_per_address")
    );
    assert_eq!(
        error(|c| c.tls_handshakes_per_turn = 0),
        at_least_1("tls_handshakes_per_turn")
    );
    assert_eq!(
        error(|c| c.limits.max_message = 0),
        at_least_1("limits.max_message")
    );
    assert_eq!(
        error(|c| c.close_timeout = Duration::ZERO),
        above_0("close_timeout")
    );
    assert_eq!(
        error(|c| c.handshake_timeout = Duration::ZERO),
        above_0("handshake_timeout")
    );
    for threads in [0, 65_536] {
        let allowed = format!("threads = {threads}; allowed is 1 to 65,535");
        assert_eq!(error(|c| c.threads = threads), allowed);
    }
    assert_eq!(
        error(|c| c.read_buffer = 0),
        "read_buffer = 0; allowed is at least 1,024"
    );
    assert_eq!(
        error(|c| c.max_frame_sent = 130),
        "max_frame_sent = 130; allowed is at least 131"
    );
    let chat = |c: &mut Config| {
        c.handshake = ServerConfig::new(ws_mio::OriginPolicy::Any).subprotocols(["a", "chat v2"]);
    };
    assert_eq!(
        error(chat),
        "handshake.subprotocols = chat v2; allowed is a token"
    );
    let mut client = ClientConfig::default();
    assert_eq!(client.check(), Ok(()));
    client.close_timeout = Duration::ZERO;
    let error = client.check().unwrap_err();
    assert_eq!(error.field, "close_timeout");
    let request = || ClientRequest::new(Uri::parse("ws://localhost/").unwrap());
    let socket = Socket::<(), _>::client(memory::pair(1).0, request(), &client);
    assert_eq!(socket.unwrap_err(), error);
    let address = "127.0.0.1:1".parse().unwrap();
    let connecting = Socket::<()>::connect(address, request(), &client);
    assert_eq!(connecting.unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn profile_is_checked_and_named_by_its_index() {
    let with = |change: fn(&mut Profile)| {
        error(|config| {
            let mut profile = Profile::default();
            change(&mut profile);
            config.profiles = vec![Profile::default(), profile];
        })
    };
    assert_eq!(
        with(|profile| profile.limits.max_message = 0),
        "limits.max_message = 0 in profiles[1]; allowed is at least 1"
    );
    assert_eq!(
        with(|profile| profile.max_frame_sent = Some(130)),
        "max_frame_sent = 130 in profiles[1]; allowed is at least 131"
    );
    assert_eq!(
        error(|config| config.profiles = vec![Profile::default(); 256]),
        "profiles = 256; allowed is at most 255 of them"
    );
}

#[test]
fn policy_for_compression_needs_the_feature() {
    let policy = ws_mio::DeflatePolicy::default();
    let mut config = config();
    config.handshake = ServerConfig::new(ws_mio::OriginPolicy::Any).deflate(policy);
    let checked = config.check();
    match cfg!(feature = "deflate") {
        true => assert_eq!(checked, Ok(())),
        false => assert_eq!(checked.unwrap_err().field, "handshake.deflate"),
    }
}

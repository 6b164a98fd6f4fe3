//! What a server does over time: the cases of `ws_testkit::behaviour`, which `ws-mio` passes too.

use std::{net::TcpStream, time::Duration};

use smol::Async;
use ws_smol::{
    Acceptor, CloseCode, Config, ControlledNetwork, Error, Message, OriginPolicy, WebSocket,
};
use ws_testkit::behaviour::{Server, Settings, check, check_handshake};

use crate::support::run;

struct Task;

impl Server for Task {
    fn default_times(&self) -> [Duration; 2] {
        let config = Config::default();
        [config.handshake_timeout, config.close_timeout]
    }

    fn serve(&self, stream: TcpStream, settings: &Settings) -> Result<String, String> {
        let mut config = Config::default();
        config.limits = settings.endpoint.limits;
        config.time_limits = settings.endpoint.time_limits;
        config.keepalive = settings.endpoint.keepalive;
        config.close_timeout = settings.endpoint.close_timeout;
        config.max_backpressure = settings.endpoint.max_backpressure;
        config.handshake_timeout = settings.handshake_timeout;
        let mut acceptor = Acceptor::new(OriginPolicy::Any).config(config);
        if settings.unmasked_from_loopback {
            acceptor = acceptor.accept_unmasked_frame(ControlledNetwork::new().loopback());
        }
        run(async {
            let stream = Async::new(stream).unwrap();
            let accepted = acceptor.accept(stream, settings.peer).await;
            let websocket = accepted.map_err(|error| error.to_string())?;
            Ok(match echo(websocket).await {
                Ok(()) => "peer".into(),
                Err(error) => cause(&error),
            })
        })
    }
}

/// Sends messages back, and closes after "bye".
async fn echo(mut websocket: WebSocket<Async<TcpStream>>) -> Result<(), Error> {
    while let Some(message) = websocket.receive().await? {
        let is_last = message == Message::from("bye");
        websocket.send(message).await?;
        if is_last {
            websocket.close(CloseCode::NORMAL, "").await?;
        }
    }
    Ok(())
}

/// The name of what an error tells of the end of a connection.
fn cause(error: &Error) -> String {
    match error {
        Error::Timeout(timeout) => timeout.name().into(),
        Error::ControlFlood => "control_flood".into(),
        Error::Protocol(_) => "protocol".into(),
        Error::ConnectionLost => "lost".into(),
        error => error.to_string(),
    }
}

#[test]
fn every_deadline_and_limit_ends_a_connection() {
    check(&Task);
}

#[test]
fn bad_request_is_answered() {
    check_handshake(&Task);
}

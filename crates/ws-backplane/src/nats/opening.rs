//! How a connection to NATS begins.

use std::fmt;

use serde_json::{Value, json};

use super::{INBOX, Nats, Pong};
use crate::EngineError;

/// What a node proves itself with.
pub(crate) enum Credentials {
    None,
    Password(String, String),
    Token(String),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

/// What a server says of itself.
#[derive(Debug)]
pub(crate) struct Info {
    /// Names this run of the server: its id is drawn anew each time.
    pub(crate) run: String,
    /// Bytes of headers and payload that it takes.
    pub(crate) max_payload: usize,
}

impl Nats {
    /// Takes the first `INFO`, and answers it; those that come later have
    /// nothing that is needed.
    pub(super) fn take_info(&mut self, info: &[u8], out: &mut Vec<u8>) -> Result<(), EngineError> {
        if self.link.info.is_some() {
            return Ok(());
        }
        self.link.info = Some(Info::read(info)?);
        let mut connect = json!({
            "verbose": false,
            "pedantic": false,
            "lang": "rust",
            "version": env!("CARGO_PKG_VERSION"),
            "name": "ws-backplane",
            "protocol": 1,
            "headers": true,
            "no_responders": true,
        });
        match &self.credentials {
            Credentials::None => {}
            Credentials::Password(user, password) => {
                connect["user"] = (&**user).into();
                connect["pass"] = (&**password).into();
            }
            Credentials::Token(token) => connect["auth_token"] = (&**token).into(),
        }
        let lines = format!(
            "CONNECT {connect}\r\nSUB _INBOX.{}.* {INBOX}\r\n",
            self.node
        );
        out.extend_from_slice(lines.as_bytes());
        self.ping(Pong::Opening, out);
        Ok(())
    }

    /// After `-ERR` a server ends the connection, but for a lack of
    /// permissions, after which nothing can be relied on.
    pub(super) fn failure(&self, words: &[u8]) -> EngineError {
        let words = String::from_utf8_lossy(words).into_owned();
        match self.link.is_open {
            true => EngineError::Ended(words),
            false => EngineError::Refused(words),
        }
    }
}

impl Info {
    fn read(info: &[u8]) -> Result<Self, EngineError> {
        let value: Value = serde_json::from_slice(info)
            .map_err(|_| EngineError::Protocol("an INFO that is not JSON"))?;
        let run = value["server_id"].as_str();
        let run = run.filter(|run| !run.is_empty() && !run.contains(char::is_whitespace));
        let run = run.ok_or(EngineError::Protocol("an INFO without server_id"))?;
        if value["headers"] != true {
            return Err(EngineError::Refused("the server takes no headers".into()));
        }
        if !value["cluster"].is_null() {
            return Err(EngineError::Refused(
                "the server is part of a cluster, which ws-backplane does not support".into(),
            ));
        }
        let max_payload = value["max_payload"].as_u64().unwrap_or(1 << 20);
        Ok(Self {
            run: run.into(),
            max_payload: usize::try_from(max_payload).unwrap_or(usize::MAX),
        })
    }
}

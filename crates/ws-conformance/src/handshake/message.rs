//! HTTP messages that ws-handshake wrote, read by other means than its own.

/// A request or a reply.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) start: String,
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Message {
    pub(super) fn parse(message: &[u8]) -> Result<Self, String> {
        let end = message
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .ok_or("writes a head without an end")?;
        let head = str::from_utf8(&message[..end]).map_err(|_| "writes a head that is not text")?;
        let mut lines = head.split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        let headers = lines
            .map(|line| {
                let (name, value) = line
                    .split_once(": ")
                    .filter(|_| !line.contains(['\r', '\n']))
                    .ok_or_else(|| format!("writes the line {line:?}"))?;
                Ok((name.to_ascii_lowercase(), value.to_owned()))
            })
            .collect::<Result<_, String>>()?;
        Ok(Self {
            start,
            headers,
            body: message[end + 4..].to_vec(),
        })
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(given, _)| given.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub(super) fn expect(&self, name: &str, value: &str) -> Result<(), String> {
        match self.header(name) {
            Some(given) if given == value => Ok(()),
            given => Err(format!("writes {name}: {given:?}, not {value:?}")),
        }
    }
}

/// A server's reply.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u64,
    message: Message,
}

impl std::ops::Deref for Reply {
    type Target = Message;

    fn deref(&self) -> &Message {
        &self.message
    }
}

impl Reply {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let message = Message::parse(bytes)?;
        let status = message
            .start
            .strip_prefix("HTTP/1.1 ")
            .and_then(|rest| rest.get(..3))
            .and_then(|status| status.parse().ok())
            .ok_or_else(|| format!("writes the status line {:?}", message.start))?;
        Ok(Self { status, message })
    }

    pub(super) fn expect_all(&self, headers: &[(String, String)]) -> Result<(), String> {
        headers
            .iter()
            .try_for_each(|(name, value)| self.expect(name, value))
    }
}

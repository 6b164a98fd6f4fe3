//! A `nats-server` of our own.

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, TcpStream},
    time::Duration,
};

use ws_backplane::client_protocol::{Operation, parse};

use crate::{
    Failure,
    process::{Process, Restart},
};

#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) process: Process,
    arguments: Vec<String>,
    password: Option<String>,
}

impl Server {
    /// Starts a server with JetStream in a folder of its own, on a port that is
    /// free, with these lines in its configuration.
    pub(crate) fn start(program: &str, lines: &str) -> Result<Self, Failure> {
        Self::start_in(Process::new(program)?, lines, None)
    }

    /// With a password of the user `ann`.
    pub(crate) fn with_password(program: &str, password: &str) -> Result<Self, Failure> {
        let lines = format!("authorization {{ user: ann, password: {password} }}");
        Self::start_in(Process::new(program)?, &lines, Some(password))
    }

    pub(crate) fn start_in(
        process: Process,
        lines: &str,
        password: Option<&str>,
    ) -> Result<Self, Failure> {
        let config = process.folder.join("config");
        let store = process.folder.join("store");
        let text = format!(
            "listen: \"127.0.0.1:{}\"\njetstream {{ store_dir: {:?} }}\n{lines}\n",
            process.port,
            store.display().to_string()
        );
        fs::write(&config, text)?;
        let mut server = Self {
            arguments: vec!["-c".into(), config.display().to_string()],
            process,
            password: password.map(str::to_owned),
        };
        server.begin()?;
        Ok(server)
    }

    pub(crate) fn port(&self) -> u16 {
        self.process.port
    }

    /// Asks JetStream for something over a connection of its own.
    pub(crate) fn api(&self, what: &str) -> Result<String, Failure> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port()))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let user = match &self.password {
            Some(password) => format!("\"user\":\"ann\",\"pass\":\"{password}\","),
            None => String::new(),
        };
        let lines = format!(
            "CONNECT {{{user}\"verbose\":false,\"headers\":true,\"no_responders\":true}}\r\n\
             SUB answer 1\r\nPUB $JS.API.{what} answer 0\r\n\r\n"
        );
        stream.write_all(lines.as_bytes())?;
        let (mut input, mut buffer) = (Vec::new(), [0; 4096]);
        loop {
            while let Some((operation, length)) = parse(&input)? {
                match operation {
                    Operation::Message(message) => {
                        let text = String::from_utf8_lossy(message.payload).into_owned();
                        return match text.contains("\"error\"") || text.is_empty() {
                            true => Err(text.into()),
                            false => Ok(text),
                        };
                    }
                    Operation::Error(words) => return Err(String::from_utf8_lossy(words).into()),
                    _ => {}
                }
                input.drain(..length);
            }
            let read = stream.read(&mut buffer)?;
            if read == 0 {
                return Err("it closed the connection".into());
            }
            input.extend_from_slice(&buffer[..read]);
        }
    }
}

impl Restart for Server {
    fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    fn begin(&mut self) -> Result<(), Failure> {
        let port = self.port();
        let answers = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
        self.process.begin(&self.arguments, answers)
    }
}

//! A `redis-server` of our own.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpStream},
    time::Duration,
};

use ws_backplane::resp::{Scanner, Value, parse};

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
    /// Starts a server in a folder of its own, on a port that is free.
    pub(crate) fn start(program: &str, arguments: &[&str]) -> Result<Self, Failure> {
        Self::start_in(Process::new(program)?, arguments)
    }

    pub(crate) fn start_in(process: Process, arguments: &[&str]) -> Result<Self, Failure> {
        let password = arguments.iter().position(|word| *word == "--requirepass");
        let password = password.map(|at| arguments[at + 1].to_owned());
        let (port, folder) = (
            process.port.to_string(),
            process.folder.display().to_string(),
        );
        let fixed = [
            "--port",
            &port,
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--dir",
            &folder,
        ];
        let arguments = fixed.iter().chain(arguments);
        let mut server = Self {
            arguments: arguments.map(|word| (*word).to_owned()).collect(),
            process,
            password,
        };
        server.begin()?;
        Ok(server)
    }

    pub(crate) fn port(&self) -> u16 {
        self.process.port
    }

    /// Asks it for something over a connection of its own.
    pub(crate) fn admin(&self, words: &[&str]) -> Result<String, Failure> {
        admin(self.port(), self.password.as_deref(), words)
    }
}

impl Restart for Server {
    fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    fn begin(&mut self) -> Result<(), Failure> {
        let (port, password) = (self.port(), self.password.clone());
        let answers = || admin(port, password.as_deref(), &["PING"]).is_ok();
        self.process.begin(&self.arguments, answers)
    }
}

fn admin(port: u16, password: Option<&str>, words: &[&str]) -> Result<String, Failure> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    if let Some(password) = password {
        ask(&mut stream, &["AUTH", password])?;
    }
    ask(&mut stream, words)
}

fn ask(stream: &mut TcpStream, words: &[&str]) -> Result<String, Failure> {
    let mut command = format!("*{}\r\n", words.len());
    for word in words {
        command.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    stream.write_all(command.as_bytes())?;
    let (mut reply, mut scanner) = (Vec::new(), Scanner::default());
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Err("it closed the connection".into());
        }
        reply.extend_from_slice(&buffer[..read]);
        let Some(length) = scanner.scan(&reply)? else {
            continue;
        };
        return match parse(&reply[..length])? {
            Value::Error(words) => Err(String::from_utf8_lossy(words).into()),
            Value::Text(text) => Ok(String::from_utf8_lossy(text).into_owned()),
            other => Ok(format!("{other:?}")),
        };
    }
}

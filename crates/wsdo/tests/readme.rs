//! The commands of the README.
#![cfg(unix)]

mod certificates;
mod common;

use std::{
    env,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    thread,
};

use certificates::Certificates;
use common::{Server, WSDO, close_with, played, read_head, run, shake};

const README: &str = include_str!("../README.md");

/// The commands in the last column of the table.
fn commands() -> impl Iterator<Item = &'static str> {
    let rows = README.lines().filter(|line| line.starts_with("| "));
    rows.filter_map(|row| {
        let command = row.trim_end_matches(" |").rsplit(" | ").next()?;
        command.strip_prefix('`')?.strip_suffix('`')
    })
    .filter(|command| command.starts_with("wsdo "))
}

/// A shell that finds the program and the files that the commands name.
fn shell(command: &str, folder: &Certificates) -> Command {
    let path = Path::new(WSDO).parent().unwrap().to_str().unwrap();
    let path = format!("{path}:{}", env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("exec {command}")])
        .env("PATH", path)
        .current_dir(folder.path(""));
    shell
}

/// A proxy, which answers HTTP CONNECT or SOCKS5 and is the server itself.
fn proxy() -> String {
    let (url, _) = played(|listener| {
        for _ in 0..2 {
            let (stream, _) = listener.accept().unwrap();
            thread::spawn(move || open_way(stream));
        }
    });
    url.trim_start_matches("ws://")
        .trim_end_matches('/')
        .to_owned()
}

fn open_way(mut stream: std::net::TcpStream) {
    use std::io::Read as _;
    let mut first = [0];
    stream.peek(&mut first).unwrap();
    if first[0] == 5 {
        let mut greeting = [0; 2];
        stream.read_exact(&mut greeting).unwrap();
        stream.read_exact(&mut vec![0; greeting[1].into()]).unwrap();
        stream.write_all(&[5, 0]).unwrap();
        let mut request = [0; 5];
        stream.read_exact(&mut request).unwrap();
        // A name or an address, and the port.
        let rest = if request[3] == 3 {
            usize::from(request[4]) + 2
        } else {
            5
        };
        stream.read_exact(&mut vec![0; rest]).unwrap();
        stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).unwrap();
    } else {
        read_head(&mut stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
    }
    let stream = shake(stream).0;
    close_with(stream, 1000);
}

#[test]
fn commands_of_the_table_work() {
    let folder = Certificates::new();
    folder.write("password", "user:password\n");
    folder.write("token", "token\n");
    folder.write("cookies.txt", "a=1\n");
    folder.write("program", "#!/bin/sh\nexec cat\n");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path("program"), mode).unwrap();
    let plain = Server::start(&["-s", "chat", "--origin", "any"], &[]);
    let socket = format!("unix:{}", folder.path("echo.sock"));
    let _unix = Server::listen::<&str>(&socket, &[], &[]);
    let (_secure, secure) = folder.serve(&[]);
    let (plain, proxy) = (plain.url(), proxy());
    let commands: Vec<_> = commands().collect();
    assert!(commands.len() >= 30, "{commands:?}");
    thread::scope(|scope| {
        for command in commands {
            let url = match command.contains("--ca") || command.contains("-k ") {
                true => &secure,
                false => &plain,
            };
            let (folder, proxy) = (&folder, &proxy);
            let command = command
                .replace("URL", url)
                .replace("HOST:PORT", proxy)
                .replace("PROXY", &format!("http://{proxy}"))
                .replace("0.0.0.0:8080", "127.0.0.1:0")
                .replace("127.0.0.1:2222", "127.0.0.1:0")
                .replace("9001", "0");
            scope.spawn(move || {
                let mut shell = shell(&command, folder);
                if command.starts_with("wsdo serve")
                    || command.starts_with("wsdo tunnel t")
                    || command.starts_with("wsdo tunnel w")
                {
                    // It listens, which is what is waited for.
                    drop(Server::spawn(shell.stdin(Stdio::null())));
                } else {
                    let ran = run(&mut shell, b"1\n2\n3\n");
                    assert_eq!(ran.code, Some(0), "{command}: {ran:?}");
                }
            });
        }
    });
}

#[test]
fn exit_codes_of_the_readme_are_those_of_the_help() {
    let help = run(Command::new(WSDO).arg("--help"), b"");
    let codes = help
        .text()
        .lines()
        .filter_map(|line| line.split_whitespace().next()?.parse().ok());
    let codes: Vec<u8> = codes.collect();
    let rows = README
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(' ').next()?.parse().ok());
    assert_eq!(codes, rows.collect::<Vec<u8>>());
}

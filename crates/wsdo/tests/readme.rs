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

/// A row of the table: commands of others, how many words they are said to have, and the same here.
struct Row {
    others: (&'static str, usize),
    here: (&'static str, usize),
}

fn rows() -> impl Iterator<Item = Row> {
    README.lines().filter_map(|row| {
        let row = row.strip_prefix("| ")?.strip_suffix(" |")?;
        let [_, others, theirs, here, ours] = row.split(" | ").collect::<Vec<_>>()[..] else {
            return None;
        };
        let here = here.strip_prefix('`')?.strip_suffix('`')?;
        Some(Row {
            others: (others, theirs.parse().ok()?),
            here: (here, ours.parse().ok()?),
        })
    })
}

/// The commands in the column "here".
fn commands() -> impl Iterator<Item = &'static str> {
    rows().map(|row| row.here.0)
}

/// How many words stand behind the name of a program; `name=value` and a prefix of a URL are two.
fn words(command: &str) -> usize {
    let mut is_quoted = false;
    let words = command.split(|c| {
        is_quoted ^= c == '\'';
        c == ' ' && !is_quoted
    });
    let joined = |word: &str| {
        word.starts_with("--") && word.contains('=')
            || word.starts_with("autoreconnect:")
            || word.starts_with("broadcast:")
    };
    words
        .skip(1)
        .map(|word| 1 + usize::from(joined(word)))
        .sum()
}

#[test]
fn no_command_has_more_words_than_those_of_others() {
    let mut count = 0;
    for Row { others, here } in rows() {
        // Two commands stand for a pipe, which is a word too.
        let theirs: Vec<_> = others.0.split('`').skip(1).step_by(2).map(words).collect();
        let theirs = theirs.iter().sum::<usize>() + theirs.len() - 1;
        assert_eq!(
            (theirs, words(here.0)),
            (others.1, here.1),
            "{} {}",
            others.0,
            here.0
        );
        assert!(here.1 <= others.1, "{} {}", others.0, here.0);
        count += 1;
    }
    assert!(count >= 30, "{count}");
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

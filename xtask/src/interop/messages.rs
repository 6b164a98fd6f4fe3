//! What is sent to be echoed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use crate::tool::{self, Failure, Service};

/// Sends every message of the list with the example `client` to `base`, which leads to the service,
/// compares the replies, and asks `check` about each.
pub(super) fn send_all(
    dir: &Path,
    service: &Service,
    flags: &[&str],
    base: &str,
    check: &dyn Fn(&Message) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut count = 0;
    for message in messages() {
        let paths: &[&str] = if message.is_everywhere {
            &["/", "/fragments", "/ping"]
        } else {
            &["/"]
        };
        for path in paths {
            let url = format!("{base}{path}");
            send(dir, service, flags, &message, &url)
                .and_then(|()| check(&message))
                .map_err(|failure| {
                    Failure::new(format!("{} at {path}: {failure}", message.name))
                })?;
            count += 1;
        }
    }
    println!("{count} messages came back as they were sent");
    Ok(())
}

fn send(
    dir: &Path,
    service: &Service,
    flags: &[&str],
    message: &Message,
    url: &str,
) -> Result<(), Failure> {
    // What an earlier connection left, if it went wrong.
    while service.next_line(Duration::ZERO).is_some() {}
    let file = dir.join(format!("message-{}", service.port()));
    fs::write(&file, &message.bytes)?;
    let mut command = Command::new(tool::program("client"));
    command.args(flags).arg("--send").arg(&file);
    if message.is_text {
        command.arg("--text");
    }
    let output = command
        .arg(url)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| Failure::new(format!("cannot run client: {error}")))?;
    if !output.status.success() {
        return Err(Failure::new(format!("client ended with {}", output.status)));
    }
    if output.stdout != message.bytes {
        return Err(Failure::new(format!(
            "{} bytes came back that are not the {} bytes sent",
            output.stdout.len(),
            message.bytes.len()
        )));
    }
    match service.next_line(CLOSE_LIMIT) {
        Some(line) if line == "closed 1000" => Ok(()),
        Some(line) => Err(Failure::new(format!(
            "the server says {line:?}, not closed 1000"
        ))),
        None => Err(Failure::new("the server saw no end of the connection")),
    }
}

/// A message to be echoed.
#[derive(Debug)]
pub(super) struct Message {
    name: &'static str,
    pub(super) bytes: Vec<u8>,
    is_text: bool,
    /// Whether to send it to the server's other ways of answering too.
    is_everywhere: bool,
    /// Whether it must become shorter where it is compressed.
    pub(super) is_compressible: bool,
}

fn messages() -> Vec<Message> {
    let message = |name, bytes, is_text, is_everywhere| Message {
        name,
        bytes,
        is_text,
        is_everywhere,
        is_compressible: false,
    };
    // Without a short period, so that a piece in the wrong place is seen.
    let noise = |length: u32| {
        (0..length)
            .map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect::<Vec<_>>()
    };
    let rows = (0..1000)
        .map(|id| {
            format!(
                r#"{{"id":{id},"name":"row {id}","value":{}}},"#,
                id * 37 % 101
            )
        })
        .collect::<String>();
    vec![
        Message {
            is_compressible: true,
            ..message("rows of JSON", rows.into_bytes(), true, true)
        },
        message("text", b"Hello".to_vec(), true, true),
        message("unicode", "Grüße, κόσμε, 世界, 🙂".into(), true, false),
        message("empty text", Vec::new(), true, false),
        message("binary", (0..=255).collect(), false, true),
        message("empty binary", Vec::new(), false, true),
        message("125 bytes", noise(125), false, false),
        message("126 bytes", noise(126), false, false),
        message("65,535 bytes", noise(65_535), false, false),
        message("65,536 bytes", noise(65_536), false, false),
        message("1 MiB", noise(1024 * 1024), false, true),
        message("16 MiB", noise(16 * 1024 * 1024), false, false),
    ]
}

/// The folder for what `client` is to send.
pub(super) fn messages_dir() -> Result<PathBuf, Failure> {
    let dir = tool::target_dir().join("interop");
    fs::create_dir_all(&dir)?;
    Ok(dir)
}

const CLOSE_LIMIT: Duration = Duration::from_secs(10);

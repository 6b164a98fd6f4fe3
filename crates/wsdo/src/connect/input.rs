//! Where the messages come from that are sent.

use std::{
    io::{self, BufRead, Read as _},
    thread,
};

use ws_smol::{CloseCode, Message};

use crate::{
    exit::{Exit, Failure},
    runtime::channel::{Receiver, bounded},
    text::from_hex,
};

/// Where one message ends in the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// At a line end.
    Lines,
    /// At a zero byte.
    Null,
    /// After as many bytes as the 4 bytes in front of it say.
    Length,
    /// At the end of the input.
    Whole,
}

/// What the bytes of the input become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Binary,
    /// Binary messages of hexadecimal digits.
    Hex,
}

/// How the input is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Format {
    pub(crate) framing: Framing,
    pub(crate) kind: Kind,
    /// A line end, CR LF, is sent with each message.
    pub(crate) crlf: bool,
    /// Lines that begin with a slash are commands.
    pub(crate) slash: bool,
}

/// What the input asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Send(Message),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(CloseCode, String),
}

impl Format {
    /// Makes an order of one item of the input, which is without its end.
    pub(crate) fn order(&self, mut item: Vec<u8>) -> Result<Order, Failure> {
        if self.slash
            && let Some(command) = item.strip_prefix(b"/")
            && !command.starts_with(b"/")
        {
            return command_of(&String::from_utf8_lossy(command)).map_err(wrong);
        }
        if self.slash && item.starts_with(b"//") {
            item.remove(0);
        }
        if self.crlf {
            item.extend(b"\r\n");
        }
        let message = match self.kind {
            Kind::Binary => Message::Binary(item),
            Kind::Text => Message::Text(String::from_utf8(item).map_err(|_| {
                wrong("the input is no UTF-8 text; --binary sends any bytes".to_owned())
            })?),
            Kind::Hex => Message::Binary(from_hex(&String::from_utf8_lossy(&item)).map_err(wrong)?),
        };
        Ok(Order::Send(message))
    }

    /// Reads the next order; `None` at the end of the input.
    fn next(&self, input: &mut impl BufRead) -> Result<Option<Order>, Failure> {
        let mut item = Vec::new();
        match self.framing {
            Framing::Lines => {
                input.read_until(b'\n', &mut item)?;
                if item.is_empty() {
                    return Ok(None);
                }
                if item.ends_with(b"\n") {
                    item.pop();
                    if item.ends_with(b"\r") {
                        item.pop();
                    }
                }
            }
            Framing::Null => {
                input.read_until(0, &mut item)?;
                if item.is_empty() {
                    return Ok(None);
                }
                if item.ends_with(&[0]) {
                    item.pop();
                }
            }
            Framing::Length => {
                let mut len = [0; 4];
                if input.fill_buf()?.is_empty() {
                    return Ok(None);
                }
                input.read_exact(&mut len)?;
                let len = u64::from(u32::from_be_bytes(len));
                // No more is reserved than comes.
                input.take(len).read_to_end(&mut item)?;
                if (item.len() as u64) < len {
                    let error = io::Error::from(io::ErrorKind::UnexpectedEof);
                    return Err(error.into());
                }
            }
            Framing::Whole => {
                input.read_to_end(&mut item)?;
                if item.is_empty() {
                    return Ok(None);
                }
            }
        }
        self.order(item).map(Some)
    }

    /// Reads the standard input on a thread of its own.
    pub(crate) fn read_stdin(self) -> io::Result<Receiver<Result<Order, Failure>>> {
        let (sender, receiver) = bounded(64);
        thread::Builder::new()
            .name("input".to_owned())
            .spawn(move || {
                let mut input = io::stdin().lock();
                while let Some(order) = self.next(&mut input).transpose() {
                    let is_last = order.is_err();
                    if sender.send_blocking(order).is_err() || is_last {
                        break;
                    }
                }
            })?;
        Ok(receiver)
    }

    /// Takes the orders of the command line, one after the other.
    pub(crate) fn read_arguments(
        self,
        messages: Vec<String>,
    ) -> Result<Receiver<Result<Order, Failure>>, Failure> {
        let (sender, receiver) = bounded(messages.len().max(1));
        for message in messages {
            let order = self.order(message.into_bytes())?;
            // There is room for all.
            let _ = sender.try_send(Ok(order));
        }
        Ok(receiver)
    }
}

fn wrong(message: String) -> Failure {
    Failure::new(Exit::Failure, message)
}

/// Reads `ping TEXT`, `pong TEXT` or `close CODE REASON`.
fn command_of(text: &str) -> Result<Order, String> {
    let (name, rest) = text.split_once(' ').unwrap_or((text, ""));
    match name {
        "ping" | "pong" if rest.len() > ws_proto::MAX_CONTROL_PAYLOAD => {
            Err(format!("/{name} takes at most 125 bytes"))
        }
        "ping" => Ok(Order::Ping(rest.as_bytes().to_vec())),
        "pong" => Ok(Order::Pong(rest.as_bytes().to_vec())),
        "close" => {
            let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
            let code = match code {
                "" => Some(CloseCode::NORMAL),
                code => code.parse().ok().and_then(CloseCode::new),
            };
            let code = code.ok_or("/close takes a code that may be sent, such as 1000 or 4000")?;
            Ok(Order::Close(code, reason.to_owned()))
        }
        _ => Err(format!(
            "there is no /{name}, but /ping TEXT, /pong TEXT, /close CODE REASON, and // for a \
             message that begins with a slash"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: Format = Format {
        framing: Framing::Lines,
        kind: Kind::Text,
        crlf: false,
        slash: false,
    };

    fn orders(format: Format, mut input: &[u8]) -> Vec<Order> {
        let mut orders = Vec::new();
        while let Some(order) = format.next(&mut input).unwrap() {
            orders.push(order);
        }
        orders
    }

    fn text(text: &str) -> Order {
        Order::Send(text.into())
    }

    fn binary(bytes: &[u8]) -> Order {
        Order::Send(Message::Binary(bytes.to_vec()))
    }

    #[test]
    fn lines_are_messages_with_either_end_and_without() {
        assert_eq!(
            orders(LINES, b"a\nb\r\n\nc"),
            [text("a"), text("b"), text(""), text("c")]
        );
        let crlf = Format {
            crlf: true,
            ..LINES
        };
        assert_eq!(orders(crlf, b"a\nb\r\n"), [text("a\r\n"), text("b\r\n")]);
    }

    #[test]
    fn other_framings_keep_line_ends() {
        let format = |framing| Format { framing, ..LINES };
        assert_eq!(
            orders(format(Framing::Null), b"a\n\0\0b"),
            [text("a\n"), text(""), text("b")]
        );
        let lengths = b"\0\0\0\x02a\n\0\0\0\0\0\0\0\x01b";
        assert_eq!(
            orders(format(Framing::Length), lengths),
            [text("a\n"), text(""), text("b")]
        );
        assert_eq!(orders(format(Framing::Whole), b"a\nb\n"), [text("a\nb\n")]);
        assert_eq!(orders(format(Framing::Whole), b""), []);
    }

    #[test]
    fn input_that_is_cut_short_is_an_error() {
        let format = Format {
            framing: Framing::Length,
            ..LINES
        };
        for cut in [&b"\0"[..], b"\0\0\0\x02a"] {
            assert!(format.next(&mut &*cut).is_err(), "{cut:?}");
        }
    }

    #[test]
    fn bytes_are_binary_and_text_is_utf_8() {
        let binary_lines = Format {
            kind: Kind::Binary,
            ..LINES
        };
        assert_eq!(orders(binary_lines, b"\xff\n"), [binary(b"\xff")]);
        let hex = Format {
            kind: Kind::Hex,
            ..LINES
        };
        assert_eq!(orders(hex, b"00 ff\n"), [binary(&[0, 0xff])]);
        assert!(hex.next(&mut &b"0x\n"[..]).is_err());
        let error = LINES.next(&mut &b"\xff\n"[..]).unwrap_err();
        assert!(error.message.contains("--binary"));
    }

    #[test]
    fn slash_commands_are_orders_and_a_second_slash_escapes() {
        let slash = Format {
            slash: true,
            ..LINES
        };
        assert_eq!(
            orders(
                slash,
                b"/ping a b\n/pong\n//x\n/close\n/close 4000 so be it\n"
            ),
            [
                Order::Ping(b"a b".to_vec()),
                Order::Pong(Vec::new()),
                text("/x"),
                Order::Close(CloseCode::NORMAL, String::new()),
                Order::Close(CloseCode::new(4000).unwrap(), "so be it".to_owned()),
            ]
        );
        assert_eq!(orders(LINES, b"/ping\n"), [text("/ping")]);
        let long = format!("/ping {}\n", "x".repeat(126));
        for wrong in [long.as_bytes(), b"/x\n", b"/close 1005\n", b"/close x\n"] {
            assert!(slash.next(&mut &*wrong).is_err(), "{wrong:?}");
        }
    }
}

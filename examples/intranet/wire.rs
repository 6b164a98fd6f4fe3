//! Frames as they are on the wire, with their fields named.

use std::fmt::Write as _;

use ws_proto::{Header, OpCode};

/// Describes the frames at the start of a stream, after its HTTP head.
pub(crate) fn describe(stream: &[u8], frames: usize) -> String {
    let mut out = String::new();
    let end = b"\r\n\r\n";
    let Some(head) = stream.windows(end.len()).position(|bytes| bytes == end) else {
        return out;
    };
    let mut rest = &stream[head + end.len()..];
    for _ in 0..frames {
        let Ok(Some((header, len))) = Header::decode(rest) else {
            break;
        };
        let (head, payload) = rest.split_at(len);
        describe_head(&mut out, &header, head);
        let whole = usize::try_from(header.payload_len()).unwrap_or(usize::MAX);
        let (payload, after) = payload.split_at(whole.min(payload.len()));
        describe_payload(&mut out, &header, payload);
        rest = after;
    }
    out
}

fn describe_head(out: &mut String, header: &Header, head: &[u8]) {
    let key_len = if header.mask().is_some() { 4 } else { 0 };
    let (start, key) = head.split_at(head.len() - key_len);
    let fin = if header.fin() { "FIN, " } else { "" };
    row(out, &start[..1], &format!("{fin}{:?}", header.opcode()));
    let mask = if header.mask().is_some() {
        "MASK, "
    } else {
        "no MASK, "
    };
    let payload_len = grouped(header.payload_len());
    match start.len() {
        2 => row(out, &start[1..2], &format!("{mask}{payload_len} bytes")),
        len => {
            let bits = (len - 2) * 8;
            row(out, &start[1..2], &format!("{mask}length in {bits} bits"));
            row(out, &start[2..], &format!("{payload_len} bytes"));
        }
    }
    match header.mask() {
        None => {}
        Some(mask) if mask.is_zero() => row(out, key, "masking key: zero"),
        Some(_) => row(out, key, "masking key: random"),
    }
}

fn describe_payload(out: &mut String, header: &Header, payload: &[u8]) {
    let is_plain = header.mask().is_none_or(|key| key.is_zero());
    let shown = &payload[..payload.len().min(16)];
    let is_cut = header.payload_len() > shown.len() as u64;
    let more = if is_cut { " ..." } else { "" };
    let text = match header.opcode() {
        _ if !is_plain => "payload, masked".to_owned(),
        OpCode::Text => format!("payload: {:?}", String::from_utf8_lossy(shown)),
        _ => "payload, as it is".to_owned(),
    };
    row(out, shown, &format!("{text}{more}"));
}

fn row(out: &mut String, bytes: &[u8], text: &str) {
    let mut hex = String::new();
    for byte in bytes {
        let _ = write!(hex, "{byte:02x} ");
    }
    let _ = writeln!(out, "    {hex:<48} {text}");
}

/// Writes a number with commas between its thousands.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_frames_are_told_apart() {
        let stream = b"HTTP/1.1 101 Switching Protocols\r\n\r\n\
            \x81\x85\0\0\0\0Hello\
            \x82\xff\0\0\0\0\x04\0\0\0\x37\xfa\x21\x3d\xff";
        let expected = [
            ("81", "FIN, Text"),
            ("85", "MASK, 5 bytes"),
            ("00 00 00 00", "masking key: zero"),
            ("48 65 6c 6c 6f", "payload: \"Hello\""),
            ("82", "FIN, Binary"),
            ("ff", "MASK, length in 64 bits"),
            ("00 00 00 00 04 00 00 00", "67,108,864 bytes"),
            ("37 fa 21 3d", "masking key: random"),
            ("ff", "payload, masked ..."),
        ];
        let described = describe(stream, 9);
        let lines: Vec<_> = described.lines().collect();
        assert_eq!(lines.len(), expected.len(), "{described}");
        for (line, (hex, text)) in lines.iter().zip(expected) {
            assert_eq!(*line, format!("    {hex:<48} {text}"));
        }
        assert_eq!(describe(stream, 1).lines().count(), 4);
    }

    #[test]
    fn thousands_are_grouped() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }
}

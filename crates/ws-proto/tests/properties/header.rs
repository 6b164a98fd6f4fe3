//! Headers: decode and encode are inverse.

use ws_proto::{Header, MAX_HEADER_LEN, ProtocolError};

/// What `bytes` decode to is what a reader of section 5.2 would say, it
/// encodes to the same bytes, and no prefix says otherwise.
pub fn decoding_is_the_inverse_of_encoding(bytes: &[u8]) {
    let decoded = Header::decode(bytes);
    for end in 0..bytes.len() {
        match Header::decode(&bytes[..end]) {
            Ok(None) => {}
            sooner => assert_eq!(sooner, decoded, "{end} bytes decide"),
        }
    }
    let expected = naive(bytes);
    match decoded {
        Ok(Some((header, len))) => {
            let mut out = [0; MAX_HEADER_LEN];
            assert_eq!(header.encode(&mut out), len);
            assert_eq!(out[..len], bytes[..len]);
            assert!(expected.is_ok());
            assert_eq!(header.payload_len(), declared(bytes));
            assert_eq!(header.fin(), bytes[0] >= 0x80);
            assert_eq!(header.reserved(), bytes[0] / 16 % 8);
            assert_eq!(header.opcode().bits(), bytes[0] % 16);
            assert_eq!(header.mask().is_some(), bytes[1] >= 0x80);
            if let Some(key) = header.mask() {
                assert_eq!(key.bytes(), bytes[len - 4..len]);
            }
            assert!(
                Header::new(
                    header.fin(),
                    header.opcode(),
                    header.mask(),
                    header.payload_len()
                )
                .is_ok()
            );
        }
        Ok(None) => assert!(bytes.len() < MAX_HEADER_LEN),
        Err(error) => assert_eq!(expected, Err(error)),
    }
}

/// The declared length of a whole header.
fn declared(bytes: &[u8]) -> u64 {
    let be = |bytes: &[u8]| {
        bytes
            .iter()
            .fold(0, |len, byte| len << 8 | u64::from(*byte))
    };
    match bytes[1] % 128 {
        126 => be(&bytes[2..4]),
        127 => be(&bytes[2..10]),
        len => u64::from(len),
    }
}

/// The first rule that is broken, for bytes of which enough are there.
fn naive(bytes: &[u8]) -> Result<(), ProtocolError> {
    let [first, second, ..] = *bytes else {
        return Ok(());
    };
    let (opcode, short) = (first % 16, second % 128);
    if [3, 4, 5, 6, 7, 11, 12, 13, 14, 15].contains(&opcode) {
        return Err(ProtocolError::ReservedOpcode { opcode });
    }
    if opcode >= 8 && first < 0x80 {
        return Err(ProtocolError::ControlFragmented);
    }
    if opcode >= 8 && short > 125 {
        return Err(ProtocolError::ControlTooLong);
    }
    if opcode == 8 && short == 1 {
        return Err(ProtocolError::ClosePayloadShort);
    }
    let least = match short {
        126 if bytes.len() >= 4 => 126,
        127 if bytes.len() >= 10 => 0x1_0000,
        _ => 0,
    };
    if least > 0 {
        let len = declared(bytes);
        if len < least {
            return Err(ProtocolError::LengthNotMinimal { len });
        }
        if len >= 1 << 63 {
            return Err(ProtocolError::LengthTopBitSet);
        }
    }
    Ok(())
}

//! Frames, whatever is wrong with them.

/// The bytes up to where a header says that its frame ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// FIN, the reserved bits and the opcode.
    first: u8,
    /// How many bytes of length come after the second byte.
    length_bytes: usize,
    len: u64,
    key: Option<[u8; 4]>,
    /// Without its mask.
    payload: Vec<u8>,
}

/// Cuts a wire into frames.
///
/// The last one is filled up with zeros. One that is longer than `longest` is
/// the last, and is left as it is: nobody reads it.
pub(super) fn split(mut wire: &[u8], longest: usize) -> Vec<Frame> {
    let mut frames = Vec::new();
    while !wire.is_empty() {
        let [first, second] = take(&mut wire);
        let (length_bytes, len) = match second & 0x7f {
            126 => (2, u16::from_be_bytes(take(&mut wire)).into()),
            127 => (8, u64::from_be_bytes(take(&mut wire))),
            len => (0, len.into()),
        };
        let key = (second & 0x80 != 0).then(|| take(&mut wire));
        let is_read = len <= longest as u64;
        let there = match is_read {
            true => wire.len().min(len as usize),
            false => wire.len(),
        };
        let (payload, rest) = wire.split_at(there);
        wire = rest;
        let mut payload = payload.to_vec();
        if is_read {
            payload.resize(len as usize, 0);
        }
        mask(&mut payload, key);
        frames.push(Frame {
            first,
            length_bytes,
            len,
            key,
            payload,
        });
    }
    frames
}

fn take<const LEN: usize>(wire: &mut &[u8]) -> [u8; LEN] {
    let mut bytes = [0; LEN];
    let (taken, rest) = wire.split_at(wire.len().min(LEN));
    bytes[..taken.len()].copy_from_slice(taken);
    *wire = rest;
    bytes
}

fn mask(payload: &mut [u8], key: Option<[u8; 4]>) {
    let key = key.unwrap_or_default();
    for (byte, key) in payload.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

impl Frame {
    pub(super) const fn opcode(&self) -> u8 {
        self.first & 0xf
    }

    pub(super) const fn is_control(&self) -> bool {
        self.opcode() >= 8
    }

    /// The length as declared.
    pub(super) const fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn payload(&self) -> &[u8] {
        &self.payload
    }

    pub(super) fn set_payload(&mut self, payload: &[u8]) {
        self.payload = payload.into();
        self.len = payload.len() as u64;
        self.shorten_length();
    }

    /// Gives the length its shortest form.
    pub(super) fn shorten_length(&mut self) {
        self.length_bytes = match self.len {
            ..126 => 0,
            126..0x1_0000 => 2,
            _ => 8,
        };
    }

    pub(super) fn wire(&self) -> Vec<u8> {
        let second = match self.length_bytes {
            0 => self.len as u8,
            2 => 126,
            _ => 127,
        };
        let mask_bit = if self.key.is_some() { 0x80 } else { 0 };
        let length = &self.len.to_be_bytes()[8 - self.length_bytes..];
        let key = self.key.as_ref().map_or(&[][..], |key| key);
        let mut payload = self.payload.clone();
        mask(&mut payload, self.key);
        [&[self.first, mask_bit | second], length, key, &payload].concat()
    }
}

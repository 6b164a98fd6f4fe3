//! Masking, against a twin that takes one byte at a time.

use ws_proto::{ClientMasking, MaskKey, Message, Sender, xor};

/// `xor` does what section 5.3 says, at any offset into the payload and any
/// alignment in memory; and twice it is as if not at all.
pub fn masking_equals_its_naive_twin(key: [u8; 4], offset: u8, data: &[u8]) {
    let offset = usize::from(offset);
    let expected: Vec<u8> = data
        .iter()
        .zip(offset..)
        .map(|(byte, i)| byte ^ key[i % 4])
        .collect();
    let rotated = MaskKey::new(key).rotated(offset);
    // Long data is masked in whole cache lines, and both ends apart.
    let alignments = if data.len() < 128 { 8 } else { 64 };
    for alignment in 0..alignments {
        let mut memory = vec![0xaa; alignment];
        memory.extend(data);
        memory.push(0xaa);
        let end = memory.len() - 1;
        xor(&mut memory[alignment..end], rotated);
        assert_eq!(memory[alignment..end], expected);
        assert!(memory[..alignment].iter().all(|byte| *byte == 0xaa));
        assert_eq!(memory[end], 0xaa);
        xor(&mut memory[alignment..end], rotated);
        assert_eq!(&memory[alignment..end], data);
    }
    // In two pieces it is the same.
    let cut = offset % (data.len() + 1);
    let mut pieces = data.to_vec();
    let (a, b) = pieces.split_at_mut(cut);
    xor(a, rotated);
    xor(b, rotated.rotated(cut));
    assert_eq!(pieces, expected);
    frame_from_any_byte_on(offset, data);
}

/// A masked frame is the same, appended whole or from a byte on.
fn frame_from_any_byte_on(skip: usize, data: &[u8]) {
    let mut tx = Sender::new(ClientMasking::new());
    let Ok(frame) = tx.message(Message::Binary(data)) else {
        unreachable!("nothing was sent before")
    };
    let (mut whole, mut rest) = (Vec::new(), Vec::new());
    frame.append_to(&mut whole, 0);
    frame.append_to(&mut rest, skip);
    assert_eq!(whole[skip.min(whole.len())..], rest);
}

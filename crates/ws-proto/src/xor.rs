//! Masking: the XOR of a payload with a key (RFC 6455 section 5.3).

use alloc::vec::Vec;

use crate::MaskKey;

/// XORs `data` with `key`, in place; masks and unmasks alike (section 5.3).
///
/// For a payload that comes in pieces, rotate the key by what was done before:
/// `xor(piece, key.rotated(offset))`. A zero key touches no byte.
///
/// ```
/// use ws_proto::{MaskKey, xor};
///
/// let mut payload = [0x7f, 0x9f, 0x4d, 0x51, 0x58];
/// xor(&mut payload, MaskKey::new([0x37, 0xfa, 0x21, 0x3d]));
/// assert_eq!(&payload, b"Hello");
/// ```
#[inline]
pub fn xor(data: &mut [u8], key: MaskKey) {
    //= MSWS-3.1.4-6, MSWS-4-3
    if key.is_zero() {
        return;
    }
    //= RFC6455-5.3-5
    match data.len() {
        LONG.. => long(data, key),
        16.. => blocks::<16>(data, key),
        8.. => blocks::<8>(data, key),
        4.. => blocks::<4>(data, key),
        _ => {
            for (byte, key) in data.iter_mut().zip(key.bytes()) {
                *byte ^= key;
            }
        }
    }
}

/// XORs at least `N` bytes, block by block.
///
/// The last block ends where the data ends, and so overlaps the one before it;
/// its bytes are taken before that. A rest that is done in ever smaller steps
/// has a branch for each of them, and lengths are what no processor foresees.
#[inline(always)]
fn blocks<const N: usize>(data: &mut [u8], key: MaskKey) {
    let Some(last) = data.last_chunk::<N>() else {
        return;
    };
    let last = xored(*last, key.rotated(data.len()));
    for block in data.as_chunks_mut().0 {
        *block = xored::<N>(*block, key);
    }
    if let Some(end) = data.last_chunk_mut() {
        *end = last;
    }
}

/// XORs at least [`LINE`] bytes, from one aligned address to another; both
/// ends overlap what is between them, as in [`blocks`].
///
/// Stores that straddle cache lines cost twice as much.
#[inline(always)]
fn aligned(data: &mut [u8], key: MaskKey) {
    let (Some(first), Some(last)) = (data.first_chunk(), data.last_chunk()) else {
        return;
    };
    let first: [u8; LINE] = xored(*first, key);
    let last: [u8; LINE] = xored(*last, key.rotated(data.len()));
    let start = data.as_ptr().addr().wrapping_neg() % LINE;
    let lines = (data.len() - start) / LINE * LINE;
    xor_words(&mut data[start..start + lines], key.rotated(start));
    if let Some(begin) = data.first_chunk_mut() {
        *begin = first;
    }
    if let Some(end) = data.last_chunk_mut() {
        *end = last;
    }
}

#[inline(always)]
fn xored<const N: usize>(mut block: [u8; N], key: MaskKey) -> [u8; N] {
    xor_words(&mut block, key);
    block
}

/// A loop that the compiler makes wide: as wide as the registers that it may
/// use where this is inlined.
#[inline(always)]
fn xor_words(data: &mut [u8], key: MaskKey) {
    let key = u32::from_ne_bytes(key.bytes());
    for word in data.as_chunks_mut().0 {
        *word = (u32::from_ne_bytes(*word) ^ key).to_ne_bytes();
    }
}

/// A cache line, in bytes; no register is longer.
const LINE: usize = 64;

/// From this length on, in bytes, wide registers pay for asking which of them
/// the machine has.
const LONG: usize = 2 * LINE;

/// Appends `data` XORed with `key` to `out`, in one pass.
pub(crate) fn append_xored(out: &mut Vec<u8>, data: &[u8], key: MaskKey) {
    if key.is_zero() {
        out.extend_from_slice(data);
    } else {
        append_masked(out, data, key);
    }
}

fn append_masked(out: &mut Vec<u8>, data: &[u8], key: MaskKey) {
    out.reserve(data.len());
    match data.len() {
        LONG.. => append_long(out, data, key),
        16.. => append_blocks::<16>(out, data, data, key),
        8.. => append_blocks::<8>(out, data, data, key),
        4.. => append_blocks::<4>(out, data, data, key),
        _ => out.extend(data.iter().zip(key.bytes()).map(|(byte, key)| byte ^ key)),
    }
}

/// Appends the `rest` of at least `N` bytes of `data`, as [`blocks`] would
/// leave them.
#[inline(always)]
fn append_blocks<const N: usize>(out: &mut Vec<u8>, data: &[u8], rest: &[u8], key: MaskKey) {
    let Some(last) = data.last_chunk::<N>() else {
        return;
    };
    let end = out.len() + rest.len();
    for block in rest.as_chunks().0 {
        out.extend_from_slice(&xored::<N>(*block, key));
    }
    out.truncate(end - N);
    out.extend_from_slice(&xored(*last, key.rotated(data.len())));
}

/// Appends at least [`LINE`] bytes, to aligned addresses as [`aligned`] does.
#[inline(always)]
fn append_aligned(out: &mut Vec<u8>, data: &[u8], key: MaskKey) {
    /// One block costs an update of the vector's length; of many lines, less
    /// of it each.
    const LINES: usize = 8 * LINE;

    let (Some(first), begin) = (data.first_chunk::<LINE>(), out.len()) else {
        return;
    };
    let start = (out.as_ptr().addr() + begin).wrapping_neg() % LINE;
    out.extend_from_slice(&xored(*first, key));
    out.truncate(begin + start);
    let (data, key) = (&data[start..], key.rotated(start));
    let (blocks, rest) = data.as_chunks::<LINES>();
    for block in blocks {
        out.extend_from_slice(&xored(*block, key));
    }
    append_blocks::<LINE>(out, data, rest, key);
}

#[cfg(feature = "simd")]
use wide::{append_long, long};
#[cfg(not(feature = "simd"))]
use {aligned as long, append_aligned as append_long};

/// The same, compiled for the widest registers that the machine may have.
#[cfg(feature = "simd")]
mod wide {
    use std::vec::Vec;

    use fearless_simd::{Level, dispatch};

    use super::{aligned, append_aligned};
    use crate::MaskKey;

    pub(super) fn long(data: &mut [u8], key: MaskKey) {
        dispatch!(Level::new(), _ => aligned(data, key));
    }

    pub(super) fn append_long(out: &mut Vec<u8>, data: &[u8], key: MaskKey) {
        dispatch!(Level::new(), _ => append_aligned(out, data, key));
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    /// Miri takes a thousand times as long, so it looks at some cases only.
    const STEP: usize = if cfg!(miri) { 29 } else { 1 };

    fn naive(data: &[u8], key: MaskKey, offset: usize) -> Vec<u8> {
        data.iter()
            .zip(offset..)
            .map(|(byte, i)| byte ^ key.bytes()[i % 4])
            .collect()
    }

    #[test]
    fn every_length_alignment_and_offset_equals_the_naive_twin() {
        //= RFC6455-5.3-5
        let key = MaskKey::new([0x11, 0x22, 0x44, 0x88]);
        let bytes: Vec<u8> = (0..1200u32).map(|i| (i * 7) as u8).collect();
        for start in (0..=LINE).step_by(STEP) {
            let long = [511, 512, 513, 1023, 1024, 1025, 1100];
            for len in (0..2 * LONG + 10).chain(long).step_by(STEP) {
                // Every offset comes with every start and with every length.
                let offset = (start + len) % 4;
                let mut data = bytes.clone();
                let piece = &mut data[start..start + len];
                xor(piece, key.rotated(offset));
                assert_eq!(piece, naive(&bytes[start..start + len], key, offset));
                assert_eq!(data[..start], bytes[..start]);
                assert_eq!(data[start + len..], bytes[start + len..]);
            }
        }
    }

    #[test]
    fn baseline_registers_give_the_same_as_the_widest() {
        let key = MaskKey::new([0x11, 0x22, 0x44, 0x88]);
        for start in (0..LINE).step_by(STEP) {
            for len in (LONG..2 * LONG).chain([1023, 1024, 1025]).step_by(STEP) {
                let mut wide: Vec<u8> = (0..start + len).map(|i| i as u8).collect();
                let mut baseline = wide.clone();
                long(&mut wide[start..], key);
                aligned(&mut baseline[start..], key);
                assert_eq!(wide, baseline);
            }
        }
    }

    #[test]
    fn appending_equals_the_naive_twin_over_block_borders() {
        let bytes: Vec<u8> = (0..40_000u32).map(|i| (i * 13) as u8).collect();
        for key in [MaskKey::ZERO, MaskKey::new([9, 8, 7, 6])] {
            let long = [511, 512, 513, 16_385, 32_771];
            for len in (0..2 * LONG).chain(long).step_by(STEP) {
                // Any length before puts the copy at another address.
                let mut out = bytes[..len % 67].to_vec();
                append_xored(&mut out, &bytes[..len], key);
                let (before, appended) = out.split_at(len % 67);
                assert_eq!(before, &bytes[..len % 67]);
                assert_eq!(appended, naive(&bytes[..len], key, 0));
            }
        }
    }

    #[test]
    fn zero_key_leaves_the_payload() {
        //= MSWS-3.1.4-6, MSWS-4-3
        let mut data = *b"as it is";
        xor(&mut data, MaskKey::ZERO);
        assert_eq!(&data, b"as it is");
    }
}

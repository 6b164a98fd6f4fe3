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

#[cfg(not(feature = "std"))]
use aligned as long;

#[cfg(feature = "std")]
fn long(data: &mut [u8], key: MaskKey) {
    use std::sync::LazyLock;

    use pulp::{Arch, Simd, WithSimd};

    /// What the machine turned out to have; a dozen questions if asked anew.
    static ARCH: LazyLock<Arch> = LazyLock::new(Arch::new);

    struct Xor<'a> {
        data: &'a mut [u8],
        key: MaskKey,
    }

    impl WithSimd for Xor<'_> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) {
            aligned(self.data, self.key);
        }
    }

    ARCH.dispatch(Xor { data, key });
}

/// Appends `data` XORed with `key` to `out`.
///
/// In blocks that stay in the first-level cache between copy and XOR.
pub(crate) fn append_xored(out: &mut Vec<u8>, data: &[u8], key: MaskKey) {
    if key.is_zero() {
        out.extend_from_slice(data);
        return;
    }
    out.reserve(data.len());
    // A multiple of the key's length, so that the key need not be rotated.
    for block in data.chunks(16 * 1024) {
        let start = out.len();
        out.extend_from_slice(block);
        xor(&mut out[start..], key);
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

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
        for start in 0..=LINE {
            for len in (0..2 * LONG + 10).chain([511, 512, 513, 1023, 1024, 1025, 1100]) {
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
        for start in 0..LINE {
            for len in (LONG..2 * LONG).chain([1023, 1024, 1025]) {
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
            for len in [0, 1, 5, 16_383, 16_384, 16_385, 32_771] {
                let mut out = Vec::from(*b"before");
                append_xored(&mut out, &bytes[..len], key);
                assert_eq!(&out[..6], b"before");
                assert_eq!(out[6..], naive(&bytes[..len], key, 0));
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

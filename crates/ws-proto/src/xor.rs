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
    #[cfg(feature = "std")]
    if data.len() >= wide::WORTH_IT {
        return wide::xor(data, key);
    }
    narrow(data, key);
}

/// Does what the baseline of the target does in its registers.
#[inline(always)]
fn narrow(data: &mut [u8], key: MaskKey) {
    let key = u64::from(u32::from_ne_bytes(key.bytes()));
    let key = key << 32 | key;
    let (words, rest) = data.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ key).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.to_ne_bytes()) {
        *byte ^= key;
    }
}

/// The same loop in the widest registers that the machine turns out to have.
#[cfg(feature = "std")]
mod wide {
    use pulp::{Arch, Simd, WithSimd};

    use super::narrow;
    use crate::MaskKey;

    /// From this length on, in bytes, wide registers pay for asking what the
    /// machine has and for going to an aligned start: stores that straddle
    /// cache lines cost a third.
    pub(super) const WORTH_IT: usize = 1024;

    const REGISTER: usize = 32;

    pub(super) fn xor(data: &mut [u8], key: MaskKey) {
        let misaligned = data.as_ptr().addr().wrapping_neg() % REGISTER;
        let (start, data) = data.split_at_mut(misaligned.min(data.len()));
        narrow(start, key);
        Arch::new().dispatch(Xor {
            data,
            key: key.rotated(start.len()),
        });
    }

    struct Xor<'a> {
        data: &'a mut [u8],
        key: MaskKey,
    }

    impl WithSimd for Xor<'_> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) {
            narrow(self.data, self.key);
        }
    }
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
        for start in 0..9 {
            for len in (0..200).chain([1023, 1024, 1025, 1055, 1100]) {
                for offset in 0..4 {
                    let mut data = bytes.clone();
                    let piece = &mut data[start..start + len];
                    xor(piece, key.rotated(offset));
                    assert_eq!(piece, naive(&bytes[start..start + len], key, offset));
                    assert_eq!(data[..start], bytes[..start]);
                    assert_eq!(data[start + len..], bytes[start + len..]);
                }
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

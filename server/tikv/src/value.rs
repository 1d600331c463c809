//! Values as they are kept: as they are, but never empty, as not every server that speaks TiKV's protocol
//! tells an empty value from none.
//!
//! A value of zeros alone, of which the empty one is the shortest, is kept with one zero more. All others
//! are kept unchanged, so that nothing is copied.

use bytes::Bytes;

/// What is kept for `value`.
pub(crate) fn kept(value: Bytes) -> Vec<u8> {
    let zeros = is_zeros(&value);
    let mut kept = Vec::from(value);
    if zeros {
        kept.push(0);
    }
    kept
}

/// The value that is kept as `kept`; none for what nothing is kept as.
pub(crate) fn value(kept: Vec<u8>) -> Option<Bytes> {
    let mut value = Bytes::from(kept);
    if is_zeros(&value) {
        value.truncate(value.len().checked_sub(1)?);
    }
    Some(value)
}

/// Looks no further than the first byte that is not zero.
fn is_zeros(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes() {
        let cases: [(&[u8], &[u8]); 6] = [
            (&[], &[0]),
            (&[0], &[0, 0]),
            (&[0, 0], &[0, 0, 0]),
            (&[0, 1], &[0, 1]),
            (&[1, 0], &[1, 0]),
            (b"value", b"value"),
        ];
        for (given, stored) in cases {
            assert_eq!(kept(Bytes::copy_from_slice(given)), stored);
            assert_eq!(value(stored.to_vec()).unwrap(), given);
        }
        assert_eq!(value(Vec::new()), None);
    }
}

//! Golden bytes: what is written today must be read by every later version. Lines may be added to the tables that
//! use this, never changed.

use std::fmt::Debug;

use bytes::Bytes;

use super::DecodeError;

/// Bytes from hexadecimal digits, blanks between fields.
pub(crate) fn from_hex(text: &str) -> Bytes {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b' ').collect();
    let digits = std::str::from_utf8(&digits).expect("golden bytes are ASCII");
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("two hexadecimal digits"))
        .collect()
}

/// `value` is written as `golden` and read back from it; no cut of it is read, nor it with a byte more; and what is
/// read when one of its bits is another is written as it was read.
pub(crate) fn check<T: Debug + PartialEq>(
    value: &T,
    golden: &str,
    encode: impl Fn(&T) -> Bytes,
    decode: impl Fn(Bytes) -> Result<T, DecodeError>,
) {
    let bytes = from_hex(golden);
    assert_eq!(encode(value), bytes, "{value:?} is written as {golden}");
    assert_eq!(decode(bytes.clone()).as_ref(), Ok(value), "{golden}");
    for cut in 0..bytes.len() {
        let read = decode(bytes.slice(..cut));
        assert!(
            matches!(read, Err(DecodeError::Short { .. })),
            "{golden} cut at {cut}: {read:?}"
        );
    }
    let longer: Bytes = bytes.iter().copied().chain([0]).collect();
    assert_eq!(
        decode(longer),
        Err(DecodeError::Trailing { len: 1 }),
        "{golden}"
    );
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let flipped = Bytes::from(flipped);
        if let Ok(read) = decode(flipped.clone()) {
            assert_eq!(encode(&read), flipped, "{golden} with bit {bit} turned");
        }
    }
}

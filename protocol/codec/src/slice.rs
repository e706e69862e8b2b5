//! Parts of a read buffer, kept without a copy.

use std::ops::Range;

use bytes::BytesMut;

/// The most room that is made ahead for an operation that is not all there, in bytes: a length that the other side
/// merely announced is not memory yet.
const ROOM_AHEAD_MAX: usize = 64 * 1024;

/// Makes room for the next read, when at least `need` more bytes belong to an operation.
pub(crate) fn make_room(buf: &mut BytesMut, need: usize) {
    buf.reserve(need.min(ROOM_AHEAD_MAX));
}

/// Where in `buf` the bytes of `part` are. A part that is not of `buf`, as an empty one may be, is an empty range.
pub(crate) fn range_in(buf: &[u8], part: &[u8]) -> Range<usize> {
    let start = part.as_ptr().addr().wrapping_sub(buf.as_ptr().addr());
    match start.checked_add(part.len()) {
        Some(end) if end <= buf.len() => start..end,
        Some(_) | None => 0..0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_found_where_it_is() {
        let buf = b"abcdef";
        assert_eq!(range_in(buf, &buf[2..4]), 2..4);
        assert_eq!(range_in(buf, buf), 0..6);
        assert_eq!(range_in(buf, &buf[6..]), 6..6);
        assert_eq!(range_in(buf, b""), 0..0);
        assert_eq!(range_in(&buf[..3], &buf[2..4]), 0..0);
    }

    #[test]
    fn room_ahead_is_bounded() {
        let mut buf = BytesMut::new();
        make_room(&mut buf, 64 * 1024 * 1024);
        assert!(buf.capacity() < 2 * ROOM_AHEAD_MAX);
    }
}

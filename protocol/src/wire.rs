//! Reading and writing the binary structures that brokers exchange and store: little-endian
//! integers, lengths before contents, every length checked against a named limit before use.

#[cfg(test)]
pub(crate) mod golden;

use std::fmt;

use bytes::{Buf, Bytes};

/// Why bytes are not the structure they should be. Always the sender's or the disk's fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The bytes end inside `what`.
    Short {
        /// The field being read.
        what: &'static str,
    },
    /// A length is above its limit.
    TooLong {
        /// The field being read.
        what: &'static str,
        /// The length found, in bytes or items.
        len: usize,
        /// The limit, inclusive.
        max: usize,
    },
    /// A tag has no meaning in this version.
    Unknown {
        /// The field being read.
        what: &'static str,
        /// The value found.
        value: u64,
    },
    /// A text is not UTF-8, or not a valid name of its kind.
    Invalid {
        /// The field being read.
        what: &'static str,
    },
    /// Bytes are left over after the last field.
    Trailing {
        /// How many.
        len: usize,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short { what } => write!(f, "bytes end inside {what}"),
            Self::TooLong { what, len, max } => {
                write!(f, "{what} is {len} long, the limit is {max}")
            }
            Self::Unknown { what, value } => write!(f, "{what} {value} is unknown to this version"),
            Self::Invalid { what } => write!(f, "{what} is not valid"),
            Self::Trailing { len } => write!(f, "{len} bytes are left over"),
        }
    }
}

impl std::error::Error for DecodeError {}

/// Takes fields off the front of shared bytes; contents are slices of it, not copies.
#[derive(Clone, Debug)]
pub struct Reader {
    bytes: Bytes,
}

impl Reader {
    /// Reads from the start of `bytes`.
    #[must_use]
    pub const fn new(bytes: Bytes) -> Self {
        Self { bytes }
    }

    /// Bytes not read so far.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.bytes.len()
    }

    /// One byte.
    ///
    /// # Errors
    /// [`DecodeError::Short`] at the end.
    pub fn u8(&mut self, what: &'static str) -> Result<u8, DecodeError> {
        self.bytes
            .try_get_u8()
            .map_err(|_| DecodeError::Short { what })
    }

    /// Two bytes.
    ///
    /// # Errors
    /// [`DecodeError::Short`] at the end.
    pub fn u16(&mut self, what: &'static str) -> Result<u16, DecodeError> {
        self.bytes
            .try_get_u16_le()
            .map_err(|_| DecodeError::Short { what })
    }

    /// Four bytes.
    ///
    /// # Errors
    /// [`DecodeError::Short`] at the end.
    pub fn u32(&mut self, what: &'static str) -> Result<u32, DecodeError> {
        self.bytes
            .try_get_u32_le()
            .map_err(|_| DecodeError::Short { what })
    }

    /// Eight bytes.
    ///
    /// # Errors
    /// [`DecodeError::Short`] at the end.
    pub fn u64(&mut self, what: &'static str) -> Result<u64, DecodeError> {
        self.bytes
            .try_get_u64_le()
            .map_err(|_| DecodeError::Short { what })
    }

    /// `len` bytes.
    ///
    /// # Errors
    /// [`DecodeError::Short`] when fewer are left.
    pub fn take(&mut self, what: &'static str, len: usize) -> Result<Bytes, DecodeError> {
        if len > self.bytes.len() {
            return Err(DecodeError::Short { what });
        }
        Ok(self.bytes.split_to(len))
    }

    /// Sixteen bytes.
    ///
    /// # Errors
    /// [`DecodeError::Short`] at the end.
    pub fn id(&mut self, what: &'static str) -> Result<[u8; 16], DecodeError> {
        let bytes = self.take(what, 16)?;
        bytes
            .as_ref()
            .try_into()
            .map_err(|_| DecodeError::Short { what })
    }

    /// A four-byte length and that many bytes.
    ///
    /// # Errors
    /// [`DecodeError::TooLong`] above `max`, [`DecodeError::Short`] at the end.
    pub fn bytes(&mut self, what: &'static str, max: usize) -> Result<Bytes, DecodeError> {
        let len = self.count(what, max)?;
        self.take(what, len)
    }

    /// A four-byte count of items that follow, at most `max`.
    ///
    /// # Errors
    /// [`DecodeError::TooLong`] above `max`, [`DecodeError::Short`] at the end.
    pub fn count(&mut self, what: &'static str, max: usize) -> Result<usize, DecodeError> {
        let len = usize::try_from(self.u32(what)?).unwrap_or(usize::MAX);
        if len > max {
            return Err(DecodeError::TooLong { what, len, max });
        }
        Ok(len)
    }

    /// A length and that many bytes of UTF-8, read by `parse`.
    ///
    /// # Errors
    /// [`DecodeError::Invalid`] when it is not UTF-8 or `parse` refuses it, else as [`Self::bytes`].
    pub fn text<T, E>(
        &mut self,
        what: &'static str,
        max: usize,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<T, DecodeError> {
        let bytes = self.bytes(what, max)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| DecodeError::Invalid { what })?;
        parse(text).map_err(|_| DecodeError::Invalid { what })
    }

    /// Nothing may be left.
    ///
    /// # Errors
    /// [`DecodeError::Trailing`] when something is.
    pub fn end(&self) -> Result<(), DecodeError> {
        match self.bytes.len() {
            0 => Ok(()),
            len => Err(DecodeError::Trailing { len }),
        }
    }
}

/// Appends fields to a buffer, in the shapes that [`Reader`] takes off.
#[derive(Debug, Default)]
pub struct Writer {
    out: Vec<u8>,
}

impl Writer {
    /// An empty buffer with room for `capacity` bytes.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            out: Vec::with_capacity(capacity),
        }
    }

    /// Appends to what stands in `out`.
    #[must_use]
    pub const fn behind(out: Vec<u8>) -> Self {
        Self { out }
    }

    /// One byte.
    pub fn u8(&mut self, value: u8) {
        self.out.push(value);
    }

    /// Two bytes.
    pub fn u16(&mut self, value: u16) {
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    /// Four bytes.
    pub fn u32(&mut self, value: u32) {
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    /// Eight bytes.
    pub fn u64(&mut self, value: u64) {
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    /// Bytes as they are, without a length.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// A four-byte count or length.
    ///
    /// # Panics
    /// Above `u32::MAX`; every list and text that is written has a far lower limit.
    pub fn count(&mut self, count: usize) {
        self.u32(u32::try_from(count).expect("lists and texts are limited far below 4 GiB"));
    }

    /// A four-byte length and the bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.raw(bytes);
    }

    /// A four-byte length and the bytes that `write` appends.
    ///
    /// # Panics
    /// When they are more than `u32::MAX`, as [`Self::count`].
    pub fn measured(&mut self, write: impl FnOnce(&mut Self)) {
        let start = self.out.len();
        self.count(0);
        let content = self.out.len();
        write(self);
        let len = self.out.len() - content;
        let len = u32::try_from(len).expect("frames are limited far below 4 GiB");
        if let Some(place) = self.out.get_mut(start..content) {
            place.copy_from_slice(&len.to_le_bytes());
        }
    }

    /// Bytes written so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// What was written.
    #[must_use]
    pub fn finish(self) -> Bytes {
        self.out.into()
    }

    /// What was written, to go on with.
    #[must_use]
    pub fn into_vec(self) -> Vec<u8> {
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_back_as_they_were_written() {
        let mut writer = Writer::default();
        writer.u8(1);
        writer.u16(2);
        writer.u32(3);
        writer.u64(4);
        writer.bytes(b"five");
        let mut reader = Reader::new(writer.finish());
        assert_eq!(reader.u8("a"), Ok(1));
        assert_eq!(reader.u16("b"), Ok(2));
        assert_eq!(reader.u32("c"), Ok(3));
        assert_eq!(reader.u64("d"), Ok(4));
        assert_eq!(
            reader.text("e", 4, |t| Ok::<_, ()>(t.to_owned())),
            Ok("five".to_owned())
        );
        assert_eq!(reader.end(), Ok(()));
    }

    #[test]
    fn a_length_above_its_limit_is_refused_before_anything_is_taken() {
        let mut writer = Writer::default();
        writer.bytes(b"12345");
        let mut reader = Reader::new(writer.finish());
        assert_eq!(
            reader.bytes("x", 4),
            Err(DecodeError::TooLong {
                what: "x",
                len: 5,
                max: 4
            })
        );
    }

    #[test]
    fn every_cut_is_short() {
        let mut writer = Writer::default();
        writer.bytes(b"12345");
        let whole = writer.finish();
        for cut in 0..whole.len() {
            let mut reader = Reader::new(whole.slice(..cut));
            assert_eq!(reader.bytes("x", 9), Err(DecodeError::Short { what: "x" }));
        }
    }
}

//! Records: entries as bytes, one after the other, inside a block. The byte table is in `docs/format/disk.md`.

use bytes::Bytes;

use crate::entry::{Entry, EntryId, MAX_BODY_LEN};
use crate::fields::Fields;

/// Bytes of a record before its body.
pub(crate) const RECORD_HEADER_LEN: usize = 44;

/// Bytes of an entry as a record.
pub(crate) fn record_len(entry: &Entry) -> usize {
    RECORD_HEADER_LEN + entry.body.len()
}

/// Appends an entry's record.
///
/// The caller has checked that the body is at most [`MAX_BODY_LEN`] bytes.
pub(crate) fn encode_record(entry: &Entry, out: &mut Vec<u8>) {
    let body_len = u32::try_from(entry.body.len()).expect("a body is at most MAX_BODY_LEN bytes");
    out.extend_from_slice(&body_len.to_le_bytes());
    out.extend_from_slice(&entry.position.to_le_bytes());
    out.extend_from_slice(&entry.epoch.to_le_bytes());
    out.extend_from_slice(&entry.sub.to_le_bytes());
    out.extend_from_slice(&entry.chain.to_le_bytes());
    out.extend_from_slice(&entry.group.to_le_bytes());
    out.extend_from_slice(&entry.key.to_le_bytes());
    out.extend_from_slice(&entry.body);
}

impl Entry {
    /// The entry as a record of its own, for the index.
    pub(crate) fn place(&self) -> Record {
        Record {
            id: self.id(),
            group: self.group,
            key: self.key,
            body_start: RECORD_HEADER_LEN,
            body_len: self.body.len(),
        }
    }
}

/// The bytes of a block are not a row of whole records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// One record where it lies in its block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    pub(crate) id: EntryId,
    pub(crate) group: u64,
    pub(crate) key: u64,
    body_start: usize,
    body_len: usize,
}

impl Record {
    /// Bytes of the record.
    pub(crate) fn len(&self) -> usize {
        RECORD_HEADER_LEN + self.body_len
    }

    /// The entry, its body a slice of the block.
    pub(crate) fn shared_entry(&self, plain: &Bytes) -> Entry {
        self.entry(plain.slice(self.body_start..self.body_start + self.body_len))
    }

    /// The entry with a body of its own, so that a small message does not keep its whole block in memory.
    pub(crate) fn owned_entry(&self, plain: &Bytes) -> Entry {
        let slice = plain.slice(self.body_start..self.body_start + self.body_len);
        self.entry(Bytes::copy_from_slice(&slice))
    }

    fn entry(&self, body: Bytes) -> Entry {
        let EntryId {
            position,
            epoch,
            sub,
            chain,
        } = self.id;
        Entry {
            position,
            epoch,
            sub,
            chain,
            group: self.group,
            key: self.key,
            body,
        }
    }
}

/// The records of a block's plain bytes, in order; ends after the first malformed one.
pub(crate) struct Records<'a> {
    plain: &'a [u8],
    offset: usize,
}

impl<'a> Records<'a> {
    pub(crate) fn new(plain: &'a [u8]) -> Self {
        Self { plain, offset: 0 }
    }

    fn decode(&self) -> Option<Record> {
        let mut fields = Fields::new(self.plain.get(self.offset..)?);
        let body_len = usize::try_from(fields.u32()?).ok()?;
        let position = fields.u64()?;
        let epoch = fields.u64()?;
        let sub = fields.u32()?;
        let chain = fields.u32()?;
        let group = fields.u64()?;
        let key = fields.u64()?;
        if body_len > MAX_BODY_LEN {
            return None;
        }
        fields.take(body_len)?;
        let id = EntryId {
            position,
            epoch,
            sub,
            chain,
        };
        Some(Record {
            id,
            group,
            key,
            body_start: self.offset + RECORD_HEADER_LEN,
            body_len,
        })
    }
}

impl Iterator for Records<'_> {
    type Item = Result<Record, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.offset >= self.plain.len() {
            return None;
        }
        let Some(record) = self.decode() else {
            self.offset = self.plain.len();
            return Some(Err(Malformed));
        };
        self.offset = record.body_start + record.body_len;
        Some(Ok(record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Entry {
        Entry {
            position: 7,
            epoch: 3,
            sub: 2,
            chain: 0x0403_0201,
            group: 9,
            key: 5,
            body: Bytes::from_static(b"hello"),
        }
    }

    /// The example of `docs/format/disk.md`, "Record".
    const GOLDEN: &[u8] = b"\x05\0\0\0\
        \x07\0\0\0\0\0\0\0\
        \x03\0\0\0\0\0\0\0\
        \x02\0\0\0\
        \x01\x02\x03\x04\
        \x09\0\0\0\0\0\0\0\
        \x05\0\0\0\0\0\0\0\
        hello";

    #[test]
    fn record_has_its_documented_bytes() {
        let mut out = Vec::new();
        encode_record(&sample(), &mut out);
        assert_eq!(out, GOLDEN);
        assert_eq!(out.len(), record_len(&sample()));
    }

    #[test]
    fn records_read_back_as_written() {
        let mut out = Vec::new();
        encode_record(&sample(), &mut out);
        encode_record(
            &Entry {
                body: Bytes::new(),
                ..sample()
            },
            &mut out,
        );
        let plain = Bytes::from(out);
        let entries: Vec<Entry> = Records::new(&plain)
            .map(|record| record.unwrap().shared_entry(&plain))
            .collect();
        assert_eq!(
            entries,
            [
                sample(),
                Entry {
                    body: Bytes::new(),
                    ..sample()
                }
            ]
        );
        let owned = Records::new(&plain)
            .next()
            .unwrap()
            .unwrap()
            .owned_entry(&plain);
        assert_eq!(owned, sample());
    }

    #[test]
    fn record_cut_at_any_byte_is_malformed() {
        for len in 1..GOLDEN.len() {
            assert_eq!(
                Records::new(&GOLDEN[..len])
                    .next()
                    .map(|record| record.is_ok()),
                Some(false),
                "{len}"
            );
        }
        assert!(Records::new(&[]).next().is_none());
    }

    #[test]
    fn record_that_claims_an_oversized_body_is_malformed() {
        let mut bytes = GOLDEN.to_vec();
        bytes[..4].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(Records::new(&bytes).next().unwrap().is_err());
    }
}

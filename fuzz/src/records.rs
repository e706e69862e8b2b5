//! What a shard's log says.

use bytes::Bytes;
use relevo_protocol::mutation::Mutation;
use relevo_protocol::record::Record;
use relevo_protocol::wire::{Reader, Writer};

/// A mutation, and a row of records: there is one way to write what they say.
pub fn fuzz_records(data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    if let Ok(mutation) = Mutation::decode(bytes.clone()) {
        assert_eq!(mutation.encode(), bytes);
        let (group, key) = mutation.group_and_key();
        assert!(matches!(mutation, Mutation::Publish(_)) || (group, key) == (0, 0));
    }
    let mut reader = Reader::new(bytes.clone());
    let mut written = Writer::default();
    while let Ok(record) = Record::read(&mut reader) {
        let before = written.len();
        record.write(&mut written);
        assert_eq!(written.len() - before, record.encoded_len());
    }
    let written = written.finish();
    assert_eq!(bytes.slice(..written.len()), written);
}

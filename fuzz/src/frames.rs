//! What one broker reads from the other.

use bytes::Bytes;
use relevo_protocol::frame::{Frame, ShardMessage};
use relevo_protocol::mutation::Mutation;

/// A frame's body: there is one way to write what it says.
pub fn fuzz_frames(data: &[u8]) {
    let body = Bytes::copy_from_slice(data);
    let Ok(frame) = Frame::decode(body.clone()) else {
        return;
    };
    let mut written = Vec::new();
    frame.encode(&mut written);
    let (len, again) = written.split_at(4);
    assert_eq!(again, body);
    assert_eq!(
        len,
        u32::try_from(body.len())
            .expect("inputs are short")
            .to_le_bytes()
    );
    check_records(&frame);
}

/// What a follower does with records before they reach its disk.
fn check_records(frame: &Frame) {
    let Frame::Shard {
        message: ShardMessage::Append { records, .. } | ShardMessage::CopyRecords(records),
        ..
    } = frame
    else {
        return;
    };
    let mut chain = 0;
    for record in records {
        chain = record.chain_after(chain);
        if let Ok(mutation) = Mutation::decode(record.body.clone()) {
            assert_eq!(mutation.encode(), record.body);
        }
    }
}

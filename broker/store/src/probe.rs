//! Decoding of single structures, for tools and fuzzing: bytes in, a verdict out, no files.

use crate::block::{BLOCK_HEADER_LEN, BlockCodec, BlockHeader, BlockKind};
use crate::entry::Entry;
use crate::log::LogIdentity;
use crate::record::Records;
use crate::segment::{SEGMENT_HEADER_LEN, SegmentHeader};

/// The entries of a plain block, as it would stand at an offset of a segment; `None` for anything else.
pub fn read_plain_block(segment_uuid: [u8; 16], offset: u64, bytes: &[u8]) -> Option<Vec<Entry>> {
    let mut codec = BlockCodec::new(segment_uuid, [0; 24], None);
    let (line, rest) = bytes.split_first_chunk::<BLOCK_HEADER_LEN>()?;
    let header = BlockHeader::decode(line, codec.seed(offset))?;
    let stored = rest.get(..usize::try_from(header.stored_len).ok()?)?;
    let opened = codec.open(&header, offset, stored.to_vec()).ok()?;
    match header.kind {
        BlockKind::Entries => read_records(&opened.plain),
        BlockKind::Hint | BlockKind::End | BlockKind::Cut => Some(Vec::new()),
    }
}

/// The entries of a row of records; `None` unless it is whole.
pub fn read_records(plain: &[u8]) -> Option<Vec<Entry>> {
    let plain = bytes::Bytes::copy_from_slice(plain);
    Records::new(&plain)
        .map(|record| record.ok().map(|record| record.shared_entry(&plain)))
        .collect()
}

/// The first position of a plain segment, from its header; `None` for anything else.
pub fn read_segment_header(identity: LogIdentity, bytes: &[u8]) -> Option<u64> {
    let bytes: &[u8; SEGMENT_HEADER_LEN] = bytes.first_chunk()?;
    SegmentHeader::decode(bytes, &identity, None)
        .ok()
        .map(|(header, _)| header.first)
}

//! Blocks: what one append writes, checked and sealed as a whole. The byte table is in `docs/format/disk.md`.

use bytes::Bytes;

use crate::fields::Fields;
use crate::seal::{Cipher, TAG_LEN};

/// Blocks start at multiples of this many bytes. No disk tears within one such line, so a line that is not as it was
/// written, and not all zeros either, is damage and not a torn write.
pub(crate) const LINE_LEN: usize = 64;

/// Bytes of a block before its stored bytes: one line.
pub(crate) const BLOCK_HEADER_LEN: usize = LINE_LEN;

/// Version of the segment and block format.
pub(crate) const FORMAT_VERSION: u32 = 1;

/// Bytes in front of a sealed block's records: the previous block's tag and its own.
pub(crate) const SEALED_PREFIX_LEN: usize = 2 * TAG_LEN;

const MAGIC: [u8; 4] = *b"RLVB";
const LABEL: &[u8] = b"relevo/blk/v1";
/// The part of the header that sealing binds: all but the two checksums.
const BOUND_LEN: usize = 56;

/// How a file's bytes are protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suite {
    /// CRC32C only.
    Plain,
    /// AES-SIV with a 64-byte key.
    Aes256Siv,
}

impl Suite {
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Plain => 0,
            Self::Aes256Siv => 1,
        }
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Plain),
            1 => Some(Self::Aes256Siv),
            _ => None,
        }
    }
}

/// What a block says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BlockKind {
    /// Entries were appended.
    Entries,
    /// Nothing new; repeats what is known durable and committed, while the log is idle.
    Hint,
    /// The segment ends here; everything before is durable, and the log goes on in the next segment.
    End,
    /// Entries above [`BlockHeader::position`] that stand before this block are no longer part of the log.
    Cut,
}

impl BlockKind {
    fn code(self) -> u8 {
        match self {
            Self::Entries => 0,
            Self::Hint => 1,
            Self::End => 2,
            Self::Cut => 3,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Entries),
            1 => Some(Self::Hint),
            2 => Some(Self::End),
            3 => Some(Self::Cut),
            _ => None,
        }
    }
}

/// The first line of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockHeader {
    pub(crate) kind: BlockKind,
    pub(crate) suite: Suite,
    /// Bytes after the header, without the padding to the next line.
    pub(crate) stored_len: u32,
    pub(crate) count: u32,
    /// Entries: the first one's position. Hint and End: the log's last position. Cut: the last position that stays.
    pub(crate) position: u64,
    pub(crate) epoch: u64,
    pub(crate) sub: u32,
    /// Highest position known committed and durable here when the block was written.
    pub(crate) committed: u64,
    /// How many bytes of this segment were known durable when the block was written.
    pub(crate) synced: u64,
    stored_crc: u32,
}

impl BlockHeader {
    /// Reads a header; `None` if it is not one that was written at this offset of this segment.
    pub(crate) fn decode(line: &[u8; BLOCK_HEADER_LEN], seed: u32) -> Option<Self> {
        let (checked, crc) = line.split_last_chunk::<4>()?;
        if u32::from_le_bytes(*crc) != crc32c::crc32c_append(seed, checked) {
            return None;
        }
        let mut fields = Fields::new(checked);
        if fields.array()? != MAGIC {
            return None;
        }
        let stored_len = fields.u32()?;
        let count = fields.u32()?;
        let suite = Suite::from_code(fields.u8()?)?;
        let kind = BlockKind::from_code(fields.u8()?)?;
        if fields.u16()? != 0 {
            return None;
        }
        let position = fields.u64()?;
        let epoch = fields.u64()?;
        let committed = fields.u64()?;
        let synced = fields.u64()?;
        let sub = fields.u32()?;
        if fields.u32()? != 0 {
            return None;
        }
        let stored_crc = fields.u32()?;
        Some(Self {
            kind,
            suite,
            stored_len,
            count,
            position,
            epoch,
            sub,
            committed,
            synced,
            stored_crc,
        })
    }

    /// Bytes from this block's start to the next one's.
    pub(crate) fn extent(&self) -> u64 {
        line_up(BLOCK_HEADER_LEN as u64 + u64::from(self.stored_len))
    }

    fn bound_bytes(&self) -> [u8; BOUND_LEN] {
        let mut bytes = Vec::with_capacity(BOUND_LEN);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&self.stored_len.to_le_bytes());
        bytes.extend_from_slice(&self.count.to_le_bytes());
        bytes.extend_from_slice(&[self.suite.code(), self.kind.code(), 0, 0]);
        bytes.extend_from_slice(&self.position.to_le_bytes());
        bytes.extend_from_slice(&self.epoch.to_le_bytes());
        bytes.extend_from_slice(&self.committed.to_le_bytes());
        bytes.extend_from_slice(&self.synced.to_le_bytes());
        bytes.extend_from_slice(&self.sub.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.try_into().expect("the fields above are 56 bytes")
    }
}

/// Rounds up to a whole line.
pub(crate) fn line_up(len: u64) -> u64 {
    len.next_multiple_of(LINE_LEN as u64)
}

/// What a block is to say, apart from its records.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockMeta {
    pub(crate) kind: BlockKind,
    pub(crate) count: u32,
    pub(crate) position: u64,
    pub(crate) epoch: u64,
    pub(crate) sub: u32,
    pub(crate) committed: u64,
    pub(crate) synced: u64,
}

/// Writes and reads the blocks of one segment.
#[derive(Debug)]
pub(crate) struct BlockCodec {
    uuid: [u8; 16],
    /// What all blocks of the segment are bound to: cluster, shard, key id.
    owner: [u8; 24],
    cipher: Option<Cipher>,
}

/// A block's bytes are not what was written there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BlockFault {
    /// The checksum is wrong: a torn write, or damage.
    Checksum,
    /// The checksum is right and the rest is not: tampering.
    NotAuthentic,
}

/// A block's records, and the tag that the next block repeats (zeros in a plain segment).
pub(crate) struct OpenedBlock {
    pub(crate) plain: Bytes,
    pub(crate) previous_tag: [u8; TAG_LEN],
    pub(crate) tag: [u8; TAG_LEN],
}

impl BlockCodec {
    pub(crate) fn new(uuid: [u8; 16], owner: [u8; 24], cipher: Option<Cipher>) -> Self {
        Self {
            uuid,
            owner,
            cipher,
        }
    }

    pub(crate) fn suite(&self) -> Suite {
        if self.cipher.is_some() {
            Suite::Aes256Siv
        } else {
            Suite::Plain
        }
    }

    /// Start value of the checksums of the block at an offset. The segment's random id in it keeps a message from
    /// imitating a block, and the offset keeps a block from being taken for one elsewhere.
    pub(crate) fn seed(&self, offset: u64) -> u32 {
        crc32c::crc32c_append(crc32c::crc32c(&self.uuid), &offset.to_le_bytes())
    }

    /// Bytes that a block of this much plain text takes, padding included.
    pub(crate) fn extent(&self, plain_len: usize) -> usize {
        (BLOCK_HEADER_LEN + self.prefix_len() + plain_len).next_multiple_of(LINE_LEN)
    }

    fn prefix_len(&self) -> usize {
        match self.suite() {
            Suite::Plain => 0,
            Suite::Aes256Siv => SEALED_PREFIX_LEN,
        }
    }

    /// Appends a block to `out` and returns its tag. `out` must be whole lines long.
    pub(crate) fn encode(
        &mut self,
        meta: BlockMeta,
        offset: u64,
        previous_tag: &[u8; TAG_LEN],
        out: &mut Vec<u8>,
        write_records: impl FnOnce(&mut Vec<u8>),
    ) -> [u8; TAG_LEN] {
        let block_start = out.len();
        let stored_start = block_start + BLOCK_HEADER_LEN;
        let records_start = stored_start + self.prefix_len();
        out.resize(records_start, 0);
        write_records(out);
        let stored_len = u32::try_from(out.len() - stored_start)
            .expect("a block holds at most one oversized entry");
        let BlockMeta {
            kind,
            count,
            position,
            epoch,
            sub,
            committed,
            synced,
        } = meta;
        let mut header = BlockHeader {
            kind,
            suite: self.suite(),
            stored_len,
            count,
            position,
            epoch,
            sub,
            committed,
            synced,
            stored_crc: 0,
        };
        let bound = header.bound_bytes();

        let mut tag = [0; TAG_LEN];
        let (_, stored) = out.split_at_mut(stored_start);
        if let Some(cipher) = &mut self.cipher {
            let (prefix, records) = stored.split_at_mut(SEALED_PREFIX_LEN);
            let offset = offset.to_le_bytes();
            let headers = associated_data(&self.owner, &self.uuid, &bound, &offset, previous_tag);
            tag = cipher.seal(&headers, records);
            let (previous, own) = prefix.split_at_mut(TAG_LEN);
            previous.copy_from_slice(previous_tag);
            own.copy_from_slice(&tag);
        }
        let seed = self.seed(offset);
        header.stored_crc = crc32c::crc32c_append(seed, stored);

        let mut line = [0; BLOCK_HEADER_LEN];
        let (front, back) = line.split_at_mut(BOUND_LEN);
        front.copy_from_slice(&bound);
        let (stored_crc, header_crc) = back.split_at_mut(4);
        stored_crc.copy_from_slice(&header.stored_crc.to_le_bytes());
        let crc = crc32c::crc32c_append(crc32c::crc32c_append(seed, front), stored_crc);
        header_crc.copy_from_slice(&crc.to_le_bytes());
        if let Some(place) = out.get_mut(block_start..stored_start) {
            place.copy_from_slice(&line);
        }
        out.resize(out.len().next_multiple_of(LINE_LEN), 0);
        tag
    }

    /// Whether the stored bytes of a block are as they were written.
    pub(crate) fn is_whole(&self, header: &BlockHeader, offset: u64, stored: &[u8]) -> bool {
        stored.len() as u64 == u64::from(header.stored_len)
            && crc32c::crc32c_append(self.seed(offset), stored) == header.stored_crc
    }

    /// Checks and opens the stored bytes of a block.
    pub(crate) fn open(
        &mut self,
        header: &BlockHeader,
        offset: u64,
        mut stored: Vec<u8>,
    ) -> Result<OpenedBlock, BlockFault> {
        if !self.is_whole(header, offset, &stored) {
            return Err(BlockFault::Checksum);
        }
        if header.suite != self.suite() {
            return Err(BlockFault::NotAuthentic);
        }
        let Some(cipher) = &mut self.cipher else {
            return Ok(OpenedBlock {
                plain: stored.into(),
                previous_tag: [0; TAG_LEN],
                tag: [0; TAG_LEN],
            });
        };
        let (prefix, records) = stored
            .split_at_mut_checked(SEALED_PREFIX_LEN)
            .ok_or(BlockFault::NotAuthentic)?;
        let mut prefix = Fields::new(prefix);
        let previous_tag = prefix.array().ok_or(BlockFault::NotAuthentic)?;
        let tag = prefix.array().ok_or(BlockFault::NotAuthentic)?;
        let bound = header.bound_bytes();
        let offset = offset.to_le_bytes();
        let headers = associated_data(&self.owner, &self.uuid, &bound, &offset, &previous_tag);
        cipher
            .open(&headers, &tag, records)
            .map_err(|_| BlockFault::NotAuthentic)?;
        let plain = Bytes::from(stored).slice(SEALED_PREFIX_LEN..);
        Ok(OpenedBlock {
            plain,
            previous_tag,
            tag,
        })
    }
}

fn associated_data<'a>(
    owner: &'a [u8; 24],
    uuid: &'a [u8; 16],
    bound: &'a [u8; BOUND_LEN],
    offset: &'a [u8; 8],
    previous_tag: &'a [u8; TAG_LEN],
) -> [&'a [u8]; 9] {
    const FORMAT: [u8; 4] = FORMAT_VERSION.to_le_bytes();
    let (cluster, rest) = owner.split_at(16);
    let (shard, key_id) = rest.split_at(4);
    [
        LABEL,
        &FORMAT,
        cluster,
        shard,
        key_id,
        uuid,
        bound,
        offset,
        previous_tag,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::Keyring;

    const META: BlockMeta = BlockMeta {
        kind: BlockKind::Entries,
        count: 1,
        position: 7,
        epoch: 3,
        sub: 2,
        committed: 6,
        synced: 4096,
    };

    fn plain_codec() -> BlockCodec {
        BlockCodec::new([0x11; 16], [0x22; 24], None)
    }

    fn sealed_codec() -> BlockCodec {
        let keyring = Keyring::parse(&Keyring::generate([1; 64])).unwrap();
        let (cipher, _) = keyring.derive(1, b"salt", &[b"info"]).unwrap();
        BlockCodec::new([0x11; 16], [0x22; 24], Some(cipher))
    }

    fn encode(codec: &mut BlockCodec, offset: u64) -> Vec<u8> {
        let mut out = Vec::new();
        codec.encode(META, offset, &[9; TAG_LEN], &mut out, |out| {
            out.extend_from_slice(b"records")
        });
        out
    }

    fn decode(codec: &mut BlockCodec, bytes: &[u8], offset: u64) -> Option<Bytes> {
        let header = BlockHeader::decode(bytes.first_chunk()?, codec.seed(offset))?;
        let stored = bytes.get(64..64 + header.stored_len as usize)?;
        codec
            .open(&header, offset, stored.to_vec())
            .ok()
            .map(|opened| opened.plain)
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The examples of `docs/format/disk.md`, "Block".
    #[test]
    fn blocks_have_their_documented_bytes() {
        assert_eq!(
            hex(&encode(&mut plain_codec(), 8192)),
            include_str!("golden/block_plain.hex").trim()
        );
        assert_eq!(
            hex(&encode(&mut sealed_codec(), 8192)),
            include_str!("golden/block_sealed.hex").trim()
        );
    }

    #[test]
    fn block_reads_back_as_written() {
        for mut codec in [plain_codec(), sealed_codec()] {
            let bytes = encode(&mut codec, 8192);
            assert_eq!(bytes.len(), codec.extent(b"records".len()));
            assert_eq!(
                decode(&mut codec, &bytes, 8192).as_deref(),
                Some(b"records".as_slice())
            );
            let header =
                BlockHeader::decode(bytes.first_chunk().unwrap(), codec.seed(8192)).unwrap();
            assert_eq!(header.extent(), bytes.len() as u64);
            assert_eq!((header.position, header.epoch, header.sub), (7, 3, 2));
            assert_eq!(
                (header.committed, header.synced, header.count),
                (6, 4096, 1)
            );
        }
    }

    #[test]
    fn block_with_any_byte_flipped_does_not_open() {
        for mut codec in [plain_codec(), sealed_codec()] {
            let bytes = encode(&mut codec, 8192);
            let stored_end = 64 + codec.prefix_len() + b"records".len();
            for at in 0..stored_end {
                let mut damaged = bytes.clone();
                damaged[at] ^= 0x40;
                assert_eq!(decode(&mut codec, &damaged, 8192), None, "byte {at}");
            }
        }
    }

    #[test]
    fn block_does_not_open_at_another_offset_or_in_another_segment() {
        let bytes = encode(&mut plain_codec(), 8192);
        assert_eq!(decode(&mut plain_codec(), &bytes, 8256), None);
        assert_eq!(
            decode(
                &mut BlockCodec::new([0x12; 16], [0x22; 24], None),
                &bytes,
                8192
            ),
            None
        );
    }

    #[test]
    fn sealed_block_is_bound_to_its_owner_and_to_the_block_before() {
        let bytes = encode(&mut sealed_codec(), 8192);
        let mut elsewhere = sealed_codec();
        elsewhere.owner[20] ^= 1;
        assert_eq!(decode(&mut elsewhere, &bytes, 8192), None);

        // A forger can repair the checksums, not the tag.
        let mut forged = bytes.clone();
        forged[64] ^= 1;
        let codec = sealed_codec();
        let stored_crc = crc32c::crc32c_append(codec.seed(8192), &forged[64..64 + 39]);
        forged[56..60].copy_from_slice(&stored_crc.to_le_bytes());
        let header_crc = crc32c::crc32c_append(codec.seed(8192), &forged[..60]);
        forged[60..64].copy_from_slice(&header_crc.to_le_bytes());
        let header = BlockHeader::decode(forged.first_chunk().unwrap(), codec.seed(8192)).unwrap();
        let fault = sealed_codec()
            .open(&header, 8192, forged[64..64 + 39].to_vec())
            .err();
        assert_eq!(fault, Some(BlockFault::NotAuthentic));
    }
}

//! Segments: the files of a log, each a header and a row of blocks. The byte table is in `docs/format/disk.md`.

use crate::block::{BlockCodec, FORMAT_VERSION, Suite};
use crate::entry::EntryId;
use crate::error::LogError;
use crate::fields::Fields;
use crate::log::LogIdentity;
use crate::seal::{COMMITMENT_LEN, Cipher, Keyring};

/// Bytes before the first block.
pub(crate) const SEGMENT_HEADER_LEN: usize = 4096;

/// Where the first block starts.
pub(crate) const FIRST_BLOCK: u64 = SEGMENT_HEADER_LEN as u64;

const MAGIC: [u8; 8] = *b"RLVSEG01";
const KEY_INFO: &[u8] = b"relevo/seg/v1";
const SUFFIX: &str = ".seg";
const NAME_DIGITS: usize = 20;

/// The name of the segment that starts at a position.
pub(crate) fn segment_name(first: u64) -> String {
    format!("{first:020}{SUFFIX}")
}

/// The first position that a segment's name gives.
pub(crate) fn parse_segment_name(name: &str) -> Option<u64> {
    parse_numbered_name(name, SUFFIX)
}

/// The number in a name of twenty digits and a suffix.
pub(crate) fn parse_numbered_name(name: &str, suffix: &str) -> Option<u64> {
    let digits = name.strip_suffix(suffix)?;
    let whole = digits.len() == NAME_DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    if whole { digits.parse().ok() } else { None }
}

/// What the first 4 KiB of a segment say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) identity: LogIdentity,
    pub(crate) uuid: [u8; 16],
    /// 0 when plain.
    pub(crate) key_id: u32,
    pub(crate) first: u64,
    /// The entry before the first one; all zeros where the log begins.
    pub(crate) previous: EntryId,
}

/// Why the first 4 KiB of a file are not a usable header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderFault {
    Damaged,
    Version(u32),
    Foreign,
    MissingKey(u32),
    WrongKey(u32),
}

impl HeaderFault {
    /// The fault as seen from outside, for the segment that should start at `position`.
    pub(crate) fn at(self, path: &str, position: u64) -> LogError {
        let path = path.to_owned();
        match self {
            Self::Damaged => LogError::Corrupt {
                segment: path,
                offset: 0,
                position,
            },
            Self::Version(version) => LogError::UnsupportedVersion { path, version },
            Self::Foreign => LogError::Foreign { path },
            Self::MissingKey(key_id) => LogError::MissingKey { path, key_id },
            Self::WrongKey(key_id) => LogError::WrongKey { path, key_id },
        }
    }
}

impl SegmentHeader {
    /// The bytes of the header, and what writes the blocks behind it. `None` when the key is not in the ring.
    pub(crate) fn encode(&self, keys: Option<&Keyring>) -> Option<(Vec<u8>, BlockCodec)> {
        let mut bytes = self.described();
        let (cipher, commitment) = self.cipher(keys, &bytes)?;
        bytes.extend_from_slice(&commitment);
        bytes.resize(SEGMENT_HEADER_LEN - 4, 0);
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        Some((bytes, BlockCodec::new(self.uuid, self.owner(), cipher)))
    }

    /// Checks a header against what the opener is, and prepares to read the blocks behind it.
    pub(crate) fn decode(
        bytes: &[u8; SEGMENT_HEADER_LEN],
        identity: &LogIdentity,
        keys: Option<&Keyring>,
    ) -> Result<(Self, BlockCodec), HeaderFault> {
        let (checked, crc) = bytes.split_last_chunk::<4>().ok_or(HeaderFault::Damaged)?;
        if u32::from_le_bytes(*crc) != crc32c::crc32c(checked) {
            return Err(HeaderFault::Damaged);
        }
        let mut fields = Fields::new(checked);
        let version = read_version(&mut fields).ok_or(HeaderFault::Damaged)?;
        if version != FORMAT_VERSION {
            return Err(HeaderFault::Version(version));
        }
        let (suite, header, commitment) = read_fields(&mut fields).ok_or(HeaderFault::Damaged)?;
        if header.identity != *identity {
            return Err(HeaderFault::Foreign);
        }
        if (suite == Suite::Plain) != (header.key_id == 0) {
            return Err(HeaderFault::Damaged);
        }
        let (cipher, expected) = header
            .cipher(keys, &header.described())
            .ok_or(HeaderFault::MissingKey(header.key_id))?;
        if commitment != expected {
            return Err(HeaderFault::WrongKey(header.key_id));
        }
        let codec = BlockCodec::new(header.uuid, header.owner(), cipher);
        Ok((header, codec))
    }

    /// All fields before the commitment.
    fn described(&self) -> Vec<u8> {
        let suite = if self.key_id == 0 {
            Suite::Plain
        } else {
            Suite::Aes256Siv
        };
        let mut bytes = Vec::with_capacity(SEGMENT_HEADER_LEN);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes.extend_from_slice(&u32::from(suite.code()).to_le_bytes());
        bytes.extend_from_slice(&self.owner());
        bytes.extend_from_slice(&self.uuid);
        bytes.extend_from_slice(&self.first.to_le_bytes());
        bytes.extend_from_slice(&self.previous.position.to_le_bytes());
        bytes.extend_from_slice(&self.previous.epoch.to_le_bytes());
        bytes.extend_from_slice(&self.previous.sub.to_le_bytes());
        bytes.extend_from_slice(&self.previous.chain.to_le_bytes());
        bytes
    }

    fn owner(&self) -> [u8; 24] {
        let mut owner = Vec::with_capacity(24);
        owner.extend_from_slice(&self.identity.cluster);
        owner.extend_from_slice(&self.identity.shard.to_le_bytes());
        owner.extend_from_slice(&self.key_id.to_le_bytes());
        owner.try_into().expect("the fields above are 24 bytes")
    }

    /// The segment's own key, bound to every field of its header; `None` when the master key is not in the ring.
    fn cipher(
        &self,
        keys: Option<&Keyring>,
        described: &[u8],
    ) -> Option<(Option<Cipher>, [u8; COMMITMENT_LEN])> {
        if self.key_id == 0 {
            return Some((None, [0; COMMITMENT_LEN]));
        }
        let (cipher, commitment) = keys?.derive(self.key_id, &self.uuid, &[KEY_INFO, described])?;
        Some((Some(cipher), commitment))
    }
}

fn read_version(fields: &mut Fields<'_>) -> Option<u32> {
    if fields.array()? != MAGIC {
        return None;
    }
    fields.u32()
}

fn read_fields(fields: &mut Fields<'_>) -> Option<(Suite, SegmentHeader, [u8; COMMITMENT_LEN])> {
    let suite = Suite::from_code(u8::try_from(fields.u32()?).ok()?)?;
    let identity = LogIdentity {
        cluster: fields.array()?,
        shard: fields.u32()?,
    };
    let key_id = fields.u32()?;
    let uuid = fields.array()?;
    let first = fields.u64()?;
    let previous = EntryId {
        position: fields.u64()?,
        epoch: fields.u64()?,
        sub: fields.u32()?,
        chain: fields.u32()?,
    };
    let commitment = fields.array()?;
    Some((
        suite,
        SegmentHeader {
            identity,
            uuid,
            key_id,
            first,
            previous,
        },
        commitment,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDENTITY: LogIdentity = LogIdentity {
        cluster: [0x22; 16],
        shard: 5,
    };

    fn header(key_id: u32) -> SegmentHeader {
        SegmentHeader {
            identity: IDENTITY,
            uuid: [0x11; 16],
            key_id,
            first: 101,
            previous: EntryId {
                position: 100,
                epoch: 3,
                sub: 2,
                chain: 0x0403_0201,
            },
        }
    }

    fn keyring(seed: u8) -> Keyring {
        Keyring::parse(&Keyring::generate([seed; 64])).unwrap()
    }

    fn encode(key_id: u32) -> [u8; SEGMENT_HEADER_LEN] {
        header(key_id)
            .encode(Some(&keyring(1)))
            .unwrap()
            .0
            .try_into()
            .unwrap()
    }

    fn decode(
        bytes: &[u8; SEGMENT_HEADER_LEN],
        keys: Option<&Keyring>,
    ) -> Result<SegmentHeader, HeaderFault> {
        SegmentHeader::decode(bytes, &IDENTITY, keys).map(|(header, _)| header)
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The examples of `docs/format/disk.md`, "Segment": the fields, then the checksum at the end.
    #[test]
    fn segment_headers_have_their_documented_bytes() {
        let shown = |bytes: &[u8]| format!("{}\n{}", hex(&bytes[..128]), hex(&bytes[4092..]));
        assert_eq!(
            shown(&encode(0)),
            include_str!("golden/segment_plain.hex").trim()
        );
        assert_eq!(
            shown(&encode(1)),
            include_str!("golden/segment_sealed.hex").trim()
        );
        assert!(encode(1)[128..4092].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn header_reads_back_as_written() {
        assert_eq!(decode(&encode(0), None), Ok(header(0)));
        assert_eq!(decode(&encode(1), Some(&keyring(1))), Ok(header(1)));
    }

    #[test]
    fn header_with_any_byte_flipped_is_damaged() {
        for at in 0..SEGMENT_HEADER_LEN {
            let mut bytes = encode(0);
            bytes[at] ^= 0x10;
            assert_eq!(decode(&bytes, None), Err(HeaderFault::Damaged), "byte {at}");
        }
    }

    #[test]
    fn header_of_a_sealed_segment_says_which_key_is_missing_or_wrong() {
        assert_eq!(decode(&encode(1), None), Err(HeaderFault::MissingKey(1)));
        assert_eq!(
            decode(&encode(1), Some(&keyring(2))),
            Err(HeaderFault::WrongKey(1))
        );
    }

    #[test]
    fn header_of_another_shard_version_or_tampered_field_is_refused() {
        let other = LogIdentity {
            shard: 6,
            ..IDENTITY
        };
        let foreign = SegmentHeader::decode(&encode(0), &other, None).err();
        assert_eq!(foreign, Some(HeaderFault::Foreign));

        let repaired = |at: usize, value: u8| {
            let mut bytes = encode(1);
            bytes[at] = value;
            let crc = crc32c::crc32c(&bytes[..4092]);
            bytes[4092..].copy_from_slice(&crc.to_le_bytes());
            decode(&bytes, Some(&keyring(1)))
        };
        assert_eq!(repaired(8, 9), Err(HeaderFault::Version(9)));
        assert_eq!(repaired(0, 9), Err(HeaderFault::Damaged));
        assert_eq!(repaired(12, 9), Err(HeaderFault::Damaged));
        assert_eq!(repaired(56, 9), Err(HeaderFault::WrongKey(1)));
    }

    #[test]
    fn segment_names_sort_like_their_positions() {
        assert_eq!(segment_name(42), "00000000000000000042.seg");
        for first in [1, 42, u64::MAX] {
            assert_eq!(parse_segment_name(&segment_name(first)), Some(first));
        }
        for name in [
            "42.seg",
            "00000000000000000042.snap",
            "0000000000000000004x.seg",
            "99999999999999999999.seg",
        ] {
            assert_eq!(parse_segment_name(name), None, "{name}");
        }
    }
}

//! Snapshots: the caller's state at a position, one file each. The byte table is in `docs/format/disk.md`.

use bytes::Bytes;

use crate::disk::{Disk, DiskFile, join};
use crate::error::LogError;
use crate::fields::Fields;
use crate::log::LogIdentity;
use crate::seal::{COMMITMENT_LEN, Cipher, Keyring, TAG_LEN};
use crate::segment::{HeaderFault, parse_numbered_name};

const MAGIC: [u8; 8] = *b"RLVSNP01";
const VERSION: u32 = 1;
const LABEL: &[u8] = b"relevo/snp/v1";
const KEY_INFO: &[u8] = b"relevo/snk/v1";
const SUFFIX: &str = ".snap";
const TEMPORARY_NAME: &str = "snap.tmp";

/// Bytes of a snapshot's header.
const HEADER_LEN: usize = 128;

/// Plain bytes of every part but the last.
const PART_LEN: usize = 256 * 1024;

/// Snapshots kept in a directory.
const KEPT: usize = 2;

pub(crate) fn snapshot_name(position: u64) -> String {
    format!("{position:020}{SUFFIX}")
}

/// The positions of the snapshots in a directory, ascending.
pub(crate) fn list_snapshots<D: Disk>(disk: &D, dir: &str) -> Result<Vec<u64>, LogError> {
    let names = disk
        .list(dir)
        .map_err(|source| LogError::io("list", dir, source))?;
    Ok(names
        .iter()
        .filter_map(|name| parse_numbered_name(name, SUFFIX))
        .collect())
}

/// What binds a snapshot to its place.
#[derive(Clone, Copy)]
pub(crate) struct SnapshotContext<'a> {
    pub(crate) identity: &'a LogIdentity,
    pub(crate) keys: Option<&'a Keyring>,
}

/// How writing a snapshot failed.
pub(crate) enum SaveFault {
    /// Nothing is left of it, and nothing else was touched.
    Full(LogError),
    /// What is on the disk is unknown.
    Final(LogError),
}

/// Writes a snapshot, durable on return, and removes all but the newest two.
pub(crate) fn save_snapshot<D: Disk>(
    disk: &D,
    dir: &str,
    context: SnapshotContext<'_>,
    uuid: [u8; 16],
    position: u64,
    body: &[u8],
) -> Result<(), SaveFault> {
    let temporary = join(dir, TEMPORARY_NAME);
    let path = join(dir, &snapshot_name(position));
    let bytes = encode(context, uuid, position, body)
        .map_err(|fault| SaveFault::Full(fault.at(&path, position)))?;
    let written = disk.create(&temporary).and_then(|mut file| {
        file.write_at(&bytes, 0)?;
        Ok(file)
    });
    let mut file = match written {
        Ok(file) => file,
        Err(source) => {
            let failed = LogError::io("write", &temporary, source);
            return Err(match (failed, disk.remove(&temporary)) {
                (failed @ LogError::Full { .. }, Ok(())) => SaveFault::Full(failed),
                (failed, _) => SaveFault::Final(failed),
            });
        }
    };
    let finish = |action, result: std::io::Result<()>| {
        result.map_err(|source| {
            SaveFault::Final(LogError::Io {
                action,
                path: path.clone(),
                source,
            })
        })
    };
    finish("sync", file.sync_data())?;
    finish("rename", disk.rename(&temporary, &path))?;
    finish("sync", disk.sync_dir(dir))?;
    let positions = list_snapshots(disk, dir).map_err(SaveFault::Final)?;
    for old in positions.iter().rev().skip(KEPT) {
        finish("remove", disk.remove(&join(dir, &snapshot_name(*old))))?;
    }
    Ok(())
}

/// Removes what an interrupted [`save_snapshot`] left.
pub(crate) fn remove_temporary<D: Disk>(disk: &D, dir: &str) -> Result<(), LogError> {
    let path = join(dir, TEMPORARY_NAME);
    let exists = disk
        .exists(&path)
        .map_err(|source| LogError::io("look for", &path, source))?;
    if exists {
        disk.remove(&path)
            .map_err(|source| LogError::io("remove", &path, source))?;
    }
    Ok(())
}

/// Reads and checks a snapshot.
pub(crate) fn load_snapshot<D: Disk>(
    disk: &D,
    dir: &str,
    context: SnapshotContext<'_>,
    position: u64,
) -> Result<Bytes, LogError> {
    let path = join(dir, &snapshot_name(position));
    let file = disk
        .open(&path)
        .map_err(|source| LogError::io("open", &path, source))?;
    let len = file
        .len()
        .map_err(|source| LogError::io("measure", &path, source))?;
    let damaged = LogError::Corrupt {
        segment: path.clone(),
        offset: 0,
        position,
    };
    let Ok(len) = usize::try_from(len) else {
        return Err(damaged);
    };
    let mut bytes = vec![0; len];
    let read = file
        .read_at(&mut bytes, 0)
        .map_err(|source| LogError::io("read", &path, source))?;
    if read < len {
        return Err(damaged);
    }
    decode(context, position, &bytes)
        .map_err(|fault| fault.at(&path, position))
        .map(Bytes::from)
}

struct Header {
    described: Vec<u8>,
    cipher: Option<Cipher>,
    body_len: usize,
}

fn describe(
    context: SnapshotContext<'_>,
    key_id: u32,
    uuid: &[u8; 16],
    position: u64,
    body_len: u64,
) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_LEN);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&u32::from(key_id != 0).to_le_bytes());
    bytes.extend_from_slice(&context.identity.cluster);
    bytes.extend_from_slice(&context.identity.shard.to_le_bytes());
    bytes.extend_from_slice(&key_id.to_le_bytes());
    bytes.extend_from_slice(uuid);
    bytes.extend_from_slice(&position.to_le_bytes());
    bytes.extend_from_slice(&body_len.to_le_bytes());
    bytes
}

fn derive(
    keys: Option<&Keyring>,
    key_id: u32,
    uuid: &[u8; 16],
    described: &[u8],
) -> Option<(Option<Cipher>, [u8; COMMITMENT_LEN])> {
    if key_id == 0 {
        return Some((None, [0; COMMITMENT_LEN]));
    }
    let (cipher, commitment) = keys?.derive(key_id, uuid, &[KEY_INFO, described])?;
    Some((Some(cipher), commitment))
}

fn encode(
    context: SnapshotContext<'_>,
    uuid: [u8; 16],
    position: u64,
    body: &[u8],
) -> Result<Vec<u8>, HeaderFault> {
    let key_id = context.keys.map_or(0, Keyring::newest);
    let described = describe(context, key_id, &uuid, position, body.len() as u64);
    let (mut cipher, commitment) =
        derive(context.keys, key_id, &uuid, &described).ok_or(HeaderFault::MissingKey(key_id))?;
    let mut bytes = described.clone();
    bytes.extend_from_slice(&commitment);
    bytes.resize(HEADER_LEN - 4, 0);
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());

    let mut previous = [0; TAG_LEN];
    for (index, part) in body.chunks(PART_LEN).enumerate() {
        let index = (index as u64).to_le_bytes();
        let mut stored = part.to_vec();
        let mut prefix: &[u8] = &[];
        if let Some(cipher) = &mut cipher {
            previous = cipher.seal(&[LABEL, &described, &index, &previous], &mut stored);
            prefix = &previous;
        }
        bytes.extend_from_slice(&part_crc(&uuid, &index, prefix, &stored).to_le_bytes());
        bytes.extend_from_slice(prefix);
        bytes.extend_from_slice(&stored);
    }
    Ok(bytes)
}

fn decode(
    context: SnapshotContext<'_>,
    position: u64,
    bytes: &[u8],
) -> Result<Vec<u8>, HeaderFault> {
    let (header, mut parts) = bytes
        .split_at_checked(HEADER_LEN)
        .ok_or(HeaderFault::Damaged)?;
    let Header {
        described,
        mut cipher,
        body_len,
    } = decode_header(context, position, header)?;
    let uuid: [u8; 16] = described
        .get(40..56)
        .and_then(|uuid| uuid.try_into().ok())
        .ok_or(HeaderFault::Damaged)?;
    // Parts add to what they hold, so a length beyond the file's is not believed.
    if body_len > parts.len() {
        return Err(HeaderFault::Damaged);
    }
    let mut body = Vec::with_capacity(body_len);
    let mut previous = [0; TAG_LEN];
    let mut index = 0_u64;
    while body.len() < body_len {
        let part_len = PART_LEN.min(body_len - body.len());
        let mut fields = Fields::new(parts);
        let crc = fields.u32().ok_or(HeaderFault::Damaged)?;
        let tag: Option<[u8; TAG_LEN]> = match cipher {
            Some(_) => Some(fields.array().ok_or(HeaderFault::Damaged)?),
            None => None,
        };
        let mut stored = fields.take(part_len).ok_or(HeaderFault::Damaged)?.to_vec();
        let index_bytes = index.to_le_bytes();
        let prefix = tag.as_ref().map_or(&[][..], |tag| tag.as_slice());
        if crc != part_crc(&uuid, &index_bytes, prefix, &stored) {
            return Err(HeaderFault::Damaged);
        }
        if let (Some(cipher), Some(tag)) = (&mut cipher, tag) {
            cipher
                .open(
                    &[LABEL, &described, &index_bytes, &previous],
                    &tag,
                    &mut stored,
                )
                .map_err(|_| HeaderFault::Damaged)?;
            previous = tag;
        }
        body.append(&mut stored);
        parts = fields.take_rest();
        index += 1;
    }
    if parts.is_empty() {
        Ok(body)
    } else {
        Err(HeaderFault::Damaged)
    }
}

fn decode_header(
    context: SnapshotContext<'_>,
    position: u64,
    bytes: &[u8],
) -> Result<Header, HeaderFault> {
    let (checked, crc) = bytes.split_last_chunk::<4>().ok_or(HeaderFault::Damaged)?;
    if u32::from_le_bytes(*crc) != crc32c::crc32c(checked) {
        return Err(HeaderFault::Damaged);
    }
    let mut fields = Fields::new(checked);
    let magic: Option<[u8; 8]> = fields.array();
    let version = fields
        .u32()
        .filter(|_| magic == Some(MAGIC))
        .ok_or(HeaderFault::Damaged)?;
    if version != VERSION {
        return Err(HeaderFault::Version(version));
    }
    let read = |fields: &mut Fields<'_>| {
        let suite = fields.u32()?;
        let identity = LogIdentity {
            cluster: fields.array()?,
            shard: fields.u32()?,
        };
        let key_id = fields.u32()?;
        let uuid: [u8; 16] = fields.array()?;
        let found = fields.u64()?;
        let body_len = fields.u64()?;
        let commitment: [u8; COMMITMENT_LEN] = fields.array()?;
        Some((suite, identity, key_id, uuid, found, body_len, commitment))
    };
    let (suite, identity, key_id, uuid, found, body_len, commitment) =
        read(&mut fields).ok_or(HeaderFault::Damaged)?;
    if suite != u32::from(key_id != 0) {
        return Err(HeaderFault::Damaged);
    }
    if identity != *context.identity || found != position {
        return Err(HeaderFault::Foreign);
    }
    let described = describe(context, key_id, &uuid, position, body_len);
    let (cipher, expected) =
        derive(context.keys, key_id, &uuid, &described).ok_or(HeaderFault::MissingKey(key_id))?;
    if commitment != expected {
        return Err(HeaderFault::WrongKey(key_id));
    }
    let body_len = usize::try_from(body_len).map_err(|_| HeaderFault::Damaged)?;
    Ok(Header {
        described,
        cipher,
        body_len,
    })
}

fn part_crc(uuid: &[u8; 16], index: &[u8; 8], prefix: &[u8], stored: &[u8]) -> u32 {
    let seed = crc32c::crc32c_append(crc32c::crc32c(uuid), index);
    crc32c::crc32c_append(crc32c::crc32c_append(seed, prefix), stored)
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDENTITY: LogIdentity = LogIdentity {
        cluster: [0x22; 16],
        shard: 5,
    };

    fn keyring(seed: u8) -> Keyring {
        Keyring::parse(&Keyring::generate([seed; 64])).unwrap()
    }

    fn context(keys: Option<&Keyring>) -> SnapshotContext<'_> {
        SnapshotContext {
            identity: &IDENTITY,
            keys,
        }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The examples of `docs/format/disk.md`, "Snapshot".
    #[test]
    fn snapshots_have_their_documented_bytes() {
        let plain = encode(context(None), [0x11; 16], 100, b"state").unwrap();
        assert_eq!(
            hex(&plain),
            include_str!("golden/snapshot_plain.hex").trim()
        );
        let sealed = encode(context(Some(&keyring(1))), [0x11; 16], 100, b"state").unwrap();
        assert_eq!(
            hex(&sealed),
            include_str!("golden/snapshot_sealed.hex").trim()
        );
    }

    #[test]
    fn snapshot_of_any_length_reads_back() {
        let ring = keyring(1);
        for keys in [None, Some(&ring)] {
            for len in [0, 1, PART_LEN - 1, PART_LEN, PART_LEN + 1, 3 * PART_LEN] {
                let body: Vec<u8> = (0..len).map(|index| (index % 251) as u8).collect();
                let bytes = encode(context(keys), [1; 16], 9, &body).unwrap();
                assert_eq!(decode(context(keys), 9, &bytes), Ok(body), "{len}");
            }
        }
    }

    #[test]
    fn snapshot_with_any_byte_changed_added_or_missing_is_damaged() {
        let ring = keyring(1);
        for keys in [None, Some(&ring)] {
            let bytes = encode(context(keys), [1; 16], 9, b"state").unwrap();
            for at in 0..bytes.len() {
                let mut damaged = bytes.clone();
                damaged[at] ^= 4;
                assert_eq!(
                    decode(context(keys), 9, &damaged),
                    Err(HeaderFault::Damaged),
                    "byte {at}"
                );
                assert_eq!(
                    decode(context(keys), 9, &bytes[..at]),
                    Err(HeaderFault::Damaged),
                    "length {at}"
                );
            }
            let longer = [bytes.as_slice(), b"x"].concat();
            assert_eq!(decode(context(keys), 9, &longer), Err(HeaderFault::Damaged));
        }
    }

    #[test]
    fn snapshot_parts_cannot_change_places() {
        let ring = keyring(1);
        let body = [vec![1; PART_LEN], vec![2; PART_LEN]].concat();
        let bytes = encode(context(Some(&ring)), [1; 16], 9, &body).unwrap();
        let part = 4 + TAG_LEN + PART_LEN;
        let (header, parts) = bytes.split_at(HEADER_LEN);
        let swapped = [header, &parts[part..], &parts[..part]].concat();
        assert_eq!(
            decode(context(Some(&ring)), 9, &swapped),
            Err(HeaderFault::Damaged)
        );
    }

    #[test]
    fn snapshot_says_which_key_is_missing_or_wrong() {
        let ring = keyring(1);
        let bytes = encode(context(Some(&ring)), [1; 16], 9, b"state").unwrap();
        assert_eq!(
            decode(context(None), 9, &bytes),
            Err(HeaderFault::MissingKey(1))
        );
        assert_eq!(
            decode(context(Some(&keyring(2))), 9, &bytes),
            Err(HeaderFault::WrongKey(1))
        );
        assert_eq!(
            decode(context(Some(&ring)), 8, &bytes),
            Err(HeaderFault::Foreign)
        );
    }
}

//! A small value that is replaced as a whole: two slots of 4 KiB, written in turn.
//!
//! Each slot consists of eight sectors with their own checksum and generation, so that a torn write (sectors of two
//! generations, the other slot whole) is told from damage (a sector that was never written like this): the first leaves
//! the older value, the second is an error. The byte table is in `docs/format/disk.md`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::disk::{Disk, DiskFile, parent};
use crate::error::StoreError;
use crate::fields::Fields;
use crate::seal::{Cipher, Keyring, TAG_LEN};

/// Longest value, in bytes.
pub const MAX_VALUE_LEN: usize = 4000;

const SLOT_LEN: usize = 4096;
const SECTOR_LEN: usize = 512;
/// Bytes of a sector that carry the slot's content; the rest is the generation's low half and the checksum.
const SECTOR_CONTENT_LEN: usize = SECTOR_LEN - 8;
const HEADER_LEN: usize = 32;
/// The value length that stands for "no value was ever stored".
const NO_VALUE: u16 = u16::MAX;
const VERSION: u8 = 1;
const SEED_LABEL: &[u8] = b"RLVSLOT1";
const LABEL: &[u8] = b"relevo/slt/v1";
const KEY_INFO: &[u8] = b"relevo/slk/v1";

/// A value of up to [`MAX_VALUE_LEN`] bytes that survives a crash at any moment: the last one stored, or the one being
/// stored.
pub struct TwoSlot<D: Disk> {
    file: D::File,
    path: String,
    ciphers: Ciphers,
    generation: u64,
    value: Option<Vec<u8>>,
    poisoned: bool,
}

impl<D: Disk> TwoSlot<D> {
    /// Opens the file, or makes it with no value in it. With keys, values are sealed with the newest.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when a stored value is damaged, the key errors, and those of the disk.
    pub fn open(disk: Arc<D>, path: &str, keys: Option<&Keyring>) -> Result<Self, StoreError> {
        let mut ciphers = Ciphers::derive(keys, path);
        let exists = disk
            .exists(path)
            .map_err(|source| StoreError::io("look for", path, source))?;
        if !exists {
            create(&*disk, path)?;
        }
        let mut file = disk
            .open(path)
            .map_err(|source| StoreError::io("open", path, source))?;
        let mut bytes = [0; 2 * SLOT_LEN];
        let read = file
            .read_at(&mut bytes, 0)
            .map_err(|source| StoreError::io("read", path, source))?;
        let corrupt = || StoreError::Corrupt {
            path: path.to_owned(),
        };
        if read < bytes.len() {
            return Err(corrupt());
        }
        let (first, second) = bytes.split_at(SLOT_LEN);
        let slots = (inspect(first, 0), inspect(second, 1));
        let newest = match slots {
            (Slot::Whole(first), Slot::Whole(second)) => {
                if first.generation > second.generation {
                    first
                } else {
                    second
                }
            }
            (Slot::Whole(whole), Slot::Torn | Slot::Never)
            | (Slot::Torn | Slot::Never, Slot::Whole(whole)) => whole,
            (Slot::Damaged, _)
            | (_, Slot::Damaged)
            | (Slot::Torn | Slot::Never, Slot::Torn | Slot::Never) => {
                return Err(corrupt());
            }
        };
        let generation = newest.generation;
        let value = ciphers.open(newest, path)?;
        // What an earlier process wrote and could not sync counts from here on, so it is made durable now.
        let (offset, slot) = if generation % 2 == 0 {
            (0, first)
        } else {
            (SLOT_LEN as u64, second)
        };
        file.write_at(slot, offset)
            .map_err(|source| StoreError::io("rewrite", path, source))?;
        file.sync_data()
            .map_err(|source| StoreError::io("sync", path, source))?;
        Ok(Self {
            file,
            path: path.to_owned(),
            ciphers,
            generation,
            value,
            poisoned: false,
        })
    }

    /// The value; `None` when none was ever stored.
    pub fn load(&self) -> Option<Vec<u8>> {
        self.value.clone()
    }

    /// Replaces the value; durable on return.
    ///
    /// # Errors
    /// [`StoreError::ValueTooLarge`]; a failure of the disk is final: every later call gives [`StoreError::Poisoned`].
    pub fn store(&mut self, value: &[u8]) -> Result<(), StoreError> {
        if self.poisoned {
            return Err(StoreError::Poisoned {
                path: self.path.clone(),
            });
        }
        if value.len() > MAX_VALUE_LEN {
            return Err(StoreError::ValueTooLarge { len: value.len() });
        }
        let generation = self.generation + 1;
        let slot = self.ciphers.seal(generation, value);
        let offset = (generation % 2) * SLOT_LEN as u64;
        self.poisoned = true;
        let failed = |action, source| StoreError::Io {
            action,
            path: self.path.clone(),
            source,
        };
        self.file
            .write_at(&slot, offset)
            .map_err(|source| failed("write", source))?;
        self.file
            .sync_data()
            .map_err(|source| failed("sync", source))?;
        self.poisoned = false;
        self.generation = generation;
        self.value = Some(value.to_vec());
        Ok(())
    }
}

impl<D: Disk> fmt::Debug for TwoSlot<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TwoSlot")
            .field("path", &self.path)
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

/// Makes the file whole before it has its name, so that a missing slot is never an excuse later.
fn create<D: Disk>(disk: &D, path: &str) -> Result<(), StoreError> {
    let temporary = format!("{path}.tmp");
    let mut bytes = vec![0; SLOT_LEN];
    let content = Content {
        generation: 1,
        len: NO_VALUE,
        key_id: 0,
        tag: [0; TAG_LEN],
        bytes: Vec::new(),
    };
    bytes.extend_from_slice(&content.encode());
    let failed = |action, source| StoreError::io(action, path, source);
    let mut file = disk
        .create(&temporary)
        .map_err(|source| failed("create", source))?;
    file.write_at(&bytes, 0)
        .map_err(|source| failed("write", source))?;
    file.sync_data().map_err(|source| failed("sync", source))?;
    disk.rename(&temporary, path)
        .map_err(|source| failed("rename", source))?;
    disk.sync_dir(parent(path))
        .map_err(|source| failed("sync", source))
}

/// What a slot says, before it is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Content {
    generation: u64,
    len: u16,
    /// 0 when plain.
    key_id: u32,
    tag: [u8; TAG_LEN],
    bytes: Vec<u8>,
}

#[derive(Debug, PartialEq, Eq)]
enum Slot {
    /// All zeros: never written.
    Never,
    Whole(Content),
    /// Sectors of different generations.
    Torn,
    Damaged,
}

impl Content {
    fn header(&self) -> [u8; HEADER_LEN] {
        let mut header = Vec::with_capacity(HEADER_LEN);
        header.extend_from_slice(&self.generation.to_le_bytes());
        header.extend_from_slice(&self.len.to_le_bytes());
        header.extend_from_slice(&[u8::from(self.key_id != 0), VERSION]);
        header.extend_from_slice(&self.key_id.to_le_bytes());
        header.extend_from_slice(&self.tag);
        header.try_into().expect("the fields above are 32 bytes")
    }

    fn encode(&self) -> Vec<u8> {
        let mut content = self.header().to_vec();
        content.extend_from_slice(&self.bytes);
        content.resize(SLOT_LEN / SECTOR_LEN * SECTOR_CONTENT_LEN, 0);
        let number = self.generation % 2;
        let mut slot = Vec::with_capacity(SLOT_LEN);
        for (sector, part) in content.chunks(SECTOR_CONTENT_LEN).enumerate() {
            let start = slot.len();
            slot.extend_from_slice(part);
            slot.extend_from_slice(&low_half(self.generation));
            let crc =
                crc32c::crc32c_append(seed(number, sector), slot.get(start..).unwrap_or_default());
            slot.extend_from_slice(&crc.to_le_bytes());
        }
        slot
    }
}

fn low_half(generation: u64) -> [u8; 4] {
    let [a, b, c, d, ..] = generation.to_le_bytes();
    [a, b, c, d]
}

fn seed(slot: u64, sector: usize) -> u32 {
    let seed = crc32c::crc32c_append(crc32c::crc32c(SEED_LABEL), &slot.to_le_bytes());
    crc32c::crc32c_append(seed, &(sector as u64).to_le_bytes())
}

fn inspect(slot: &[u8], number: u64) -> Slot {
    let mut content = Vec::with_capacity(SLOT_LEN);
    let mut generations = Vec::new();
    for (sector, bytes) in slot.chunks(SECTOR_LEN).enumerate() {
        if bytes.iter().all(|byte| *byte == 0) {
            generations.push(None);
            continue;
        }
        let Some((checked, crc)) = bytes.split_last_chunk::<4>() else {
            return Slot::Damaged;
        };
        if u32::from_le_bytes(*crc) != crc32c::crc32c_append(seed(number, sector), checked) {
            return Slot::Damaged;
        }
        let Some((part, generation)) = checked.split_last_chunk::<4>() else {
            return Slot::Damaged;
        };
        content.extend_from_slice(part);
        generations.push(Some(*generation));
    }
    let first = generations.first().copied().flatten();
    if generations.iter().any(|generation| *generation != first) {
        return Slot::Torn;
    }
    if first.is_none() {
        return Slot::Never;
    }
    match parse_content(&content) {
        Some(parsed)
            if parsed.generation % 2 == number && Some(low_half(parsed.generation)) == first =>
        {
            Slot::Whole(parsed)
        }
        Some(_) | None => Slot::Damaged,
    }
}

fn parse_content(content: &[u8]) -> Option<Content> {
    let mut fields = Fields::new(content);
    let generation = fields.u64()?;
    let len = fields.u16()?;
    let suite = fields.u8()?;
    let version = fields.u8()?;
    let key_id = fields.u32()?;
    let tag = fields.array()?;
    let bytes = match len {
        NO_VALUE => Vec::new(),
        len => fields.take(usize::from(len))?.to_vec(),
    };
    let known =
        version == VERSION && suite == u8::from(key_id != 0) && bytes.len() <= MAX_VALUE_LEN;
    known.then_some(Content {
        generation,
        len,
        key_id,
        tag,
        bytes,
    })
}

/// The ciphers of one two-slot file, by key id.
struct Ciphers {
    by_id: BTreeMap<u32, Cipher>,
    path: String,
}

impl Ciphers {
    fn derive(keys: Option<&Keyring>, path: &str) -> Self {
        let mut by_id = BTreeMap::new();
        if let Some(keys) = keys {
            for key_id in keys.ids() {
                if let Some((cipher, _)) = keys.derive(key_id, path.as_bytes(), &[KEY_INFO]) {
                    by_id.insert(key_id, cipher);
                }
            }
        }
        Self {
            by_id,
            path: path.to_owned(),
        }
    }

    fn seal(&mut self, generation: u64, value: &[u8]) -> Vec<u8> {
        let len = u16::try_from(value.len()).expect("a value is at most MAX_VALUE_LEN bytes");
        let mut content = Content {
            generation,
            len,
            key_id: 0,
            tag: [0; TAG_LEN],
            bytes: value.to_vec(),
        };
        if let Some((key_id, cipher)) = self.by_id.iter_mut().next_back() {
            content.key_id = *key_id;
            let bound = content.header();
            content.tag = cipher.seal(&[LABEL, self.path.as_bytes(), &bound], &mut content.bytes);
        }
        content.encode()
    }

    fn open(&mut self, mut content: Content, path: &str) -> Result<Option<Vec<u8>>, StoreError> {
        if content.len == NO_VALUE {
            return Ok(None);
        }
        let key_id = content.key_id;
        if key_id == 0 {
            return if self.by_id.is_empty() {
                Ok(Some(content.bytes))
            } else {
                Err(StoreError::NotSealed)
            };
        }
        let path = path.to_owned();
        let Some(cipher) = self.by_id.get_mut(&key_id) else {
            return Err(StoreError::MissingKey { path, key_id });
        };
        let tag = content.tag;
        content.tag = [0; TAG_LEN];
        let bound = content.header();
        match cipher.open(
            &[LABEL, self.path.as_bytes(), &bound],
            &tag,
            &mut content.bytes,
        ) {
            Ok(()) => Ok(Some(content.bytes)),
            // The checksums are right, so the bytes are what was written: with another key.
            Err(_) => Err(StoreError::WrongKey { path, key_id }),
        }
    }
}

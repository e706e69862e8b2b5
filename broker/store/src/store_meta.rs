//! What a store root is: its id, its format, whether it is sealed and with which keys.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::disk::Disk;
use crate::error::StoreError;
use crate::fields::Fields;
use crate::seal::{CHECK_VALUE_LEN, Keyring, MAX_KEYS};
use crate::two_slot::TwoSlot;

/// The two-slot file that holds it, in the store root. It is not sealed: it says which key is needed.
const PATH: &str = "store";

const MAGIC: [u8; 8] = *b"RLVSTR01";

/// Version of the layout of a store root as a whole.
pub const STORE_VERSION: u32 = 1;

/// The facts of a store root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreMeta {
    /// The identity of this disk's content; made once.
    pub store_id: [u8; 16],
    /// Whether the store was made by this call.
    pub fresh: bool,
    /// Whether its files are sealed; fixed when the store is made.
    pub sealed: bool,
    /// The ids of the keys that it was ever opened with, ascending; empty when it is not sealed.
    pub key_ids: Vec<u32>,
}

impl StoreMeta {
    /// Reads the facts of a store root, or makes a store with `new_id` there. Checks that the keys are those of the
    /// store, and takes note of new ones. A store that is made with keys stays sealed, one made without stays plain.
    ///
    /// # Errors
    /// [`StoreError::KeyRequired`], [`StoreError::MissingKey`] (the newest key must be there; older ones are asked for
    /// by the files that need them), [`StoreError::WrongKey`], [`StoreError::NotSealed`],
    /// [`StoreError::UnsupportedVersion`], [`StoreError::Corrupt`] and those of the disk.
    pub fn open_or_create<D: Disk>(
        disk: Arc<D>,
        keys: Option<&Keyring>,
        new_id: [u8; 16],
    ) -> Result<Self, StoreError> {
        let mut slot = TwoSlot::open(disk, PATH, None)?;
        let Some(value) = slot.load() else {
            let facts = Facts {
                store_id: new_id,
                check_values: check_values(keys),
            };
            slot.store(&facts.encode())?;
            return Ok(facts.shown(true));
        };
        let mut facts = Facts::decode(&value)?;
        let given = check_values(keys);
        facts.check(&given)?;
        let known = facts.check_values.len();
        facts.check_values.extend(given);
        if facts.check_values.len() > known {
            facts.forget_oldest();
            slot.store(&facts.encode())?;
        }
        Ok(facts.shown(false))
    }
}

type CheckValues = BTreeMap<u32, [u8; CHECK_VALUE_LEN]>;

fn check_values(keys: Option<&Keyring>) -> CheckValues {
    let Some(keys) = keys else {
        return BTreeMap::new();
    };
    keys.ids()
        .filter_map(|key_id| Some((key_id, keys.check_value(key_id)?)))
        .collect()
}

struct Facts {
    store_id: [u8; 16],
    check_values: CheckValues,
}

impl Facts {
    fn shown(&self, fresh: bool) -> StoreMeta {
        StoreMeta {
            store_id: self.store_id,
            fresh,
            sealed: !self.check_values.is_empty(),
            key_ids: self.check_values.keys().copied().collect(),
        }
    }

    fn check(&self, given: &CheckValues) -> Result<(), StoreError> {
        let path = PATH.to_owned();
        let Some((newest, _)) = self.check_values.last_key_value() else {
            return if given.is_empty() {
                Ok(())
            } else {
                Err(StoreError::NotSealed)
            };
        };
        let newest = *newest;
        if given.is_empty() {
            return Err(StoreError::KeyRequired { key_id: newest });
        }
        for (key_id, value) in given {
            if self
                .check_values
                .get(key_id)
                .is_some_and(|known| known != value)
            {
                return Err(StoreError::WrongKey {
                    path,
                    key_id: *key_id,
                });
            }
        }
        if given.contains_key(&newest) {
            Ok(())
        } else {
            Err(StoreError::MissingKey {
                path,
                key_id: newest,
            })
        }
    }

    fn forget_oldest(&mut self) {
        while self.check_values.len() > MAX_KEYS {
            self.check_values.pop_first();
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&STORE_VERSION.to_le_bytes());
        bytes.extend_from_slice(&self.store_id);
        let count = u32::try_from(self.check_values.len()).expect("keys are at most MAX_KEYS");
        bytes.extend_from_slice(&count.to_le_bytes());
        for (key_id, value) in &self.check_values {
            bytes.extend_from_slice(&key_id.to_le_bytes());
            bytes.extend_from_slice(value);
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        let corrupt = || StoreError::Corrupt {
            path: PATH.to_owned(),
        };
        let mut fields = Fields::new(bytes);
        if fields.array() != Some(MAGIC) {
            return Err(corrupt());
        }
        let version = fields.u32().ok_or_else(corrupt)?;
        if version != STORE_VERSION {
            return Err(StoreError::UnsupportedVersion {
                path: PATH.to_owned(),
                version,
            });
        }
        let store_id = fields.array().ok_or_else(corrupt)?;
        let count = fields.u32().ok_or_else(corrupt)?;
        let mut check_values = BTreeMap::new();
        for _ in 0..count {
            let key_id = fields.u32().ok_or_else(corrupt)?;
            check_values.insert(key_id, fields.array().ok_or_else(corrupt)?);
        }
        if fields.is_empty() {
            Ok(Self {
                store_id,
                check_values,
            })
        } else {
            Err(corrupt())
        }
    }
}

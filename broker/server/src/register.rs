//! The register's value on this broker's disk.

use std::sync::Arc;

use bytes::Bytes;
use relevo_quorum::{Value, ValueError};
use relevo_store::error::StoreError;
use relevo_store::real_disk::RealDisk;
use relevo_store::seal::Keyring;
use relevo_store::two_slot::TwoSlot;

/// The file, in the store root.
const PATH: &str = "register";

/// The file that holds the value.
#[derive(Debug)]
pub(crate) struct Register {
    slot: Option<TwoSlot<RealDisk>>,
}

/// Why the register cannot be read.
#[derive(Debug)]
pub enum RegisterError {
    /// Its file.
    Store(StoreError),
    /// What the file says.
    Value(ValueError),
}

impl Register {
    /// Opens the file, or makes it; the value is none on a new store.
    pub(crate) fn open(
        disk: Arc<RealDisk>,
        keys: Option<&Keyring>,
    ) -> Result<(Self, Option<Value>), RegisterError> {
        let slot = TwoSlot::open(disk, PATH, keys).map_err(RegisterError::Store)?;
        let value = slot.load().map(|bytes| Value::decode(&bytes)).transpose();
        Ok((
            Self { slot: Some(slot) },
            value.map_err(RegisterError::Value)?,
        ))
    }

    /// Replaces the value; durable on return. Waits for the disk.
    ///
    /// # Errors
    /// [`StoreError`]; the process must end then.
    pub(crate) fn store_now(&mut self, value: &[u8]) -> Result<(), StoreError> {
        match &mut self.slot {
            Some(slot) => slot.store(value),
            None => Err(StoreError::Poisoned {
                path: PATH.to_owned(),
            }),
        }
    }

    /// Replaces the value on a thread that may wait for the disk; durable when it resolves.
    ///
    /// # Errors
    /// [`StoreError`]; the process must end then.
    pub(crate) async fn store(&mut self, value: Bytes) -> Result<(), StoreError> {
        let Some(mut slot) = self.slot.take() else {
            return Err(StoreError::Poisoned {
                path: PATH.to_owned(),
            });
        };
        let task = tokio::task::spawn_blocking(move || {
            let stored = slot.store(&value);
            (slot, stored)
        });
        match task.await {
            Ok((slot, stored)) => {
                self.slot = Some(slot);
                stored
            }
            Err(_) => Err(StoreError::Poisoned {
                path: PATH.to_owned(),
            }),
        }
    }
}

impl std::fmt::Display for RegisterError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Store(error) => error.fmt(f),
            Self::Value(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for RegisterError {}

//! A record: one mutation at its place in a shard's log, as it crosses the peer link.

#[cfg(test)]
pub(crate) mod tests;

use bytes::Bytes;

use crate::identity::{Epoch, Position};
use crate::mutation::{CONFIG_LEN_MAX, MESSAGE_LEN_MAX, Mutation};
use crate::wire::{DecodeError, Reader, Writer};

/// Longest record body, in bytes: a message of the highest size, with room for its fields.
pub const BODY_LEN_MAX: usize = MESSAGE_LEN_MAX + CONFIG_LEN_MAX;

/// One entry of a shard's log.
///
/// `chain` is the CRC32C of this record seeded with the chain of the one before it, so two logs
/// whose records agree at a position agree on everything up to it. The leader computes it, the
/// follower checks it before the record reaches its disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its place, 1 or more.
    pub position: Position,
    /// The leader's epoch when it was written.
    pub epoch: Epoch,
    /// CRC32C over all records up to this one.
    pub chain: u32,
    /// The stream of a message, 0 for everything else.
    pub group: u64,
    /// The sequence of a message, 0 for everything else.
    pub key: u64,
    /// The encoded [`Mutation`].
    pub body: Bytes,
}

impl Record {
    /// The record of `mutation` that follows a record whose chain is `previous_chain`.
    #[must_use]
    pub fn new(position: Position, epoch: Epoch, previous_chain: u32, mutation: &Mutation) -> Self {
        let (group, key) = mutation.group_and_key();
        let body = mutation.encode();
        let mut record = Self {
            position,
            epoch,
            chain: 0,
            group,
            key,
            body,
        };
        record.chain = record.chain_after(previous_chain);
        record
    }

    /// The chain that this record has if it follows one whose chain is `previous_chain`.
    #[must_use]
    pub fn chain_after(&self, previous_chain: u32) -> u32 {
        let mut fields = [0; 36];
        for (slot, value) in
            fields
                .chunks_exact_mut(8)
                .zip([self.position.0, self.epoch.term, self.group, self.key])
        {
            slot.copy_from_slice(&value.to_le_bytes());
        }
        if let Some(slot) = fields.last_chunk_mut::<4>() {
            *slot = self.epoch.sub.to_le_bytes();
        }
        crc32c::crc32c_append(crc32c::crc32c_append(previous_chain, &fields), &self.body)
    }

    /// Bytes it takes on the link.
    #[must_use]
    pub const fn encoded_len(&self) -> usize {
        8 + 8 + 4 + 4 + 8 + 8 + 4 + self.body.len()
    }

    /// Appends the link form.
    pub fn write(&self, out: &mut Writer) {
        out.u64(self.position.0);
        out.u64(self.epoch.term);
        out.u32(self.epoch.sub);
        out.u32(self.chain);
        out.u64(self.group);
        out.u64(self.key);
        out.bytes(&self.body);
    }

    /// Takes the link form.
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes are no record.
    pub fn read(reader: &mut Reader) -> Result<Self, DecodeError> {
        Ok(Self {
            position: Position(reader.u64("position")?),
            epoch: Epoch {
                term: reader.u64("epoch")?,
                sub: reader.u32("sub-epoch")?,
            },
            chain: reader.u32("chain")?,
            group: reader.u64("group")?,
            key: reader.u64("key")?,
            body: reader.bytes("record body", BODY_LEN_MAX)?,
        })
    }
}

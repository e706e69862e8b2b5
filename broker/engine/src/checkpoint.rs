//! The snapshot of a whole shard: where the log stood, and the state there.
//!
//! | bytes | field |
//! |---|---|
//! | 1 | format, 1 |
//! | 8, 8, 4, 4 | position, term, sub-epoch, chain of the last record it covers |
//! | 4, then 20 each | epoch table: term, sub-epoch, first position |
//! | 4, then that many | the content, [`crate::content::Content::snapshot`] |

use bytes::Bytes;
use relevo_protocol::frame::EPOCH_TABLE_LEN_MAX;
use relevo_protocol::identity::{Epoch, EpochStart, Position};
use relevo_protocol::wire::{DecodeError, Reader, Writer};

const FORMAT: u8 = 1;
/// Longest content of a snapshot, in bytes.
pub(crate) const CONTENT_LEN_MAX: usize = 2 * 1024 * 1024 * 1024;

/// A shard's state at one position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub(crate) position: Position,
    pub(crate) epoch: Epoch,
    pub(crate) chain: u32,
    pub(crate) epochs: Vec<EpochStart>,
    pub(crate) content: Bytes,
}

impl Checkpoint {
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = Writer::with_capacity(64 + self.epochs.len() * 20 + self.content.len());
        out.u8(FORMAT);
        out.u64(self.position.0);
        out.u64(self.epoch.term);
        out.u32(self.epoch.sub);
        out.u32(self.chain);
        let newest = self.epochs.len().saturating_sub(EPOCH_TABLE_LEN_MAX);
        let epochs = self.epochs.get(newest..).unwrap_or_default();
        out.count(epochs.len());
        for start in epochs {
            out.u64(start.epoch.term);
            out.u32(start.epoch.sub);
            out.u64(start.first.0);
        }
        out.bytes(&self.content);
        out.finish()
    }

    pub(crate) fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let format = reader.u8("snapshot format")?;
        if format != FORMAT {
            return Err(DecodeError::Unknown {
                what: "snapshot format",
                value: format.into(),
            });
        }
        let position = Position(reader.u64("position")?);
        let epoch = Epoch {
            term: reader.u64("term")?,
            sub: reader.u32("sub-epoch")?,
        };
        let chain = reader.u32("chain")?;
        let count = reader.count("epoch table", EPOCH_TABLE_LEN_MAX)?;
        let epochs = (0..count)
            .map(|_| {
                Ok(EpochStart {
                    epoch: Epoch {
                        term: reader.u64("term")?,
                        sub: reader.u32("sub-epoch")?,
                    },
                    first: Position(reader.u64("position")?),
                })
            })
            .collect::<Result<_, DecodeError>>()?;
        let content = reader.bytes("content", CONTENT_LEN_MAX)?;
        reader.end()?;
        Ok(Self {
            position,
            epoch,
            chain,
            epochs,
            content,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_has_these_bytes_and_comes_back_from_them() {
        let checkpoint = Checkpoint {
            position: Position(5),
            epoch: Epoch { term: 2, sub: 3 },
            chain: 4,
            epochs: vec![EpochStart {
                epoch: Epoch { term: 1, sub: 1 },
                first: Position(1),
            }],
            content: Bytes::from_static(b"xy"),
        };
        let golden = [
            &[
                1, 5, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0,
            ][..],
            &[
                1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0,
            ],
            &[2, 0, 0, 0, b'x', b'y'],
        ]
        .concat();
        assert_eq!(checkpoint.encode(), golden);
        assert_eq!(
            Checkpoint::decode(Bytes::from(golden.clone())),
            Ok(checkpoint)
        );
        for cut in 0..golden.len() {
            assert!(Checkpoint::decode(Bytes::copy_from_slice(&golden[..cut])).is_err());
        }
    }
}

//! Opened blocks that were read lately, bounded in bytes.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::block::BlockHeader;

/// Most bytes of opened blocks that one log keeps; the oldest use goes first.
pub(crate) const CACHE_LEN_MAX: usize = 4 * 1024 * 1024;

/// What a block costs beside its bytes.
const ENTRY_COST: usize = 192;

#[derive(Debug, Default)]
pub(crate) struct BlockCache {
    blocks: BTreeMap<(u64, u64), Cached>,
    by_use: BTreeMap<u64, (u64, u64)>,
    uses: u64,
    len: usize,
}

#[derive(Debug)]
struct Cached {
    header: BlockHeader,
    plain: Bytes,
    used: u64,
}

impl BlockCache {
    pub(crate) fn get(&mut self, segment: u64, offset: u64) -> Option<(BlockHeader, Bytes)> {
        let place = (segment, offset);
        let cached = self.blocks.get_mut(&place)?;
        self.uses += 1;
        self.by_use.remove(&cached.used);
        cached.used = self.uses;
        self.by_use.insert(self.uses, place);
        Some((cached.header, cached.plain.clone()))
    }

    pub(crate) fn put(&mut self, segment: u64, offset: u64, header: BlockHeader, plain: Bytes) {
        let cost = plain.len() + ENTRY_COST;
        if cost > CACHE_LEN_MAX {
            return;
        }
        let place = (segment, offset);
        self.remove(place);
        while self.len + cost > CACHE_LEN_MAX {
            let Some((_, oldest)) = self.by_use.first_key_value() else {
                break;
            };
            self.remove(*oldest);
        }
        self.uses += 1;
        self.len += cost;
        self.by_use.insert(self.uses, place);
        self.blocks.insert(
            place,
            Cached {
                header,
                plain,
                used: self.uses,
            },
        );
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    fn remove(&mut self, place: (u64, u64)) {
        if let Some(cached) = self.blocks.remove(&place) {
            self.by_use.remove(&cached.used);
            self.len -= cached.plain.len() + ENTRY_COST;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::{BlockCodec, BlockKind, BlockMeta};

    fn header() -> BlockHeader {
        let mut codec = BlockCodec::new([1; 16], [2; 24], None);
        let meta = BlockMeta {
            kind: BlockKind::Entries,
            count: 0,
            position: 1,
            epoch: 1,
            sub: 0,
            committed: 0,
            synced: 0,
        };
        let mut out = Vec::new();
        codec.encode(meta, 0, &[0; 16], &mut out, |_| ());
        BlockHeader::decode(out.first_chunk().unwrap(), codec.seed(0)).unwrap()
    }

    #[test]
    fn cache_stays_within_its_bound_and_drops_the_least_used() {
        let mut cache = BlockCache::default();
        let block = Bytes::from(vec![0; 1024 * 1024 - ENTRY_COST]);
        for offset in 0..4 {
            cache.put(1, offset, header(), block.clone());
        }
        assert!(cache.get(1, 0).is_some());
        cache.put(1, 4, header(), block.clone());
        assert!(cache.len <= CACHE_LEN_MAX);
        assert!(cache.get(1, 0).is_some(), "used lately");
        assert!(cache.get(1, 1).is_none(), "used longest ago");
        cache.put(1, 5, header(), Bytes::from(vec![0; CACHE_LEN_MAX]));
        assert!(cache.get(1, 5).is_none(), "larger than the cache");
        cache.put(1, 4, header(), block);
        assert_eq!(cache.blocks.len(), cache.by_use.len());
        assert!(cache.len <= CACHE_LEN_MAX);
    }
}

//! Ids for new files, out of entropy that the caller gave.

use sha2::{Digest, Sha256};

/// A row of random ids; the same entropy gives the same row.
#[derive(Clone)]
pub(crate) struct UuidSource {
    seed: [u8; 32],
    drawn: u64,
}

impl UuidSource {
    pub(crate) fn new(entropy: [u8; 32]) -> Self {
        Self {
            seed: entropy,
            drawn: 0,
        }
    }

    pub(crate) fn draw(&mut self) -> [u8; 16] {
        let digest = self.digest();
        let mut uuid = [0; 16];
        for (byte, drawn) in uuid.iter_mut().zip(digest) {
            *byte = drawn;
        }
        uuid
    }

    /// A second row that shares no id with this one.
    pub(crate) fn fork(&mut self) -> Self {
        Self::new(self.digest())
    }

    fn digest(&mut self) -> [u8; 32] {
        self.drawn += 1;
        let mut hasher = Sha256::new();
        hasher.update(b"relevo/uuid/v1");
        hasher.update(self.seed);
        hasher.update(self.drawn.to_le_bytes());
        hasher.finalize().into()
    }
}

impl std::fmt::Debug for UuidSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UuidSource")
            .field("drawn", &self.drawn)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_never_repeat_and_follow_from_the_entropy() {
        let mut source = UuidSource::new([1; 32]);
        let mut fork = source.fork();
        let ids = [
            source.draw(),
            source.draw(),
            fork.draw(),
            fork.draw(),
            UuidSource::new([2; 32]).draw(),
        ];
        for (index, id) in ids.iter().enumerate() {
            assert!(!ids[..index].contains(id));
        }
        let mut again = UuidSource::new([1; 32]);
        again.fork();
        assert_eq!(again.draw(), ids[0]);
    }
}

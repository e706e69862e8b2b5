//! Effects that reveal what is not durable everywhere yet, held until it is.

use std::collections::VecDeque;

use relevo_protocol::identity::Position;

use crate::input::Effect;

/// Held effects, in the order they were decided. Bounded by the shard's in-flight window: the driver
/// stops handing over client work while [`crate::shard::Engine::admits_work`] is false.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    held: VecDeque<(Position, Effect)>,
    newest: Position,
}

impl Outbox {
    /// Holds `effect` until `position` is committed. An effect never overtakes one held before it.
    pub(crate) fn hold(&mut self, position: Position, effect: Effect) {
        self.newest = self.newest.max(position);
        self.held.push_back((self.newest, effect));
    }

    /// Whether nothing is held.
    pub(crate) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// How many are held.
    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }

    /// Moves out every effect that `committed` covers.
    pub(crate) fn release(&mut self, committed: Position, effects: &mut Vec<Effect>) {
        let first = self.held.front();
        if first.is_none_or(|(position, _)| *position > committed) {
            return;
        }
        let ready = self
            .held
            .partition_point(|(position, _)| *position <= committed);
        effects.extend(self.held.drain(..ready).map(|(_, effect)| effect));
    }

    /// Forgets everything: the member no longer leads.
    pub(crate) fn clear(&mut self) {
        self.held.clear();
        self.newest = Position::ZERO;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(outbox: &mut Outbox, committed: u64) -> Vec<u64> {
        let mut effects = Vec::new();
        outbox.release(Position(committed), &mut effects);
        effects
            .into_iter()
            .map(|effect| match effect {
                Effect::Truncate(position) => position.0,
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn nothing_leaves_before_its_position_is_committed_and_order_is_kept() {
        let mut outbox = Outbox::default();
        for (position, mark) in [(3, 1), (5, 2), (4, 3), (9, 4)] {
            outbox.hold(Position(position), Effect::Truncate(Position(mark)));
        }
        assert_eq!(drain(&mut outbox, 2), [0_u64; 0]);
        assert_eq!(drain(&mut outbox, 4), [1]);
        assert_eq!(drain(&mut outbox, 5), [2, 3]);
        assert_eq!(drain(&mut outbox, 100), [4]);
        assert!(outbox.is_empty());
    }
}

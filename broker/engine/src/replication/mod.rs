//! The two ends of a shard's replication, as methods of [`crate::shard::Engine`]: what the leader
//! does with its peer ([`leader`]), what the follower does ([`follower`]), and full copies between
//! any two members ([`copy`]). The common prefix of two logs is found here.

pub(crate) mod copy;
mod follower;
pub(crate) mod leader;

use relevo_protocol::identity::{EpochStart, Position};

/// The last position that two logs share, judged by where their epochs begin. Within one epoch one
/// leader wrote every record, so two logs that both hold a position of it hold the same record there.
pub(crate) fn common_end(
    mine: &[EpochStart],
    my_end: Position,
    theirs: &[EpochStart],
    their_end: Position,
) -> Position {
    for (index, start) in theirs.iter().enumerate().rev() {
        let Some(found) = mine.iter().position(|own| own == start) else {
            continue;
        };
        let end_of = |table: &[EpochStart], at: usize, end: Position| {
            table.get(at + 1).map_or(end, |next| next.first.previous())
        };
        return end_of(mine, found, my_end).min(end_of(theirs, index, their_end));
    }
    Position::ZERO
}

#[cfg(test)]
mod tests {
    use relevo_protocol::identity::Epoch;

    use super::*;

    fn table(starts: &[(u64, u32, u64)]) -> Vec<EpochStart> {
        starts
            .iter()
            .map(|&(term, sub, first)| EpochStart {
                epoch: Epoch { term, sub },
                first: Position(first),
            })
            .collect()
    }

    #[test]
    fn the_common_end_is_where_the_newest_shared_epoch_ends_in_the_shorter_log() {
        let check = |mine: &[_], my_end, theirs: &[_], their_end, expected| {
            let found = common_end(
                &table(mine),
                Position(my_end),
                &table(theirs),
                Position(their_end),
            );
            assert_eq!(found, Position(expected), "{mine:?} {theirs:?}");
        };
        check(&[(1, 1, 1)], 10, &[(1, 1, 1)], 7, 7);
        check(&[(1, 1, 1), (1, 2, 8)], 12, &[(1, 1, 1)], 9, 7);
        check(&[(1, 1, 1), (1, 2, 8)], 12, &[(1, 1, 1), (1, 2, 8)], 9, 9);
        check(&[(1, 1, 1), (1, 3, 8)], 12, &[(1, 1, 1), (1, 2, 6)], 9, 5);
        check(&[(1, 1, 1)], 4, &[(1, 1, 1), (1, 2, 6)], 9, 4);
        check(&[(1, 1, 1)], 4, &[], 0, 0);
        check(&[(2, 1, 1)], 4, &[(1, 1, 1)], 3, 0);
    }
}

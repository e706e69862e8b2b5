//! What two brokers agree on when they meet.

use std::fmt;

use crate::value::{InSync, Member, Members, Value};

/// What one member brings to a meeting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    /// Its configured name.
    pub name: String,
    /// Its store.
    pub store: [u8; 16],
    /// The value it holds; none on a new store.
    pub value: Option<Value>,
}

/// The outcome of a meeting, the same on both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meeting {
    /// Both make this value durable, tell each other, and work by it.
    Agree(Value),
    /// They must not work together.
    Refuse(Refusal),
}

/// Why two brokers must not work together. Nothing is changed; a person has to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Both have the same name.
    SameName,
    /// They belong to different clusters.
    OtherCluster,
    /// An operator has cut one of them off.
    OtherLineage,
    /// One is not a member of the other's cluster.
    Stranger,
    /// A store with data that the other one's cluster does not know.
    OtherStore,
    /// A shard's only complete copy was on the disk that is gone.
    NoCompleteCopy,
    /// Same version, different contents.
    Contradiction,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SameName => "both brokers have the same name; give each its own --name",
            Self::OtherCluster => {
                "the brokers belong to different clusters; check --peer, or empty the store of the one that is to join"
            }
            Self::OtherLineage => {
                "the other broker was cut off from this cluster; empty its store to let it join again"
            }
            Self::Stranger => {
                "the other broker is not a member of this cluster; check --name and --peer on both"
            }
            Self::OtherStore => {
                "the other broker came with a store that holds data of another time; give it its own store or an empty one"
            }
            Self::NoCompleteCopy => {
                "neither broker holds a complete copy of every shard; bring back the store that has it"
            }
            Self::Contradiction => {
                "the two registers contradict each other; a store was restored from an old copy or edited"
            }
        })
    }
}

/// What `one` and `other` agree on; the order of the two does not matter. `data_shards` is used only
/// when they form a new cluster.
#[must_use]
pub fn meet(one: &Seat, other: &Seat, data_shards: usize) -> Meeting {
    let (low, high) = if one.name <= other.name {
        (one, other)
    } else {
        (other, one)
    };
    if low.name == high.name {
        return Meeting::Refuse(Refusal::SameName);
    }
    match (&low.value, &high.value) {
        (None, None) => Meeting::Agree(form(low, high, data_shards)),
        (Some(value), None) => join(value, low, high),
        (None, Some(value)) => join(value, high, low),
        (Some(mine), Some(theirs)) => compare(mine, theirs, low, high),
    }
}

fn form(low: &Seat, high: &Seat, data_shards: usize) -> Value {
    let member = |seat: &Seat| Member {
        name: seat.name.clone(),
        store: seat.store,
    };
    Value::first(
        low.store,
        Members::Two([member(low), member(high)]),
        data_shards,
    )
}

/// `newcomer` has a new store; `holder` holds `value`.
fn join(value: &Value, holder: &Seat, newcomer: &Seat) -> Meeting {
    let Members::Two(pair) = &value.members else {
        return Meeting::Refuse(Refusal::Stranger);
    };
    let seat_of = |seat: &Seat| value.members.index_of(&seat.name);
    let (Some(holder_index), Some(newcomer_index)) = (seat_of(holder), seat_of(newcomer)) else {
        return Meeting::Refuse(Refusal::Stranger);
    };
    let store_of = |index: u8| pair.get(usize::from(index)).map(|member| member.store);
    if store_of(holder_index) != Some(holder.store) {
        return Meeting::Refuse(Refusal::OtherStore);
    }
    if store_of(newcomer_index) == Some(newcomer.store) {
        return Meeting::Agree(value.clone());
    }
    let lost = InSync::Only(newcomer_index);
    if value.shards.iter().any(|shard| shard.in_sync == lost) {
        return Meeting::Refuse(Refusal::NoCompleteCopy);
    }
    Meeting::Agree(value.with_replaced(newcomer_index, newcomer.store))
}

fn compare(mine: &Value, theirs: &Value, low: &Seat, high: &Seat) -> Meeting {
    if mine.cluster != theirs.cluster {
        return Meeting::Refuse(Refusal::OtherCluster);
    }
    if mine.lineage != theirs.lineage {
        return Meeting::Refuse(Refusal::OtherLineage);
    }
    if mine.version == theirs.version && mine != theirs {
        return Meeting::Refuse(Refusal::Contradiction);
    }
    let newest = if mine.version >= theirs.version {
        mine
    } else {
        theirs
    };
    for seat in [low, high] {
        let known = newest
            .members
            .as_slice()
            .iter()
            .find(|member| member.name == seat.name);
        match known {
            None => return Meeting::Refuse(Refusal::Stranger),
            Some(member) if member.store != seat.store => {
                return Meeting::Refuse(Refusal::OtherStore);
            }
            Some(_) => {}
        }
    }
    Meeting::Agree(newest.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seat(name: &str, byte: u8, value: Option<Value>) -> Seat {
        Seat {
            name: name.to_owned(),
            store: [byte; 16],
            value,
        }
    }

    fn formed() -> Value {
        let Meeting::Agree(value) = both_ways(&seat("a", 1, None), &seat("b", 2, None)) else {
            panic!("two new stores form a cluster");
        };
        value
    }

    fn both_ways(one: &Seat, other: &Seat) -> Meeting {
        let outcome = meet(one, other, 2);
        assert_eq!(outcome, meet(other, one, 2), "a meeting is symmetric");
        outcome
    }

    fn refused(one: &Seat, other: &Seat, why: Refusal) {
        assert_eq!(both_ways(one, other), Meeting::Refuse(why));
    }

    #[test]
    fn two_new_stores_form_a_cluster_with_all_copies_complete() {
        let value = formed();
        assert_eq!(value.version, 1);
        assert!(
            value
                .shards
                .iter()
                .all(|shard| shard.in_sync == InSync::All)
        );
    }

    #[test]
    fn a_member_that_crashed_before_keeping_the_first_value_takes_it_again() {
        let value = formed();
        let outcome = both_ways(&seat("a", 1, Some(value.clone())), &seat("b", 2, None));
        assert_eq!(outcome, Meeting::Agree(value));
    }

    #[test]
    fn a_wiped_member_is_taken_back_and_only_the_survivor_counts_as_complete() {
        let outcome = both_ways(&seat("a", 1, Some(formed())), &seat("b", 9, None));
        let Meeting::Agree(value) = outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!(value.version, 2);
        assert!(
            value
                .shards
                .iter()
                .all(|shard| shard.in_sync == InSync::Only(0))
        );
        assert_eq!(value.members.as_slice()[1].store, [9; 16]);
    }

    #[test]
    fn the_newer_value_wins() {
        let old = formed();
        let new = old.with_complete(1);
        let outcome = both_ways(&seat("a", 1, Some(old)), &seat("b", 2, Some(new.clone())));
        assert_eq!(outcome, Meeting::Agree(new));
    }

    #[test]
    fn whoever_lost_the_only_complete_copy_is_not_taken_back() {
        let taking = formed().with_replaced(1, [9; 16]);
        refused(
            &seat("b", 9, Some(taking)),
            &seat("a", 5, None),
            Refusal::NoCompleteCopy,
        );
    }

    #[test]
    fn strangers_other_clusters_and_other_stores_are_refused() {
        let value = formed();
        let a = seat("a", 1, Some(value.clone()));
        refused(&a, &seat("a", 2, None), Refusal::SameName);
        refused(&a, &seat("c", 3, None), Refusal::Stranger);
        refused(&a, &seat("b", 9, Some(value.clone())), Refusal::OtherStore);
        let mut other = value.clone();
        other.cluster = [8; 16];
        refused(&a, &seat("b", 2, Some(other)), Refusal::OtherCluster);
        let mut other = value.clone();
        other.lineage = 2;
        refused(&a, &seat("b", 2, Some(other)), Refusal::OtherLineage);
        let mut other = value;
        other.feature_level = 2;
        refused(&a, &seat("b", 2, Some(other)), Refusal::Contradiction);
    }
}

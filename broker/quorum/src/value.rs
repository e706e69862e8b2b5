//! The register's value and its bytes.

use std::fmt;

/// Longest encoded value, in bytes.
pub const VALUE_LEN_MAX: usize = 4000;
/// Most shards, the directory included.
pub const SHARDS_MAX: usize = 17;
/// Longest member name, in bytes.
const NAME_LEN_MAX: usize = 32;
const FORMAT: u8 = 1;

/// Who belongs to the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Members {
    /// One broker without a peer.
    One(Member),
    /// A pair, ordered by name.
    Two([Member; 2]),
}

/// A member and the disk it was seen with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its configured name.
    pub name: String,
    /// Its store; another one means that the disk was lost or replaced.
    pub store: [u8; 16],
}

/// Which members' copies of a shard are complete. An acknowledgement waits for all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InSync {
    /// Every member's.
    All,
    /// Only that of the member with this index.
    Only(u8),
}

/// One shard's part of the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardEntry {
    /// The leader's term.
    pub term: u64,
    /// Index of the leader among the members.
    pub leader: u8,
    /// Whose copies are complete.
    pub in_sync: InSync,
}

/// The register's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// The cluster's identity, fixed when it is formed.
    pub cluster: [u8; 16],
    /// Raised only by an operator who accepts a loss.
    pub lineage: u32,
    /// Raised by every change; of two values the higher one is newer.
    pub version: u64,
    /// What all members' software can do; 1 is the first.
    pub feature_level: u16,
    /// Who belongs to it.
    pub members: Members,
    /// One entry a shard; 0 is the directory.
    pub shards: Vec<ShardEntry>,
}

/// Why bytes are no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueError {
    /// They end too early.
    Short,
    /// They go on after the end.
    Trailing,
    /// Written by a version that this one does not know.
    Format(u8),
    /// A field is outside its range.
    Invalid(&'static str),
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => f.write_str("the register value ends too early"),
            Self::Trailing => f.write_str("the register value goes on after its end"),
            Self::Format(format) => {
                write!(
                    f,
                    "the register value has format {format}, this version knows {FORMAT}"
                )
            }
            Self::Invalid(what) => write!(f, "the register value's {what} is out of range"),
        }
    }
}

impl std::error::Error for ValueError {}

impl Members {
    /// All of them, by index.
    #[must_use]
    pub fn as_slice(&self) -> &[Member] {
        match self {
            Self::One(member) => std::slice::from_ref(member),
            Self::Two(pair) => pair,
        }
    }

    /// The index of the member with this name.
    #[must_use]
    pub fn index_of(&self, name: &str) -> Option<u8> {
        let index = self
            .as_slice()
            .iter()
            .position(|member| member.name == name)?;
        u8::try_from(index).ok()
    }
}

impl Value {
    /// The first value of a cluster: the directory and every second data shard are led by the first
    /// member, the others by the second. `data_shards` is 1 to 16; a higher count is cut to 16.
    #[must_use]
    pub fn first(cluster: [u8; 16], members: Members, data_shards: usize) -> Self {
        let count = members.as_slice().len().max(1);
        let shards = (0..=data_shards.clamp(1, SHARDS_MAX - 1))
            .map(|shard| ShardEntry {
                term: 1,
                leader: u8::try_from(shard.saturating_sub(1) % count).unwrap_or(0),
                in_sync: InSync::All,
            })
            .collect();
        Self {
            cluster,
            lineage: 1,
            version: 1,
            feature_level: 1,
            members,
            shards,
        }
    }

    /// The value after the member `index` came back with an empty disk: only the other one's copies
    /// are complete.
    #[must_use]
    pub fn with_replaced(&self, index: u8, store: [u8; 16]) -> Self {
        let mut next = self.clone();
        next.version = self.version.saturating_add(1);
        if let Members::Two(pair) = &mut next.members
            && let Some(member) = pair.get_mut(usize::from(index))
        {
            member.store = store;
            let survivor = 1 - index.min(1);
            for shard in &mut next.shards {
                shard.in_sync = InSync::Only(survivor);
            }
        }
        next
    }

    /// The value after every member's copy of `shard` is complete again.
    #[must_use]
    pub fn with_complete(&self, shard: usize) -> Self {
        let mut next = self.clone();
        next.version = self.version.saturating_add(1);
        if let Some(entry) = next.shards.get_mut(shard) {
            entry.in_sync = InSync::All;
        }
        next
    }

    /// The bytes of the value, at most [`VALUE_LEN_MAX`].
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![FORMAT];
        out.extend_from_slice(&self.cluster);
        out.extend_from_slice(&self.lineage.to_le_bytes());
        out.extend_from_slice(&self.version.to_le_bytes());
        out.extend_from_slice(&self.feature_level.to_le_bytes());
        let members = self.members.as_slice();
        out.push(u8::try_from(members.len()).unwrap_or(u8::MAX));
        for member in members {
            out.push(u8::try_from(member.name.len()).unwrap_or(u8::MAX));
            out.extend_from_slice(member.name.as_bytes());
            out.extend_from_slice(&member.store);
        }
        out.push(u8::try_from(self.shards.len()).unwrap_or(u8::MAX));
        for shard in &self.shards {
            out.extend_from_slice(&shard.term.to_le_bytes());
            out.push(shard.leader);
            out.push(match shard.in_sync {
                InSync::All => u8::MAX,
                InSync::Only(index) => index,
            });
        }
        out
    }

    /// Reads a value.
    ///
    /// # Errors
    /// [`ValueError`] when the bytes are none.
    pub fn decode(bytes: &[u8]) -> Result<Self, ValueError> {
        let mut rest = bytes;
        let [format] = take(&mut rest)?;
        if format != FORMAT {
            return Err(ValueError::Format(format));
        }
        let cluster = take(&mut rest)?;
        let lineage = u32::from_le_bytes(take(&mut rest)?);
        let version = u64::from_le_bytes(take(&mut rest)?);
        let feature_level = u16::from_le_bytes(take(&mut rest)?);
        let [member_count] = take(&mut rest)?;
        let members = match member_count {
            1 => Members::One(take_member(&mut rest)?),
            2 => Members::Two([take_member(&mut rest)?, take_member(&mut rest)?]),
            _ => return Err(ValueError::Invalid("member count")),
        };
        let [shard_count] = take(&mut rest)?;
        if shard_count == 0 || usize::from(shard_count) > SHARDS_MAX {
            return Err(ValueError::Invalid("shard count"));
        }
        let shards = (0..shard_count)
            .map(|_| take_shard(&mut rest, member_count))
            .collect::<Result<_, _>>()?;
        if !rest.is_empty() {
            return Err(ValueError::Trailing);
        }
        Ok(Self {
            cluster,
            lineage,
            version,
            feature_level,
            members,
            shards,
        })
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], ValueError> {
    let (taken, left) = rest.split_first_chunk::<N>().ok_or(ValueError::Short)?;
    *rest = left;
    Ok(*taken)
}

fn take_member(rest: &mut &[u8]) -> Result<Member, ValueError> {
    let [len] = take(rest)?;
    if len == 0 || usize::from(len) > NAME_LEN_MAX {
        return Err(ValueError::Invalid("member name length"));
    }
    let (name, left) = rest
        .split_at_checked(usize::from(len))
        .ok_or(ValueError::Short)?;
    *rest = left;
    let name = std::str::from_utf8(name).map_err(|_| ValueError::Invalid("member name"))?;
    Ok(Member {
        name: name.to_owned(),
        store: take(rest)?,
    })
}

fn take_shard(rest: &mut &[u8], member_count: u8) -> Result<ShardEntry, ValueError> {
    let term = u64::from_le_bytes(take(rest)?);
    let [leader, in_sync] = take(rest)?;
    if leader >= member_count {
        return Err(ValueError::Invalid("leader"));
    }
    let in_sync = match in_sync {
        u8::MAX => InSync::All,
        index if index < member_count => InSync::Only(index),
        _ => return Err(ValueError::Invalid("in-sync set")),
    };
    Ok(ShardEntry {
        term,
        leader,
        in_sync,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> Value {
        let member = |name: &str, byte| Member {
            name: name.to_owned(),
            store: [byte; 16],
        };
        Value::first([7; 16], Members::Two([member("a", 1), member("b", 2)]), 2)
    }

    #[test]
    fn the_directory_and_one_data_shard_are_led_by_a_the_other_by_b() {
        let leaders: Vec<u8> = pair().shards.iter().map(|shard| shard.leader).collect();
        assert_eq!(leaders, [0, 0, 1]);
    }

    #[test]
    fn values_survive_their_bytes() {
        for value in [
            pair(),
            pair().with_replaced(1, [9; 16]),
            pair().with_complete(2),
        ] {
            assert_eq!(Value::decode(&value.encode()), Ok(value));
        }
    }

    #[test]
    fn every_cut_and_every_extra_byte_is_refused() {
        let bytes = pair().encode();
        assert!(bytes.len() <= VALUE_LEN_MAX);
        for cut in 1..bytes.len() {
            assert!(Value::decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        let mut longer = bytes;
        longer.push(0);
        assert_eq!(Value::decode(&longer), Err(ValueError::Trailing));
    }

    #[test]
    fn the_first_value_has_these_bytes() {
        let mut expected = vec![1];
        expected.extend([7; 16]);
        expected.extend([1, 0, 0, 0]);
        expected.extend([1, 0, 0, 0, 0, 0, 0, 0]);
        expected.extend([1, 0, 2, 1, b'a']);
        expected.extend([1; 16]);
        expected.extend([1, b'b']);
        expected.extend([2; 16]);
        expected.push(3);
        for leader in [0, 0, 1] {
            expected.extend([1, 0, 0, 0, 0, 0, 0, 0, leader, 255]);
        }
        assert_eq!(pair().encode(), expected);
    }
}

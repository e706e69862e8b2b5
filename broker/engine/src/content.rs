//! What a shard's log builds up: the directory in shard 0, streams everywhere else.

use bytes::Bytes;
use relevo_protocol::identity::{Position, ShardId};
use relevo_protocol::mutation::Mutation;
use relevo_protocol::wire::DecodeError;

use crate::directory::Directory;
use crate::input::{DirectoryChange, Now};
use crate::shard::EngineConfig;
use crate::streams::Streams;

/// The state of one shard.
#[derive(Debug)]
pub(crate) enum Content {
    /// Shard 0.
    Directory(Directory),
    /// A data shard.
    Streams(Box<Streams>),
}

/// The log says something that cannot follow from what it said before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Contradiction;

impl Content {
    /// The state before the first record.
    pub(crate) fn empty(config: &EngineConfig) -> Self {
        if config.shard == ShardId::DIRECTORY {
            Self::Directory(Directory::new(config.data_shards))
        } else {
            Self::Streams(Box::new(Streams::new(config.shard, config.member.clone())))
        }
    }

    /// The state that `bytes` describe.
    pub(crate) fn restore(config: &EngineConfig, bytes: Bytes) -> Result<Self, DecodeError> {
        if config.shard == ShardId::DIRECTORY {
            Directory::restore(config.data_shards, bytes).map(Self::Directory)
        } else {
            let streams = Streams::restore(config.shard, config.member.clone(), bytes)?;
            Ok(Self::Streams(Box::new(streams)))
        }
    }

    /// The bytes that [`Self::restore`] reads; equal states have equal bytes.
    pub(crate) fn snapshot(&self) -> Bytes {
        match self {
            Self::Directory(directory) => directory.snapshot(),
            Self::Streams(streams) => streams.snapshot(),
        }
    }

    /// Applies one decision; `now` is given where it was decided just now.
    pub(crate) fn apply(
        &mut self,
        position: Position,
        mutation: &Mutation,
        now: Option<Now>,
    ) -> Result<Option<DirectoryChange>, Contradiction> {
        match self {
            Self::Directory(directory) => directory.apply(mutation),
            Self::Streams(streams) => match streams.apply(position, mutation, now) {
                Ok(()) => Ok(None),
                Err(_) => Err(Contradiction),
            },
        }
    }

    /// Per stream the lowest sequence that is alive.
    pub(crate) fn live_from(&self) -> Vec<(u64, u64)> {
        match self {
            Self::Directory(_) => Vec::new(),
            Self::Streams(streams) => streams.live_from(),
        }
    }

    /// Whether a stored message is alive.
    pub(crate) fn is_live(&self, group: u64, key: u64) -> bool {
        match self {
            Self::Directory(_) => false,
            Self::Streams(streams) => streams.is_live(group, key),
        }
    }

    /// The whole directory as changes; nothing in a data shard.
    pub(crate) fn view(&self) -> Vec<DirectoryChange> {
        match self {
            Self::Directory(directory) => directory.view(),
            Self::Streams(_) => Vec::new(),
        }
    }
}

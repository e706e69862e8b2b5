//! Opening a shard: its log, and its engine with everything that the log says.

use std::fmt;
use std::sync::Arc;

use relevo_engine::shard::{Engine, EngineConfig, OpenError, Recovered};
use relevo_protocol::identity::{Position, ShardId};
use relevo_store::error::LogError;
use relevo_store::log::{Log, LogOptions};
use relevo_store::real_disk::RealDisk;

use super::entry::to_record;
use crate::random;

/// Bytes of records read at a time.
const REPLAY_BYTES: usize = 4 * 1024 * 1024;

/// A shard as its disk holds it.
#[derive(Debug)]
pub(crate) struct OpenedShard {
    pub(crate) shard: ShardId,
    pub(crate) log: Log<RealDisk>,
    pub(crate) engine: Engine,
}

/// Why a shard cannot be opened.
#[derive(Debug)]
pub enum ShardError {
    /// Its files.
    Log(LogError),
    /// What they say.
    Engine(OpenError),
}

/// Opens a shard: its log, and its engine with everything that the log says. Reads the whole log.
///
/// # Errors
/// [`ShardError`] when the files or what they say cannot be relied on; nothing is changed then.
pub(crate) fn open_shard(
    disk: Arc<RealDisk>,
    options: LogOptions,
    config: EngineConfig,
) -> Result<OpenedShard, ShardError> {
    let shard = config.shard;
    let directory = format!("shard-{shard}");
    let (mut log, recovery) =
        Log::open(disk, &directory, options, random::bytes()).map_err(ShardError::Log)?;
    if recovery.torn_bytes > 0 {
        tracing::warn!(%shard, bytes = recovery.torn_bytes, "removed a torn write; it was never acknowledged");
    }
    for position in &recovery.damaged_snapshots {
        tracing::warn!(%shard, position, "passed over a damaged snapshot");
    }
    let snapshot = recovery
        .snapshot
        .map(|(position, bytes)| (Position(position), bytes));
    let covered = snapshot
        .as_ref()
        .map_or(Position::ZERO, |(position, _)| *position);
    let end = recovery
        .end
        .map_or(Position::ZERO, |end| Position(end.position));
    let recovered = Recovered {
        snapshot,
        end,
        committed: Position(recovery.committed),
        contiguous_from: Position(log.contiguous_from()),
    };
    let mut engine = Engine::open(config, recovered).map_err(ShardError::Engine)?;
    let mut next = covered.next();
    while next <= end {
        let entries = log.scan(next.0, REPLAY_BYTES).map_err(ShardError::Log)?;
        let Some(last) = entries.last() else { break };
        next = Position(last.position).next();
        let records = entries.into_iter().map(to_record).collect();
        engine.replay(records).map_err(ShardError::Engine)?;
    }
    tracing::info!(%shard, end = %end, snapshot = %covered, "shard opened");
    Ok(OpenedShard { shard, log, engine })
}

impl fmt::Display for ShardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log(error) => error.fmt(f),
            Self::Engine(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ShardError {}

//! One broker of the simulation: its engines, logs and link end, and what the server crate would do
//! between them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use relevo_engine::input::{Effect, Input, Now};
use relevo_engine::link::LinkEnd;
use relevo_engine::route::DirectoryView;
use relevo_engine::shard::{Engine, EngineConfig, Recovered};
use relevo_protocol::identity::{Epoch, Position, ShardId, StoreId};
use relevo_protocol::name::MemberName;
use relevo_protocol::record::Record;
use relevo_quorum::Value;
use relevo_store::entry::{Entry, EntryId};
use relevo_store::error::LogError;
use relevo_store::log::{Log, LogIdentity, LogOptions};
use relevo_store::seal::Keyring;
use relevo_store::sim_disk::SimDisk;
use relevo_store::store_meta::StoreMeta;
use relevo_store::two_slot::TwoSlot;

/// Shards of the simulated cluster, the directory included.
pub(super) const SHARDS: usize = 3;
/// Small segments, so that a run crosses many.
const SEGMENT_LEN: u64 = 24 * 1024;
/// Snapshots often enough that a run has many, and segments are freed.
const SNAPSHOT_EVERY_BYTES: usize = 100 * 1024;
/// Bytes of log read at a time when a node starts.
const REPLAY_LEN: usize = 64 * 1024;

/// A running broker.
pub(super) struct Node {
    pub(super) boot: u64,
    pub(super) link: LinkEnd,
    pub(super) register: TwoSlot<SimDisk>,
    pub(super) registers_due: VecDeque<Vec<u8>>,
    pub(super) shards: Vec<Shard>,
    pub(super) view: DirectoryView,
}

/// One shard of a running broker.
pub(super) struct Shard {
    pub(super) engine: Engine,
    pub(super) log: Log<SimDisk>,
    pub(super) mailbox: VecDeque<Input>,
    pub(super) log_queue: VecDeque<Effect>,
    /// Written, not synced: the position to report once it is.
    pub(super) written: Option<Position>,
    /// A log event is on its way.
    pub(super) log_busy: bool,
    /// Where each group's first record lies, as far as this process has seen it.
    group_first: BTreeMap<u64, u64>,
    /// Segments removed and not counted.
    pub(super) segments_freed: u64,
}

/// What a node is made with.
pub(super) struct Origin<'a> {
    pub(super) name: &'a str,
    pub(super) boot: u64,
    pub(super) disk: &'a Arc<SimDisk>,
    pub(super) keyring: Option<Arc<Keyring>>,
    pub(super) random: &'a mut fastrand::Rng,
}

impl Node {
    /// Starts a broker on its disk, as a process would.
    pub(super) fn start(origin: Origin<'_>) -> Result<Self, String> {
        let Origin {
            name,
            boot,
            disk,
            keyring,
            random,
        } = origin;
        let member = MemberName::parse(name).map_err(|error| error.to_string())?;
        let mut id = [0; 16];
        random.fill(&mut id);
        let meta = StoreMeta::open_or_create(disk.clone(), keyring.as_deref(), id)
            .map_err(|error| format!("open store: {error}"))?;
        let register = TwoSlot::open(disk.clone(), "register", keyring.as_deref())
            .map_err(|error| format!("open register: {error}"))?;
        let value = register
            .load()
            .map(|bytes| Value::decode(&bytes))
            .transpose()
            .map_err(|error| format!("read register: {error}"))?;
        let link = LinkEnd::new(
            member.clone(),
            StoreId(meta.store_id),
            boot,
            SHARDS - 1,
            value,
        );
        let shards = (0..SHARDS)
            .map(|shard| {
                Shard::open(shard, &member, disk, keyring.clone(), random)
                    .map_err(|error| format!("open shard {shard}: {error}"))
            })
            .collect::<Result<_, _>>()?;
        let view = DirectoryView::new(boot);
        Ok(Self {
            boot,
            link,
            register,
            registers_due: VecDeque::new(),
            shards,
            view,
        })
    }
}

impl Shard {
    fn open(
        shard: usize,
        member: &MemberName,
        disk: &Arc<SimDisk>,
        seal: Option<Arc<Keyring>>,
        random: &mut fastrand::Rng,
    ) -> Result<Self, String> {
        let number = u16::try_from(shard).unwrap_or(0);
        let mut entropy = [0; 32];
        random.fill(&mut entropy);
        let identity = LogIdentity {
            cluster: [0; 16],
            shard: u32::from(number),
        };
        let options = LogOptions {
            segment_len: SEGMENT_LEN,
            seal,
            ..LogOptions::new(identity)
        };
        let (mut log, recovery) =
            Log::open(disk.clone(), &format!("shard-{shard}"), options, entropy)
                .map_err(|error| error.to_string())?;
        let after = recovery
            .snapshot
            .as_ref()
            .map_or(0, |(position, _)| *position);
        let end = recovery.end.as_ref().map_or(after, |end| end.position);
        let config = EngineConfig {
            shard: ShardId(number),
            member: member.clone(),
            data_shards: 2,
            snapshot_every_bytes: SNAPSHOT_EVERY_BYTES,
        };
        let recovered = Recovered {
            snapshot: recovery
                .snapshot
                .map(|(position, bytes)| (Position(position), bytes)),
            end: Position(end),
            committed: Position(recovery.committed),
            contiguous_from: Position(log.contiguous_from()),
        };
        let mut engine = Engine::open(config, recovered).map_err(|error| error.to_string())?;
        let mut group_first = BTreeMap::new();
        let mut from = after + 1;
        while from <= end {
            let entries = log
                .scan(from, REPLAY_LEN)
                .map_err(|error| error.to_string())?;
            let Some(last) = entries.last() else { break };
            from = last.position + 1;
            for entry in &entries {
                group_first.entry(entry.group).or_insert(entry.position);
            }
            engine
                .replay(entries.into_iter().map(record_of).collect())
                .map_err(|error| error.to_string())?;
        }
        Ok(Self {
            engine,
            log,
            mailbox: VecDeque::new(),
            log_queue: VecDeque::new(),
            written: None,
            log_busy: false,
            group_first,
            segments_freed: 0,
        })
    }

    /// Takes everything in the mailbox as one batch.
    pub(super) fn run(&mut self, now: Now) -> Vec<Effect> {
        let mut effects = Vec::new();
        for input in std::mem::take(&mut self.mailbox) {
            self.engine.handle(now, input, &mut effects);
        }
        self.engine.finish_batch(&mut effects);
        effects
    }

    /// One step of the log: sync what was written, else do the next thing in the queue. Consecutive
    /// records are written together.
    pub(super) fn log_step(&mut self) -> Result<Vec<Input>, String> {
        if let Some(position) = self.written.take() {
            let durable = self.log.sync().map_err(|error| format!("sync: {error}"))?;
            if durable < position.0 {
                return Err(format!("synced {durable}, written {position}"));
            }
            return Ok(vec![Input::Durable(position)]);
        }
        let Some(effect) = self.log_queue.pop_front() else {
            return Ok(Vec::new());
        };
        let fail = |error: LogError| error.to_string();
        Ok(match effect {
            Effect::Append { record, committed } => {
                let mut entries = vec![entry_of(&record)];
                let (mut last, mut newest) = (record.position, committed);
                while let Some(Effect::Append { .. }) = self.log_queue.front() {
                    if let Some(Effect::Append { record, committed }) = self.log_queue.pop_front() {
                        last = record.position;
                        newest = newest.max(committed);
                        entries.push(entry_of(&record));
                    }
                }
                for entry in &entries {
                    self.group_first
                        .entry(entry.group)
                        .or_insert(entry.position);
                }
                self.log.append(&entries, newest.0).map_err(fail)?;
                self.written = Some(last);
                Vec::new()
            }
            Effect::Truncate(position) => {
                self.log.truncate_after(position.0).map_err(fail)?;
                vec![Input::Truncated]
            }
            Effect::ReadLog { from, max_bytes } => {
                let entries = self.log.scan(from.0, max_bytes).map_err(fail)?;
                let records = entries.into_iter().map(record_of).collect();
                vec![Input::LogRead { from, records }]
            }
            Effect::ReadMessage { ticket, group, key } => {
                let record = self.log.read(group, key).map_err(fail)?.map(record_of);
                vec![Input::MessageRead { ticket, record }]
            }
            Effect::SaveSnapshot {
                position,
                state,
                live,
            } => {
                self.log.save_snapshot(position.0, &state).map_err(fail)?;
                let groups: Vec<u64> = self.log.groups().collect();
                for group in groups {
                    // A stream that began after the snapshot is not in its list, and alive.
                    if self
                        .group_first
                        .get(&group)
                        .is_some_and(|first| *first > position.0)
                    {
                        continue;
                    }
                    let first = live.iter().find(|(alive, _)| *alive == group);
                    self.log
                        .trim(group, first.map_or(u64::MAX, |(_, first)| *first));
                }
                self.segments_freed += self.log.reclaim().map_err(fail)?.segments;
                vec![Input::SnapshotSaved(position)]
            }
            Effect::Trim { group, first } => {
                self.log.trim(group, first);
                Vec::new()
            }
            Effect::StageBegin {
                position,
                epoch,
                chain,
                state,
            } => {
                let end = EntryId {
                    position: position.0,
                    epoch: epoch.term,
                    sub: epoch.sub,
                    chain,
                };
                self.log
                    .stage_begin(position.0, &state, end)
                    .map_err(fail)?;
                vec![Input::StageWritten]
            }
            Effect::StageRecords(records) => {
                let entries: Vec<Entry> = records.iter().map(entry_of).collect();
                self.log.stage_append(&entries).map_err(fail)?;
                vec![Input::StageWritten]
            }
            Effect::StageCommit => {
                self.log.stage_commit().map_err(fail)?;
                vec![Input::Staged]
            }
            Effect::StageAbort => {
                self.log.stage_abort();
                Vec::new()
            }
            Effect::ToPeer(_)
            | Effect::Send { .. }
            | Effect::ToShard { .. }
            | Effect::Directory(_)
            | Effect::PeerComplete
            | Effect::Fact(_) => return Err("not an effect for the log".to_owned()),
        })
    }
}

/// A record as the store keeps it.
fn entry_of(record: &Record) -> Entry {
    Entry {
        position: record.position.0,
        epoch: record.epoch.term,
        sub: record.epoch.sub,
        chain: record.chain,
        group: record.group,
        key: record.key,
        body: record.body.clone(),
    }
}

/// What the store keeps as a record.
pub(super) fn record_of(entry: Entry) -> Record {
    Record {
        position: Position(entry.position),
        epoch: Epoch {
            term: entry.epoch,
            sub: entry.sub,
        },
        chain: entry.chain,
        group: entry.group,
        key: entry.key,
        body: entry.body,
    }
}

//! One shard's log, owned by a thread that does nothing else.
//!
//! The thread takes everything that is queued, writes it, and syncs once: the busier the shard, the
//! more records share a sync. When nothing is queued it prepares room for what comes. A full disk
//! holds up what writes, in order, until there is room; reads go on. Any other fault ends the
//! process: after a failed sync nobody knows what the disk holds.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use relevo_engine::input::Input;
use relevo_protocol::identity::{Epoch, Position, ShardId};
use relevo_protocol::record::Record;
use relevo_store::entry::{Entry, EntryId};
use relevo_store::error::LogError;
use relevo_store::log::Log;
use relevo_store::real_disk::RealDisk;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::counters;
use crate::fatal;
use crate::router::publisher::Exchange;

use super::entry::{to_entry, to_record};

/// Batches of jobs that wait for the thread; one an iteration of the shard's task.
const JOB_BATCHES_MAX: usize = 16;
/// Batches of answers that wait for the task. The task takes all of them before it queues a batch of
/// jobs, so there are never more than batches of jobs, those under way and the periodic ones.
const ANSWER_BATCHES_MAX: usize = 4 * JOB_BATCHES_MAX;
/// How often room of dead messages is given back at most.
const RECLAIM_INTERVAL: Duration = Duration::from_secs(1);
/// How often a full disk is tried again.
const FULL_RETRY: Duration = Duration::from_millis(500);

/// Something for the log to do.
#[derive(Debug)]
pub(crate) enum LogJob {
    /// Write a record; answered by [`Input::Durable`].
    Append {
        /// The record.
        record: Record,
        /// The commit point known then.
        committed: Position,
    },
    /// Drop what lies above; answered by [`Input::Truncated`].
    Truncate(Position),
    /// Read records; answered by [`Input::LogRead`].
    Read {
        /// From here on.
        from: Position,
        /// So many bytes.
        max_bytes: usize,
    },
    /// Read one message; answered by [`Input::MessageRead`].
    ReadMessage {
        /// Echoed.
        ticket: u64,
        /// The stream.
        group: u64,
        /// The sequence.
        key: u64,
    },
    /// Keep a snapshot; answered by [`Input::SnapshotSaved`].
    SaveSnapshot {
        /// What it covers.
        position: Position,
        /// Its bytes.
        state: Bytes,
        /// What is alive at that position.
        live: Vec<(u64, u64)>,
    },
    /// Messages are dead.
    Trim {
        /// The stream.
        group: u64,
        /// The lowest sequence alive.
        first: u64,
    },
    /// Begin a copy; answered by [`Input::StageWritten`].
    StageBegin {
        /// What its state covers.
        position: Position,
        /// Epoch there.
        epoch: Epoch,
        /// Chain there.
        chain: u32,
        /// Its state.
        state: Bytes,
    },
    /// Add to the copy; answered by [`Input::StageWritten`].
    StageRecords(Vec<Record>),
    /// Put the copy in its place; answered by [`Input::Staged`].
    StageCommit,
    /// Give the copy up.
    StageAbort,
}

/// The shard task's end of the queues to its log thread.
#[derive(Debug)]
pub(crate) struct LogHandle {
    jobs: mpsc::Sender<Vec<LogJob>>,
    answers: mpsc::Receiver<Vec<Input>>,
}

/// The log and what its thread remembers.
struct LogThread {
    shard: ShardId,
    log: Log<RealDisk>,
    exchange: Arc<Exchange>,
    /// Jobs that write, held up by a full disk, in order.
    held: VecDeque<LogJob>,
    /// The disk is full, and the engine knows.
    full: bool,
    /// Streams with messages in the log, with the first position that this process wrote of each; 0
    /// for those that were there before.
    known_groups: BTreeMap<u64, u64>,
    /// Something was trimmed since room was last given back.
    reclaim_due: bool,
    reclaimed_at: Instant,
    answers: Vec<Input>,
}

/// What became of a job that writes.
enum Written {
    Done,
    /// The disk is full; the job is to be tried again.
    Full(LogJob),
}

impl LogHandle {
    /// Queues jobs, after taking no answers away from [`Self::answers`]; false when the thread is
    /// gone.
    pub(crate) async fn send(&self, jobs: Vec<LogJob>) -> bool {
        self.jobs.send(jobs).await.is_ok()
    }

    /// Waits for answers; nothing when the thread is gone.
    pub(crate) async fn answers(&mut self) -> Option<Vec<Input>> {
        self.answers.recv().await
    }

    /// Answers that are there.
    pub(crate) fn try_answers(&mut self) -> Option<Vec<Input>> {
        self.answers.try_recv().ok()
    }
}

/// Starts a shard's log thread; it ends when its handle is dropped, after everything queued is
/// written.
///
/// # Errors
/// When the system has no thread to give.
pub(crate) fn start_thread(
    shard: ShardId,
    log: Log<RealDisk>,
    exchange: Arc<Exchange>,
) -> std::io::Result<(LogHandle, thread::JoinHandle<()>)> {
    let (jobs, job_queue) = mpsc::channel(JOB_BATCHES_MAX);
    let (answer_queue, answers) = mpsc::channel(ANSWER_BATCHES_MAX);
    let runtime = Handle::current();
    let known_groups = log.groups().map(|group| (group, 0)).collect();
    let thread = LogThread {
        shard,
        log,
        exchange,
        held: VecDeque::new(),
        full: false,
        known_groups,
        reclaim_due: true,
        reclaimed_at: Instant::now(),
        answers: Vec::new(),
    };
    let handle = thread::Builder::new()
        .name(format!("log-{shard}"))
        .spawn(move || {
            fatal::run_guarded("log thread", || {
                thread.run(&runtime, job_queue, &answer_queue)
            });
        })?;
    Ok((LogHandle { jobs, answers }, handle))
}

impl LogThread {
    fn run(
        mut self,
        runtime: &Handle,
        mut jobs: mpsc::Receiver<Vec<LogJob>>,
        answers: &mpsc::Sender<Vec<Input>>,
    ) {
        loop {
            let Some(batch) = self.next_batch(runtime, &mut jobs) else {
                return;
            };
            self.carry_out(batch, answers);
        }
    }

    /// All that is queued; does work ahead while nothing is. Nothing when the shard's task is gone.
    fn next_batch(
        &mut self,
        runtime: &Handle,
        jobs: &mut mpsc::Receiver<Vec<LogJob>>,
    ) -> Option<Vec<LogJob>> {
        let mut batch = Vec::new();
        loop {
            match jobs.try_recv() {
                Ok(more) => batch.extend(more),
                Err(mpsc::error::TryRecvError::Disconnected) if batch.is_empty() => return None,
                Err(_) if !batch.is_empty() => return Some(batch),
                Err(_) if self.full => return wait(runtime, jobs, FULL_RETRY),
                Err(_) if self.works_ahead() => {}
                Err(_) if self.reclaim_due => return wait(runtime, jobs, RECLAIM_INTERVAL),
                Err(_) => batch.extend(jobs.blocking_recv()?),
            }
        }
    }

    /// One step of work ahead; whether there may be more.
    fn works_ahead(&mut self) -> bool {
        if self
            .log
            .prepare()
            .unwrap_or_else(|error| self.die("prepare log", &error))
        {
            return true;
        }
        if self.reclaim_due && self.reclaimed_at.elapsed() >= RECLAIM_INTERVAL {
            self.reclaim_due = false;
            self.reclaimed_at = Instant::now();
            let reclaimed = self
                .log
                .reclaim()
                .unwrap_or_else(|error| self.die("reclaim log", &error));
            if reclaimed.segments > 0 {
                tracing::info!(
                    shard = %self.shard, segments = reclaimed.segments, bytes = reclaimed.bytes,
                    "gave back dead segments"
                );
            }
            return true;
        }
        false
    }

    fn carry_out(&mut self, batch: Vec<LogJob>, answers: &mpsc::Sender<Vec<Input>>) {
        let mut reads = Vec::new();
        for job in batch {
            match job {
                LogJob::Read { .. } | LogJob::ReadMessage { .. } => reads.push(job),
                LogJob::Trim { group, first } => {
                    self.log.trim(group, first);
                    self.reclaim_due = true;
                }
                LogJob::Append { .. }
                | LogJob::Truncate(_)
                | LogJob::SaveSnapshot { .. }
                | LogJob::StageBegin { .. }
                | LogJob::StageRecords(_)
                | LogJob::StageCommit
                | LogJob::StageAbort => self.held.push_back(job),
            }
        }
        self.write(answers);
        self.sync();
        self.answer(answers);
        for job in reads {
            self.read(job);
        }
        self.answer(answers);
    }

    /// Does the jobs that write, in their order, until the disk is full.
    fn write(&mut self, answers: &mpsc::Sender<Vec<Input>>) {
        loop {
            if matches!(self.held.front(), Some(LogJob::Append { .. })) {
                if !self.append() {
                    return;
                }
                continue;
            }
            let Some(job) = self.held.pop_front() else {
                self.full = false;
                return;
            };
            // These end what was appended before them, whose answers are not held up.
            self.sync();
            self.answer(answers);
            if let Written::Full(job) = self.change(job) {
                self.held.push_front(job);
                self.full = true;
                return;
            }
        }
    }

    /// Writes the appends at the front together; false when the disk is full.
    fn append(&mut self) -> bool {
        let mut entries = Vec::new();
        let mut hint = Position::ZERO;
        while let Some(LogJob::Append { record, committed }) = self
            .held
            .pop_front_if(|job| matches!(job, LogJob::Append { .. }))
        {
            hint = hint.max(committed);
            entries.push(to_entry(record));
        }
        match self.log.append(&entries, hint.0) {
            Ok(()) => {
                for entry in entries.iter().filter(|entry| entry.group != 0) {
                    self.known_groups
                        .entry(entry.group)
                        .or_insert(entry.position);
                }
                counters::add(&self.exchange.counters.log_records, entries.len() as u64);
                true
            }
            Err(LogError::Full { .. }) => {
                let first = entries.first().map_or(0, |entry| entry.position);
                for entry in entries.into_iter().rev() {
                    self.held.push_front(LogJob::Append {
                        record: to_record(entry),
                        committed: hint,
                    });
                }
                if !std::mem::replace(&mut self.full, true) {
                    self.answers.push(Input::LogFull(Position(first)));
                }
                false
            }
            Err(error) => self.die("append to log", &error),
        }
    }

    fn change(&mut self, job: LogJob) -> Written {
        let (done, answer) = match &job {
            LogJob::Truncate(to) => (self.log.truncate_after(to.0), Some(Input::Truncated)),
            LogJob::SaveSnapshot {
                position,
                state,
                live,
            } => {
                let saved = self.log.save_snapshot(position.0, state);
                if saved.is_ok() {
                    self.keep_only(*position, live);
                }
                (saved, Some(Input::SnapshotSaved(*position)))
            }
            LogJob::StageBegin {
                position,
                epoch,
                chain,
                state,
            } => {
                let end = EntryId {
                    position: position.0,
                    epoch: epoch.term,
                    sub: epoch.sub,
                    chain: *chain,
                };
                let begun = self.log.stage_begin(position.0, state, end);
                (begun, Some(Input::StageWritten))
            }
            LogJob::StageRecords(records) => {
                let entries: Vec<Entry> = records.iter().cloned().map(to_entry).collect();
                (self.log.stage_append(&entries), Some(Input::StageWritten))
            }
            LogJob::StageCommit => {
                let committed = self.log.stage_commit();
                if committed.is_ok() {
                    self.known_groups = self.log.groups().map(|group| (group, 0)).collect();
                }
                (committed, Some(Input::Staged))
            }
            LogJob::StageAbort => {
                self.log.stage_abort();
                (Ok(()), None)
            }
            LogJob::Append { .. }
            | LogJob::Read { .. }
            | LogJob::ReadMessage { .. }
            | LogJob::Trim { .. } => (Ok(()), None),
        };
        match done {
            Ok(()) => {
                self.answers.extend(answer);
                Written::Done
            }
            Err(LogError::Full { .. }) => Written::Full(job),
            Err(error) => self.die("write log", &error),
        }
    }

    /// Streams that a snapshot does not name, and that were there when it was taken, are dead.
    fn keep_only(&mut self, position: Position, live: &[(u64, u64)]) {
        let named: BTreeSet<u64> = live.iter().map(|(group, _)| *group).collect();
        for (group, first) in live {
            self.log.trim(*group, *first);
        }
        let dead = |group: &u64, first: &u64| *first <= position.0 && !named.contains(group);
        let groups = self
            .known_groups
            .extract_if(.., |group, first| dead(group, first));
        for (group, _) in groups {
            self.log.trim(group, u64::MAX);
        }
        self.reclaim_due = true;
    }

    fn sync(&mut self) {
        let end = self.log.end().map_or(0, |end| end.position);
        if end <= self.log.durable() {
            return;
        }
        match self.log.sync() {
            Ok(durable) => {
                counters::count(&self.exchange.counters.log_syncs);
                self.answers.push(Input::Durable(Position(durable)));
            }
            Err(error) => self.die("sync log", &error),
        }
    }

    fn read(&mut self, job: LogJob) {
        match job {
            LogJob::Read { from, max_bytes } => match self.log.scan(from.0, max_bytes) {
                Ok(entries) => {
                    let records = entries.into_iter().map(to_record).collect();
                    self.answers.push(Input::LogRead { from, records });
                }
                Err(error) => self.die("read log", &error),
            },
            LogJob::ReadMessage { ticket, group, key } => match self.log.read(group, key) {
                Ok(entry) => {
                    let record = entry.map(to_record);
                    self.answers.push(Input::MessageRead { ticket, record });
                }
                Err(error) => self.die("read message", &error),
            },
            LogJob::Append { .. }
            | LogJob::Truncate(_)
            | LogJob::SaveSnapshot { .. }
            | LogJob::Trim { .. }
            | LogJob::StageBegin { .. }
            | LogJob::StageRecords(_)
            | LogJob::StageCommit
            | LogJob::StageAbort => {}
        }
    }

    fn answer(&mut self, answers: &mpsc::Sender<Vec<Input>>) {
        if !self.answers.is_empty() {
            // A shard's task that is gone needs no answers.
            let _ = answers.blocking_send(std::mem::take(&mut self.answers));
        }
    }

    fn die(&self, what: &str, error: &LogError) -> ! {
        fatal::exit(&format!("{what} of shard {}", self.shard), error)
    }
}

/// Jobs, or none when they do not come for a while; nothing when the shard's task is gone.
fn wait(
    runtime: &Handle,
    jobs: &mut mpsc::Receiver<Vec<LogJob>>,
    duration: Duration,
) -> Option<Vec<LogJob>> {
    match runtime.block_on(async { timeout(duration, jobs.recv()).await }) {
        Ok(more) => more,
        Err(_) => Some(Vec::new()),
    }
}

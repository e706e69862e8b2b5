//! The bodies of the newest messages, so that what has just been published is delivered without being
//! read back from the log.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use relevo_protocol::identity::StreamId;
use relevo_protocol::mutation::{Mutation, Publish};
use relevo_protocol::record::Record;
use relevo_protocol::time::Timestamp;

/// Bytes of bodies kept for one shard.
pub(super) const RECENT_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Bytes that an entry takes beside its contents, about.
const ENTRY_OVERHEAD: usize = 64;
/// A stored message with its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) subject: Bytes,
    pub(super) headers: Bytes,
    pub(super) payload: Bytes,
    pub(super) at: Timestamp,
}

/// The newest messages of all streams of a shard, as the log has them: a body is shared with the log
/// and the link, not copied.
#[derive(Debug, Default)]
pub(super) struct Recent {
    streams: BTreeMap<StreamId, Kept>,
    /// Whose message is the oldest.
    order: VecDeque<StreamId>,
    bytes: usize,
}

/// One stream's newest messages, without a gap.
#[derive(Debug, Default)]
struct Kept {
    first: u64,
    bodies: VecDeque<Bytes>,
}

impl Stored {
    /// The message that a record of the log holds, if it is the one looked for.
    pub(super) fn from_record(record: &Record, stream: StreamId, sequence: u64) -> Option<Self> {
        if (record.group, record.key) != (stream.0, sequence) {
            return None;
        }
        Self::from_body(record.body.clone())
    }

    fn from_body(body: Bytes) -> Option<Self> {
        match Mutation::decode(body) {
            Ok(Mutation::Publish(Publish {
                subject,
                headers,
                payload,
                at,
                ..
            })) => Some(Self {
                subject,
                headers,
                payload,
                at,
            }),
            Ok(_) | Err(_) => None,
        }
    }
}

impl Recent {
    /// Keeps a message's record body, at the cost of the oldest ones.
    pub(super) fn insert(&mut self, stream: StreamId, sequence: u64, body: Bytes) {
        let kept = self.streams.entry(stream).or_default();
        if kept.first.saturating_add(kept.bodies.len() as u64) != sequence {
            self.bytes -= kept.bodies.iter().map(len).sum::<usize>();
            kept.bodies.clear();
            kept.first = sequence;
        }
        self.bytes += len(&body);
        kept.bodies.push_back(body);
        self.order.push_back(stream);
        while self.bytes > RECENT_BYTES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.drop_first(oldest);
        }
    }

    /// A message that is still kept.
    pub(super) fn get(&self, stream: StreamId, sequence: u64) -> Option<Stored> {
        self.body(stream, sequence)
            .cloned()
            .and_then(Stored::from_body)
    }

    /// Whether a message is still kept.
    pub(super) fn has(&self, stream: StreamId, sequence: u64) -> bool {
        self.body(stream, sequence).is_some()
    }

    fn body(&self, stream: StreamId, sequence: u64) -> Option<&Bytes> {
        let kept = self.streams.get(&stream)?;
        let index = usize::try_from(sequence.checked_sub(kept.first)?).ok()?;
        kept.bodies.get(index)
    }

    fn drop_first(&mut self, stream: StreamId) {
        let Some(kept) = self.streams.get_mut(&stream) else {
            return;
        };
        if let Some(body) = kept.bodies.pop_front() {
            self.bytes -= len(&body);
            kept.first += 1;
        }
        if kept.bodies.is_empty() {
            self.streams.remove(&stream);
        }
    }
}

/// What a body counts for.
fn len(body: &Bytes) -> usize {
    body.len() + ENTRY_OVERHEAD
}

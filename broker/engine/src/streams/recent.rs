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
const ENTRY_OVERHEAD: usize = 200;
/// Contents up to this size are copied, so that a small message does not keep a large read buffer
/// alive.
const COPY_LEN_MAX: usize = 4096;

/// A stored message with its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) subject: Bytes,
    pub(super) headers: Bytes,
    pub(super) payload: Bytes,
    pub(super) at: Timestamp,
}

/// The newest messages of all streams of a shard.
#[derive(Debug, Default)]
pub(super) struct Recent {
    messages: BTreeMap<(StreamId, u64), Stored>,
    order: VecDeque<(StreamId, u64)>,
    bytes: usize,
}

impl Stored {
    /// The message that a record of the log holds, if it is the one looked for.
    pub(super) fn from_record(record: &Record, stream: StreamId, sequence: u64) -> Option<Self> {
        if (record.group, record.key) != (stream.0, sequence) {
            return None;
        }
        match Mutation::decode(record.body.clone()) {
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

    fn len(&self) -> usize {
        self.subject.len() + self.headers.len() + self.payload.len() + ENTRY_OVERHEAD
    }
}

impl Recent {
    /// Keeps a message, at the cost of the oldest ones.
    pub(super) fn insert(&mut self, publish: &Publish) {
        let stored = Stored {
            subject: compact(&publish.subject),
            headers: compact(&publish.headers),
            payload: compact(&publish.payload),
            at: publish.at,
        };
        let key = (publish.stream, publish.sequence);
        self.bytes += stored.len();
        self.messages.insert(key, stored);
        self.order.push_back(key);
        while self.bytes > RECENT_BYTES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            if let Some(stored) = self.messages.remove(&oldest) {
                self.bytes -= stored.len();
            }
        }
    }

    /// A message that is still kept.
    pub(super) fn get(&self, stream: StreamId, sequence: u64) -> Option<&Stored> {
        self.messages.get(&(stream, sequence))
    }
}

fn compact(bytes: &Bytes) -> Bytes {
    if bytes.len() <= COPY_LEN_MAX {
        Bytes::copy_from_slice(bytes)
    } else {
        bytes.clone()
    }
}

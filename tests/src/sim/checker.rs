//! What must be true of every fact that a client is told, and of the two brokers when all is quiet.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use relevo_protocol::identity::{Position, StreamId};
use relevo_protocol::mutation::Mutation;
use relevo_protocol::record::Record;

use super::client::TOPIC_TWO_MAX;
use super::node::{Node, SHARDS, record_of};

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A PubAck left before the message was on both disks.
    AckedBeforeDurable(String),
    /// One sequence was acknowledged for two messages.
    SequenceReused(String),
    /// An acknowledged message is not on a disk.
    Lost(String),
    /// A message is on the disks twice under one id.
    StoredTwice(String),
    /// A message came that nobody published.
    Phantom(String),
    /// A message came again after its acknowledgement was confirmed.
    RedeliveredAfterAck(String),
    /// The brokers' states differ although their logs are equal.
    StatesDiffer(String),
    /// A shard halted.
    Halted(String),
    /// A broker does not start from its disk.
    DoesNotStart(String),
    /// The store failed without a fault of the disk.
    StoreFailed(String),
    /// Without faults, things did not heal in time.
    NotHealed(String),
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// All that clients were told, and where each message lies.
#[derive(Debug, Default)]
pub(super) struct Checker {
    /// What each disk has synced, by node and shard.
    pub(super) durable: [[Position; SHARDS]; 2],
    streams: BTreeMap<String, (usize, StreamId)>,
    written: BTreeMap<(StreamId, u64), (Position, String)>,
    published: BTreeSet<String>,
    acked: BTreeMap<(String, u64), String>,
    /// Ids whose consumer acknowledgement was sent; they may be gone from a queue.
    consumed: BTreeSet<String>,
    confirmed: BTreeSet<String>,
    pub(super) violations: Vec<Violation>,
}

impl Checker {
    /// A leader or follower hands a record to its log.
    pub(super) fn on_append(&mut self, shard: usize, record: &Record) {
        match Mutation::decode(record.body.clone()) {
            Ok(Mutation::StreamCreate { stream, name, .. }) => {
                self.streams
                    .insert(name.as_str().to_owned(), (shard, stream));
            }
            Ok(Mutation::Publish(publish)) => {
                let id = String::from_utf8_lossy(&publish.payload).into_owned();
                let place = (publish.stream, publish.sequence);
                self.written.insert(place, (record.position, id));
            }
            Ok(_) | Err(_) => {}
        }
    }

    /// A client sends a message.
    pub(super) fn on_publish(&mut self, id: &str) {
        self.published.insert(id.to_owned());
    }

    /// A client is told that its message is stored.
    pub(super) fn on_pub_ack(&mut self, stream: &str, sequence: u64, id: &str, duplicate: bool) {
        let what = format!("{id} as {stream} {sequence}");
        if let Some(before) = self.acked.get(&(stream.to_owned(), sequence))
            && before != id
        {
            self.violations.push(Violation::SequenceReused(format!(
                "{what}, before {before}"
            )));
        }
        self.acked
            .insert((stream.to_owned(), sequence), id.to_owned());
        let Some((shard, number)) = self.streams.get(stream) else {
            return self.violations.push(Violation::AckedBeforeDurable(what));
        };
        match self.written.get(&(*number, sequence)) {
            Some((position, written)) if written == id || duplicate => {
                let shard = *shard;
                let synced = self.durable.iter().all(|node| node[shard] >= *position);
                if !synced {
                    let at = [self.durable[0][shard], self.durable[1][shard]];
                    let text = format!("{what} at {position}, synced {at:?}");
                    self.violations.push(Violation::AckedBeforeDurable(text));
                }
            }
            Some(_) | None => self.violations.push(Violation::AckedBeforeDurable(what)),
        }
    }

    /// A worker gets a message.
    pub(super) fn on_delivery(&mut self, id: &str) {
        if !self.published.contains(id) {
            self.violations.push(Violation::Phantom(id.to_owned()));
        }
        if self.confirmed.contains(id) {
            self.violations
                .push(Violation::RedeliveredAfterAck(id.to_owned()));
        }
    }

    /// A worker sends an acknowledgement.
    pub(super) fn on_consume(&mut self, id: &str) {
        self.consumed.insert(id.to_owned());
    }

    /// A worker is told that its acknowledgement is stored.
    pub(super) fn on_confirmed(&mut self, id: &str) {
        self.confirmed.insert(id.to_owned());
    }

    /// How many messages were acknowledged.
    pub(super) fn acked_count(&self) -> usize {
        self.acked.len()
    }

    /// How many consumer acknowledgements were confirmed.
    pub(super) fn confirmed_count(&self) -> usize {
        self.confirmed.len()
    }

    /// Compares the two brokers when all is quiet: everything acknowledged is on both, once, and equal
    /// logs made equal states.
    pub(super) fn on_quiet(&mut self, nodes: &mut [Option<Node>; 2]) {
        for shard in 0..SHARDS {
            let states: Vec<_> = nodes
                .iter()
                .flatten()
                .map(|node| {
                    (
                        node.shards[shard].engine.status().end,
                        node.shards[shard].engine.state(),
                    )
                })
                .collect();
            let [(end_a, a), (end_b, b)] = states.as_slice() else {
                return self
                    .violations
                    .push(Violation::NotHealed("a broker is down".to_owned()));
            };
            if end_a != end_b || a.0 != *end_a || b.0 != *end_b {
                let text = format!(
                    "shard {shard}: ends {end_a} {end_b}, applied {} {}",
                    a.0, b.0
                );
                self.violations.push(Violation::NotHealed(text));
            } else if a.1 != b.1 {
                let text = format!("shard {shard} at {end_a}");
                self.violations.push(Violation::StatesDiffer(text));
            }
        }
        for shard in 0..SHARDS {
            let admitting = nodes
                .iter()
                .flatten()
                .filter(|node| node.shards[shard].engine.status().writable)
                .count();
            if admitting != 1 {
                let text = format!("shard {shard}: {admitting} brokers admit writes");
                self.violations.push(Violation::NotHealed(text));
            }
        }
        for (index, node) in nodes.iter_mut().flatten().enumerate() {
            self.check_disk(index, node);
        }
    }

    fn check_disk(&mut self, index: usize, node: &mut Node) {
        let newest_in_two = self
            .streams
            .get("T_two")
            .and_then(|(_, two)| {
                self.written
                    .keys()
                    .filter(|(stream, _)| stream == two)
                    .map(|(_, sequence)| *sequence)
                    .max()
            })
            .unwrap_or(0);
        for ((stream, sequence), id) in &self.acked {
            let Some((shard, number)) = self.streams.get(stream) else {
                continue;
            };
            let consumed = stream.starts_with("Q_") && self.consumed.contains(id);
            let evicted = stream == "T_two" && sequence + TOPIC_TWO_MAX <= newest_in_two;
            if consumed || evicted {
                continue;
            }
            let found = node.shards[*shard].log.read(number.0, *sequence);
            let text = match found {
                Err(error) => error.to_string(),
                Ok(None) => "it is not there".to_owned(),
                Ok(Some(entry)) => match Mutation::decode(record_of(entry).body) {
                    Ok(Mutation::Publish(publish)) if publish.payload == id.as_bytes() => continue,
                    Ok(other) => format!("there is {other:?}"),
                    Err(error) => error.to_string(),
                },
            };
            let what = format!("{id} as {stream} {sequence} on node {index}: {text}");
            self.violations.push(Violation::Lost(what));
        }
        let mut ids = BTreeMap::new();
        for ((stream, sequence), id) in &self.acked {
            if let Some(before) = ids.insert((stream, id), sequence) {
                let text = format!("{id} in {stream} as {before} and {sequence}");
                self.violations.push(Violation::StoredTwice(text));
            }
        }
    }
}

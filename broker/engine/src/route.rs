//! Which shard a subject is work for.
//!
//! [`DirectoryView`] is what this broker shows of the directory: fed with every [`DirectoryChange`] of shard 0's engine,
//! asked by the router for each subject that its caches do not know.

use std::collections::BTreeMap;

use bytes::Bytes;
use relevo_protocol::identity::{ShardId, StreamId};
use relevo_protocol::jetstream::ack::{ACK_PREFIX, AckSubject};
use relevo_protocol::jetstream::api::encode_error;
use relevo_protocol::jetstream::endpoint::{API_PREFIX, Endpoint, EndpointKind};
use relevo_protocol::jetstream::error::JetStreamError;
use relevo_protocol::jetstream::pub_ack;
use relevo_protocol::jetstream::status::Status;
use relevo_protocol::name::StreamName;
use relevo_protocol::subject::SubjectRef;

use crate::input::DirectoryChange;
use crate::subject_tree::{SubjectTree, SubscriptionKey, TreeFull};

/// What a message is, besides something for subscribers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Nothing else.
    None,
    /// A publish into a stream.
    Stream(ShardId),
    /// A request to `$JS.API.>`.
    Api(ShardId),
    /// An acknowledgement to `$JS.ACK.>`.
    Ack(ShardId),
    /// A request that is answered at once, on its reply subject if it has one.
    Refused(Refusal),
}

/// An answer that says no: what its message carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The header block, or empty.
    pub headers: Bytes,
    /// The body, or empty.
    pub payload: Bytes,
}

/// The streams that this broker shows.
#[derive(Debug)]
pub struct DirectoryView {
    seed: u64,
    streams: BTreeMap<StreamName, Shown>,
    subjects: SubjectTree<Home>,
    generation: u64,
}

#[derive(Debug)]
struct Shown {
    stream: StreamId,
    shard: ShardId,
    subjects: Vec<SubscriptionKey>,
}

/// Where a subject's messages live.
#[derive(Clone, Debug)]
struct Home {
    stream: StreamName,
    shard: ShardId,
}

impl DirectoryView {
    /// A view without streams. `seed` is that of its [`SubjectTree`].
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            streams: BTreeMap::new(),
            subjects: SubjectTree::new(seed),
            generation: 0,
        }
    }

    /// Takes one change; the generation rises.
    ///
    /// # Errors
    /// [`TreeFull`] when a stream's subjects do not all fit: messages to those that do not are not kept.
    pub fn apply(&mut self, change: &DirectoryChange) -> Result<(), TreeFull> {
        self.generation += 1;
        match change {
            DirectoryChange::Reset => {
                self.streams.clear();
                self.subjects = SubjectTree::new(self.seed);
            }
            DirectoryChange::Added {
                stream,
                name,
                shard,
                subjects,
            } => {
                self.forget(name);
                let home = Home {
                    stream: name.clone(),
                    shard: *shard,
                };
                let mut shown = Shown {
                    stream: *stream,
                    shard: *shard,
                    subjects: Vec::with_capacity(subjects.len()),
                };
                let inserted = subjects.iter().try_for_each(|filter| {
                    self.subjects
                        .insert(filter, home.clone())
                        .map(|key| shown.subjects.push(key))
                });
                self.streams.insert(name.clone(), shown);
                inserted?;
            }
            DirectoryChange::Removed { stream, name } => {
                if self
                    .streams
                    .get(name)
                    .is_some_and(|shown| shown.stream == *stream)
                {
                    self.forget(name);
                }
            }
        }
        Ok(())
    }

    /// Rises with each change: what was found under another generation must be asked again.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// What a message to `subject` is.
    ///
    /// [`Target::None`] for requests that nothing here answers: as in nats-server the requester learns that nobody
    /// listens. That is so for unknown endpoints, and for MSG.NEXT and DIRECT.GET of a stream that is not there.
    #[must_use]
    pub fn target(&self, subject: SubjectRef<'_>) -> Target {
        if subject.as_str().starts_with(API_PREFIX) {
            return self.api_target(subject);
        }
        if subject.as_str().starts_with(ACK_PREFIX) {
            let shard = AckSubject::parse(subject.as_str())
                .ok()
                .and_then(|ack| self.shard_of(&ack.stream));
            return shard.map_or(Target::None, Target::Ack);
        }
        self.home_of(subject)
            .map_or(Target::None, |home| Target::Stream(home.shard))
    }

    /// The shard that a stream lives in.
    #[must_use]
    pub fn shard_of(&self, stream: &StreamName) -> Option<ShardId> {
        self.streams.get(stream).map(|shown| shown.shard)
    }

    /// The answer to a message for `subject` when the leader of its shard can not be reached: nothing was written, and
    /// the same may be sent again. `None` when it is no work for a shard.
    #[must_use]
    pub fn unavailable(&self, subject: SubjectRef<'_>) -> Option<Refusal> {
        match self.target(subject) {
            Target::None => None,
            Target::Refused(refusal) => Some(refusal),
            Target::Stream(_) => {
                let stream = self.home_of(subject)?.stream;
                Some(Refusal::body(pub_ack::encode_refusal(
                    &stream,
                    JetStreamError::PeerAway,
                )))
            }
            Target::Ack(_) => Some(Refusal::status(&peer_away())),
            Target::Api(_) => {
                let endpoint = Endpoint::parse(subject.as_str()).ok()?;
                Some(Refusal::of_endpoint(
                    endpoint.kind(),
                    JetStreamError::PeerAway,
                ))
            }
        }
    }

    fn api_target(&self, subject: SubjectRef<'_>) -> Target {
        let Ok(endpoint) = Endpoint::parse(subject.as_str()) else {
            return Target::None;
        };
        if is_answered_by_directory(endpoint.kind()) {
            return Target::Api(ShardId::DIRECTORY);
        }
        match endpoint.stream().and_then(|stream| self.shard_of(stream)) {
            Some(shard) => Target::Api(shard),
            None if endpoint.kind().response_type().is_none() => Target::None,
            None => Target::Refused(Refusal::of_endpoint(
                endpoint.kind(),
                JetStreamError::StreamNotFound,
            )),
        }
    }

    /// The stream that keeps messages to `subject`; the directory lets no two streams have the same.
    fn home_of(&self, subject: SubjectRef<'_>) -> Option<Home> {
        let mut found = None;
        self.subjects.for_each_match(subject, |home| {
            found.get_or_insert_with(|| home.clone());
        });
        found
    }

    fn forget(&mut self, name: &StreamName) {
        if let Some(shown) = self.streams.remove(name) {
            for key in shown.subjects {
                self.subjects.remove(key);
            }
        }
    }
}

impl Refusal {
    /// A refusal in the form in which `endpoint` answers: JSON, or a status line where it answers with messages.
    #[must_use]
    pub fn of_endpoint(endpoint: EndpointKind, error: JetStreamError) -> Self {
        match endpoint.response_type() {
            Some(response_type) => Self::body(encode_error(response_type, error)),
            None => Self::status(&Status {
                code: error.code(),
                description: error.description(),
            }),
        }
    }

    fn body(payload: Vec<u8>) -> Self {
        Self {
            headers: Bytes::new(),
            payload: payload.into(),
        }
    }

    fn status(status: &Status) -> Self {
        Self {
            headers: status.header_block(&[]).into(),
            payload: Bytes::new(),
        }
    }
}

fn peer_away() -> Status {
    let error = JetStreamError::PeerAway;
    Status {
        code: error.code(),
        description: error.description(),
    }
}

/// Whether shard 0 answers the endpoint; the others are answered by the shard of the stream that they name.
const fn is_answered_by_directory(endpoint: EndpointKind) -> bool {
    match endpoint {
        EndpointKind::AccountInfo
        | EndpointKind::StreamCreate
        | EndpointKind::StreamUpdate
        | EndpointKind::StreamDelete
        | EndpointKind::StreamNames
        | EndpointKind::StreamList => true,
        EndpointKind::StreamInfo
        | EndpointKind::StreamPurge
        | EndpointKind::MsgGet
        | EndpointKind::MsgDelete
        | EndpointKind::DirectGet
        | EndpointKind::ConsumerCreate
        | EndpointKind::DurableCreate
        | EndpointKind::ConsumerInfo
        | EndpointKind::ConsumerDelete
        | EndpointKind::ConsumerNames
        | EndpointKind::ConsumerList
        | EndpointKind::MsgNext => false,
    }
}

#[cfg(test)]
mod tests;

//! The directory: which streams exist, in which data shard each lives, and the requests that concern
//! more than one shard.
//!
//! Creating goes directory first (`Assign`, shown by both brokers), then the data shard, which answers
//! the client. Deleting goes data shard first, then the directory (`Unassign`, shown by both), which
//! answers. A crash in between leaves an assignment without its stream; the client's next try heals it.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use relevo_protocol::frame::{Message, Order, Report, Work};
use relevo_protocol::identity::{Position, ShardId, StreamId};
use relevo_protocol::jetstream::api::{
    API_LEVEL, AccountInfo, AccountLimits, ApiStats, LIST_PAGE_LIMIT, NAMES_PAGE_LIMIT, Page,
    Response, StreamConfigRequest, StreamList, StreamNames, StreamsRequest, Success,
};
use relevo_protocol::jetstream::endpoint::{Endpoint, EndpointKind};
use relevo_protocol::jetstream::error::JetStreamError;
use relevo_protocol::jetstream::json;
use relevo_protocol::jetstream::stream::{StreamConfig, StreamInfo};
use relevo_protocol::mutation::{CONFIG_LEN_MAX, LIST_LEN_MAX, Mutation, NAME_LEN_MAX};
use relevo_protocol::name::StreamName;
use relevo_protocol::subject::SubjectFilter;
use relevo_protocol::time::Timestamp;
use relevo_protocol::wire::{DecodeError, Reader, Writer};
use serde::Serialize;

use crate::content::Contradiction;
use crate::desk::{Desk, Outgoing, Unwritable};
use crate::input::{DirectoryChange, Effect, Monotonic};
use crate::streams::config::settle;

/// Most streams of a cluster.
const STREAMS_MAX: usize = 10_000;
/// Most lists being gathered at once; one more is refused.
const ASKS_MAX: usize = 1024;
/// How long a list waits for its shards.
const ASK_TIMEOUT: Duration = Duration::from_secs(2);
const FORMAT: u8 = 1;

/// The state of shard 0.
#[derive(Debug)]
pub(crate) struct Directory {
    data_shards: u16,
    streams: BTreeMap<StreamName, Assigned>,
    names: BTreeMap<StreamId, StreamName>,
    next_stream: u64,
    asks: BTreeMap<u64, Ask>,
    next_ask: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Assigned {
    stream: StreamId,
    shard: ShardId,
    config: Bytes,
    created: Timestamp,
    subjects: Vec<SubjectFilter>,
}

/// A list that waits for the data shards. Leader only.
#[derive(Debug)]
struct Ask {
    endpoint: EndpointKind,
    reply: Bytes,
    request: StreamsRequest,
    missing: Vec<ShardId>,
    infos: Vec<StreamInfo>,
    deadline: Monotonic,
}

impl Directory {
    /// An empty directory over this many data shards.
    pub(crate) fn new(data_shards: u16) -> Self {
        Self {
            data_shards: data_shards.max(1),
            streams: BTreeMap::new(),
            names: BTreeMap::new(),
            next_stream: 1,
            asks: BTreeMap::new(),
            next_ask: 1,
        }
    }

    /// Applies one decision.
    pub(crate) fn apply(
        &mut self,
        mutation: &Mutation,
    ) -> Result<Option<DirectoryChange>, Contradiction> {
        match mutation {
            Mutation::EpochStart { .. } => Ok(None),
            Mutation::Assign {
                stream,
                name,
                shard,
                config,
                created,
            } => {
                let assigned = Assigned {
                    stream: *stream,
                    shard: *shard,
                    subjects: subjects_of(config).ok_or(Contradiction)?,
                    config: config.clone(),
                    created: *created,
                };
                let change = added(name, &assigned);
                if self.streams.insert(name.clone(), assigned).is_some() {
                    return Err(Contradiction);
                }
                self.names.insert(*stream, name.clone());
                self.next_stream = self.next_stream.max(stream.0.saturating_add(1));
                Ok(Some(change))
            }
            Mutation::Unassign { stream } => {
                let name = self.names.remove(stream).ok_or(Contradiction)?;
                self.streams.remove(&name);
                Ok(Some(DirectoryChange::Removed {
                    stream: *stream,
                    name,
                }))
            }
            Mutation::StreamCreate { .. }
            | Mutation::StreamDelete { .. }
            | Mutation::Publish(_)
            | Mutation::Trim { .. }
            | Mutation::Remove { .. }
            | Mutation::ConsumerCreate { .. }
            | Mutation::ConsumerDelete { .. }
            | Mutation::Delivered { .. }
            | Mutation::Acked { .. } => Err(Contradiction),
        }
    }

    /// Takes client requests and reports of data shards.
    pub(crate) fn on_work(&mut self, desk: &mut Desk<'_>, work: Work) {
        match work {
            Work::Api(message) => self.on_api(desk, message),
            Work::Report(Report::StreamDeleted { stream, request }) => {
                self.on_stream_deleted(desk, stream, &request);
            }
            Work::Report(Report::Streams { ask, shard, infos }) => {
                self.on_streams(desk, ask, shard, &infos);
            }
            Work::Publish(_) | Work::Ack(_) | Work::Order(_) => {}
        }
    }

    /// An order could not be sent: its request is refused, nothing was done.
    pub(crate) fn on_order_failed(&mut self, desk: &mut Desk<'_>, work: Work) {
        let (kind, request) = match &work {
            Work::Order(Order::CreateStream { request, .. }) => {
                (EndpointKind::StreamCreate, request)
            }
            Work::Order(Order::DeleteStream { request, .. }) => {
                (EndpointKind::StreamDelete, request)
            }
            Work::Order(Order::ListStreams { .. })
            | Work::Publish(_)
            | Work::Api(_)
            | Work::Ack(_)
            | Work::Report(_) => return,
        };
        refuse(desk, kind, request.reply.clone(), JetStreamError::PeerAway);
    }

    /// Lists whose shards did not answer in time are answered with an error.
    pub(crate) fn on_timer(&mut self, desk: &mut Desk<'_>) {
        let now = desk.now.monotonic;
        let late: Vec<u64> = self
            .asks
            .iter()
            .filter(|(_, ask)| ask.deadline <= now)
            .map(|(id, _)| *id)
            .collect();
        for id in late {
            if let Some(ask) = self.asks.remove(&id) {
                let error = JetStreamError::TemporarilyUnavailable;
                refuse(desk, ask.endpoint, Some(ask.reply), error);
            }
        }
    }

    /// When the oldest list times out.
    pub(crate) fn next_timer(&self) -> Option<Monotonic> {
        self.asks.values().map(|ask| ask.deadline).min()
    }

    /// Every stream, as changes of an empty view.
    pub(crate) fn view(&self) -> Vec<DirectoryChange> {
        self.streams
            .iter()
            .map(|(name, assigned)| added(name, assigned))
            .collect()
    }

    fn on_api(&mut self, desk: &mut Desk<'_>, message: Message) {
        let subject = std::str::from_utf8(&message.subject).unwrap_or_default();
        let Ok(endpoint) = Endpoint::parse(subject) else {
            return;
        };
        match endpoint {
            Endpoint::StreamCreate(name) => self.create(desk, name, message),
            Endpoint::StreamDelete(name) => self.delete(desk, &name, message),
            Endpoint::StreamUpdate(_) => {
                let err = "a stream's configuration cannot be changed in this version; create another stream and copy".into();
                let error = JetStreamError::StreamUpdate { err };
                refuse(desk, EndpointKind::StreamUpdate, message.reply, error);
            }
            Endpoint::StreamNames => self.names(desk, &message),
            Endpoint::StreamList => self.gather(desk, EndpointKind::StreamList, message),
            Endpoint::AccountInfo => self.gather(desk, EndpointKind::AccountInfo, message),
            Endpoint::StreamInfo(_)
            | Endpoint::StreamPurge(_)
            | Endpoint::MsgGet(_)
            | Endpoint::MsgDelete(_)
            | Endpoint::DirectGet(_)
            | Endpoint::DirectGetLast(..)
            | Endpoint::ConsumerCreate { .. }
            | Endpoint::DurableCreate(..)
            | Endpoint::ConsumerInfo(..)
            | Endpoint::ConsumerDelete(..)
            | Endpoint::ConsumerNames(_)
            | Endpoint::ConsumerList(_)
            | Endpoint::MsgNext(..) => {}
        }
    }

    fn create(&mut self, desk: &mut Desk<'_>, name: StreamName, request: Message) {
        match self.assign(desk, &name, &request) {
            Ok((position, shard, order)) => {
                let work = Work::Order(order);
                desk.after_shown(position, Effect::ToShard { shard, work });
            }
            Err(error) => refuse(desk, EndpointKind::StreamCreate, request.reply, error),
        }
    }

    /// Finds or makes the assignment that `request` asks for.
    fn assign(
        &mut self,
        desk: &mut Desk<'_>,
        name: &StreamName,
        request: &Message,
    ) -> Result<(Position, ShardId, Order), JetStreamError> {
        let asked: StreamConfigRequest = json::decode(&request.payload)?;
        if asked.config.name != *name {
            return Err(JetStreamError::StreamMismatch);
        }
        let config = settle(asked.config)?;
        let encoded = Bytes::from(json::encode(&config));
        if encoded.len() > CONFIG_LEN_MAX {
            let err =
                "the configuration is longer than 1 MiB of JSON; use fewer or shorter subjects";
            return Err(JetStreamError::StreamInvalidConfig { err: err.into() });
        }
        desk.writable().map_err(refusal)?;
        let assigned = match self.streams.get(name) {
            Some(existing) if existing.config == encoded => existing.clone(),
            Some(_) => return Err(JetStreamError::StreamNameExists),
            None => self.new_assignment(desk, name, encoded)?,
        };
        let order = Order::CreateStream {
            stream: assigned.stream,
            name: name.clone(),
            config: assigned.config,
            created: assigned.created,
            request: request.clone(),
        };
        Ok((desk.end(), assigned.shard, order))
    }

    fn new_assignment(
        &mut self,
        desk: &mut Desk<'_>,
        name: &StreamName,
        config: Bytes,
    ) -> Result<Assigned, JetStreamError> {
        if self.streams.len() >= STREAMS_MAX {
            return Err(JetStreamError::MaximumStreams);
        }
        let subjects = subjects_of(&config).ok_or(JetStreamError::BadRequest)?;
        let overlaps = self.streams.values().any(|other| {
            other
                .subjects
                .iter()
                .any(|one| subjects.iter().any(|two| one.overlaps(two)))
        });
        if overlaps {
            return Err(JetStreamError::SubjectOverlap);
        }
        let assigned = Assigned {
            stream: StreamId(self.next_stream),
            shard: self.emptiest_shard(),
            config,
            created: desk.now.wall,
            subjects,
        };
        let mutation = Mutation::Assign {
            stream: assigned.stream,
            name: name.clone(),
            shard: assigned.shard,
            config: assigned.config.clone(),
            created: assigned.created,
        };
        self.write(desk, &mutation);
        Ok(assigned)
    }

    /// The data shard with the fewest streams; the lowest of equals.
    fn emptiest_shard(&self) -> ShardId {
        let count_of = |shard| {
            self.streams
                .values()
                .filter(|other| other.shard == shard)
                .count()
        };
        (1..=self.data_shards)
            .map(ShardId)
            .min_by_key(|shard| count_of(*shard))
            .unwrap_or(ShardId(1))
    }

    fn delete(&self, desk: &mut Desk<'_>, name: &StreamName, request: Message) {
        let found = match self.streams.get(name) {
            None => Err(JetStreamError::StreamNotFound),
            Some(assigned) => desk.writable().map_err(refusal).map(|()| assigned),
        };
        match found {
            Ok(assigned) => {
                let order = Order::DeleteStream {
                    stream: assigned.stream,
                    request,
                };
                desk.tell_shard_after(desk.committed(), assigned.shard, Work::Order(order));
            }
            Err(error) => refuse(desk, EndpointKind::StreamDelete, request.reply, error),
        }
    }

    fn on_stream_deleted(&mut self, desk: &mut Desk<'_>, stream: StreamId, request: &Message) {
        let kind = EndpointKind::StreamDelete;
        if self.names.contains_key(&stream) {
            if let Err(why) = desk.writable() {
                return refuse(desk, kind, request.reply.clone(), refusal(why));
            }
            self.write(desk, &Mutation::Unassign { stream });
        }
        if let Some(reply) = request.reply.clone() {
            let answer = Outgoing::answer(reply, respond(kind, Success::DONE));
            desk.after_shown(desk.end(), answer.into());
        }
    }

    /// Writes a decision, applies it, and shows it once it is committed.
    fn write(&mut self, desk: &mut Desk<'_>, mutation: &Mutation) {
        let position = desk.write(mutation);
        if let Ok(Some(change)) = self.apply(mutation) {
            desk.show_directory_after(position, change);
        }
    }

    fn names(&self, desk: &mut Desk<'_>, message: &Message) {
        let Some(reply) = message.reply.clone() else {
            return;
        };
        let kind = EndpointKind::StreamNames;
        let request = match page_request(&message.payload) {
            Ok(request) => request,
            Err(error) => return refuse(desk, kind, Some(reply), error),
        };
        let matching: Vec<StreamName> = self
            .streams
            .iter()
            .filter(|(_, assigned)| wanted(&request, &assigned.subjects))
            .map(|(name, _)| name.clone())
            .collect();
        let (page, streams) = page_of(matching, request.offset, NAMES_PAGE_LIMIT);
        desk.send(Outgoing::answer(
            reply,
            respond(kind, StreamNames { page, streams }),
        ));
    }

    /// Asks every data shard for its streams.
    fn gather(&mut self, desk: &mut Desk<'_>, endpoint: EndpointKind, message: Message) {
        let Some(reply) = message.reply else { return };
        let request = match page_request(&message.payload) {
            Ok(request) => request,
            Err(error) => return refuse(desk, endpoint, Some(reply), error),
        };
        if self.asks.len() >= ASKS_MAX {
            return refuse(desk, endpoint, Some(reply), JetStreamError::TooManyRequests);
        }
        let id = self.next_ask;
        self.next_ask += 1;
        let missing: Vec<ShardId> = (1..=self.data_shards).map(ShardId).collect();
        for shard in &missing {
            let work = Work::Order(Order::ListStreams { ask: id });
            desk.tell_shard_now(*shard, work);
        }
        let deadline = desk.now.monotonic.after(ASK_TIMEOUT);
        let infos = Vec::new();
        self.asks.insert(
            id,
            Ask {
                endpoint,
                reply,
                request,
                missing,
                infos,
                deadline,
            },
        );
    }

    fn on_streams(&mut self, desk: &mut Desk<'_>, id: u64, shard: ShardId, infos: &[Bytes]) {
        let Some(ask) = self.asks.get_mut(&id) else {
            return;
        };
        let before = ask.missing.len();
        ask.missing.retain(|missing| *missing != shard);
        if ask.missing.len() == before {
            return;
        }
        ask.infos
            .extend(infos.iter().filter_map(|info| json::decode(info).ok()));
        if ask.missing.is_empty()
            && let Some(ask) = self.asks.remove(&id)
        {
            let payload = self.listed(&ask);
            desk.send(Outgoing::answer(ask.reply, payload));
        }
    }

    fn listed(&self, ask: &Ask) -> Bytes {
        let mut infos: Vec<StreamInfo> = ask
            .infos
            .iter()
            .filter(|info| {
                let assigned = self.streams.get(&info.config.name);
                assigned.is_some_and(|assigned| wanted(&ask.request, &assigned.subjects))
            })
            .cloned()
            .collect();
        infos.sort_by(|one, two| one.config.name.cmp(&two.config.name));
        if ask.endpoint == EndpointKind::AccountInfo {
            return respond(ask.endpoint, account(&infos));
        }
        let (page, streams) = page_of(infos, ask.request.offset, LIST_PAGE_LIMIT);
        let (missing, offline) = (Vec::new(), BTreeMap::new());
        respond(
            ask.endpoint,
            StreamList {
                page,
                streams,
                missing,
                offline,
            },
        )
    }

    /// The bytes that [`Self::restore`] reads: format, next stream number, and the assignments by name.
    pub(crate) fn snapshot(&self) -> Bytes {
        let mut out = Writer::with_capacity(64);
        out.u8(FORMAT);
        out.u64(self.next_stream);
        out.count(self.streams.len());
        for (name, assigned) in &self.streams {
            out.bytes(name.as_str().as_bytes());
            out.u64(assigned.stream.0);
            out.u16(assigned.shard.0);
            out.bytes(&assigned.config);
            out.u64(assigned.created.as_nanos());
        }
        out.finish()
    }

    /// The directory that `bytes` describe.
    pub(crate) fn restore(data_shards: u16, bytes: Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let format = reader.u8("directory format")?;
        if format != FORMAT {
            return Err(DecodeError::Unknown {
                what: "directory format",
                value: format.into(),
            });
        }
        let mut directory = Self::new(data_shards);
        directory.next_stream = reader.u64("next stream")?;
        for _ in 0..reader.count("streams", LIST_LEN_MAX)? {
            let name = reader.text("stream name", NAME_LEN_MAX, StreamName::parse)?;
            let stream = StreamId(reader.u64("stream number")?);
            let shard = ShardId(reader.u16("shard")?);
            let config = reader.bytes("stream configuration", CONFIG_LEN_MAX)?;
            let created = Timestamp::from_nanos(reader.u64("time")?);
            let what = "stream configuration";
            let subjects = subjects_of(&config).ok_or(DecodeError::Invalid { what })?;
            directory.names.insert(stream, name.clone());
            let assigned = Assigned {
                stream,
                shard,
                config,
                created,
                subjects,
            };
            directory.streams.insert(name, assigned);
        }
        reader.end()?;
        Ok(directory)
    }
}

fn added(name: &StreamName, assigned: &Assigned) -> DirectoryChange {
    DirectoryChange::Added {
        stream: assigned.stream,
        name: name.clone(),
        shard: assigned.shard,
        subjects: assigned.subjects.clone(),
    }
}

fn subjects_of(config: &Bytes) -> Option<Vec<SubjectFilter>> {
    let config: StreamConfig = json::decode(config).ok()?;
    config
        .subjects
        .iter()
        .map(|subject| SubjectFilter::parse(subject).ok())
        .collect()
}

fn page_request(payload: &[u8]) -> Result<StreamsRequest, JetStreamError> {
    if payload.is_empty() {
        return Ok(StreamsRequest::default());
    }
    json::decode(payload)
}

fn wanted(request: &StreamsRequest, subjects: &[SubjectFilter]) -> bool {
    if request.subject.is_empty() {
        return true;
    }
    SubjectFilter::parse(&request.subject)
        .is_ok_and(|filter| subjects.iter().any(|subject| subject.overlaps(&filter)))
}

fn page_of<T>(all: Vec<T>, offset: u64, limit: usize) -> (Page, Vec<T>) {
    let total = all.len();
    let skip = usize::try_from(offset).unwrap_or(usize::MAX).min(total);
    let page = Page {
        total: total as u64,
        offset: skip as u64,
        limit: limit as u64,
    };
    (page, all.into_iter().skip(skip).take(limit).collect())
}

fn account(infos: &[StreamInfo]) -> AccountInfo {
    AccountInfo {
        storage: infos.iter().map(|info| info.state.bytes).sum(),
        streams: infos.len() as u64,
        consumers: infos.iter().map(|info| info.state.consumer_count).sum(),
        limits: AccountLimits::default(),
        api: ApiStats {
            level: API_LEVEL,
            ..ApiStats::default()
        },
        ..AccountInfo::default()
    }
}

const fn refusal(why: Unwritable) -> JetStreamError {
    match why {
        Unwritable::PeerAway => JetStreamError::PeerAway,
        Unwritable::LogFull => JetStreamError::StorageResourcesExceeded,
    }
}

fn respond<T: Serialize>(kind: EndpointKind, answer: T) -> Bytes {
    Response::new(kind.response_type().unwrap_or_default(), Ok(answer))
        .encode()
        .into()
}

fn refuse(desk: &mut Desk<'_>, kind: EndpointKind, reply: Option<Bytes>, error: JetStreamError) {
    if let Some(reply) = reply {
        let kind = kind.response_type().unwrap_or_default();
        let body = Response::<Success>::new(kind, Err(error)).encode();
        desk.send(Outgoing::answer(reply, body.into()));
    }
}

#[cfg(test)]
mod tests;

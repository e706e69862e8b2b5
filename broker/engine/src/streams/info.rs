//! What is told about streams and consumers. Only what is committed is told.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use relevo_protocol::frame::Message;
use relevo_protocol::jetstream::api::{
    ConsumerList, ConsumerNames, LIST_PAGE_LIMIT, NAMES_PAGE_LIMIT, Page, PageRequest,
    SUBJECT_DETAILS_LIMIT, StreamInfoAnswer, StreamInfoRequest,
};
use relevo_protocol::jetstream::consumer::{ConsumerInfo, SequenceInfo};
use relevo_protocol::jetstream::endpoint::EndpointKind;
use relevo_protocol::jetstream::error::JetStreamError;
use relevo_protocol::jetstream::json;
use relevo_protocol::jetstream::stream::{ClusterInfo, StreamInfo, StreamState};
use relevo_protocol::name::{ConsumerName, StreamName};
use relevo_protocol::subject::SubjectFilter;
use relevo_protocol::time::Timestamp;

use super::consumer::Consumer;
use super::stream::Stream;
use super::{Streams, answer};
use crate::desk::Desk;

/// Most removed sequences that one answer lists.
const DELETED_DETAILS_MAX: usize = 65_536;

impl Streams {
    /// Every stream as `StreamInfo` JSON, in order of their numbers.
    #[must_use]
    pub fn infos(&self, now: Timestamp) -> Vec<Bytes> {
        let streams = self.state.streams.values();
        streams
            .map(|stream| json::encode(&self.stream_info(stream, now)).into())
            .collect()
    }

    /// STREAM.INFO
    pub(super) fn on_stream_info(&self, desk: &mut Desk<'_>, name: &StreamName, request: &Message) {
        let result = self.describe(name, &request.payload, desk.now.wall);
        desk_send(desk, answer::api(EndpointKind::StreamInfo, request, result));
    }

    /// CONSUMER.INFO
    pub(super) fn on_consumer_info(
        &self,
        desk: &mut Desk<'_>,
        stream: &StreamName,
        name: &ConsumerName,
        request: &Message,
    ) {
        let result = self.find(stream).and_then(|stream| {
            let consumer = stream
                .consumers
                .get(name)
                .ok_or(JetStreamError::ConsumerNotFound)?;
            Ok(self.consumer_info(stream, consumer, desk.now.wall))
        });
        desk_send(
            desk,
            answer::api(EndpointKind::ConsumerInfo, request, result),
        );
    }

    /// CONSUMER.NAMES
    pub(super) fn on_consumer_names(
        &self,
        desk: &mut Desk<'_>,
        stream: &StreamName,
        request: &Message,
    ) {
        let result = self
            .page(stream, request, NAMES_PAGE_LIMIT)
            .map(|(page, consumers)| {
                let names = consumers.into_iter().map(|consumer| consumer.name.clone());
                ConsumerNames {
                    page,
                    consumers: names.collect(),
                }
            });
        desk_send(
            desk,
            answer::api(EndpointKind::ConsumerNames, request, result),
        );
    }

    /// CONSUMER.LIST
    pub(super) fn on_consumer_list(
        &self,
        desk: &mut Desk<'_>,
        stream: &StreamName,
        request: &Message,
    ) {
        let found = self.find(stream);
        let result = self
            .page(stream, request, LIST_PAGE_LIMIT)
            .and_then(|(page, consumers)| {
                let stream = found?;
                let now = desk.now.wall;
                let infos = consumers
                    .into_iter()
                    .map(|own| self.consumer_info(stream, own, now));
                let consumers = infos.collect();
                Ok(ConsumerList {
                    page,
                    consumers,
                    ..ConsumerList::default()
                })
            });
        desk_send(
            desk,
            answer::api(EndpointKind::ConsumerList, request, result),
        );
    }

    /// The stream of this name.
    pub(super) fn find(&self, name: &StreamName) -> Result<&Stream, JetStreamError> {
        self.state
            .by_name(name)
            .ok_or(JetStreamError::StreamNotFound)
    }

    /// A stream's configuration and state.
    pub(super) fn stream_info(&self, stream: &Stream, now: Timestamp) -> StreamInfo {
        StreamInfo {
            config: stream.config.clone(),
            created: stream.created,
            state: state_of(stream),
            domain: String::new(),
            cluster: Some(self.cluster()),
            mirror: None,
            sources: Vec::new(),
            alternates: Vec::new(),
            ts: now,
        }
    }

    /// A consumer's configuration and state.
    pub(super) fn consumer_info(
        &self,
        stream: &Stream,
        consumer: &Consumer,
        now: Timestamp,
    ) -> ConsumerInfo {
        let hidden = stream.invisible().filter(|meta| {
            let sequence = meta.sequence;
            !consumer.pending.contains_key(&sequence)
                && (consumer.aside.contains(&sequence)
                    || (sequence >= consumer.cursor
                        && consumer.interest.wants(meta.subject)
                        && !stream.extras.contains(sequence)))
        });
        ConsumerInfo {
            stream_name: stream.name.clone(),
            name: consumer.name.clone(),
            created: consumer.created,
            config: consumer.config.clone(),
            delivered: SequenceInfo {
                consumer_seq: consumer.delivered.consumer_sequence,
                stream_seq: consumer.delivered.stream_sequence,
                last_active: consumer.delivered.at,
            },
            ack_floor: consumer.ack_floor(),
            num_ack_pending: consumer.ack_pending(),
            num_redelivered: consumer.redelivered(),
            num_waiting: consumer
                .serving
                .as_ref()
                .map_or(0, |serving| serving.pulls.len() as u64),
            num_pending: consumer.fresh.saturating_sub(hidden.count() as u64),
            cluster: Some(self.cluster()),
            push_bound: false,
            paused: false,
            pause_remaining: Duration::ZERO,
            ts: now,
            priority_groups: Vec::new(),
        }
    }

    fn describe(
        &self,
        name: &StreamName,
        payload: &[u8],
        now: Timestamp,
    ) -> Result<StreamInfoAnswer, JetStreamError> {
        let request: StreamInfoRequest = json::decode(payload)?;
        let stream = self.find(name)?;
        let mut info = self.stream_info(stream, now);
        let mut page = Page::default();
        if !request.subjects_filter.is_empty() {
            let filter = SubjectFilter::parse(&request.subjects_filter)
                .map_err(|_| JetStreamError::BadRequest)?;
            let total = stream.subjects.matching(&filter).count() as u64;
            let offset = usize::try_from(request.offset).unwrap_or(usize::MAX);
            let shown = stream
                .subjects
                .matching(&filter)
                .skip(offset)
                .take(SUBJECT_DETAILS_LIMIT);
            info.state.subjects = shown
                .map(|(_, state)| (state.subject.as_str().to_owned(), state.count))
                .collect::<BTreeMap<_, _>>();
            page = Page {
                total,
                offset: request.offset,
                limit: SUBJECT_DETAILS_LIMIT as u64,
            };
        }
        if request.deleted_details {
            info.state.deleted = removed(stream).take(DELETED_DETAILS_MAX).collect();
        }
        Ok(StreamInfoAnswer { page, info })
    }

    fn page(
        &self,
        stream: &StreamName,
        request: &Message,
        limit: usize,
    ) -> Result<(Page, Vec<&Consumer>), JetStreamError> {
        let PageRequest { offset } = json::decode(&request.payload)?;
        let consumers = &self.find(stream)?.consumers;
        let total = consumers.len() as u64;
        let skipped = usize::try_from(offset).unwrap_or(usize::MAX);
        let shown = consumers.values().skip(skipped).take(limit).collect();
        Ok((
            Page {
                total,
                offset,
                limit: limit as u64,
            },
            shown,
        ))
    }

    fn cluster(&self) -> ClusterInfo {
        ClusterInfo {
            leader: if self.lead.is_some() {
                self.member.to_string()
            } else {
                String::new()
            },
            ..ClusterInfo::default()
        }
    }
}

fn desk_send(desk: &mut Desk<'_>, outgoing: Option<crate::desk::Outgoing>) {
    if let Some(outgoing) = outgoing {
        desk.send(outgoing);
    }
}

fn state_of(stream: &Stream) -> StreamState {
    let messages = &stream.messages;
    let hidden = stream.invisible().fold((0, 0), |(count, bytes), meta| {
        (count + 1, bytes + u64::from(meta.size))
    });
    let (hidden_count, hidden_bytes) = hidden;
    let count = messages.count() - hidden_count;
    let last_seq = stream.visible_last;
    let first_seq = if count == 0 {
        last_seq + 1
    } else {
        messages.first()
    };
    let last_ts = messages.get(last_seq).map(|meta| meta.at);
    StreamState {
        messages: count,
        bytes: messages.bytes() - hidden_bytes,
        first_seq,
        first_ts: messages
            .get(first_seq)
            .filter(|_| count > 0)
            .map(|meta| meta.at),
        last_seq,
        last_ts: last_ts.or(stream.last_at),
        num_subjects: stream.subjects.len() as u64,
        subjects: BTreeMap::new(),
        num_deleted: (last_seq + 1).saturating_sub(first_seq) - count,
        deleted: Vec::new(),
        lost: None,
        consumer_count: stream.consumers.len() as u64,
    }
}

fn removed(stream: &Stream) -> impl Iterator<Item = u64> + '_ {
    let messages = &stream.messages;
    let live = messages.from(messages.first()).map(|meta| meta.sequence);
    let live = live.take_while(|sequence| *sequence <= stream.visible_last);
    let ends = live.chain(std::iter::once(stream.visible_last.saturating_add(1)));
    let mut next = messages.first();
    ends.flat_map(move |sequence| {
        let gap = next..sequence;
        next = sequence.saturating_add(1);
        gap
    })
}

//! Consumers come and go.

use bytes::Bytes;
use relevo_protocol::frame::Message;
use relevo_protocol::identity::{Position, StreamId};
use relevo_protocol::jetstream::api::{ConsumerAction, ConsumerCreateRequest, Success};
use relevo_protocol::jetstream::consumer::{ConsumerConfig, ConsumerInfo, DeliverPolicy};
use relevo_protocol::jetstream::endpoint::EndpointKind;
use relevo_protocol::jetstream::error::JetStreamError;
use relevo_protocol::jetstream::json;
use relevo_protocol::jetstream::status::Status;
use relevo_protocol::mutation::{CONFIG_LEN_MAX, Mutation};
use relevo_protocol::name::{ConsumerName, StreamName};
use relevo_protocol::subject::SubjectFilter;

use super::consumer::filters;
use super::consumer_config::{check_beside_others, check_update, settle};
use super::stream::Stream;
use super::{Streams, answer};
use crate::desk::{Desk, Outgoing};

/// Most consumers of one stream.
const CONSUMERS_MAX: usize = 65_536;
/// Characters of the name that an ephemeral consumer gets.
const MADE_NAME_LEN: usize = 12;

/// What the subject of a create request says.
pub(super) enum Asked {
    /// CONSUMER.CREATE, with what the subject names.
    Create {
        consumer: Option<ConsumerName>,
        filter: Option<String>,
    },
    /// CONSUMER.DURABLE.CREATE
    Durable(ConsumerName),
}

impl Streams {
    /// CONSUMER.CREATE and CONSUMER.DURABLE.CREATE
    pub(super) fn on_consumer_create(
        &mut self,
        desk: &mut Desk<'_>,
        (kind, stream, asked): (EndpointKind, &StreamName, Asked),
        request: &Message,
    ) {
        let result = self.create(desk, stream, asked, &request.payload);
        let (position, result) = match result {
            Ok((position, info)) => (position, Ok(info)),
            Err(error) => (None, Err(error)),
        };
        let Some(outgoing) = answer::api(kind, request, result) else {
            return;
        };
        match position {
            Some(position) => desk.send_after(position, outgoing),
            None => desk.send(outgoing),
        }
    }

    /// CONSUMER.DELETE
    pub(super) fn on_consumer_delete(
        &mut self,
        desk: &mut Desk<'_>,
        stream: &StreamName,
        name: &ConsumerName,
        request: &Message,
    ) {
        let id = self.find(stream).map(|stream| stream.id);
        let result = id.and_then(|id| self.remove_consumer(desk, id, name));
        let position = *result.as_ref().unwrap_or(&None);
        let result = result.map(|_| Success::DONE);
        let outgoing = answer::api(EndpointKind::ConsumerDelete, request, result);
        match (outgoing, position) {
            (Some(outgoing), Some(position)) => desk.send_after(position, outgoing),
            (Some(outgoing), None) => desk.send(outgoing),
            (None, _) => {}
        }
    }

    /// What everyone who waits at a consumer is told when it goes.
    pub(super) fn dismiss(&mut self, id: StreamId, name: &ConsumerName) -> Vec<Outgoing> {
        let Some(serving) = self.serving(id, name) else {
            return Vec::new();
        };
        std::iter::from_fn(|| serving.pulls.take_first())
            .map(|(_, pull)| {
                let (messages, bytes) = (pull.remaining, pull.pending_bytes());
                answer::last_status(pull.reply, &Status::CONSUMER_DELETED, messages, bytes)
            })
            .collect()
    }

    /// Removes a consumer. Where that stands in the log, if the consumer did.
    pub(super) fn remove_consumer(
        &mut self,
        desk: &mut Desk<'_>,
        id: StreamId,
        name: &ConsumerName,
    ) -> Result<Option<Position>, JetStreamError> {
        let consumer = self
            .consumer(id, name)
            .ok_or(JetStreamError::ConsumerNotFound)?;
        let is_durable = consumer.is_durable();
        if is_durable {
            desk.writable().map_err(answer::unwritable)?;
        }
        let farewells = self.dismiss(id, name);
        self.forget_timer(id, name);
        if is_durable {
            let mutation = Mutation::ConsumerDelete {
                stream: id,
                consumer: name.clone(),
            };
            let position = self.decide(desk, &mutation)?;
            for farewell in farewells {
                desk.send_after(position, farewell);
            }
            return Ok(Some(position));
        }
        if let Some(stream) = self.state.streams.get_mut(&id) {
            stream.consumers.remove(name);
        }
        for farewell in farewells {
            desk.send(farewell);
        }
        Ok(None)
    }

    fn create(
        &mut self,
        desk: &mut Desk<'_>,
        stream: &StreamName,
        asked: Asked,
        payload: &[u8],
    ) -> Result<(Option<Position>, ConsumerInfo), JetStreamError> {
        let request: ConsumerCreateRequest = json::decode(payload)?;
        if request.stream_name != *stream {
            return Err(JetStreamError::StreamMismatch);
        }
        let (config, name) = check_names(asked, request.config)?;
        let stream = self.find(stream)?;
        let id = stream.id;
        let config = settle(config, &stream.config)?;
        let name = match name {
            Some(name) => name,
            None => self.make_name(desk, id)?,
        };
        let mut config = config;
        config.name = Some(name.clone());
        let position = self.put_consumer(desk, id, &name, config, request.action)?;
        let Some(stream) = self.state.streams.get(&id) else {
            return Err(JetStreamError::StreamNotFound);
        };
        let consumer = stream
            .consumers
            .get(&name)
            .ok_or(JetStreamError::ConsumerNotFound)?;
        Ok((
            position,
            self.consumer_info(stream, consumer, desk.now.wall),
        ))
    }

    fn put_consumer(
        &mut self,
        desk: &mut Desk<'_>,
        id: StreamId,
        name: &ConsumerName,
        config: ConsumerConfig,
        action: ConsumerAction,
    ) -> Result<Option<Position>, JetStreamError> {
        let created = self.stamp(desk.now);
        let Some(stream) = self.state.streams.get(&id) else {
            return Err(JetStreamError::StreamNotFound);
        };
        if let Some(old) = stream.consumers.get(name) {
            if old.config == config {
                return Ok(old.is_durable().then(|| desk.end()));
            }
            if action == ConsumerAction::Create {
                return Err(JetStreamError::ConsumerAlreadyExists);
            }
            check_update(old, &config)?;
        } else {
            if action == ConsumerAction::Update {
                return Err(JetStreamError::ConsumerDoesNotExist);
            }
            if stream.consumers.len() >= CONSUMERS_MAX {
                return Err(JetStreamError::MaximumConsumers);
            }
        }
        check_beside_others(&config, stream)?;
        let start = start_of(&config, stream);
        let json: Bytes = json::encode(&config).into();
        if json.len() > CONFIG_LEN_MAX {
            return Err(JetStreamError::ConsumerCreate {
                err: "the configuration is too long".into(),
            });
        }
        let position = if config.durable_name.is_some() {
            let mutation = Mutation::ConsumerCreate {
                stream: id,
                consumer: name.clone(),
                config: json,
                created,
                start,
            };
            Some(self.decide(desk, &mutation)?)
        } else {
            let serving = Some(desk.now.monotonic);
            self.state
                .create_consumer(id, name, json, (created, start), serving)
                .map_err(|_| JetStreamError::StreamNotFound)?;
            None
        };
        self.touch(desk.now.monotonic, id, name);
        self.serve(desk, id, name);
        Ok(position)
    }

    fn make_name(&mut self, desk: &Desk<'_>, id: StreamId) -> Result<ConsumerName, JetStreamError> {
        let taken = |name: &ConsumerName| {
            let stream = self.state.streams.get(&id);
            stream.is_some_and(|stream| stream.consumers.contains_key(name))
        };
        let seed = desk.now.wall.as_nanos() ^ (u64::from(self.shard.0) << 48);
        let mut named_count = self.lead.as_ref().map_or(0, |lead| lead.named_count);
        loop {
            named_count += 1;
            let name = ConsumerName::parse(&made_name(seed, named_count))
                .map_err(|_| JetStreamError::BadRequest)?;
            if !taken(&name) {
                if let Some(lead) = &mut self.lead {
                    lead.named_count = named_count;
                }
                return Ok(name);
            }
        }
    }
}

/// The name that the subject and the configuration agree on.
fn check_names(
    asked: Asked,
    mut config: ConsumerConfig,
) -> Result<(ConsumerConfig, Option<ConsumerName>), JetStreamError> {
    if let (Some(durable), Some(name)) = (&config.durable_name, &config.name)
        && durable != name
    {
        return Err(JetStreamError::CreateDurableAndNameMismatch);
    }
    match asked {
        Asked::Durable(consumer) => match &config.durable_name {
            None => Err(JetStreamError::DurableNameNotSet),
            Some(durable) if *durable != consumer => {
                Err(JetStreamError::DurableNameNotMatchSubject)
            }
            Some(_) => Ok((config, Some(consumer))),
        },
        Asked::Create {
            consumer: None,
            filter: _,
        } => match config.durable_name {
            Some(_) => Err(JetStreamError::EphemeralWithDurableName),
            None => {
                let name = config.name.take();
                Ok((config, name))
            }
        },
        Asked::Create {
            consumer: Some(consumer),
            filter,
        } => {
            let named = config.name.as_ref().or(config.durable_name.as_ref());
            if named.is_some_and(|named| *named != consumer) {
                return Err(JetStreamError::DurableNameNotMatchSubject);
            }
            if let Some(filter) = filter {
                if !config.filter_subjects.is_empty() {
                    return Err(JetStreamError::MultipleFiltersNotAllowed);
                }
                if config.filter_subject != filter {
                    return Err(JetStreamError::CreateFilterSubjectMismatch);
                }
            }
            Ok((config, Some(consumer)))
        }
    }
}

/// The first sequence that a new consumer may deliver in order.
fn start_of(config: &ConsumerConfig, stream: &Stream) -> u64 {
    let messages = &stream.messages;
    match config.deliver_policy {
        DeliverPolicy::All => messages.first(),
        DeliverPolicy::New | DeliverPolicy::LastPerSubject => messages.next(),
        DeliverPolicy::ByStartSequence => config.opt_start_seq.max(messages.first()),
        DeliverPolicy::ByStartTime => {
            let first = config
                .opt_start_time
                .and_then(|time| messages.not_before(time));
            first.map_or(messages.next(), |meta| meta.sequence)
        }
        DeliverPolicy::Last => {
            let wanted: Vec<SubjectFilter> = filters(config);
            let last = stream
                .subjects
                .iter()
                .filter(|(_, state)| {
                    wanted.is_empty()
                        || wanted
                            .iter()
                            .any(|filter| filter.matches(state.subject.as_ref()))
                })
                .map(|(_, state)| state.last)
                .max();
            last.unwrap_or(messages.next())
        }
    }
}

/// Letters and digits that depend on the seed and the count; another count gives another name.
fn made_name(seed: u64, count: u64) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    let mixed =
        seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ count.wrapping_mul(0xD1B5_4A32_D192_ED03);
    let letters = (0..MADE_NAME_LEN).map(|place| {
        let index = usize::try_from((mixed >> (place * 5)) & 31).unwrap_or(0);
        ALPHABET
            .get(index)
            .map_or('A', |letter| char::from(*letter))
    });
    letters.collect()
}

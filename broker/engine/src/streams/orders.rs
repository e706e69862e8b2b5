//! What the directory wants: streams that begin and end, and what there is.

use bytes::Bytes;
use relevo_protocol::frame::{Message, Order, Report, Work};
use relevo_protocol::identity::{ShardId, StreamId};
use relevo_protocol::jetstream::api::StreamCreated;
use relevo_protocol::jetstream::endpoint::EndpointKind;
use relevo_protocol::jetstream::error::JetStreamError;
use relevo_protocol::mutation::Mutation;
use relevo_protocol::name::{ConsumerName, StreamName};
use relevo_protocol::time::Timestamp;

use super::{Streams, answer, refuse};
use crate::desk::{Desk, Outgoing};
use crate::input::Effect;

impl Streams {
    /// The directory wants something done.
    pub fn on_order(&mut self, desk: &mut Desk<'_>, order: Order) {
        match order {
            Order::CreateStream {
                stream,
                name,
                config,
                created,
                request,
            } => {
                self.create_stream(desk, (stream, &name, config, created), &request);
            }
            Order::DeleteStream { stream, request } => self.delete_stream(desk, stream, request),
            Order::ListStreams { ask } => {
                let infos = self.infos(desk.now.wall);
                let report = Report::Streams {
                    ask,
                    shard: self.shard,
                    infos,
                };
                // Tells of nothing but what is committed, so it waits for nothing.
                let work = Work::Report(report);
                desk.effects.push(Effect::ToShard {
                    shard: ShardId::DIRECTORY,
                    work,
                });
            }
        }
    }

    fn create_stream(
        &mut self,
        desk: &mut Desk<'_>,
        (id, name, config, created): (StreamId, &StreamName, Bytes, Timestamp),
        request: &Message,
    ) {
        let kind = EndpointKind::StreamCreate;
        if self.state.gone.contains(&id) {
            return self.refuse_gone(desk, id, request);
        }
        let did_create = !self.state.streams.contains_key(&id);
        if did_create {
            if self.state.names.contains_key(name) {
                return refuse(desk, kind, request, JetStreamError::StreamNameExists);
            }
            let created = created.max(self.state.last_at);
            let mutation = Mutation::StreamCreate {
                stream: id,
                name: name.clone(),
                config,
                created,
            };
            if let Err(error) = self.decide(desk, &mutation) {
                return refuse(desk, kind, request, error);
            }
            if let Some(lead) = &mut self.lead {
                lead.routes.clear();
            }
        }
        let Some(stream) = self.state.streams.get(&id) else {
            return;
        };
        let info = self.stream_info(stream, desk.now.wall);
        let answered = answer::api(kind, request, Ok(StreamCreated { info, did_create }));
        if let Some(outgoing) = answered {
            desk.send_after(desk.end(), outgoing);
        }
    }

    /// The stream was deleted here and the directory has not taken note, because it is about to or
    /// because it crashed: it is told again, and the client may try again, for another number.
    fn refuse_gone(&mut self, desk: &mut Desk<'_>, stream: StreamId, request: &Message) {
        let error = JetStreamError::TemporarilyUnavailable;
        refuse(desk, EndpointKind::StreamCreate, request, error);
        let request = Message {
            reply: None,
            ..request.clone()
        };
        let report = Report::StreamDeleted { stream, request };
        desk.tell_shard_after(desk.end(), ShardId::DIRECTORY, Work::Report(report));
    }

    fn delete_stream(&mut self, desk: &mut Desk<'_>, id: StreamId, request: Message) {
        if let Err(why) = desk.writable() {
            return refuse(
                desk,
                EndpointKind::StreamDelete,
                &request,
                answer::unwritable(why),
            );
        }
        if let Some(stream) = self.state.streams.get(&id) {
            let names: Vec<ConsumerName> = stream.consumers.keys().cloned().collect();
            let farewells: Vec<Outgoing> = names
                .iter()
                .flat_map(|name| self.dismiss(id, name))
                .collect();
            self.forget_timers(id);
            if let Err(error) = self.decide(desk, &Mutation::StreamDelete { stream: id }) {
                return refuse(desk, EndpointKind::StreamDelete, &request, error);
            }
            if let Some(lead) = &mut self.lead {
                lead.routes.clear();
            }
            for farewell in farewells {
                desk.send_after(desk.end(), farewell);
            }
            desk.trim_after(desk.end(), id.0, u64::MAX);
        }
        let report = Report::StreamDeleted {
            stream: id,
            request,
        };
        desk.tell_shard_after(desk.end(), ShardId::DIRECTORY, Work::Report(report));
    }
}

//! Messages that a client wants gone: STREAM.PURGE and STREAM.MSG.DELETE.

use relevo_protocol::frame::Message;
use relevo_protocol::identity::{Position, StreamId};
use relevo_protocol::jetstream::api::{MsgDeleteRequest, PurgeRequest, Purged, Success};
use relevo_protocol::jetstream::endpoint::EndpointKind;
use relevo_protocol::jetstream::error::JetStreamError;
use relevo_protocol::jetstream::json;
use relevo_protocol::mutation::Mutation;
use relevo_protocol::name::StreamName;
use relevo_protocol::subject::SubjectFilter;

use super::stream::Stream;
use super::{Streams, answer};
use crate::desk::Desk;

/// Sequences in one record of a purge by subject.
const REMOVED_PER_RECORD: usize = 16_384;
/// Most messages that one purge by subject removes; more are purged by asking again.
const PURGED_BY_SUBJECT_MAX: usize = 1_048_576;

impl Streams {
    /// STREAM.PURGE
    pub(super) fn on_purge(&mut self, desk: &mut Desk<'_>, name: &StreamName, request: &Message) {
        let result = self.purge(desk, name, &request.payload);
        let position = result.as_ref().ok().map(|(position, _)| *position);
        let result = result.map(|(_, purged)| Purged {
            success: true,
            purged,
        });
        answer_after(
            desk,
            position,
            answer::api(EndpointKind::StreamPurge, request, result),
        );
    }

    /// STREAM.MSG.DELETE
    pub(super) fn on_msg_delete(
        &mut self,
        desk: &mut Desk<'_>,
        name: &StreamName,
        request: &Message,
    ) {
        let result = self.delete_message(desk, name, &request.payload);
        let position = result.as_ref().ok().copied();
        let result = result.map(|_| Success::DONE);
        answer_after(
            desk,
            position,
            answer::api(EndpointKind::MsgDelete, request, result),
        );
    }

    fn purge(
        &mut self,
        desk: &mut Desk<'_>,
        name: &StreamName,
        payload: &[u8],
    ) -> Result<(Position, u64), JetStreamError> {
        let request: PurgeRequest = json::decode(payload)?;
        let stream = self.find(name)?;
        let id = stream.id;
        if stream.config.deny_purge {
            return Err(failed("stream purge not permitted"));
        }
        if request.seq > 0 && request.keep > 0 {
            return Err(failed("a purge takes seq or keep, not both"));
        }
        desk.writable().map_err(answer::unwritable)?;
        let purged = if request.filter.is_empty() || request.filter == ">" {
            let first = first_kept(stream, &request);
            let purged = stream.messages.count() - stream.messages.count_from(first);
            if purged > 0 {
                self.trim(desk, id, first);
            }
            purged
        } else {
            let sequences = matching(stream, &request)?;
            self.remove_all(desk, id, &sequences)?;
            sequences.len() as u64
        };
        self.serve_stream(desk, id);
        Ok((desk.end(), purged))
    }

    fn remove_all(
        &mut self,
        desk: &mut Desk<'_>,
        stream: StreamId,
        sequences: &[u64],
    ) -> Result<(), JetStreamError> {
        for some in sequences.chunks(REMOVED_PER_RECORD) {
            self.decide(
                desk,
                &Mutation::Remove {
                    stream,
                    sequences: some.to_vec(),
                },
            )?;
        }
        Ok(())
    }

    fn delete_message(
        &mut self,
        desk: &mut Desk<'_>,
        name: &StreamName,
        payload: &[u8],
    ) -> Result<Position, JetStreamError> {
        if payload.is_empty() {
            return Err(JetStreamError::BadRequest);
        }
        let request: MsgDeleteRequest = json::decode(payload)?;
        let stream = self.find(name)?;
        let id = stream.id;
        if stream.config.deny_delete {
            return Err(JetStreamError::MessageDeleteFailed {
                err: "message delete not permitted".into(),
            });
        }
        let is_there =
            request.seq <= stream.visible_last && stream.messages.get(request.seq).is_some();
        if !is_there {
            return Err(JetStreamError::MessageDeleteFailed {
                err: "no message found".into(),
            });
        }
        let mutation = Mutation::Remove {
            stream: id,
            sequences: vec![request.seq],
        };
        let position = self.decide(desk, &mutation)?;
        self.serve_stream(desk, id);
        Ok(position)
    }
}

fn answer_after(
    desk: &mut Desk<'_>,
    position: Option<Position>,
    outgoing: Option<crate::desk::Outgoing>,
) {
    match (outgoing, position) {
        (Some(outgoing), Some(position)) => desk.send_after(position, outgoing),
        (Some(outgoing), None) => desk.send(outgoing),
        (None, _) => {}
    }
}

/// Where the stream begins after a purge without a subject.
fn first_kept(stream: &Stream, request: &PurgeRequest) -> u64 {
    let messages = &stream.messages;
    if request.keep > 0 {
        let kept = usize::try_from(request.keep - 1).unwrap_or(usize::MAX);
        let first = messages.back_from(messages.next()).nth(kept);
        return first.map_or(messages.first(), |meta| meta.sequence);
    }
    match request.seq {
        0 => messages.next(),
        seq => seq.min(messages.next()),
    }
}

/// What a purge by subject removes, oldest first.
fn matching(stream: &Stream, request: &PurgeRequest) -> Result<Vec<u64>, JetStreamError> {
    let filter = SubjectFilter::parse(&request.filter)
        .map_err(|error| failed(format!("invalid filter: {error}")))?;
    let wanted: std::collections::BTreeSet<_> = stream
        .subjects
        .matching(&filter)
        .map(|(id, _)| id)
        .collect();
    let up_to = if request.seq == 0 {
        u64::MAX
    } else {
        request.seq
    };
    let messages = stream.messages.from(stream.messages.first());
    let mut sequences: Vec<u64> = messages
        .take_while(|meta| meta.sequence < up_to)
        .filter(|meta| wanted.contains(&meta.subject))
        .map(|meta| meta.sequence)
        .collect();
    let kept = usize::try_from(request.keep).unwrap_or(usize::MAX);
    sequences.truncate(
        sequences
            .len()
            .saturating_sub(kept)
            .min(PURGED_BY_SUBJECT_MAX),
    );
    Ok(sequences)
}

fn failed(text: impl Into<std::borrow::Cow<'static, str>>) -> JetStreamError {
    JetStreamError::StreamPurgeFailed { err: text.into() }
}

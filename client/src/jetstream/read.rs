//! Reading a stream without a consumer: nothing is consumed.

use relevo_protocol::jetstream::api::MsgGetRequest;
use relevo_protocol::jetstream::endpoint::Endpoint;
use relevo_protocol::jetstream::json;
use relevo_protocol::jetstream::publish::NUM_PENDING;
use relevo_protocol::name::StreamName;
use relevo_protocol::verb::StartFrom;
use tokio::time::Instant;

use super::stored::StoredMessage;
use crate::client::{Client, NO_RESPONDERS};
use crate::error::JetStreamError;
use crate::message::Message;
use crate::replies::Replies;

/// How many messages are asked for at once.
const READ_BATCH_MAX: u64 = 256;

/// The subject filter of every message.
const EVERYTHING: &str = ">";

const END_OF_BATCH: u16 = 204;
const NOT_FOUND: u16 = 404;

/// Up to `max` messages, in order.
pub(crate) async fn read_messages(
    client: &Client,
    stream: &StreamName,
    from: StartFrom,
    max: u32,
) -> Result<Vec<StoredMessage>, JetStreamError> {
    let max = u64::from(max);
    let mut messages: Vec<StoredMessage> = Vec::new();
    let mut replies = Replies::new(client.clone()).await?;
    let mut next = start(from);
    while (messages.len() as u64) < max {
        next.batch = match from {
            StartFrom::Last if messages.is_empty() => 0,
            StartFrom::First | StartFrom::Last | StartFrom::Sequence(_) | StartFrom::Time(_) => {
                READ_BATCH_MAX.min(max - messages.len() as u64)
            }
        };
        let has_more = read_batch(client, stream, &mut replies, &next, &mut messages).await?;
        let Some(last) = messages.last().filter(|_| has_more) else {
            break;
        };
        next = MsgGetRequest {
            seq: last.seq + 1,
            next_by_subj: EVERYTHING.to_owned(),
            ..MsgGetRequest::default()
        };
    }
    if messages.is_empty() && max > 0 {
        // Whether there are no messages or there is no stream.
        client.stream_info(stream.clone()).await?;
    }
    Ok(messages)
}

fn start(from: StartFrom) -> MsgGetRequest {
    let mut request = MsgGetRequest::default();
    match from {
        StartFrom::First => {
            request.seq = 1;
            request.next_by_subj = EVERYTHING.to_owned();
        }
        StartFrom::Last => request.last_by_subj = EVERYTHING.to_owned(),
        StartFrom::Sequence(seq) => {
            request.seq = seq;
            request.next_by_subj = EVERYTHING.to_owned();
        }
        StartFrom::Time(time) => {
            request.start_time = Some(time);
            request.next_by_subj = EVERYTHING.to_owned();
        }
    }
    request
}

/// Reads one batch. Gives whether there is more behind it.
async fn read_batch(
    client: &Client,
    stream: &StreamName,
    replies: &mut Replies,
    request: &MsgGetRequest,
    messages: &mut Vec<StoredMessage>,
) -> Result<bool, JetStreamError> {
    let deadline = Instant::now() + client.shared().options.request_timeout;
    let subject = Endpoint::DirectGet(stream.clone()).subject();
    replies.ask(&subject, &json::encode(request)).await?;
    loop {
        let message = replies.next(deadline).await?;
        match message.status() {
            None => {
                messages.push(StoredMessage::from_direct_get(&message)?);
                if request.batch == 0 {
                    return Ok(false);
                }
            }
            Some(END_OF_BATCH) => return Ok(pending(&message) > 0),
            Some(NOT_FOUND) => return Ok(false),
            Some(NO_RESPONDERS) => {
                // There is no such stream, or nobody who would know.
                client.stream_info(stream.clone()).await?;
                return Err(JetStreamError::NoStream);
            }
            Some(code) => return Err(JetStreamError::status(code, &message)),
        }
    }
}

fn pending(message: &Message) -> u64 {
    let block = message.headers().ok().flatten();
    block
        .and_then(|block| block.get(NUM_PENDING)?.parse().ok())
        .unwrap_or_default()
}

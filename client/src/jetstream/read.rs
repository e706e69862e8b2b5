//! Reading a stream without a consumer: nothing is consumed.

use relevo_protocol::jetstream::api::MsgGetRequest;
use relevo_protocol::jetstream::endpoint::Endpoint;
use relevo_protocol::jetstream::json;
use relevo_protocol::jetstream::publish::NUM_PENDING;
use relevo_protocol::name::StreamName;
use relevo_protocol::verb::StartFrom;
use tokio::time::Instant;

use super::stored::StoredMessage;
use crate::client::Client;
use crate::error::JetStreamError;
use crate::message::Message;
use crate::replies::{ASKED_BYTES_MAX, Replies};

/// How many messages are asked for at once.
const READ_BATCH_MAX: u64 = 1024;

/// No more is read than this and one message, in bytes of payload.
pub const READ_BYTES_MAX: usize = 64 * 1024 * 1024;

const END_OF_BATCH: u16 = 204;
const NOT_FOUND: u16 = 404;

/// Up to `max` messages, in order.
pub(crate) async fn read_messages(
    client: &Client,
    stream: &StreamName,
    from: StartFrom,
    max: u32,
) -> Result<Vec<StoredMessage>, JetStreamError> {
    let mut read = Read {
        client,
        stream,
        messages: Vec::new(),
        bytes: 0,
        max: max as usize,
    };
    let mut next = match from {
        StartFrom::First => Some(at_sequence(1)),
        StartFrom::Sequence(seq) => Some(at_sequence(seq)),
        StartFrom::Time(time) => Some(MsgGetRequest {
            start_time: Some(time),
            ..MsgGetRequest::default()
        }),
        StartFrom::Last => read.last().await?,
    };
    let mut replies = Replies::new(client.clone()).await?;
    while let Some(request) = next.filter(|_| !read.is_full()) {
        let has_more = read.batch(&mut replies, request).await?;
        next = read
            .messages
            .last()
            .filter(|_| has_more)
            .map(|last| at_sequence(last.seq.saturating_add(1)));
    }
    if read.messages.is_empty() {
        // Whether there are no messages or there is no stream.
        client.stream_info(stream.clone()).await?;
    }
    Ok(read.messages)
}

fn at_sequence(seq: u64) -> MsgGetRequest {
    MsgGetRequest {
        seq,
        ..MsgGetRequest::default()
    }
}

#[derive(Debug)]
struct Read<'a> {
    client: &'a Client,
    stream: &'a StreamName,
    messages: Vec<StoredMessage>,
    bytes: usize,
    max: usize,
}

impl Read<'_> {
    fn is_full(&self) -> bool {
        self.messages.len() >= self.max || self.bytes >= READ_BYTES_MAX
    }

    /// The newest message there is. Behind it the last sequence may be gone already, as in a queue.
    async fn last(&self) -> Result<Option<MsgGetRequest>, JetStreamError> {
        let info = self.client.stream_info(self.stream.clone()).await?;
        if info.state.messages == 0 {
            return Ok(None);
        }
        Ok(match info.config.subjects.as_slice() {
            [subject] => Some(MsgGetRequest {
                last_by_subj: subject.clone(),
                ..MsgGetRequest::default()
            }),
            _ => Some(at_sequence(info.state.last_seq)),
        })
    }

    /// Reads one batch. Gives whether there is more behind it.
    async fn batch(
        &mut self,
        replies: &mut Replies,
        mut request: MsgGetRequest,
    ) -> Result<bool, JetStreamError> {
        let is_single = !request.last_by_subj.is_empty();
        if !is_single {
            request.batch = READ_BATCH_MAX.min((self.max - self.messages.len()) as u64);
            request.max_bytes = ASKED_BYTES_MAX;
        }
        let deadline = Instant::now() + self.client.shared().options.request_timeout;
        replies
            .ask(
                &Endpoint::DirectGet(self.stream.clone()).subject(),
                &json::encode(&request),
            )
            .await?;
        loop {
            let answer = replies.next(deadline).await?;
            if let Some(message) = StoredMessage::from_direct_get(&answer)? {
                self.bytes += message.payload.len();
                self.messages.push(message);
                if is_single {
                    return Ok(false);
                }
                continue;
            }
            return match answer.status() {
                Some(END_OF_BATCH) => Ok(pending(&answer) > 0),
                Some(NOT_FOUND) => Ok(false),
                _ if answer.is_no_responders() => {
                    // There is no such stream, or nobody who would know.
                    self.client.stream_info(self.stream.clone()).await?;
                    Err(JetStreamError::NoStream)
                }
                code => Err(JetStreamError::status(code.unwrap_or_default(), &answer)),
            };
        }
    }
}

fn pending(message: &Message) -> u64 {
    let block = message.headers().ok().flatten();
    block
        .and_then(|block| block.get(NUM_PENDING)?.parse().ok())
        .unwrap_or_default()
}

//! Messages that are read without taking them, a bounded page at a time.

use relevo_client::{JetStreamError, Queue, StoredMessage, Topic};
use relevo_protocol::verb::StartFrom;

/// How many messages a page has when nothing else is asked for.
pub(crate) const LIST_MESSAGES_DEFAULT: u32 = 20;

/// The most messages of a page.
pub(crate) const LIST_MESSAGES_MAX: u32 = 1_000;

/// How many messages are asked for at a time.
pub(crate) const BATCH_MESSAGES: u32 = 32;

/// After how many bytes of payload an answer ends early, so that it stays in memory: it has fewer messages than asked for
/// then. The last batch may go beyond it.
pub(crate) const ANSWER_LEN: usize = 8 * 1024 * 1024;

/// What messages are read from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source<'a> {
    Queue(&'a Queue),
    Topic(&'a Topic),
}

impl Source<'_> {
    /// Up to `limit` messages, the first one at `from`.
    pub(crate) async fn page(
        self,
        from: StartFrom,
        limit: u32,
    ) -> Result<Vec<StoredMessage>, JetStreamError> {
        let mut page: Vec<StoredMessage> = Vec::new();
        let (mut from, mut left, mut len) = (from, limit, 0);
        while left > 0 && len < ANSWER_LEN {
            let asked = left.min(BATCH_MESSAGES);
            let batch = self.read(from, asked).await?;
            let came = u32::try_from(batch.len()).unwrap_or(u32::MAX);
            let Some(last) = batch.last() else { break };
            from = StartFrom::Sequence(last.seq.saturating_add(1));
            len += batch
                .iter()
                .map(|message| message.payload.len())
                .sum::<usize>();
            left = left.saturating_sub(came);
            page.extend(batch);
            if came < asked {
                break;
            }
        }
        Ok(page)
    }

    async fn read(self, from: StartFrom, max: u32) -> Result<Vec<StoredMessage>, JetStreamError> {
        match self {
            Self::Queue(queue) => queue.peek(from, max).await,
            Self::Topic(topic) => topic.view(from, max).await,
        }
    }
}

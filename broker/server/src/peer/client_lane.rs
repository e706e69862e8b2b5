//! The client lane's reading end: what the other broker's clients want, send and ask.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use relevo_engine::route::Refusal;
use relevo_protocol::frame::{Frame, Message, Routed, Work};
use relevo_protocol::identity::ShardId;
use relevo_protocol::subject::{SubjectFilter, SubjectRef};

use super::frames::{FrameReader, LaneError};
use super::routed::split_subjects;
use crate::random;
use crate::router::publisher::{Exchange, Published, Publisher, Scope};
use crate::router::subscribed::Subscribed;
use crate::router::subscription::Receiver;
use crate::shards::Place;

/// Frames after which work is handed over and flushes are paid although more frames are buffered.
const BURST_FRAMES_MAX: usize = 1024;

/// The client lane of one link.
#[derive(Debug)]
pub(crate) struct ClientLane {
    reader: FrameReader,
    publisher: Publisher,
    wishes: Wishes,
}

/// What the other broker's clients want; forgotten with the link, however that ends.
#[derive(Debug)]
struct Wishes {
    exchange: Arc<Exchange>,
    subscriptions: HashMap<(Bytes, Option<Bytes>), Subscribed>,
}

impl ClientLane {
    pub(crate) fn new(reader: FrameReader, exchange: Arc<Exchange>) -> Self {
        let publisher = Publisher::new(Arc::clone(&exchange), random::seed());
        Self {
            reader,
            publisher,
            wishes: Wishes {
                exchange,
                subscriptions: HashMap::new(),
            },
        }
    }

    /// Reads until the lane is lost.
    pub(crate) async fn run(mut self) -> LaneError {
        loop {
            let mut frame = match self.reader.next().await {
                Ok(frame) => frame,
                Err(error) => return error,
            };
            for _ in 0..BURST_FRAMES_MAX {
                if let Err(error) = self.take(frame) {
                    return error;
                }
                frame = match self.reader.buffered() {
                    Ok(Some(frame)) => frame,
                    Ok(None) => break,
                    Err(error) => return error,
                };
            }
            self.publisher.hand_over().await;
        }
    }

    fn take(&mut self, frame: Frame) -> Result<(), LaneError> {
        match frame {
            Frame::Heartbeat => {}
            Frame::Interest {
                wanted,
                subject,
                queue,
            } => self.wishes.change(wanted, &subject, queue),
            Frame::InterestComplete => {
                tracing::debug!(
                    count = self.wishes.subscriptions.len(),
                    "other broker's interest is known"
                );
            }
            Frame::Routed(routed) => self.route(routed),
            Frame::Work { shard, work } => self.work(shard, work),
            Frame::Hello(_) | Frame::Register(_) | Frame::Shard { .. } => {
                return Err(LaneError::OutOfPlace);
            }
        }
        Ok(())
    }

    fn route(&mut self, routed: Routed) {
        let Routed {
            message,
            plain,
            queues,
        } = routed;
        let (message, shown) = split_subjects(message);
        if let Some(message) = Published::of(&message, shown.as_ref()) {
            self.publisher.deliver(
                &message,
                Scope::Here {
                    plain,
                    queues: &queues,
                },
            );
        }
    }

    fn work(&mut self, shard: ShardId, work: Work) {
        if self.wishes.exchange.shards.place(shard) == Place::Here {
            return self.publisher.give_work(shard, work);
        }
        match work {
            Work::Publish(message) | Work::Api(message) | Work::Ack(message) => {
                self.refuse(message)
            }
            Work::Order(_) | Work::Report(_) => {
                tracing::warn!(%shard, "work from the other broker for a shard that is not led here");
            }
        }
    }

    fn refuse(&mut self, message: Message) {
        let Some(reply) = message.reply else { return };
        let Ok(subject) = SubjectRef::parse(&message.subject) else {
            return;
        };
        if let Some(refusal) = self.wishes.exchange.router.unavailable(subject) {
            let Refusal { headers, payload } = refusal;
            self.publisher.answer(&reply, Refusal { headers, payload });
        }
    }
}

impl Wishes {
    fn change(&mut self, wanted: bool, subject: &[u8], queue: Option<Bytes>) {
        // Copies, so that a wish does not keep the whole read buffer alive.
        let queue = queue.map(|queue| Bytes::copy_from_slice(&queue));
        let wish = (Bytes::copy_from_slice(subject), queue);
        if !wanted {
            self.subscriptions.remove(&wish);
            return;
        }
        let Ok(filter) = SubjectFilter::parse(subject) else {
            tracing::warn!("interest of the other broker: its subject is no filter");
            return;
        };
        if self.subscriptions.contains_key(&wish) {
            return;
        }
        match Subscribed::begin(&self.exchange, &filter, wish.1.clone(), Receiver::Peer) {
            Ok(subscribed) => {
                self.subscriptions.insert(wish, subscribed);
            }
            Err(full) => tracing::error!("interest of the other broker: {full}"),
        }
    }
}

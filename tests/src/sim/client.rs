//! Simulated clients: they create queues and topics, publish with and without message ids, pull, and
//! acknowledge, through either broker, and give up on what is not answered.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use relevo_protocol::convention::queue::{self, QueueOptions};
use relevo_protocol::convention::topic::{self, TopicOptions};
use relevo_protocol::frame::Message;
use relevo_protocol::headers::HeaderBuilder;
use relevo_protocol::jetstream::endpoint::Endpoint;
use relevo_protocol::name::{QueueName, TopicName};

use super::checker::Checker;

/// Requests that one client keeps open.
const OPEN_MAX: usize = 64;

/// The topic `two` keeps this many messages, so that segments die.
pub(super) const TOPIC_TWO_MAX: u64 = 100;

/// Leases run out within a run, and messages come again.
const LEASE: Duration = Duration::from_secs(3);

/// What a client asks of a broker.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) node: usize,
    pub(super) message: Message,
}

/// What an answer is to be taken as.
#[derive(Clone, Debug)]
enum Open {
    Create(usize),
    Publish { id: String },
    Pull,
    Ack { id: String },
}

/// One client.
pub(super) struct Client {
    number: usize,
    random: fastrand::Rng,
    next: u64,
    open: BTreeMap<u64, Open>,
    created: Vec<bool>,
}

/// The queues, topics and consumers that the clients share, as requests that make them.
fn creations() -> Vec<(String, Vec<u8>)> {
    let mut made = Vec::new();
    for name in ["one", "two"] {
        let queue = QueueName::parse(name).expect("a valid name");
        let options = QueueOptions {
            lease: LEASE,
            ..QueueOptions::default()
        };
        let stream = queue::stream_config(&queue, &options);
        let endpoint = Endpoint::StreamCreate(stream.name.clone());
        made.push((
            endpoint.subject(),
            serde_json::to_vec(&stream).unwrap_or_default(),
        ));
        let consumer = queue::consumer_config(&queue, &options);
        let body = serde_json::json!({ "stream_name": stream.name, "config": consumer });
        let subject = format!(
            "$JS.API.CONSUMER.DURABLE.CREATE.{}.workers",
            stream.name.as_str()
        );
        made.push((subject, body.to_string().into_bytes()));
        let topic = TopicName::parse(name).expect("a valid name");
        let mut options = TopicOptions::default();
        if name == "two" {
            options.max_messages = Some(TOPIC_TWO_MAX);
        }
        let stream = topic::stream_config(&topic, &options);
        let endpoint = Endpoint::StreamCreate(stream.name.clone());
        made.push((
            endpoint.subject(),
            serde_json::to_vec(&stream).unwrap_or_default(),
        ));
    }
    made
}

impl Client {
    pub(super) fn new(number: usize, seed: u64) -> Self {
        let created = vec![false; creations().len()];
        let random = fastrand::Rng::with_seed(seed);
        Self {
            number,
            random,
            next: 0,
            open: BTreeMap::new(),
            created,
        }
    }

    /// The client's next request.
    pub(super) fn act(&mut self, checker: &mut Checker) -> Option<Ask> {
        while self.open.len() >= OPEN_MAX {
            self.open.pop_first();
        }
        let node = self.random.usize(..2);
        if let Some(missing) = self.created.iter().position(|made| !made) {
            let (subject, body) = creations().swap_remove(missing);
            return Some(self.ask(node, Open::Create(missing), subject, Bytes::new(), body));
        }
        let name = if self.random.bool() { "one" } else { "two" };
        match self.random.u8(..10) {
            0..=5 => {
                let id = format!("m-{}-{}", self.number, self.next);
                checker.on_publish(&id);
                let kind = if self.random.bool() { "$Q" } else { "$T" };
                let headers = if self.random.bool() {
                    let mut builder = HeaderBuilder::new();
                    let _ = builder.append("Nats-Msg-Id", &id);
                    builder.finish()
                } else {
                    Bytes::new()
                };
                let body = id.clone().into_bytes();
                let open = Open::Publish { id };
                Some(self.ask(node, open, format!("{kind}.{name}"), headers, body))
            }
            _ => {
                let subject = format!("$JS.API.CONSUMER.MSG.NEXT.Q_{name}.workers");
                let body = if self.random.bool() {
                    r#"{"batch":5,"no_wait":true}"#
                } else {
                    r#"{"batch":3,"expires":1000000000}"#
                };
                Some(self.ask(
                    node,
                    Open::Pull,
                    subject,
                    Bytes::new(),
                    body.as_bytes().to_vec(),
                ))
            }
        }
    }

    fn ask(
        &mut self,
        node: usize,
        open: Open,
        subject: String,
        headers: Bytes,
        payload: Vec<u8>,
    ) -> Ask {
        self.next += 1;
        self.open.insert(self.next, open);
        let reply = Some(Bytes::from(format!("_INBOX.{}.{}", self.number, self.next)));
        let subject = Bytes::from(subject);
        Ask {
            node,
            message: Message {
                subject,
                reply,
                headers,
                payload: payload.into(),
            },
        }
    }

    /// A message for one of the client's inboxes; what it asks because of it.
    pub(super) fn on_message(
        &mut self,
        inbox: u64,
        message: &Message,
        checker: &mut Checker,
    ) -> Option<Ask> {
        match self.open.get(&inbox).cloned()? {
            Open::Create(which) => {
                let body: serde_json::Value = serde_json::from_slice(&message.payload).ok()?;
                if body.get("error").is_none() {
                    self.created[which] = true;
                }
                self.open.remove(&inbox);
                None
            }
            Open::Publish { id } => {
                self.open.remove(&inbox);
                let body: serde_json::Value = serde_json::from_slice(&message.payload).ok()?;
                let sequence = body.get("seq")?.as_u64()?;
                let stream = body.get("stream")?.as_str()?;
                let duplicate = body.get("duplicate").is_some_and(|flag| flag == true);
                if body.get("error").is_none() {
                    checker.on_pub_ack(stream, sequence, &id, duplicate);
                }
                None
            }
            Open::Pull => {
                let reply = message.reply.as_ref()?;
                let id = String::from_utf8_lossy(&message.payload).into_owned();
                checker.on_delivery(&id);
                if self.random.u8(..10) == 0 {
                    return None;
                }
                checker.on_consume(&id);
                let node = self.random.usize(..2);
                let subject = String::from_utf8_lossy(reply).into_owned();
                Some(self.ask(
                    node,
                    Open::Ack { id },
                    subject,
                    Bytes::new(),
                    b"+ACK".to_vec(),
                ))
            }
            Open::Ack { id } => {
                self.open.remove(&inbox);
                if message.headers.is_empty() {
                    checker.on_confirmed(&id);
                }
                None
            }
        }
    }
}

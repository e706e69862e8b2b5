//! The relevo client SDK: the signatures that other crates code against.
//!
//! ```text
//! // connect -------------------------------------------------------------------------------------------
//! ConnectOptions::new() -> ConnectOptions                    // all setters take self and return Self
//!     .server(impl Into<String>)  "host:port", again for more servers   .name(impl Into<String>)
//!     .user(user, password)  .token(token)
//!     .connect_timeout(Duration)  .request_timeout(Duration)  .retry_first_connect()
//!     async .connect(self) -> Result<Client, ConnectError>
//!     .connect_in_background(self) -> Client                 // at once; connects and reconnects by itself
//! Client: Clone + Send + Sync
//!     async publish(&self, subject: &(impl AsSubject + ?Sized), payload: impl AsRef<[u8]>) -> Result<(), PublishError>
//!     async publish_with_headers(&self, subject, headers: &Headers, payload) -> Result<(), PublishError>
//!     async publish_request(&self, subject, reply: &str, headers: Option<&Headers>, payload) -> Result<(), PublishError>
//!     async flush(&self) -> Result<(), RequestError>         async rtt(&self) -> Result<Duration, RequestError>
//!     async request(&self, subject, payload, timeout: Duration) -> Result<Message, RequestError>
//!     async request_with_headers(&self, subject, headers: &Headers, payload, timeout) -> Result<Message, RequestError>
//!     async subscribe(&self, filter: &str) -> Result<Subscriber, SubscribeError>
//!     async queue_subscribe(&self, filter: &str, group: &str) -> Result<Subscriber, SubscribeError>
//!     new_inbox(&self) -> String    server_info(&self) -> Option<Arc<ServerInfo>>
//!     status(&self) -> Status {Connecting, Connected, Disconnected, Closed}    watch_status(&self) -> tokio::sync::watch::Receiver<Status>
//!     events(&self) -> tokio::sync::broadcast::Receiver<Event>
//!     async drain(&self) -> Result<(), RequestError>         async close(&self)
//! Subscriber: futures Stream<Item = Message>; async next(&mut self) -> Option<Message>; try_next() -> Option<Message>;
//!     lagged(&mut self) -> u64 (dropped since last asked)    unsubscribe(self)    unsubscribe_after(&mut self, n: u64)
//! Message: subject() -> &str, reply() -> Option<&str>, headers() -> HeaderBlock-like view, payload() -> Bytes, status() -> Option<u16>
//! Headers: new(), insert(name, value) -> Result<&mut Self, HeaderError>, append(..), get(name) -> Option<&str>, iter() -> (&str, &str)
//!
//! // streams -------------------------------------------------------------------------------------------
//!     async stream_publish(&self, subject, headers: Option<&Headers>, payload) -> Result<PubAckFuture, PublishError>
//!     publisher(&self, window: usize) -> Publisher           // Publisher::publish(subject, headers, payload).await -> Result<PubAckFuture, _>
//! PubAckFuture: Future<Output = Result<PubAck, JetStreamError>>      // relevo_protocol::jetstream::pub_ack::PubAck
//!
//! // queues --------------------------------------------------------------------------------------------
//! client.queue(name: &str) -> Result<Queue, NameError>       client.queues().await -> Result<Vec<QueueInfo>, JetStreamError>
//! Queue: name() -> &QueueName
//!     async create(&self, &QueueOptions) -> Result<Creation, JetStreamError>     // Creation::{Created, Exists}; other options: Refused 10058
//!     async delete(&self) -> Result<(), JetStreamError>      async purge(&self) -> Result<u64, JetStreamError>
//!     async info(&self) -> Result<QueueInfo, JetStreamError>  // Serialize: name, messages, bytes, ready, leased, first_seq, last_seq, leader
//!     async push(&self, payload: impl AsRef<[u8]>, &PushOptions) -> Result<Pushed, JetStreamError>
//!         PushOptions { id: Option<String>, delay: Option<Duration>, priority: Option<u8>, key: Option<String>, headers: Headers }
//!         Pushed { stream: StreamName, seq: u64, duplicate: bool }
//!     async pop(&self, &PopOptions) -> Result<Vec<Job>, JetStreamError>          // PopOptions { max: u32, wait: Duration, lease: Option<Duration> }
//!     async peek(&self, from: StartFrom, max: u32) -> Result<Vec<StoredMessage>, JetStreamError>
//! Job { seq: u64, attempts: u64, time: Timestamp, subject: String, headers: Headers, payload: Bytes, lease: Lease }
//!     async ack(&self) / nack(&self, delay: Option<Duration>) / extend(&self, by: Option<Duration>) -> Result<(), LeaseError>
//! client.lease(text: &str) -> Result<LeaseHandle, LeaseError>   // same ack, nack, extend; LeaseError::Gone -> 410
//!
//! // topics --------------------------------------------------------------------------------------------
//! client.topic(name: &str) -> Result<Topic, NameError>       client.topics().await -> Result<Vec<TopicInfo>, JetStreamError>
//! Topic: create(&TopicOptions) / delete() / info() -> TopicInfo / publish(payload, &TopicPublishOptions{id, headers}) -> Pushed
//!     async view(&self, from: StartFrom, max: u32) -> Result<Vec<StoredMessage>, JetStreamError>
//!     async follow(&self, from: StartFrom) -> Result<Follower, JetStreamError>   // also after(seq): StartFrom::Sequence(seq + 1); StartFrom has no "new": follow_new()
//!     async subscribe(&self, name: &SubscriptionName-as-&str) -> Result<Subscription, JetStreamError>  // durable cursor
//! Follower: async next(&mut self) -> Option<Result<StoredMessage, JetStreamError>>; Stream
//! Subscription: async next(&mut self, wait: Duration) -> Result<Option<Delivery>, JetStreamError>; Delivery: ack()
//! StoredMessage { subject: String, seq: u64, time: Timestamp, headers: Headers, payload: Bytes }
//!
//! // errors --------------------------------------------------------------------------------------------
//! RequestError::{NoResponders, TimedOut, NotConnected, ConnectionLost, Closed, TooManyPending, Publish(PublishError)}
//! JetStreamError::{Name(NameError), Request(RequestError), Refused(ApiError{code, err_code, description}), NoStream, BadAnswer(..)}
//! every error: .outcome() -> Outcome::{NotDone, Unknown}     // NotDone: nothing was written (503 or 4xx); Unknown: may have been (504)
//! ```

//! The handle of a connection.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use relevo_protocol::info::ServerInfo;
use relevo_protocol::subject::SubjectFilter;
use tokio::sync::{Semaphore, broadcast, oneshot, watch};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::error::{PublishError, RequestError, SubscribeError};
use crate::feed::{Feed, FeedEnd, FeedLimits};
use crate::headers::Headers;
use crate::inbox::new_inbox;
use crate::lock::lock;
use crate::message::Message;
use crate::options::ConnectOptions;
use crate::outgoing::{Frame, Interest, Lives, Outgoing, ServerLimits};
use crate::pending::{Pending, RemoveOnDrop, Unanswered, Waiter};
use crate::publisher::{PubAckFuture, Publisher, STREAM_PUBLISH_WINDOW};
use crate::status::{Event, Status};
use crate::subject::AsSubject;
use crate::subscriber::Subscriber;

/// The subscription that takes answers.
pub(crate) const ANSWERS_SID: u64 = 1;

/// How many events a slow watcher may be behind.
const EVENTS_MAX: usize = 256;

/// A connection to a broker, a gateway, or any NATS server. A clone is the same connection.
///
/// The connection is kept up in the background until [`Client::close`], or until the last clone, subscriber and stream of
/// it are dropped. See the [crate's documentation](crate) for what happens when it is lost.
#[derive(Clone, Debug)]
pub struct Client {
    handle: Arc<Handle>,
}

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    publish_window: Arc<Semaphore>,
}

/// What handles and the connection's task share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: ConnectOptions,
    pub(crate) outgoing: Outgoing,
    pub(crate) pending: Pending,
    pub(crate) closing: CancellationToken,
    feeds: Mutex<HashMap<u64, Arc<Feed>>>,
    last_sid: AtomicU64,
    info: Mutex<Option<Arc<ServerInfo>>>,
    status: watch::Sender<Status>,
    events: broadcast::Sender<Event>,
    heard: AtomicBool,
}

impl Client {
    pub(crate) fn new(options: ConnectOptions) -> Self {
        let pending = Pending::new();
        let outgoing = Outgoing::with_answers(ANSWERS_SID, pending.filter());
        let shared = Shared {
            options,
            outgoing,
            pending,
            closing: CancellationToken::new(),
            feeds: Mutex::default(),
            last_sid: AtomicU64::new(ANSWERS_SID),
            info: Mutex::default(),
            status: watch::Sender::new(Status::Connecting),
            events: broadcast::Sender::new(EVENTS_MAX),
            heard: AtomicBool::new(false),
        };
        let publish_window = Arc::new(Semaphore::new(STREAM_PUBLISH_WINDOW));
        Self {
            handle: Arc::new(Handle {
                shared: Arc::new(shared),
                publish_window,
            }),
        }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }

    /// Waits for the connection's task to have taken a connection over that is there.
    pub(crate) async fn wait_until_up(&self) {
        let mut status = self.watch_status();
        // The sender lives as long as this client.
        let _ = status
            .wait_for(|status| *status != Status::Connecting)
            .await;
    }

    /// Publishes a message, at most once.
    ///
    /// Done when the message is in the write buffer: that it arrives is said by [`Client::flush`] for the server, and by
    /// [`Client::stream_publish`] for a stream. Waits while the buffer is full or there is no connection.
    ///
    /// # Errors
    /// A [`PublishError`]; the message was not sent then.
    #[inline]
    pub async fn publish<S: AsSubject + ?Sized>(
        &self,
        subject: &S,
        payload: impl AsRef<[u8]> + Send,
    ) -> Result<(), PublishError> {
        self.send(subject, None, &[], payload.as_ref()).await
    }

    /// [`Client::publish`] with headers.
    ///
    /// # Errors
    /// A [`PublishError`]; the message was not sent then.
    pub async fn publish_with_headers<S: AsSubject + ?Sized>(
        &self,
        subject: &S,
        headers: &Headers,
        payload: impl AsRef<[u8]> + Send,
    ) -> Result<(), PublishError> {
        self.send(subject, None, &headers.encode(), payload.as_ref())
            .await
    }

    /// Publishes a message that asks for answers on `reply`, which somebody subscribes to.
    ///
    /// # Errors
    /// A [`PublishError`]; the message was not sent then.
    pub async fn publish_request<S: AsSubject + ?Sized, R: AsSubject + ?Sized>(
        &self,
        subject: &S,
        reply: &R,
        headers: Option<&Headers>,
        payload: impl AsRef<[u8]> + Send,
    ) -> Result<(), PublishError> {
        let reply = reply.as_subject()?.as_str().as_bytes();
        let headers = headers.map(Headers::encode).unwrap_or_default();
        self.send(subject, Some(reply), &headers, payload.as_ref())
            .await
    }

    /// Waits until the server has everything that was published before.
    ///
    /// # Errors
    /// A [`RequestError`]; what was published before may or may not have arrived then.
    pub async fn flush(&self) -> Result<(), RequestError> {
        self.rtt().await.map(drop)
    }

    /// How long the server takes to answer a PING behind everything that was published before.
    ///
    /// # Errors
    /// A [`RequestError`].
    pub async fn rtt(&self) -> Result<Duration, RequestError> {
        let shared = self.shared();
        let start = Instant::now();
        let pong = shared
            .outgoing
            .ping(start + shared.options.send_timeout)
            .await?;
        match timeout_at(Instant::now() + shared.options.request_timeout, pong).await {
            Ok(Ok(())) => Ok(start.elapsed()),
            Ok(Err(_)) => Err(RequestError::ConnectionLost),
            Err(_) => Err(RequestError::TimedOut),
        }
    }

    /// Publishes a request and waits for the first answer, at most `timeout` in all.
    ///
    /// # Errors
    /// A [`RequestError`]. Its [`outcome`](RequestError::outcome) says whether the request may have been carried out.
    pub async fn request<S: AsSubject + ?Sized>(
        &self,
        subject: &S,
        payload: impl AsRef<[u8]> + Send,
        timeout: Duration,
    ) -> Result<Message, RequestError> {
        self.ask(subject, &[], payload.as_ref(), timeout).await
    }

    /// [`Client::request`] with headers.
    ///
    /// # Errors
    /// A [`RequestError`]. Its [`outcome`](RequestError::outcome) says whether the request may have been carried out.
    pub async fn request_with_headers<S: AsSubject + ?Sized>(
        &self,
        subject: &S,
        headers: &Headers,
        payload: impl AsRef<[u8]> + Send,
        timeout: Duration,
    ) -> Result<Message, RequestError> {
        self.ask(subject, &headers.encode(), payload.as_ref(), timeout)
            .await
    }

    /// Subscribes. The subscription outlives the connection: it is made again on the next one.
    ///
    /// # Errors
    /// A [`SubscribeError`].
    pub async fn subscribe(&self, filter: &str) -> Result<Subscriber, SubscribeError> {
        self.subscribe_as(filter, None).await
    }

    /// Subscribes as a member of a queue group: each message goes to one member.
    ///
    /// # Errors
    /// A [`SubscribeError`].
    pub async fn queue_subscribe(
        &self,
        filter: &str,
        group: &str,
    ) -> Result<Subscriber, SubscribeError> {
        self.subscribe_as(filter, Some(group)).await
    }

    /// A subject that nobody else listens on.
    #[must_use]
    pub fn new_inbox(&self) -> String {
        new_inbox()
    }

    /// Publishes into a stream. The future is the stream's answer; not to wait for it leaves open whether the message is
    /// stored. At most [`STREAM_PUBLISH_WINDOW`] publishes of a client wait for answers at once; more wait here.
    ///
    /// # Errors
    /// A [`PublishError`]; the message was not sent then.
    pub async fn stream_publish<S: AsSubject + ?Sized>(
        &self,
        subject: &S,
        headers: Option<&Headers>,
        payload: impl AsRef<[u8]> + Send,
    ) -> Result<PubAckFuture, PublishError> {
        let publisher =
            Publisher::with_window(self.clone(), Arc::clone(&self.handle.publish_window));
        publisher.publish(subject, headers, payload).await
    }

    /// A publisher with a window of its own: at most `window` of its publishes, 1 to
    /// [`PENDING_MAX`](crate::PENDING_MAX), wait for answers at once.
    #[must_use]
    pub fn publisher(&self, window: usize) -> Publisher {
        let window = window.clamp(1, crate::PENDING_MAX);
        Publisher::with_window(self.clone(), Arc::new(Semaphore::new(window)))
    }

    /// What the server that is connected to, or was last, says about itself; `None` before the first connection.
    #[must_use]
    pub fn server_info(&self) -> Option<Arc<ServerInfo>> {
        lock(&self.shared().info).clone()
    }

    /// Whether there is a connection.
    #[must_use]
    pub fn status(&self) -> Status {
        *self.shared().status.borrow()
    }

    /// Follows [`Client::status`].
    #[must_use]
    pub fn watch_status(&self) -> watch::Receiver<Status> {
        self.shared().status.subscribe()
    }

    /// Everything that happens to the connection from now on.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.shared().events.subscribe()
    }

    /// Ends all subscriptions, waits until what was on its way to them is there to be taken, and until the server has
    /// everything that was published; then closes.
    ///
    /// # Errors
    /// A [`RequestError`] when the server did not confirm; the client is closed all the same.
    pub async fn drain(&self) -> Result<(), RequestError> {
        let shared = self.shared();
        for sid in shared.outgoing.sids() {
            shared.outgoing.unsubscribe(sid);
        }
        let flushed = self.flush().await;
        self.close().await;
        flushed
    }

    /// Closes the connection, after what is in the write buffer is written, within 2 s. Subscribers can still take what
    /// came; all calls fail from now on.
    pub async fn close(&self) {
        let shared = self.shared();
        shared.closing.cancel();
        let mut status = self.watch_status();
        // The sender lives as long as this client.
        let _ = status.wait_for(|status| *status == Status::Closed).await;
    }

    #[inline]
    async fn send<S: AsSubject + ?Sized>(
        &self,
        subject: &S,
        reply: Option<&[u8]>,
        headers: &[u8],
        payload: &[u8],
    ) -> Result<(), PublishError> {
        let shared = self.shared();
        let subject = subject.as_subject()?.as_str().as_bytes();
        let frame = Frame {
            subject,
            reply,
            headers,
            payload,
        };
        shared
            .outgoing
            .publish(frame, || Instant::now() + shared.options.send_timeout)
            .await
    }

    async fn ask<S: AsSubject + ?Sized>(
        &self,
        subject: &S,
        headers: &[u8],
        payload: &[u8],
        timeout: Duration,
    ) -> Result<Message, RequestError> {
        let shared = self.shared();
        let subject = subject.as_subject()?.as_str().as_bytes();
        let now = Instant::now();
        let deadline = now + timeout;
        let (answer, answered) = oneshot::channel();
        let waiter = Waiter {
            answer,
            deadline,
            place: None,
        };
        let token = shared
            .pending
            .insert(waiter)
            .ok_or(RequestError::TooManyPending)?;
        let _removed = RemoveOnDrop {
            pending: &shared.pending,
            token,
        };
        let reply = shared.pending.reply_subject(token);
        let frame = Frame {
            subject,
            reply: Some(reply.as_bytes()),
            headers,
            payload,
        };
        shared
            .outgoing
            .publish(frame, || deadline.min(now + shared.options.send_timeout))
            .await?;
        match timeout_at(deadline, answered).await {
            Ok(Ok(Ok(message))) if message.is_no_responders() => Err(RequestError::NoResponders),
            Ok(Ok(Ok(message))) => Ok(message),
            Ok(Ok(Err(Unanswered::ConnectionLost)) | Err(_)) => Err(RequestError::ConnectionLost),
            Ok(Ok(Err(Unanswered::TimedOut))) | Err(_) => Err(RequestError::TimedOut),
        }
    }

    async fn subscribe_as(
        &self,
        filter: &str,
        group: Option<&str>,
    ) -> Result<Subscriber, SubscribeError> {
        let filter = SubjectFilter::parse(filter)?;
        if let Some(group) = group {
            SubjectFilter::parse(group)?;
        }
        let shared = self.shared();
        let (sid, feed) = shared.new_feed(shared.options.feed_limits);
        // From here on the subscriber takes back what was done, should the future be dropped.
        let subscriber = Subscriber::new(self.clone(), sid, Arc::clone(&feed));
        let interest = Interest {
            filter: filter.as_str().to_owned(),
            group: group.map(str::to_owned),
            received_max: None,
            feed: Some(feed),
            received_before: 0,
            lives: Lives::UntilUnsubscribed,
        };
        let deadline = Instant::now() + shared.options.send_timeout;
        match shared.outgoing.subscribe(sid, interest, deadline).await {
            Ok(()) => Ok(subscriber),
            Err(PublishError::Closed) => Err(SubscribeError::Closed),
            Err(
                PublishError::BufferFull
                | PublishError::NotConnected
                | PublishError::InvalidSubject(_)
                | PublishError::HeadersNotSupported
                | PublishError::TooLarge { .. },
            ) => Err(SubscribeError::BufferFull),
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.closing.cancel();
    }
}

impl Shared {
    pub(crate) fn feed(&self, sid: u64) -> Option<Arc<Feed>> {
        lock(&self.feeds).get(&sid).cloned()
    }

    /// A number for a subscription, and what will come for it.
    pub(crate) fn new_feed(&self, limits: FeedLimits) -> (u64, Arc<Feed>) {
        let sid = self.last_sid.fetch_add(1, Ordering::Relaxed) + 1;
        let feed = Arc::new(Feed::new(limits));
        lock(&self.feeds).insert(sid, Arc::clone(&feed));
        (sid, feed)
    }

    /// The connection is gone, with what lived on it.
    pub(crate) fn down(&self) {
        for sid in self.outgoing.down() {
            if let Some(feed) = lock(&self.feeds).remove(&sid) {
                feed.end(FeedEnd::ConnectionLost);
            }
        }
        self.pending.give_up_all();
    }

    /// A subscription that has all it was to get.
    pub(crate) fn forget(&self, sid: u64) {
        lock(&self.feeds).remove(&sid);
        self.outgoing.forget(sid);
    }

    /// A subscription that nobody wants any more.
    pub(crate) fn unsubscribe(&self, sid: u64) {
        lock(&self.feeds).remove(&sid);
        self.outgoing.unsubscribe(sid);
    }

    pub(crate) fn set_info(&self, info: ServerInfo) {
        *lock(&self.info) = Some(Arc::new(info));
    }

    /// What the server takes, by its last INFO.
    pub(crate) fn server_limits(&self) -> ServerLimits {
        lock(&self.info).as_ref().map_or(
            ServerLimits {
                payload_max: 0,
                headers: false,
            },
            |info| ServerLimits {
                payload_max: usize::try_from(info.max_payload).unwrap_or(usize::MAX),
                headers: info.headers,
            },
        )
    }

    pub(crate) fn set_status(&self, status: Status) {
        self.status.send_replace(status);
    }

    pub(crate) fn tell(&self, event: Event) {
        // Nobody may be watching.
        let _ = self.events.send(event);
    }

    pub(crate) fn heard(&self) {
        self.heard.store(true, Ordering::Relaxed);
    }

    /// Whether the server said anything since this was asked last.
    pub(crate) fn take_heard(&self) -> bool {
        self.heard.swap(false, Ordering::Relaxed)
    }

    /// The connection's task is over.
    pub(crate) fn end(&self) {
        self.outgoing.close();
        self.pending.give_up_all();
        let feeds = std::mem::take(&mut *lock(&self.feeds));
        for feed in feeds.into_values() {
            feed.end(FeedEnd::Done);
        }
        self.tell(Event::Closed);
        self.set_status(Status::Closed);
    }
}

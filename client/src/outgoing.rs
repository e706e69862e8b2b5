//! What is to be sent: a buffer that callers write frames into and the connection's task writes to the socket.
//!
//! Commands are written only while there is a connection. What was not sent when it is lost is forgotten, not sent on
//! the next one: whether a half-sent buffer arrived is unknown, and nothing is sent twice. Subscriptions are kept beside
//! the buffer, under the same lock, so that each is sent exactly once per connection.

use std::collections::{BTreeMap, VecDeque};
use std::pin::pin;
use std::sync::{Arc, Mutex};

use bytes::BytesMut;
use relevo_protocol::encode;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::error::PublishError;
use crate::feed::Feed;
use crate::lock::lock;

/// Callers wait while this many bytes are to be sent. One frame may go over it.
const BUFFER_LEN_MAX: usize = 1024 * 1024;

/// A buffer that one large frame made larger than this is given back, in bytes.
const BUFFER_KEPT_LEN_MAX: usize = 4 * BUFFER_LEN_MAX;

/// A message to send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) subject: &'a [u8],
    pub(crate) reply: Option<&'a [u8]>,
    /// A whole block, or empty.
    pub(crate) headers: &'a [u8],
    pub(crate) payload: &'a [u8],
}

/// A subscription as it is told to each server that is connected to.
#[derive(Clone, Debug)]
pub(crate) struct Interest {
    pub(crate) filter: String,
    pub(crate) group: Option<String>,
    /// Ends once this many messages came in all, over all connections.
    pub(crate) received_max: Option<u64>,
    /// Counts what came; `None` for the one that takes answers.
    pub(crate) feed: Option<Arc<Feed>>,
    /// What had come when this connection began: its server counts from there.
    pub(crate) received_before: u64,
    pub(crate) lives: Lives,
}

/// How long a subscription lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lives {
    /// It is made again on each connection.
    UntilUnsubscribed,
    /// It ends with the connection that it was made on.
    WithItsConnection,
}

/// What the server at the other end takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ServerLimits {
    pub(crate) payload_max: usize,
    pub(crate) headers: bool,
}

#[derive(Debug)]
pub(crate) struct Outgoing {
    state: Mutex<State>,
    /// There is something to send.
    work: Notify,
    /// There is room again, a connection, or an end.
    change: Notify,
}

#[derive(Debug)]
struct State {
    link: Link,
    buffer: BytesMut,
    /// Who waits for a PONG, in the order of their PINGs.
    pongs: VecDeque<oneshot::Sender<()>>,
    interests: BTreeMap<u64, Interest>,
}

#[derive(Clone, Copy, Debug)]
enum Link {
    Down,
    Up(ServerLimits),
    Closed,
}

/// Why a command was not written.
enum NotWritten {
    /// It may be later.
    Yet(PublishError),
    /// It never will be.
    Ever(PublishError),
}

impl Outgoing {
    /// Nothing to send yet, and one subscription that takes answers.
    pub(crate) fn with_answers(sid: u64, filter: String) -> Self {
        let answers = Interest {
            filter,
            group: None,
            received_max: None,
            feed: None,
            received_before: 0,
            lives: Lives::UntilUnsubscribed,
        };
        let state = State {
            link: Link::Down,
            buffer: BytesMut::new(),
            pongs: VecDeque::new(),
            interests: BTreeMap::from([(sid, answers)]),
        };
        Self {
            state: Mutex::new(state),
            work: Notify::new(),
            change: Notify::new(),
        }
    }

    /// Writes a message, at once if there is a connection and room, else when there is, up to the deadline.
    #[inline]
    pub(crate) async fn publish(
        &self,
        frame: Frame<'_>,
        deadline: impl FnOnce() -> Instant,
    ) -> Result<(), PublishError> {
        match self.try_write(|state, limits| state.publish(frame, limits)) {
            Ok(()) => Ok(()),
            Err(NotWritten::Ever(error)) => Err(error),
            Err(NotWritten::Yet(_)) => {
                self.write_until(deadline(), |state, limits| state.publish(frame, limits))
                    .await
            }
        }
    }

    /// Writes a message whose answers come to the subscription `sid`, if that is still there.
    pub(crate) async fn publish_for(
        &self,
        sid: u64,
        frame: Frame<'_>,
        deadline: Instant,
    ) -> Result<(), PublishError> {
        self.write_until(deadline, |state, limits| {
            match state.interests.contains_key(&sid) {
                true => state.publish(frame, limits),
                false => Err(PublishError::NotConnected),
            }
        })
        .await
    }

    /// Sends a PING; the receiver hears of its PONG, or of the connection's end by an error.
    pub(crate) async fn ping(
        &self,
        deadline: Instant,
    ) -> Result<oneshot::Receiver<()>, PublishError> {
        let mut sent = None;
        self.write_until(deadline, |state, _| {
            encode::ping(&mut state.buffer);
            let (pong, receiver) = oneshot::channel();
            state.pongs.push_back(pong);
            sent = Some(receiver);
            Ok(())
        })
        .await?;
        sent.ok_or(PublishError::NotConnected)
    }

    /// Makes a subscription known, to this connection and to those that follow.
    pub(crate) async fn subscribe(
        &self,
        sid: u64,
        interest: Interest,
        deadline: Instant,
    ) -> Result<(), PublishError> {
        self.until(deadline, || self.try_subscribe(sid, &interest))
            .await
    }

    /// Ends a subscription. Always taken: it is short, and there are no more of them than subscriptions.
    pub(crate) fn unsubscribe(&self, sid: u64) {
        let mut state = lock(&self.state);
        let known = state.interests.remove(&sid).is_some();
        if known && matches!(state.link, Link::Up(_)) {
            encode::unsub(&mut state.buffer, sid.to_string().as_bytes(), None);
            drop(state);
            self.work.notify_one();
        }
    }

    /// A subscription has all that it was to get; the server knows.
    pub(crate) fn forget(&self, sid: u64) {
        lock(&self.state).interests.remove(&sid);
    }

    /// Ends a subscription once it got this many messages in all.
    pub(crate) fn unsubscribe_after(&self, sid: u64, received_max: u64) {
        let mut state = lock(&self.state);
        let state_ref = &mut *state;
        let Some(interest) = state_ref.interests.get_mut(&sid) else {
            return;
        };
        interest.received_max = Some(received_max);
        if matches!(state_ref.link, Link::Up(_)) {
            let left = received_max.saturating_sub(interest.received_before).max(1);
            encode::unsub(
                &mut state_ref.buffer,
                sid.to_string().as_bytes(),
                Some(left),
            );
            drop(state);
            self.work.notify_one();
        }
    }

    /// Every subscription but the one that takes answers.
    pub(crate) fn sids(&self) -> Vec<u64> {
        lock(&self.state)
            .interests
            .iter()
            .filter(|(_, it)| it.feed.is_some())
            .map(|(sid, _)| *sid)
            .collect()
    }

    /// Answers a server's PING. Always taken: a server sends one in minutes.
    pub(crate) fn pong(&self) {
        let mut state = lock(&self.state);
        encode::pong(&mut state.buffer);
        drop(state);
        self.work.notify_one();
    }

    /// Sends a PING that nobody waits for.
    pub(crate) fn keepalive(&self) {
        let mut state = lock(&self.state);
        encode::ping(&mut state.buffer);
        let (nobody, _) = oneshot::channel();
        state.pongs.push_back(nobody);
        drop(state);
        self.work.notify_one();
    }

    /// A PONG came.
    pub(crate) fn ponged(&self) {
        let pong = lock(&self.state).pongs.pop_front();
        if let Some(pong) = pong {
            // Whoever waited may have gone.
            let _ = pong.send(());
        }
    }

    /// A connection is there: all subscriptions are written, and commands are taken. `false` when the client was closed.
    pub(crate) fn up(&self, limits: ServerLimits) -> bool {
        let mut state = lock(&self.state);
        match state.link {
            Link::Closed => return false,
            Link::Down | Link::Up(_) => state.link = Link::Up(limits),
        }
        let State {
            buffer, interests, ..
        } = &mut *state;
        buffer.clear();
        for (sid, interest) in interests.iter_mut() {
            interest.received_before = interest.feed.as_ref().map_or(0, |feed| feed.received());
            write_interest(buffer, *sid, interest);
        }
        drop(state);
        self.work.notify_one();
        self.change.notify_waiters();
        true
    }

    /// What the server takes changed.
    pub(crate) fn relimit(&self, limits: ServerLimits) {
        let mut state = lock(&self.state);
        match state.link {
            Link::Up(_) => state.link = Link::Up(limits),
            Link::Down | Link::Closed => {}
        }
    }

    /// The connection is gone, and what was to be sent with it. Gives the subscriptions that went too.
    pub(crate) fn down(&self) -> Vec<u64> {
        self.cut(Link::Down)
    }

    /// The client is closed; nothing is taken any more.
    pub(crate) fn close(&self) {
        self.cut(Link::Closed);
    }

    fn cut(&self, link: Link) -> Vec<u64> {
        let mut state = lock(&self.state);
        match state.link {
            Link::Closed => {}
            Link::Down | Link::Up(_) => state.link = link,
        }
        state.buffer.clear();
        let pongs = std::mem::take(&mut state.pongs);
        let ended = state
            .interests
            .extract_if(.., |_, interest| interest.lives == Lives::WithItsConnection);
        let ended = ended.map(|(sid, _)| sid).collect();
        drop(state);
        drop(pongs);
        self.change.notify_waiters();
        ended
    }

    /// Moves all that is to be sent into `batch`, which is empty, as soon as there is something.
    pub(crate) async fn take(&self, batch: &mut BytesMut) {
        loop {
            if self.take_now(batch) {
                return;
            }
            self.work.notified().await;
        }
    }

    /// Moves all that is to be sent into `batch`, which is empty. `false` when there is nothing.
    pub(crate) fn take_now(&self, batch: &mut BytesMut) -> bool {
        if batch.capacity() > BUFFER_KEPT_LEN_MAX {
            *batch = BytesMut::new();
        }
        let mut state = lock(&self.state);
        if state.buffer.is_empty() {
            return false;
        }
        std::mem::swap(&mut state.buffer, batch);
        drop(state);
        if batch.len() >= BUFFER_LEN_MAX {
            self.change.notify_waiters();
        }
        true
    }

    async fn write_until(
        &self,
        deadline: Instant,
        mut write: impl FnMut(&mut State, ServerLimits) -> Result<(), PublishError>,
    ) -> Result<(), PublishError> {
        self.until(deadline, || self.try_write(&mut write)).await
    }

    async fn until(
        &self,
        deadline: Instant,
        mut attempt: impl FnMut() -> Result<(), NotWritten>,
    ) -> Result<(), PublishError> {
        loop {
            let mut change = pin!(self.change.notified());
            change.as_mut().enable();
            let why = match attempt() {
                Ok(()) => return Ok(()),
                Err(NotWritten::Ever(error)) => return Err(error),
                Err(NotWritten::Yet(why)) => why,
            };
            timeout_at(deadline, change).await.map_err(|_| why)?;
        }
    }

    fn try_subscribe(&self, sid: u64, interest: &Interest) -> Result<(), NotWritten> {
        let mut state = lock(&self.state);
        match state.link {
            Link::Closed => return Err(NotWritten::Ever(PublishError::Closed)),
            Link::Down if interest.lives == Lives::WithItsConnection => {
                return Err(NotWritten::Yet(PublishError::NotConnected));
            }
            Link::Down => {}
            Link::Up(_) if state.buffer.len() >= BUFFER_LEN_MAX => {
                return Err(NotWritten::Yet(PublishError::BufferFull));
            }
            Link::Up(_) => write_interest(&mut state.buffer, sid, interest),
        }
        state.interests.insert(sid, interest.clone());
        drop(state);
        self.work.notify_one();
        Ok(())
    }

    #[inline]
    fn try_write(
        &self,
        write: impl FnOnce(&mut State, ServerLimits) -> Result<(), PublishError>,
    ) -> Result<(), NotWritten> {
        let mut state = lock(&self.state);
        let limits = match state.link {
            Link::Up(limits) => limits,
            Link::Down => return Err(NotWritten::Yet(PublishError::NotConnected)),
            Link::Closed => return Err(NotWritten::Ever(PublishError::Closed)),
        };
        if state.buffer.len() >= BUFFER_LEN_MAX {
            return Err(NotWritten::Yet(PublishError::BufferFull));
        }
        let was_empty = state.buffer.is_empty();
        write(&mut state, limits).map_err(NotWritten::Ever)?;
        drop(state);
        if was_empty {
            self.work.notify_one();
        }
        Ok(())
    }
}

impl State {
    #[inline]
    fn publish(&mut self, frame: Frame<'_>, limits: ServerLimits) -> Result<(), PublishError> {
        let Frame {
            subject,
            reply,
            headers,
            payload,
        } = frame;
        let len = headers.len() + payload.len();
        if len > limits.payload_max {
            return Err(PublishError::TooLarge {
                len,
                max: limits.payload_max,
            });
        }
        if headers.is_empty() {
            encode::pub_(&mut self.buffer, subject, reply, payload);
        } else if limits.headers {
            encode::hpub(&mut self.buffer, subject, reply, headers, payload);
        } else {
            return Err(PublishError::HeadersNotSupported);
        }
        Ok(())
    }
}

fn write_interest(buffer: &mut BytesMut, sid: u64, interest: &Interest) {
    let sid = sid.to_string();
    encode::sub(
        buffer,
        interest.filter.as_bytes(),
        interest.group.as_deref().map(str::as_bytes),
        sid.as_bytes(),
    );
    if let Some(max) = interest.received_max {
        let left = max.saturating_sub(interest.received_before).max(1);
        encode::unsub(buffer, sid.as_bytes(), Some(left));
    }
}

//! Frames on their way to the other broker: one bounded queue of bytes a lane.
//!
//! A queue lives as long as the broker; links come and go. What was queued for one link is not sent
//! on the next. Nobody waits while pushing. Client tasks wait *after* a push while the queue is above
//! [`QUEUED_BYTES_SOFT`], and their sockets are not read meanwhile; a shard's task must never wait
//! for the link, since the other broker's shards may be waiting for this one: above
//! [`QUEUED_BYTES_HARD`] what it pushes is refused.

use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use relevo_protocol::frame::Frame;
use tokio::sync::Notify;

/// Above so many bytes client tasks wait before they read more from their sockets.
pub(crate) const QUEUED_BYTES_SOFT: usize = 8 * 1024 * 1024;
/// Above so many bytes nothing more is taken: a few messages of the longest payload, and more than
/// the in-flight windows of all shards let them have under way.
pub(crate) const QUEUED_BYTES_HARD: usize = 512 * 1024 * 1024;
/// Emptied buffers above this many bytes are given back to the allocator.
const KEPT_CAPACITY_MAX: usize = 4 * 1024 * 1024;

/// One lane's queue.
#[derive(Debug, Default)]
pub(crate) struct LaneQueue {
    state: Mutex<State>,
    filled: Notify,
    drained: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// The number of the link that is up.
    link: Option<u64>,
    bytes: Vec<u8>,
    in_write_bytes: usize,
}

/// What became of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Queued {
    /// They will be written, if the link stays.
    Yes,
    /// The link is down, or another one by now.
    Down,
    /// The queue is full; the link is of no use any more.
    Full,
}

impl LaneQueue {
    /// A link is up: frames are taken from now on.
    pub(crate) fn open(&self, link: u64) {
        let mut state = self.state();
        state.link = Some(link);
        state.bytes.clear();
        state.in_write_bytes = 0;
    }

    /// The link is down: what is queued is dropped, and nobody waits any more.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        state.link = None;
        state.bytes = Vec::new();
        state.in_write_bytes = 0;
        drop(state);
        self.drained.notify_waiters();
        self.filled.notify_one();
    }

    /// Whether a link is up.
    pub(crate) fn is_open(&self) -> bool {
        self.state().link.is_some()
    }

    /// Queues encoded frames for whatever link is up.
    pub(crate) fn push(&self, frames: &[u8]) -> Queued {
        let mut state = self.state();
        if state.link.is_none() {
            return Queued::Down;
        }
        if state.queued_bytes() + frames.len() > QUEUED_BYTES_HARD {
            return Queued::Full;
        }
        state.bytes.extend_from_slice(frames);
        drop(state);
        self.filled.notify_one();
        Queued::Yes
    }

    /// Queues a frame that makes sense on this link only.
    pub(crate) fn push_frame(&self, link: u64, frame: &Frame) -> Queued {
        let mut state = self.state();
        if state.link != Some(link) {
            return Queued::Down;
        }
        if state.queued_bytes() > QUEUED_BYTES_HARD {
            return Queued::Full;
        }
        frame.encode(&mut state.bytes);
        drop(state);
        self.filled.notify_one();
        Queued::Yes
    }

    /// Resolves when the queue is below its soft bound, or the link is down.
    pub(crate) async fn room(&self) {
        loop {
            let drained = self.drained.notified();
            tokio::pin!(drained);
            drained.as_mut().enable();
            if self.state().queued_bytes() <= QUEUED_BYTES_SOFT {
                return;
            }
            drained.await;
        }
    }

    /// Resolves when there may be something to take.
    pub(crate) async fn filled(&self) {
        self.filled.notified().await;
    }

    /// Takes all that is queued, and gives `empty` back for reuse.
    pub(crate) fn take(&self, mut empty: Vec<u8>) -> Vec<u8> {
        empty.clear();
        if empty.capacity() > KEPT_CAPACITY_MAX {
            empty = Vec::new();
        }
        let mut state = self.state();
        let bytes = mem::replace(&mut state.bytes, empty);
        state.in_write_bytes = bytes.len();
        drop(state);
        self.drained.notify_waiters();
        bytes
    }

    /// What was taken last is written.
    pub(crate) fn written(&self) {
        self.state().in_write_bytes = 0;
        self.drained.notify_waiters();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    const fn queued_bytes(&self) -> usize {
        self.bytes.len() + self.in_write_bytes
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn is_ready(future: impl Future<Output = ()>) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        pin!(future).poll(&mut context) == Poll::Ready(())
    }

    #[test]
    fn frames_of_an_older_link_are_refused() {
        let lane = LaneQueue::default();
        assert_eq!(lane.push(b"x"), Queued::Down);
        lane.open(1);
        assert_eq!(lane.push_frame(1, &Frame::Heartbeat), Queued::Yes);
        lane.open(2);
        assert_eq!(lane.take(Vec::new()), b"");
        assert_eq!(lane.push_frame(1, &Frame::Heartbeat), Queued::Down);
        assert_eq!(lane.push_frame(2, &Frame::Heartbeat), Queued::Yes);
        assert_eq!(lane.take(Vec::new()), [1, 0, 0, 0, 2]);
    }

    #[test]
    fn client_tasks_wait_above_the_soft_bound_until_it_is_written_or_the_link_goes() {
        let lane = LaneQueue::default();
        lane.open(1);
        assert_eq!(lane.push(&vec![0; QUEUED_BYTES_SOFT]), Queued::Yes);
        assert!(is_ready(lane.room()));
        assert_eq!(lane.push(b"x"), Queued::Yes);
        assert!(!is_ready(lane.room()));
        let taken = lane.take(Vec::new());
        assert!(!is_ready(lane.room()), "taken is not written");
        lane.written();
        assert!(is_ready(lane.room()));
        assert_eq!(lane.push(&taken), Queued::Yes);
        assert!(!is_ready(lane.room()));
        lane.close();
        assert!(is_ready(lane.room()));
    }
}

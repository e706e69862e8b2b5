//! What arrived for one subscription and was not taken yet.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use crate::lock::lock;
use crate::message::Message;

/// How much may wait in a feed. What is over it is dropped, the newest first, and counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FeedLimits {
    pub(crate) messages_max: usize,
    pub(crate) bytes_max: usize,
}

/// Why a feed gets nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FeedEnd {
    /// All that was asked for has come, or nobody wants more, or the client was closed.
    Done,
    /// The connection was lost, and what the feed waits for is not asked for again.
    ConnectionLost,
}

/// A bounded queue from the connection's task to one reader.
#[derive(Debug)]
pub(crate) struct Feed {
    limits: FeedLimits,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    messages: VecDeque<Message>,
    bytes: usize,
    received: u64,
    received_max: Option<u64>,
    dropped: u64,
    end: Option<FeedEnd>,
    reader: Option<Waker>,
}

/// What became of messages that were pushed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pushed {
    /// How many were dropped.
    pub(crate) dropped: u64,
    /// The feed has all that it was to get.
    pub(crate) complete: bool,
}

impl Feed {
    pub(crate) fn new(limits: FeedLimits) -> Self {
        Self {
            limits,
            state: Mutex::default(),
        }
    }

    /// Takes all of `run` over, as far as there is room.
    pub(crate) fn push(&self, run: &mut Vec<Message>) -> Pushed {
        let mut state = lock(&self.state);
        if state.end.is_some() {
            run.clear();
            return Pushed::default();
        }
        let mut dropped = 0;
        for message in run.drain(..) {
            if state.received_max.is_some_and(|max| state.received >= max) {
                break;
            }
            state.received += 1;
            let bytes = state.bytes + message.frame_len();
            if state.messages.len() >= self.limits.messages_max || bytes > self.limits.bytes_max {
                dropped += 1;
                continue;
            }
            state.bytes = bytes;
            state.messages.push_back(message);
        }
        state.dropped += dropped;
        let complete = state.received_max.is_some_and(|max| state.received >= max);
        if complete {
            state.end = Some(FeedEnd::Done);
        }
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
        Pushed { dropped, complete }
    }

    /// Nothing more comes; what is there can still be taken. The first end counts.
    pub(crate) fn end(&self, end: FeedEnd) {
        let mut state = lock(&self.state);
        state.end.get_or_insert(end);
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// The feed ends when it has received this many messages in all. `true` when it has already.
    pub(crate) fn end_after(&self, received_max: u64) -> bool {
        let mut state = lock(&self.state);
        state.received_max = Some(received_max);
        let complete = state.received >= received_max;
        drop(state);
        if complete {
            self.end(FeedEnd::Done);
        }
        complete
    }

    /// How many messages came, the dropped ones counted in.
    pub(crate) fn received(&self) -> u64 {
        lock(&self.state).received
    }

    /// How many messages were dropped since this was asked last.
    pub(crate) fn take_dropped(&self) -> u64 {
        std::mem::take(&mut lock(&self.state).dropped)
    }

    /// Moves all that waits into `taken`, which is empty: one lock for many messages.
    pub(crate) fn poll_take(
        &self,
        context: &Context<'_>,
        taken: &mut VecDeque<Message>,
    ) -> Poll<Result<(), FeedEnd>> {
        let mut state = lock(&self.state);
        if !state.messages.is_empty() {
            std::mem::swap(&mut state.messages, taken);
            state.bytes = 0;
            return Poll::Ready(Ok(()));
        }
        if let Some(end) = state.end {
            return Poll::Ready(Err(end));
        }
        match &mut state.reader {
            Some(reader) => reader.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        Poll::Pending
    }

    /// Moves what waits into `taken`, which is empty.
    pub(crate) fn take_now(&self, taken: &mut VecDeque<Message>) {
        let mut state = lock(&self.state);
        std::mem::swap(&mut state.messages, taken);
        state.bytes = 0;
    }
}

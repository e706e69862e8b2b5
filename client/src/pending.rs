//! Requests that wait for their answers.
//!
//! One subscription, `_INBOX.<own token>.*`, takes all answers. The last token of a reply subject is a number: the slot
//! that the answer is for, and how often the slot was used before, so that a late answer never meets a later request.

use std::sync::Mutex;

use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::Instant;

use crate::inbox::new_inbox;
use crate::lock::lock;
use crate::message::Message;

/// How many requests of one client may wait for answers at once.
pub const PENDING_MAX: usize = 1 << SLOT_BITS;

const SLOT_BITS: u32 = 16;
const SLOT_MASK: u64 = (1 << SLOT_BITS) - 1;

/// Why an answer does not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unanswered {
    TimedOut,
    ConnectionLost,
}

pub(crate) type Answer = Result<Message, Unanswered>;

/// Who waits.
#[derive(Debug)]
pub(crate) struct Waiter {
    pub(crate) answer: oneshot::Sender<Answer>,
    /// When to give up, if whoever waits has not.
    pub(crate) deadline: Instant,
    /// A place in a window, free again with the answer.
    pub(crate) place: Option<OwnedSemaphorePermit>,
}

/// Names a waiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token(u64);

/// All waiters of a client; at most [`PENDING_MAX`].
#[derive(Debug)]
pub(crate) struct Pending {
    prefix: String,
    slots: Mutex<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    slots: Vec<Slot>,
    free: Vec<u16>,
}

#[derive(Debug, Default)]
struct Slot {
    used_before: u64,
    waiter: Option<Waiter>,
}

impl Pending {
    pub(crate) fn new() -> Self {
        Self {
            prefix: new_inbox() + ".",
            slots: Mutex::default(),
        }
    }

    /// What is subscribed to for answers.
    pub(crate) fn filter(&self) -> String {
        format!("{}*", self.prefix)
    }

    /// Takes a slot; `None` when all are taken.
    pub(crate) fn insert(&self, waiter: Waiter) -> Option<Token> {
        let mut slots = lock(&self.slots);
        let index = match slots.free.pop() {
            Some(index) => index,
            None => {
                let index = u16::try_from(slots.slots.len()).ok()?;
                slots.slots.push(Slot::default());
                index
            }
        };
        let slot = slots.slots.get_mut(usize::from(index))?;
        slot.waiter = Some(waiter);
        Some(Token(slot.used_before << SLOT_BITS | u64::from(index)))
    }

    /// The subject to answer on.
    pub(crate) fn reply_subject(&self, token: Token) -> ReplySubject {
        ReplySubject::new(&self.prefix, token.0)
    }

    /// Forgets a waiter, when it is there yet.
    pub(crate) fn remove(&self, token: Token) {
        let removed = lock(&self.slots).take(token);
        drop(removed);
    }

    /// Hands answers to whoever waits for them. Answers that nobody waits for any more are dropped.
    pub(crate) fn answer(&self, answers: &mut Vec<Message>) {
        let mut slots = lock(&self.slots);
        let waiting: Vec<_> = answers
            .drain(..)
            .filter_map(|message| Some((slots.take(self.token(&message)?)?, message)))
            .collect();
        drop(slots);
        for (waiter, message) in waiting {
            waiter.tell(Ok(message));
        }
    }

    /// Gives up those whose time is over.
    pub(crate) fn give_up_overdue(&self, now: Instant) {
        self.give_up(Unanswered::TimedOut, |waiter| waiter.deadline <= now);
    }

    /// Gives up all: the connection is gone, and answers went with it.
    pub(crate) fn give_up_all(&self) {
        self.give_up(Unanswered::ConnectionLost, |_| true);
    }

    fn give_up(&self, why: Unanswered, which: impl Fn(&Waiter) -> bool) {
        let mut given_up = Vec::new();
        let mut slots = lock(&self.slots);
        let Slots { slots: all, free } = &mut *slots;
        for (index, slot) in (0..).zip(all) {
            if slot.waiter.as_ref().is_some_and(&which) {
                given_up.extend(slot.empty());
                free.push(index);
            }
        }
        drop(slots);
        for waiter in given_up {
            waiter.tell(Err(why));
        }
    }

    fn token(&self, message: &Message) -> Option<Token> {
        message
            .subject()
            .strip_prefix(&self.prefix)?
            .parse()
            .ok()
            .map(Token)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        let slots = lock(&self.slots);
        slots.slots.len() - slots.free.len()
    }
}

impl Waiter {
    fn tell(self, answer: Answer) {
        // The place first: who is told may at once want it.
        drop(self.place);
        // Whoever asked may have gone.
        let _ = self.answer.send(answer);
    }
}

impl Slots {
    fn take(&mut self, token: Token) -> Option<Waiter> {
        let waiter = self.slot(token)?.empty()?;
        self.free.push(token.index());
        Some(waiter)
    }

    fn slot(&mut self, token: Token) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(usize::from(token.index()))?;
        (slot.used_before == token.0 >> SLOT_BITS).then_some(slot)
    }
}

impl Slot {
    fn empty(&mut self) -> Option<Waiter> {
        let waiter = self.waiter.take()?;
        self.used_before += 1;
        Some(waiter)
    }
}

impl Token {
    fn index(self) -> u16 {
        // Masked to 16 bits.
        u16::try_from(self.0 & SLOT_MASK).unwrap_or(u16::MAX)
    }
}

/// A reply subject on the stack: one is made for each publish into a stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReplySubject {
    bytes: [u8; REPLY_LEN_MAX],
    len: usize,
}

/// `_INBOX.`, 22 characters, a dot, and the digits of a `u64`.
const REPLY_LEN_MAX: usize = 64;

impl ReplySubject {
    fn new(prefix: &str, token: u64) -> Self {
        use std::io::Write;
        let mut bytes = [0; REPLY_LEN_MAX];
        let mut rest = bytes.as_mut_slice();
        let written = write!(rest, "{prefix}{token}");
        debug_assert!(
            written.is_ok(),
            "REPLY_LEN_MAX has room for every prefix and token"
        );
        let len = REPLY_LEN_MAX - rest.len();
        Self { bytes, len }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// Removes a waiter when whoever waits goes away.
#[derive(Debug)]
pub(crate) struct RemoveOnDrop<'a> {
    pub(crate) pending: &'a Pending,
    pub(crate) token: Token,
}

impl Drop for RemoveOnDrop<'_> {
    fn drop(&mut self) {
        self.pending.remove(self.token);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::message::Parts;

    fn waiter(deadline: Instant) -> (Waiter, oneshot::Receiver<Answer>) {
        let (answer, answered) = oneshot::channel();
        (
            Waiter {
                answer,
                deadline,
                place: None,
            },
            answered,
        )
    }

    fn message(subject: &[u8]) -> Message {
        let chunk = Bytes::copy_from_slice(subject);
        let parts = Parts {
            subject: &chunk,
            reply: None,
            headers: &[],
            payload: &[],
        };
        Message::new(&chunk, 0..chunk.len(), parts).unwrap()
    }

    #[test]
    fn an_answer_meets_its_waiter_once_and_no_later_one_in_its_slot() {
        let pending = Pending::new();
        let now = Instant::now();
        let (first, mut answered) = waiter(now);
        let token = pending.insert(first).unwrap();
        let reply = pending.reply_subject(token);
        pending.answer(&mut vec![
            message(reply.as_bytes()),
            message(reply.as_bytes()),
        ]);
        assert_eq!(
            answered.try_recv().unwrap().unwrap().subject().as_bytes(),
            reply.as_bytes()
        );

        let (second, mut answered) = waiter(now);
        let next = pending.insert(second).unwrap();
        assert_eq!((next.index(), next == token), (token.index(), false));
        pending.remove(token);
        pending.answer(&mut vec![
            message(reply.as_bytes()),
            message(b"_INBOX.else"),
            message(b"x"),
        ]);
        assert!(answered.try_recv().is_err());
        assert_eq!(pending.len(), 1);
    }

    #[test]
    fn overdue_waiters_are_given_up_and_others_stay() {
        let pending = Pending::new();
        let now = Instant::now();
        let (overdue, mut overdue_answer) = waiter(now);
        let (other, mut other_answer) = waiter(now + std::time::Duration::from_secs(1));
        pending.insert(overdue).unwrap();
        pending.insert(other).unwrap();
        pending.give_up_overdue(now);
        assert_eq!(
            overdue_answer.try_recv().unwrap().unwrap_err(),
            Unanswered::TimedOut
        );
        assert_eq!(pending.len(), 1);
        pending.give_up_all();
        assert_eq!(
            other_answer.try_recv().unwrap().unwrap_err(),
            Unanswered::ConnectionLost
        );
        assert_eq!(pending.len(), 0);
    }

    #[test]
    fn there_are_no_more_slots_than_may_wait() {
        let pending = Pending::new();
        let now = Instant::now();
        let tokens: Vec<_> = (0..PENDING_MAX)
            .map(|_| pending.insert(waiter(now).0).unwrap())
            .collect();
        assert!(pending.insert(waiter(now).0).is_none());
        pending.remove(tokens[7]);
        assert_eq!(pending.insert(waiter(now).0).unwrap().index(), 7);
    }

    #[test]
    fn a_reply_subject_has_room_for_the_largest_token() {
        let pending = Pending::new();
        let reply = pending.reply_subject(Token(u64::MAX));
        assert!(reply.as_bytes().ends_with(b".18446744073709551615"));
    }
}

//! What this broker's clients want, as the other broker is told: each distinct subject and queue
//! group once, however many clients share it.
//!
//! Clients change the table; the link's writer takes what is to be told. An entry that changes
//! back before it was told costs nothing, so the table is bounded by the distinct wishes.

use std::collections::HashMap;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use relevo_protocol::frame::Frame;
use tokio::sync::Notify;

/// A subject, wildcards allowed, and a queue group.
pub(crate) type Wish = (Bytes, Option<Bytes>);

/// Counted wishes and what of them was told.
#[derive(Debug, Default)]
pub(crate) struct Interest {
    table: Mutex<Table>,
    /// There is something to tell.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Table {
    entries: HashMap<Wish, Entry>,
    /// Entries whose `count` and `told` may contradict each other, each once.
    changed: Vec<Wish>,
    /// Someone listens.
    listening: bool,
    /// All that was there when the listener came has been taken.
    complete: bool,
}

#[derive(Debug, Default)]
struct Entry {
    count: usize,
    told: bool,
    listed: bool,
}

impl Interest {
    /// One more subscription has this wish.
    pub(crate) fn add(&self, wish: Wish) {
        let mut table = self.table();
        let entry = table.entries.entry(wish.clone()).or_default();
        entry.count += 1;
        if entry.count == 1 {
            table.list(wish);
            drop(table);
            self.changed.notify_one();
        }
    }

    /// One subscription less has this wish.
    pub(crate) fn remove(&self, wish: Wish) {
        let mut table = self.table();
        let Some(entry) = table.entries.get_mut(&wish) else {
            debug_assert!(false, "only what was added is removed");
            return;
        };
        entry.count = entry.count.saturating_sub(1);
        if entry.count == 0 {
            table.list(wish);
            drop(table);
            self.changed.notify_one();
        }
    }

    /// A new listener is to be told everything from the start.
    pub(crate) fn listen(&self) {
        let mut table = self.table();
        table.forget_listener();
        table.listening = true;
        let wishes: Vec<Wish> = table.entries.keys().cloned().collect();
        for wish in wishes {
            table.list(wish);
        }
        drop(table);
        self.changed.notify_one();
    }

    /// Nobody listens any more.
    pub(crate) fn stop(&self) {
        self.table().forget_listener();
    }

    /// Appends the frames that are to be told now. What is told precedes everything that its
    /// subscribers send afterwards, if the caller takes messages out of their queue first and
    /// writes these frames before them.
    pub(crate) fn take_frames(&self, out: &mut Vec<u8>) {
        let mut table = self.table();
        if !table.listening {
            return;
        }
        for wish in mem::take(&mut table.changed) {
            let Some(entry) = table.entries.get_mut(&wish) else {
                continue;
            };
            entry.listed = false;
            let wanted = entry.count > 0;
            let news = wanted != mem::replace(&mut entry.told, wanted);
            if !wanted {
                table.entries.remove(&wish);
            }
            if news {
                let (subject, queue) = wish;
                Frame::Interest {
                    wanted,
                    subject,
                    queue,
                }
                .encode(out);
            }
        }
        if !mem::replace(&mut table.complete, true) {
            Frame::InterestComplete.encode(out);
        }
    }

    /// Resolves when there may be something to take.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn list(&mut self, wish: Wish) {
        if !self.listening {
            if self
                .entries
                .get(&wish)
                .is_some_and(|entry| entry.count == 0)
            {
                self.entries.remove(&wish);
            }
            return;
        }
        if let Some(entry) = self.entries.get_mut(&wish)
            && !mem::replace(&mut entry.listed, true)
        {
            self.changed.push(wish);
        }
    }

    fn forget_listener(&mut self) {
        self.listening = false;
        self.complete = false;
        self.changed.clear();
        self.entries.retain(|_, entry| entry.count > 0);
        for entry in self.entries.values_mut() {
            (entry.told, entry.listed) = (false, false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(subject: &'static str) -> Wish {
        (Bytes::from_static(subject.as_bytes()), None)
    }

    fn told(interest: &Interest) -> Vec<String> {
        let mut out = Vec::new();
        interest.take_frames(&mut out);
        let mut found = Vec::new();
        let mut rest = out.as_slice();
        while let Some((len, after)) = rest.split_first_chunk::<4>() {
            let (body, after) = after.split_at(u32::from_le_bytes(*len) as usize);
            found.push(match Frame::decode(Bytes::copy_from_slice(body)).unwrap() {
                Frame::Interest {
                    wanted, subject, ..
                } => {
                    let sign = if wanted { '+' } else { '-' };
                    format!("{sign}{}", String::from_utf8_lossy(&subject))
                }
                Frame::InterestComplete => "complete".to_owned(),
                other => panic!("{other:?}"),
            });
            rest = after;
        }
        found.sort();
        found
    }

    #[test]
    fn shared_wishes_are_told_once_and_ended_when_the_last_one_goes() {
        let interest = Interest::default();
        interest.add(wish("a"));
        interest.listen();
        assert_eq!(told(&interest), ["+a", "complete"]);
        interest.add(wish("a"));
        interest.add(wish("b"));
        assert_eq!(told(&interest), ["+b"]);
        interest.remove(wish("a"));
        assert_eq!(told(&interest), Vec::<String>::new());
        interest.remove(wish("a"));
        assert_eq!(told(&interest), ["-a"]);
    }

    #[test]
    fn what_changes_back_before_it_was_told_is_not_told() {
        let interest = Interest::default();
        interest.listen();
        assert_eq!(told(&interest), ["complete"]);
        interest.add(wish("a"));
        interest.remove(wish("a"));
        assert_eq!(told(&interest), Vec::<String>::new());
        interest.add(wish("b"));
        assert_eq!(told(&interest), ["+b"]);
        interest.remove(wish("b"));
        interest.add(wish("b"));
        assert_eq!(told(&interest), Vec::<String>::new());
    }

    #[test]
    fn a_new_listener_is_told_everything_again() {
        let interest = Interest::default();
        interest.listen();
        interest.add(wish("a"));
        interest.add(wish("b"));
        told(&interest);
        interest.stop();
        interest.remove(wish("b"));
        interest.add(wish("c"));
        assert_eq!(told(&interest), Vec::<String>::new());
        interest.listen();
        assert_eq!(told(&interest), ["+a", "+c", "complete"]);
    }
}

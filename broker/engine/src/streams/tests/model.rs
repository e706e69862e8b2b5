//! A naive stream with naive consumers: lists that are searched from the start. It says what the real
//! ones have to do.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// How the stream and its consumers are configured.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) is_queue: bool,
    pub(super) max_msgs: Option<usize>,
    pub(super) max_per_subject: Option<usize>,
    pub(super) max_age: Option<Duration>,
    pub(super) window: Duration,
    pub(super) lease: Duration,
    pub(super) max_deliver: Option<u32>,
    pub(super) max_ack_pending: usize,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Wish {
    pub(super) delay: Duration,
    pub(super) priority: u8,
    pub(super) key: Option<u8>,
}

#[derive(Clone, Debug)]
struct Message {
    sequence: u64,
    subject: String,
    at: Duration,
    wish: Wish,
}

/// What a consumer knows of a message that it wants.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Progress {
    Fresh,
    Held { until: Duration, count: u32 },
    Back { until: Duration, count: u32 },
    Again { count: u32 },
    Exhausted { count: u32 },
    Done,
}

#[derive(Clone, Debug)]
struct Consumer {
    filter: Option<String>,
    messages: BTreeMap<u64, Progress>,
    pulls: VecDeque<Pull>,
}

#[derive(Clone, Debug)]
struct Pull {
    inbox: String,
    remaining: u64,
    delivered: u64,
    ends: Option<Duration>,
}

/// What the model says leaves: to which inbox, and what.
pub(super) type Out = Vec<(String, String)>;

#[derive(Clone, Debug)]
pub(super) struct Model {
    rules: Rules,
    pub(super) now: Duration,
    next: u64,
    messages: Vec<Message>,
    ids: Vec<(u8, u64, Duration)>,
    consumers: Vec<Consumer>,
    pub(super) out: Out,
}

impl Model {
    pub(super) fn new(rules: Rules, filters: &[Option<&str>]) -> Self {
        let consumer = |filter: &Option<&str>| Consumer {
            filter: filter.map(str::to_owned),
            messages: BTreeMap::new(),
            pulls: VecDeque::new(),
        };
        Self {
            rules,
            now: Duration::ZERO,
            next: 1,
            messages: Vec::new(),
            ids: Vec::new(),
            consumers: filters.iter().map(consumer).collect(),
            out: Vec::new(),
        }
    }

    /// The sequence, and whether it is an earlier one.
    pub(super) fn publish(&mut self, subject: &str, id: Option<u8>, wish: Wish) -> (u64, bool) {
        let window = self.rules.window;
        let known = self
            .ids
            .iter()
            .rev()
            .find(|(own, _, at)| Some(*own) == id && *at + window > self.now);
        if let Some((_, sequence, _)) = known {
            return (*sequence, true);
        }
        let sequence = self.next;
        self.next += 1;
        self.ids.extend(id.map(|id| (id, sequence, self.now)));
        let message = Message {
            sequence,
            subject: subject.to_owned(),
            at: self.now,
            wish,
        };
        for consumer in &mut self.consumers {
            if consumer
                .filter
                .as_ref()
                .is_none_or(|filter| filter == subject)
            {
                consumer.messages.insert(sequence, Progress::Fresh);
            }
        }
        self.messages.push(message);
        if let Some(limit) = self.rules.max_per_subject {
            let own: Vec<u64> = self
                .messages
                .iter()
                .filter(|message| message.subject == subject)
                .map(|message| message.sequence)
                .collect();
            for sequence in &own[..own.len().saturating_sub(limit)] {
                self.drop_message(*sequence);
            }
        }
        if let Some(limit) = self.rules.max_msgs {
            while self.messages.len() > limit {
                self.drop_message(self.messages[0].sequence);
            }
        }
        self.serve();
        (sequence, false)
    }

    pub(super) fn pull(
        &mut self,
        consumer: usize,
        inbox: &str,
        batch: u64,
        wait: Option<Duration>,
    ) {
        self.consumers[consumer].pulls.push_back(Pull {
            inbox: inbox.to_owned(),
            remaining: batch,
            delivered: 0,
            ends: wait.map(|wait| self.now + wait),
        });
        self.serve();
    }

    pub(super) fn acknowledge(&mut self, consumer: usize, sequence: u64, count: u32) -> bool {
        let counts = self.counts(consumer, sequence, count);
        if counts {
            self.consumers[consumer]
                .messages
                .insert(sequence, Progress::Done);
            if self.rules.is_queue {
                self.drop_message(sequence);
            }
            self.serve();
        }
        counts
    }

    pub(super) fn give_back(
        &mut self,
        consumer: usize,
        sequence: u64,
        count: u32,
        delay: Option<Duration>,
    ) -> bool {
        let counts = self.is_at_work(consumer, sequence, count);
        if counts {
            let count = self.count(consumer, sequence);
            let progress = match delay {
                Some(delay) => Progress::Back {
                    until: self.now + delay,
                    count,
                },
                None => self.returned(count),
            };
            self.consumers[consumer].messages.insert(sequence, progress);
            self.serve();
        }
        counts
    }

    pub(super) fn extend(&mut self, consumer: usize, sequence: u64, count: u32) -> bool {
        let counts = self.is_at_work(consumer, sequence, count);
        if counts {
            let count = self.count(consumer, sequence);
            let held = Progress::Held {
                until: self.now + self.rules.lease,
                count,
            };
            self.consumers[consumer].messages.insert(sequence, held);
            self.serve();
        }
        counts
    }

    pub(super) fn delete(&mut self, sequence: u64) -> bool {
        let is_there = self
            .messages
            .iter()
            .any(|message| message.sequence == sequence);
        if is_there {
            self.drop_message(sequence);
            self.serve();
        }
        is_there
    }

    pub(super) fn purge(&mut self, keep: usize) -> u64 {
        let mut purged = 0;
        while self.messages.len() > keep {
            self.drop_message(self.messages[0].sequence);
            purged += 1;
        }
        self.serve();
        purged
    }

    pub(super) fn restart(&mut self) {
        for consumer in &mut self.consumers {
            consumer.pulls.clear();
            for progress in consumer.messages.values_mut() {
                *progress = match *progress {
                    Progress::Held { count, .. }
                    | Progress::Back { count, .. }
                    | Progress::Again { count }
                    | Progress::Exhausted { count } => Progress::Held {
                        until: self.now + self.rules.lease,
                        count,
                    },
                    other @ (Progress::Fresh | Progress::Done) => other,
                };
            }
        }
    }

    pub(super) fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(at) = self.next_event().filter(|at| *at <= end) {
            self.now = at;
            self.happen();
        }
        self.now = end;
    }

    /// Never delivered, delivered and not acknowledged, of those more than once.
    pub(super) fn numbers(&self, consumer: usize) -> (u64, u64, u64) {
        let (mut fresh, mut held, mut more) = (0, 0, 0);
        for progress in self.consumers[consumer].messages.values() {
            match progress {
                Progress::Fresh => fresh += 1,
                Progress::Held { count, .. }
                | Progress::Back { count, .. }
                | Progress::Again { count } => {
                    held += 1;
                    more += u64::from(*count > 1);
                }
                Progress::Exhausted { .. } | Progress::Done => {}
            }
        }
        (fresh, held, more)
    }

    pub(super) fn sequences(&self) -> Vec<u64> {
        self.messages
            .iter()
            .map(|message| message.sequence)
            .collect()
    }

    fn happen(&mut self) {
        let now = self.now;
        for index in 0..self.consumers.len() {
            let ended: Vec<(u64, u32)> = self.consumers[index]
                .messages
                .iter()
                .filter_map(|(sequence, progress)| match progress {
                    Progress::Held { until, count } | Progress::Back { until, count }
                        if *until <= now =>
                    {
                        Some((*sequence, *count))
                    }
                    _ => None,
                })
                .collect();
            for (sequence, count) in ended {
                let progress = self.returned(count);
                self.consumers[index].messages.insert(sequence, progress);
            }
            self.serve_one(index);
            let pulls = std::mem::take(&mut self.consumers[index].pulls);
            for pull in pulls {
                if pull.ends.is_some_and(|ends| ends <= now) {
                    self.out
                        .push((pull.inbox, "408 Request Timeout".to_owned()));
                } else {
                    self.consumers[index].pulls.push_back(pull);
                }
            }
        }
        if let Some(max_age) = self.rules.max_age {
            while self
                .messages
                .first()
                .is_some_and(|message| message.at + max_age <= now)
            {
                self.drop_message(self.messages[0].sequence);
            }
            self.serve();
        }
    }

    fn next_event(&self) -> Option<Duration> {
        let mut times = Vec::new();
        for consumer in &self.consumers {
            for progress in consumer.messages.values() {
                if let Progress::Held { until, .. } | Progress::Back { until, .. } = progress {
                    times.push(*until);
                }
            }
            times.extend(consumer.pulls.iter().filter_map(|pull| pull.ends));
        }
        for message in &self.messages {
            times.extend(self.rules.max_age.map(|max_age| message.at + max_age));
            times.push(message.at + message.wish.delay);
        }
        times.into_iter().filter(|at| *at > self.now).min()
    }

    fn serve(&mut self) {
        for index in 0..self.consumers.len() {
            self.serve_one(index);
        }
    }

    fn serve_one(&mut self, index: usize) {
        while let Some(mut pull) = self.consumers[index].pulls.pop_front() {
            while pull.remaining > 0
                && let Some((sequence, count)) = self.candidate(index)
            {
                let held = Progress::Held {
                    until: self.now + self.rules.lease,
                    count,
                };
                self.consumers[index].messages.insert(sequence, held);
                pull.remaining -= 1;
                pull.delivered += 1;
                self.out
                    .push((pull.inbox.clone(), format!("m{sequence} #{count}")));
            }
            match pull.ends {
                _ if pull.remaining == 0 => {}
                None if pull.delivered > 0 => {
                    self.out
                        .push((pull.inbox, "408 Request Timeout".to_owned()));
                }
                None => self.out.push((pull.inbox, "404 No Messages".to_owned())),
                Some(_) => {
                    self.consumers[index].pulls.push_front(pull);
                    return self.end_impatient(index);
                }
            }
        }
    }

    fn end_impatient(&mut self, index: usize) {
        let pulls = std::mem::take(&mut self.consumers[index].pulls);
        let (patient, impatient): (VecDeque<Pull>, VecDeque<Pull>) =
            pulls.into_iter().partition(|pull| pull.ends.is_some());
        self.consumers[index].pulls = patient;
        for pull in impatient {
            self.out.push((pull.inbox, "404 No Messages".to_owned()));
        }
    }

    fn candidate(&self, index: usize) -> Option<(u64, u32)> {
        let consumer = &self.consumers[index];
        let (_, held, _) = self.numbers(index);
        let may_be_new = usize::try_from(held).unwrap() < self.rules.max_ack_pending;
        let mut best: Option<(u8, u64, u32)> = None;
        for message in &self.messages {
            let count = match consumer.messages.get(&message.sequence) {
                Some(Progress::Again { count }) => count + 1,
                Some(Progress::Fresh) if may_be_new && self.is_free(index, message) => 1,
                _ => continue,
            };
            if best.is_none_or(|(priority, ..)| message.wish.priority > priority) {
                best = Some((message.wish.priority, message.sequence, count));
            }
        }
        best.map(|(_, sequence, count)| (sequence, count))
    }

    fn is_free(&self, index: usize, message: &Message) -> bool {
        if message.at + message.wish.delay > self.now {
            return false;
        }
        let progress = |sequence: u64| self.consumers[index].messages.get(&sequence).copied();
        message.wish.key.is_none()
            || self
                .messages
                .iter()
                .filter(|other| other.wish.key == message.wish.key)
                .find(|other| !matches!(progress(other.sequence), Some(Progress::Exhausted { .. })))
                .is_some_and(|head| head.sequence == message.sequence)
    }

    fn counts(&self, consumer: usize, sequence: u64, count: u32) -> bool {
        match self.consumers[consumer].messages.get(&sequence) {
            Some(Progress::Held { count: own, .. }) => !self.rules.is_queue || *own == count,
            Some(Progress::Back { .. } | Progress::Again { .. } | Progress::Exhausted { .. }) => {
                !self.rules.is_queue
            }
            Some(Progress::Fresh | Progress::Done) | None => false,
        }
    }

    fn is_at_work(&self, consumer: usize, sequence: u64, count: u32) -> bool {
        let progress = self.consumers[consumer].messages.get(&sequence);
        self.counts(consumer, sequence, count)
            && !matches!(progress, Some(Progress::Exhausted { .. }))
    }

    fn count(&self, consumer: usize, sequence: u64) -> u32 {
        match self.consumers[consumer].messages.get(&sequence) {
            Some(
                Progress::Held { count, .. }
                | Progress::Back { count, .. }
                | Progress::Again { count }
                | Progress::Exhausted { count },
            ) => *count,
            Some(Progress::Fresh | Progress::Done) | None => 0,
        }
    }

    fn returned(&self, count: u32) -> Progress {
        match self.rules.max_deliver {
            Some(limit) if count >= limit => Progress::Exhausted { count },
            Some(_) | None => Progress::Again { count },
        }
    }

    fn drop_message(&mut self, sequence: u64) {
        self.messages.retain(|message| message.sequence != sequence);
        for consumer in &mut self.consumers {
            consumer.messages.remove(&sequence);
        }
    }
}

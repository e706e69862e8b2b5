//! What a stream knows of its messages without their bodies: about twelve bytes each.
//!
//! Sequences follow each other, so messages lie in chunks of consecutive ones; a removed message
//! leaves a mark. A chunk of which little is left keeps only what is left, and an empty one goes.

use std::collections::VecDeque;

use relevo_protocol::time::Timestamp;

use super::subjects::SubjectId;

/// Messages of a chunk.
const CHUNK_LEN: usize = 1024;
/// A closed chunk is squeezed when no more than one in this many of its messages is left.
const SQUEEZE_BELOW: usize = 4;
/// Nanoseconds in the unit of time that is kept.
const NANOS_PER_MICRO: u64 = 1_000;

/// One message, without its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Meta {
    /// Its sequence.
    pub(super) sequence: u64,
    /// Bytes of subject, headers and payload; never 0.
    pub(super) size: u32,
    /// When it was stored, in whole microseconds.
    pub(super) at: Timestamp,
    /// Its subject.
    pub(super) subject: SubjectId,
}

/// All messages of a stream.
#[derive(Clone, Debug)]
pub(super) struct Messages {
    chunks: VecDeque<Chunk>,
    first: u64,
    next: u64,
    count: u64,
    bytes: u64,
}

#[derive(Clone, Debug)]
struct Chunk {
    /// The sequence of offset 0.
    first: u64,
    /// How many sequences it covers.
    covered: u16,
    /// The time that ages count from.
    base_micros: u64,
    /// One for each sequence covered, or one for each offset in `offsets`.
    entries: Vec<Entry>,
    /// Of a squeezed chunk: where its entries belong, rising. Empty in others.
    offsets: Vec<u16>,
    /// Entries that are messages.
    live: u16,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// 0 marks a removed message.
    size: u32,
    age_micros: u32,
    subject: SubjectId,
}

/// `time` in the precision that is kept, but not before `earliest`.
pub(super) fn whole_micros(time: Timestamp, earliest: Timestamp) -> Timestamp {
    let micros = time.as_nanos() / NANOS_PER_MICRO;
    let micros = micros.max(earliest.as_nanos().div_ceil(NANOS_PER_MICRO));
    Timestamp::from_nanos(micros.saturating_mul(NANOS_PER_MICRO))
}

impl Messages {
    /// No messages; the first will have the sequence `first`.
    pub(super) const fn starting_at(first: u64) -> Self {
        Self {
            chunks: VecDeque::new(),
            first,
            next: first,
            count: 0,
            bytes: 0,
        }
    }

    /// Adds the message with the sequence [`Self::next`] and returns it. `at` never falls, `size` is not 0.
    pub(super) fn push(&mut self, at: Timestamp, size: u32, subject: SubjectId) -> u64 {
        let sequence = self.next;
        let micros = at.as_nanos() / NANOS_PER_MICRO;
        let age_micros = self
            .chunks
            .back()
            .filter(|chunk| chunk.is_open_for(sequence))
            .and_then(|chunk| u32::try_from(micros.checked_sub(chunk.base_micros)?).ok());
        let entry = Entry {
            size,
            age_micros: age_micros.unwrap_or(0),
            subject,
        };
        match self.chunks.back_mut() {
            Some(chunk) if age_micros.is_some() => chunk.push(entry),
            Some(_) | None => self.chunks.push_back(Chunk::new(sequence, micros, entry)),
        }
        self.next += 1;
        self.count += 1;
        self.bytes += u64::from(size);
        sequence
    }

    /// Sequences up to, not including, `next` are used though nothing of them is left.
    pub(super) fn skip_to(&mut self, next: u64) {
        self.next = self.next.max(next);
        if self.count == 0 {
            self.first = self.next;
        }
    }

    /// Removes one message and says what it was.
    pub(super) fn remove(&mut self, sequence: u64) -> Option<Meta> {
        let index = self.chunk_of(sequence)?;
        let chunk = self.chunks.get_mut(index)?;
        let meta = chunk.take(sequence)?;
        if chunk.live == 0 {
            self.chunks.remove(index);
        } else {
            chunk.squeeze_when_sparse();
        }
        self.count -= 1;
        self.bytes -= u64::from(meta.size);
        if sequence == self.first {
            let first = self.from(sequence).next();
            self.first = first.map_or(self.next, |meta| meta.sequence);
        }
        Some(meta)
    }

    /// One message.
    pub(super) fn get(&self, sequence: u64) -> Option<Meta> {
        self.chunks.get(self.chunk_of(sequence)?)?.get(sequence)
    }

    /// Messages from `sequence` on, rising.
    pub(super) fn from(&self, sequence: u64) -> impl Iterator<Item = Meta> + '_ {
        let index = self.chunks.partition_point(|chunk| chunk.end() <= sequence);
        self.chunks
            .iter()
            .skip(index)
            .flat_map(move |chunk| chunk.from(sequence))
    }

    /// Messages up to `sequence`, falling.
    pub(super) fn back_from(&self, sequence: u64) -> impl Iterator<Item = Meta> + '_ {
        let end = self.chunks.partition_point(|chunk| chunk.first <= sequence);
        self.chunks.iter().take(end).rev().flat_map(move |chunk| {
            chunk
                .from(chunk.first)
                .rev()
                .skip_while(move |meta| meta.sequence > sequence)
        })
    }

    /// The first message that is not older than `time`.
    pub(super) fn not_before(&self, time: Timestamp) -> Option<Meta> {
        let micros = time.as_nanos().div_ceil(NANOS_PER_MICRO);
        let after = self
            .chunks
            .partition_point(|chunk| chunk.base_micros < micros);
        self.chunks
            .iter()
            .skip(after.saturating_sub(1))
            .flat_map(|chunk| chunk.from(chunk.first))
            .find(|meta| meta.at >= time)
    }

    /// How many messages there are from `sequence` on.
    pub(super) fn count_from(&self, sequence: u64) -> u64 {
        let index = self.chunks.partition_point(|chunk| chunk.end() <= sequence);
        let mut chunks = self.chunks.iter().skip(index);
        let partly = chunks
            .next()
            .map_or(0, |chunk| chunk.from(sequence).count() as u64);
        partly + chunks.map(|chunk| u64::from(chunk.live)).sum::<u64>()
    }

    /// The sequence of the first message; [`Self::next`] when there is none.
    pub(super) const fn first(&self) -> u64 {
        if self.count == 0 {
            self.next
        } else {
            self.first
        }
    }

    /// The sequence of the next message to come.
    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    /// How many there are.
    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    /// The sum of their sizes.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    fn chunk_of(&self, sequence: u64) -> Option<usize> {
        let index = self.chunks.partition_point(|chunk| chunk.end() <= sequence);
        self.chunks
            .get(index)
            .filter(|chunk| chunk.first <= sequence)
            .map(|_| index)
    }
}

impl Chunk {
    fn new(first: u64, base_micros: u64, entry: Entry) -> Self {
        Self {
            first,
            covered: 1,
            base_micros,
            entries: vec![entry],
            offsets: Vec::new(),
            live: 1,
        }
    }

    fn is_open_for(&self, sequence: u64) -> bool {
        self.offsets.is_empty() && self.entries.len() < CHUNK_LEN && self.end() == sequence
    }

    fn push(&mut self, entry: Entry) {
        self.entries.push(entry);
        self.covered += 1;
        self.live += 1;
    }

    const fn end(&self) -> u64 {
        self.first + self.covered as u64
    }

    fn index_of(&self, sequence: u64) -> Option<usize> {
        let offset = sequence.checked_sub(self.first)?;
        if self.offsets.is_empty() {
            return usize::try_from(offset).ok();
        }
        self.offsets
            .binary_search(&u16::try_from(offset).ok()?)
            .ok()
    }

    fn get(&self, sequence: u64) -> Option<Meta> {
        let entry = self.entries.get(self.index_of(sequence)?)?;
        self.meta(sequence, entry)
    }

    fn take(&mut self, sequence: u64) -> Option<Meta> {
        let index = self.index_of(sequence)?;
        let meta = self.meta(sequence, self.entries.get(index)?)?;
        if self.offsets.is_empty() {
            self.entries.get_mut(index)?.size = 0;
        } else {
            self.entries.remove(index);
            self.offsets.remove(index);
        }
        self.live -= 1;
        Some(meta)
    }

    fn squeeze_when_sparse(&mut self) {
        let closed = usize::from(self.covered) == CHUNK_LEN;
        if !closed || !self.offsets.is_empty() || usize::from(self.live) * SQUEEZE_BELOW > CHUNK_LEN
        {
            return;
        }
        let left = (0..self.covered)
            .zip(&self.entries)
            .filter(|(_, entry)| entry.size > 0);
        (self.offsets, self.entries) = left.unzip();
    }

    fn from(&self, sequence: u64) -> impl DoubleEndedIterator<Item = Meta> + '_ {
        let offset = sequence.saturating_sub(self.first);
        let start = if self.offsets.is_empty() {
            usize::try_from(offset).unwrap_or(usize::MAX)
        } else {
            self.offsets.partition_point(|own| u64::from(*own) < offset)
        };
        let entries = self.entries.get(start..).unwrap_or_default();
        entries
            .iter()
            .enumerate()
            .filter_map(move |(index, entry)| {
                let index = start + index;
                let offset = self
                    .offsets
                    .get(index)
                    .map_or(index as u64, |offset| u64::from(*offset));
                self.meta(self.first + offset, entry)
            })
    }

    fn meta(&self, sequence: u64, entry: &Entry) -> Option<Meta> {
        let micros = self.base_micros + u64::from(entry.age_micros);
        (entry.size > 0).then_some(Meta {
            sequence,
            size: entry.size,
            at: Timestamp::from_nanos(micros.saturating_mul(NANOS_PER_MICRO)),
            subject: entry.subject,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const SUBJECT: SubjectId = SubjectId::for_tests(0);

    fn at(micros: u64) -> Timestamp {
        Timestamp::from_nanos(micros * 1000)
    }

    /// Checks everything that can be asked against a plain map.
    #[track_caller]
    fn check(messages: &Messages, expected: &BTreeMap<u64, Timestamp>) {
        let sequences =
            |metas: Vec<Meta>| metas.iter().map(|m| (m.sequence, m.at)).collect::<Vec<_>>();
        let all: Vec<_> = expected.iter().map(|(s, at)| (*s, *at)).collect();
        assert_eq!(sequences(messages.from(0).collect()), all);
        let falling: Vec<_> = all.iter().rev().copied().collect();
        assert_eq!(sequences(messages.back_from(u64::MAX).collect()), falling);
        assert_eq!(messages.count(), all.len() as u64);
        assert_eq!(messages.bytes(), all.len() as u64 * 7);
        assert_eq!(
            messages.first(),
            all.first().map_or(messages.next(), |(s, _)| *s)
        );
        for sequence in 0..=messages.next() {
            assert_eq!(
                messages.get(sequence).map(|m| m.at),
                expected.get(&sequence).copied()
            );
            let from = messages.from(sequence).next().map(|m| m.sequence);
            assert_eq!(
                from,
                expected.range(sequence..).next().map(|(s, _)| *s),
                "{sequence}"
            );
            let back = messages.back_from(sequence).next().map(|m| m.sequence);
            assert_eq!(
                back,
                expected.range(..=sequence).next_back().map(|(s, _)| *s),
                "{sequence}"
            );
            assert_eq!(
                messages.count_from(sequence),
                expected.range(sequence..).count() as u64
            );
        }
    }

    #[test]
    fn what_was_pushed_is_found_and_what_was_removed_is_not() {
        let mut messages = Messages::starting_at(5);
        let mut expected = BTreeMap::new();
        for n in 0..3000 {
            let sequence = messages.push(at(n), 7, SUBJECT);
            assert_eq!(sequence, 5 + n);
            expected.insert(sequence, at(n));
        }
        check(&messages, &expected);
        for step in [3, 7, 2, 5, 1] {
            for sequence in (5..3005).step_by(step) {
                let known = expected.remove(&sequence);
                assert_eq!(messages.remove(sequence).map(|m| m.at), known);
                if step == 1 && sequence == 1500 {
                    check(&messages, &expected);
                }
            }
            check(&messages, &expected);
        }
        assert_eq!(messages.first(), 3005);
        assert_eq!(messages.chunks.len(), 0);
    }

    #[test]
    fn a_chunk_of_which_little_is_left_keeps_only_what_is_left() {
        let mut messages = Messages::starting_at(1);
        for n in 0..2048 {
            messages.push(at(n), 7, SUBJECT);
        }
        for sequence in 1..=1024 {
            if sequence % 100 != 0 {
                messages.remove(sequence);
            }
        }
        assert_eq!(messages.chunks[0].entries.len(), 10);
        assert_eq!(messages.chunks[1].entries.len(), 1024);
        assert_eq!(messages.get(300).map(|m| m.at), Some(at(299)));
        assert_eq!(messages.get(301), None);
    }

    #[test]
    fn times_are_exact_however_far_apart() {
        let mut messages = Messages::starting_at(1);
        let times = [
            0,
            1,
            4_000_000_000,
            4_294_967_295,
            4_294_967_296,
            9_000_000_000_000,
        ];
        for time in times {
            messages.push(at(time), 1, SUBJECT);
        }
        for (time, sequence) in times.into_iter().zip(1..) {
            assert_eq!(messages.get(sequence).unwrap().at, at(time));
            assert_eq!(messages.not_before(at(time)).unwrap().sequence, sequence);
        }
        let just_after = Timestamp::from_nanos(1001);
        assert_eq!(messages.not_before(just_after).unwrap().sequence, 3);
        assert_eq!(messages.not_before(at(9_000_000_000_001)), None);
    }
}

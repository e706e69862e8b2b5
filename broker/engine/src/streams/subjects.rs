//! The subjects of a stream's messages: each text is kept once, with how many messages it has.

use std::collections::BTreeMap;

use relevo_protocol::subject::{Subject, SubjectFilter, SubjectRef};

use super::messages::Messages;

/// Stands for a subject of one stream for as long as the stream has a message with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SubjectId(u32);

/// One subject that has messages.
#[derive(Clone, Debug)]
pub(super) struct SubjectState {
    /// The subject.
    pub(super) subject: Subject,
    /// How many messages have it; 1 or more.
    pub(super) count: u64,
    /// The sequence of the last one.
    pub(super) last: u64,
    /// No message before this sequence has it.
    not_before: u64,
}

/// The subjects of a stream's messages.
#[derive(Clone, Debug, Default)]
pub(super) struct Subjects {
    states: Vec<Option<SubjectState>>,
    free: Vec<u32>,
    by_name: BTreeMap<Subject, SubjectId>,
}

impl SubjectId {
    /// Where tables by subject keep its entry.
    pub(super) const fn index(self) -> usize {
        self.0 as usize
    }

    #[cfg(test)]
    pub(super) const fn for_tests(id: u32) -> Self {
        Self(id)
    }
}

impl Subjects {
    /// Counts one more message; true when the subject had none.
    pub(super) fn add(&mut self, subject: SubjectRef<'_>, sequence: u64) -> (SubjectId, bool) {
        if let Some(id) = self.id_of(subject.as_str()) {
            if let Some(Some(state)) = self.states.get_mut(id.index()) {
                state.count += 1;
                state.last = sequence;
            }
            return (id, false);
        }
        let subject = subject.to_owned();
        let state = SubjectState {
            subject: subject.clone(),
            count: 1,
            last: sequence,
            not_before: sequence,
        };
        let id = match self.free.pop() {
            Some(id) => SubjectId(id),
            None => {
                self.states.push(None);
                SubjectId(u32::try_from(self.states.len() - 1).unwrap_or(u32::MAX))
            }
        };
        if let Some(slot) = self.states.get_mut(id.index()) {
            *slot = Some(state);
        }
        self.by_name.insert(subject, id);
        (id, true)
    }

    /// One message, which `messages` no longer has, is gone.
    pub(super) fn remove(&mut self, id: SubjectId, sequence: u64, messages: &Messages) {
        let Some(slot) = self.states.get_mut(id.index()) else {
            return;
        };
        let Some(state) = slot else { return };
        state.count -= 1;
        if state.count == 0 {
            self.by_name.remove(&state.subject);
            *slot = None;
            self.free.push(id.0);
            return;
        }
        if state.last == sequence {
            let last = messages.back_from(sequence).find(|meta| meta.subject == id);
            state.last = last.map_or(0, |meta| meta.sequence);
        }
        if state.not_before == sequence {
            state.not_before = sequence + 1;
        }
        if state.count == 1 {
            state.not_before = state.last;
        }
    }

    /// The sequence of the first message that has the subject.
    pub(super) fn first_of(&mut self, id: SubjectId, messages: &Messages) -> Option<u64> {
        let state = self.states.get_mut(id.index())?.as_mut()?;
        let first = messages
            .from(state.not_before)
            .find(|meta| meta.subject == id)?
            .sequence;
        state.not_before = first;
        Some(first)
    }

    /// The state of a subject.
    pub(super) fn get(&self, id: SubjectId) -> Option<&SubjectState> {
        self.states.get(id.index())?.as_ref()
    }

    /// The subject's number, if any message has it.
    pub(super) fn id_of(&self, subject: &str) -> Option<SubjectId> {
        self.by_name.get(subject).copied()
    }

    /// The states of all subjects that `filter` matches, in order of their texts.
    pub(super) fn matching(
        &self,
        filter: &SubjectFilter,
    ) -> impl Iterator<Item = (SubjectId, &SubjectState)> {
        let literal = filter
            .is_literal()
            .then(|| self.by_name.get_key_value(filter.as_str()));
        let (one, all) = match literal {
            Some(found) => (found, None),
            None => (None, Some(self.by_name.iter())),
        };
        one.into_iter()
            .chain(
                all.into_iter()
                    .flatten()
                    .filter(|(subject, _)| filter.matches(subject.as_ref())),
            )
            .filter_map(|(_, id)| Some((*id, self.get(*id)?)))
    }

    /// All subjects, in order of their texts.
    pub(super) fn iter(&self) -> impl Iterator<Item = (SubjectId, &SubjectState)> {
        self.by_name
            .values()
            .filter_map(|id| Some((*id, self.get(*id)?)))
    }

    /// How many subjects have messages.
    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }
}

/// Which subjects a consumer wants: its patterns, and the verdict on each subject of the stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Interest {
    filters: Vec<SubjectFilter>,
    verdicts: Vec<bool>,
}

impl Interest {
    /// Interest in what matches any of `filters`, or in everything when there are none.
    pub(super) fn new(filters: Vec<SubjectFilter>, subjects: &Subjects) -> Self {
        let mut interest = Self {
            filters,
            verdicts: Vec::new(),
        };
        for (id, state) in subjects.iter() {
            interest.learn(id, state.subject.as_ref());
        }
        interest
    }

    /// A subject has its first message; its number may have belonged to another before.
    pub(super) fn learn(&mut self, id: SubjectId, subject: SubjectRef<'_>) {
        if self.filters.is_empty() {
            return;
        }
        if self.verdicts.len() <= id.index() {
            self.verdicts.resize(id.index() + 1, false);
        }
        if let Some(verdict) = self.verdicts.get_mut(id.index()) {
            *verdict = self.filters.iter().any(|filter| filter.matches(subject));
        }
    }

    /// Whether messages of this subject are wanted.
    pub(super) fn wants(&self, id: SubjectId) -> bool {
        self.filters.is_empty() || self.verdicts.get(id.index()).copied().unwrap_or(false)
    }

    /// Whether everything is wanted.
    pub(super) const fn is_unfiltered(&self) -> bool {
        self.filters.is_empty()
    }

    /// Whether some subject could be wanted by both.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        self.is_unfiltered()
            || other.is_unfiltered()
            || self
                .filters
                .iter()
                .any(|own| other.filters.iter().any(|other| own.overlaps(other)))
    }
}

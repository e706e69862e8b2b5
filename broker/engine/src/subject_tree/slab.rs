//! Values in numbered slots; a number is used again once its value is gone.

use std::ops::{Index, IndexMut};

/// No slot.
pub(super) const NOTHING: u32 = u32::MAX;

/// Values by number. Reading a number that has no value is a bug of the caller and panics.
#[derive(Debug)]
pub(super) struct Slab<V> {
    slots: Vec<Slot<V>>,
    free: u32,
    len: usize,
}

#[derive(Debug)]
enum Slot<V> {
    Used(V),
    /// The next free slot follows.
    Free(u32),
}

impl<V> Slab<V> {
    pub(super) fn insert(&mut self, value: V) -> u32 {
        self.len += 1;
        let number = self.free;
        match self.slots.get_mut(number as usize) {
            Some(slot) => {
                if let Slot::Free(next) = *slot {
                    self.free = next;
                }
                *slot = Slot::Used(value);
                number
            }
            None => {
                let number =
                    u32::try_from(self.slots.len()).expect("SUBSCRIPTIONS_MAX bounds every slab");
                self.slots.push(Slot::Used(value));
                number
            }
        }
    }

    pub(super) fn remove(&mut self, number: u32) -> V {
        let slot = self
            .slots
            .get_mut(number as usize)
            .expect("only numbers of live values are kept");
        match std::mem::replace(slot, Slot::Free(self.free)) {
            Slot::Used(value) => {
                self.free = number;
                self.len -= 1;
                value
            }
            Slot::Free(_) => unreachable!("only numbers of live values are kept"),
        }
    }

    pub(super) fn get(&self, number: u32) -> Option<&V> {
        match self.slots.get(number as usize)? {
            Slot::Used(value) => Some(value),
            Slot::Free(_) => None,
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }
}

impl<V> Default for Slab<V> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            free: NOTHING,
            len: 0,
        }
    }
}

impl<V> Index<u32> for Slab<V> {
    type Output = V;

    fn index(&self, number: u32) -> &V {
        self.get(number)
            .expect("only numbers of live values are kept")
    }
}

impl<V> IndexMut<u32> for Slab<V> {
    fn index_mut(&mut self, number: u32) -> &mut V {
        match self.slots.get_mut(number as usize) {
            Some(Slot::Used(value)) => value,
            Some(Slot::Free(_)) | None => unreachable!("only numbers of live values are kept"),
        }
    }
}

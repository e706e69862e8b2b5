//! The one way to take a lock.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Takes the lock. A thread that panicked while it held it has left a value that is whole: what is done under our locks
/// puts in or takes out, and runs no code of the caller.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Whether the change that is under way is a reaction of ours.
//!
//! A caller's second change is turned away at once; one that meets a reaction, which nobody asked
//! for and which waits for nobody, waits for its end. What is reacted to is the keeper's affair.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The reaction that is under way, if one is.
#[derive(Default)]
pub(super) struct Reaction {
    under_way: Mutex<bool>,
    end: Condvar,
}

/// A reaction; it ends when this is dropped.
pub(super) struct UnderWay<'a>(&'a Reaction);

impl Reaction {
    /// One begins. To be called before the host is taken, and dropped after it is given back.
    pub(super) fn begin(&self) -> UnderWay<'_> {
        *self.lock() = true;
        UnderWay(self)
    }

    /// Waits for the end of a reaction; false when there is none.
    pub(super) fn ended(&self) -> bool {
        let under_way = self.lock();
        let is_one = *under_way;
        drop(self.end.wait_while(under_way, |under_way| *under_way).unwrap_or_else(PoisonError::into_inner));
        is_one
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        *self.0.lock() = false;
        self.0.end.notify_all();
    }
}

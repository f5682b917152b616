//! Did the engine call after the change? Counted, not timed: a call counts when it comes after the
//! change was made, whatever the clocks say.
//!
//! Who calls is not asked here; the server knows who may.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The calls so far.
#[derive(Debug, Default)]
pub struct Connectivity {
    calls: Mutex<u64>,
    called: Condvar,
    given_up: AtomicBool,
}

impl Connectivity {
    /// A client is there.
    pub fn confirm(&self) {
        *self.calls.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.called.notify_all();
    }

    /// Nobody will be able to call any more: whoever waits has lost, now and later. For a daemon
    /// that is to end; a change under way is then undone, not left behind.
    pub fn give_up(&self) {
        let _calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        self.given_up.store(true, Ordering::SeqCst);
        self.called.notify_all();
    }

    /// How many calls there were; those that come later are what [`Connectivity::wait`] waits for.
    pub fn calls(&self) -> u64 {
        *self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a call beyond the first `before`, which may have come already; whether one came in time.
    pub fn wait(&self, before: u64, within: Duration) -> bool {
        let end = Instant::now() + within;
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        while *calls == before {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || self.given_up.load(Ordering::SeqCst) {
                return false;
            }
            calls = self.called.wait_timeout(calls, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn who_waits_has_lost_when_nobody_can_call_any_more() {
        let connectivity = Arc::new(Connectivity::default());
        let other = Arc::clone(&connectivity);
        let thread = std::thread::spawn(move || other.wait(0, Duration::from_secs(3600)));
        connectivity.give_up();
        assert!(!thread.join().unwrap());
    }

    #[test]
    fn only_a_call_after_the_change_counts() {
        let connectivity = Arc::new(Connectivity::default());
        connectivity.confirm();
        let changed = connectivity.calls();
        assert!(!connectivity.wait(changed, Duration::from_millis(10)));
        let caller = Arc::clone(&connectivity);
        let thread = std::thread::spawn(move || {
            // As the engine does: again and again.
            for _ in 0..1000 {
                caller.confirm();
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        assert!(connectivity.wait(changed, Duration::from_secs(30)));
        thread.join().unwrap();
        // One that came before anybody waited counts, too.
        assert!(connectivity.wait(changed, Duration::ZERO));
    }
}

//! Who reads counters, so that nobody waits long for them.
//!
//! The kernel tells them under a lock (rtnl) that it holds for seconds while it removes a thousand
//! bridges. So they are read by a thread of their own, and who has waited for [`PROMPT`] is told the
//! sample before, with its time. What becomes of a sample is `stats.rs`'s.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::netinfo::{Counters, CountersError};
use crate::transaction::chain;

/// Ten thousand links take some milliseconds.
const PROMPT: Duration = Duration::from_millis(50);
/// As long, where there is no sample before.
const AT_ALL: Duration = Duration::from_secs(30);

/// Reads counters, from wherever it is told to.
type Read = dyn Fn() -> Result<Vec<(u32, Counters)>, CountersError> + Send + Sync;

/// One thread at most that reads, and what it has read last.
pub(crate) struct Sampler {
    read: Arc<Read>,
    shared: Arc<Shared>,
}

/// Counters of all links, by interface index, and when they were read, in seconds since the epoch.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    pub(crate) at: f64,
    pub(crate) counters: Arc<[(u32, Counters)]>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    came: Condvar,
}

#[derive(Default)]
struct State {
    /// How many readings were begun, and how many have ended; one at a time.
    begun: u64,
    ended: u64,
    last: Option<Reading>,
    /// Why the last one failed, if it did.
    failed: Option<String>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sampler {
    pub(crate) fn new(
        read: impl Fn() -> Result<Vec<(u32, Counters)>, CountersError> + Send + Sync + 'static,
    ) -> Sampler {
        Sampler { read: Arc::new(read), shared: Arc::default() }
    }

    /// The counters as they are after this call, or else those of the last sample.
    ///
    /// # Errors
    /// Why they cannot be read, in words.
    pub(crate) fn counters(&self) -> Result<Reading, String> {
        let mut state = self.shared.state();
        // One that is under way may have passed by what the caller knows of.
        let wanted = state.begun + 1;
        let end = Instant::now() + if state.last.is_some() { PROMPT } else { AT_ALL };
        while state.ended < wanted {
            if state.begun == state.ended {
                self.begin(&mut state)?;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return state.last.clone().ok_or_else(|| "the kernel does not tell the counters".to_owned());
            }
            state = self.shared.came.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        match &state.failed {
            Some(why) => Err(why.clone()),
            None => state.last.clone().ok_or_else(|| "there are no counters".to_owned()),
        }
    }

    fn begin(&self, state: &mut State) -> Result<(), String> {
        let (read, shared) = (Arc::clone(&self.read), Arc::clone(&self.shared));
        let thread = std::thread::Builder::new().name("counters".to_owned());
        let run = move || {
            let counters = read();
            let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
            let mut state = shared.state();
            state.ended = state.begun;
            state.failed = None;
            match counters {
                Ok(counters) => state.last = Some(Reading { at, counters: counters.into() }),
                Err(error) => state.failed = Some(chain(&error)),
            }
            shared.came.notify_all();
        };
        thread.spawn(run).map_err(|error| format!("cannot read the counters: {error}"))?;
        state.begun += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::mpsc::channel;

    use vdsm_netlink::WireError;

    use super::*;

    fn received(reading: &Reading) -> u64 {
        reading.counters[0].1.rx
    }

    #[test]
    fn who_asks_is_told_what_was_read_since() {
        let count = Arc::new(AtomicU64::new(0));
        let counting = Arc::clone(&count);
        let sampler = Sampler::new(move || {
            Ok(vec![(1, Counters { rx: counting.load(Ordering::SeqCst), ..Counters::default() })])
        });
        let askers = || {
            for _ in 0..200 {
                let before = count.fetch_add(1, Ordering::SeqCst) + 1;
                assert!(received(&sampler.counters().unwrap()) >= before);
            }
        };
        std::thread::scope(|all| (0..4).for_each(|_| drop(all.spawn(askers))));
    }

    #[test]
    fn while_the_kernel_keeps_one_waiting_the_sample_before_is_told() {
        let (told, wait) = channel::<u64>();
        let wait = Mutex::new(wait);
        let sampler = Sampler::new(move || {
            Ok(vec![(1, Counters { rx: wait.lock().unwrap().recv().unwrap_or(9), ..Counters::default() })])
        });
        told.send(1).unwrap();
        let first = sampler.counters().unwrap();
        assert_eq!(received(&first), 1);
        for _ in 0..3 {
            let again = sampler.counters().unwrap();
            assert_eq!((received(&again), again.at), (1, first.at));
        }
        // The one under way ends, and one that is begun afterwards.
        told.send(2).unwrap();
        told.send(3).unwrap();
        while received(&sampler.counters().unwrap()) < 2 {}
    }

    #[test]
    fn what_cannot_be_read_is_told_and_tried_again() {
        let count = AtomicU64::new(0);
        let sampler = Sampler::new(move || match count.fetch_add(1, Ordering::SeqCst) {
            1 => Err(CountersError::Read(WireError::Malformed)),
            number => Ok(vec![(1, Counters { rx: number, ..Counters::default() })]),
        });
        assert_eq!(received(&sampler.counters().unwrap()), 0);
        assert!(sampler.counters().unwrap_err().starts_with("cannot read the counters: "));
        assert_eq!(received(&sampler.counters().unwrap()), 2);
    }
}

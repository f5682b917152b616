//! Failures on purpose: a kernel that says no to the n-th action, or a host that somebody else changes
//! before it, for tests that want to see what is left then.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::iproute2::{Action, Kernel};
use crate::{Begin, RunError};
use vdsm_model::netinfo::NetInfo;

/// The number of actions that still succeed; shared with the test. `usize::MAX` is "all".
#[derive(Clone, Debug)]
pub struct Fuse(Arc<AtomicUsize>);

impl Fuse {
    /// A fuse that never blows.
    pub fn never() -> Fuse {
        Fuse(Arc::new(AtomicUsize::new(usize::MAX)))
    }

    /// Lets `count` actions pass, fails the next one, and then lets everything pass again.
    pub fn after(&self, count: usize) {
        self.0.store(count, Ordering::SeqCst);
    }

    /// Whether it is still to blow.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst) != usize::MAX
    }
}

/// A kernel with a fuse before it.
#[derive(Debug)]
pub struct Faulty<K> {
    /// The kernel itself.
    pub inner: K,
    /// When it fails.
    pub fuse: Fuse,
}

impl<K: Kernel> Kernel for Faulty<K> {
    fn run(
        &mut self,
        actions: &[(usize, Action)],
        seen: &NetInfo,
        begin: &mut Begin<'_>,
    ) -> Result<(), (usize, RunError)> {
        let left = self.fuse.0.load(Ordering::SeqCst);
        if left == usize::MAX {
            return self.inner.run(actions, seen, begin);
        }
        if left >= actions.len() {
            self.inner.run(actions, seen, begin)?;
            self.fuse.after(left - actions.len());
            return Ok(());
        }
        self.inner.run(&actions[..left], seen, begin)?;
        self.fuse.after(usize::MAX);
        Err((left, RunError::Injected))
    }
}

/// A kernel that something happens to before the n-th action, which is then done nevertheless: a nic is
/// unplugged, another tool changes a device.
pub struct Disturbed<K> {
    /// The kernel itself.
    pub inner: K,
    /// When it happens.
    pub fuse: Fuse,
    /// What happens.
    pub what: Box<dyn FnMut() + Send>,
}

impl<K: fmt::Debug> fmt::Debug for Disturbed<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disturbed").field("inner", &self.inner).field("fuse", &self.fuse).finish_non_exhaustive()
    }
}

impl<K: Kernel> Kernel for Disturbed<K> {
    fn run(
        &mut self,
        actions: &[(usize, Action)],
        seen: &NetInfo,
        begin: &mut Begin<'_>,
    ) -> Result<(), (usize, RunError)> {
        let left = self.fuse.0.load(Ordering::SeqCst);
        if left >= actions.len() {
            self.inner.run(actions, seen, begin)?;
            if left != usize::MAX {
                self.fuse.after(left - actions.len());
            }
            return Ok(());
        }
        self.inner.run(&actions[..left], seen, begin)?;
        self.fuse.after(usize::MAX);
        (self.what)();
        let mut begin = |range: Range<usize>| begin(range.start + left..range.end + left);
        self.inner.run(&actions[left..], seen, &mut begin).map_err(|(at, error)| (at + left, error))
    }
}

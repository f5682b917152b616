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

    /// Does what may still pass; the number of the next action, if it blew before that.
    fn burn(
        &self,
        kernel: &mut impl Kernel,
        actions: &[(usize, Action)],
        seen: &NetInfo,
        begin: &mut Begin<'_>,
    ) -> Result<Option<usize>, (usize, RunError)> {
        let left = self.0.load(Ordering::SeqCst);
        kernel.run(&actions[..left.min(actions.len())], seen, begin)?;
        let blown = left < actions.len();
        if left != usize::MAX {
            self.after(if blown { usize::MAX } else { left - actions.len() });
        }
        Ok(blown.then_some(left))
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
        match self.fuse.burn(&mut self.inner, actions, seen, begin)? {
            Some(left) => Err((left, RunError::Injected)),
            None => Ok(()),
        }
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
        let Some(left) = self.fuse.burn(&mut self.inner, actions, seen, begin)? else { return Ok(()) };
        (self.what)();
        let mut begin = |range: Range<usize>| begin(range.start + left..range.end + left);
        self.inner.run(&actions[left..], seen, &mut begin).map_err(|(at, error)| (at + left, error))
    }
}

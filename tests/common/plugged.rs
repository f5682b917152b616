//! A process that dies: what it would have done after so many things is not done any more.

use std::panic::{AssertUnwindSafe, catch_unwind};

use vdsm_configurators::RunError;
use vdsm_configurators::iproute2::{Action, Kernel};
use vdsm_model::netinfo::NetInfo;
use vdsm_persistence::fault::{self, Pulled};

/// A kernel that is asked for nothing more once the plug is pulled.
#[derive(Debug)]
pub struct Plugged<K>(pub K);

impl<K: Kernel> Kernel for Plugged<K> {
    fn run(&mut self, actions: &[(usize, Action)], seen: &NetInfo) -> Result<(), (usize, RunError)> {
        let allowed = fault::allowed(actions.len());
        self.0.run(&actions[..allowed], seen)?;
        if allowed < actions.len() {
            return Err((allowed, RunError::Simulated(fault::cut().to_string())));
        }
        Ok(())
    }
}

/// Cuts off what is done in `act` after so many things, of the kernel and of the disk; what it
/// returned, if it came to that. With `torn`, the last thing that was written is a half.
pub fn cut<T>(after: usize, torn: bool, act: impl FnOnce() -> T) -> Option<T> {
    fault::pull_after(after, torn);
    let outcome = catch_unwind(AssertUnwindSafe(act));
    fault::pull_after(usize::MAX, false);
    match outcome {
        Ok(done) => Some(done),
        Err(panic) if panic.is::<Pulled>() => None,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// The panics of those who are cut off are no news.
pub fn quietly(test: impl FnOnce()) {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !info.payload().is::<Pulled>() {
            hook(info);
        }
    }));
    test();
}

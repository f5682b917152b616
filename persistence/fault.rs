//! The plug, for tests that pull it: how much more this thread may do to the file system.
//!
//! Who is cut off stops where a killed process would: with a panic, which the test catches, and with
//! nothing done any more on the way out. Nothing of it is ever pulled outside of tests.

use std::cell::Cell;
use std::io;

thread_local! {
    static LEFT: Cell<usize> = const { Cell::new(usize::MAX) };
    static TORN: Cell<bool> = const { Cell::new(false) };
}

/// Lets this thread do so many more things, and cuts it off at the next one; `usize::MAX` is never.
/// Where that one writes and `torn` is said, half of it is written.
pub fn pull_after(count: usize, torn: bool) {
    LEFT.set(count);
    TORN.set(torn);
}

/// Whether this thread was cut off.
pub fn is_pulled() -> bool {
    LEFT.get() == 0
}

/// Counts things that are about to be done, of which all are done or none; how many may be.
pub fn allowed(count: usize) -> usize {
    let left = LEFT.get();
    if left != usize::MAX {
        LEFT.set(left.saturating_sub(count));
    }
    left.min(count)
}

/// Does what does not count.
pub fn free<T>(act: impl FnOnce() -> T) -> T {
    let left = LEFT.replace(usize::MAX);
    let done = act();
    LEFT.set(left);
    done
}

/// Cuts the thread off.
///
/// # Panics
/// Always, but on the way out of such a panic, where nothing is done any more.
pub fn cut() -> io::Error {
    LEFT.set(0);
    if !std::thread::panicking() {
        std::panic::panic_any(Pulled);
    }
    io::Error::other("the plug is pulled")
}

/// What the panic carries.
#[derive(Debug)]
pub struct Pulled;

/// One thing is about to be done; `half` is what of it is done if this is where it ends.
pub(crate) fn pass(half: impl FnOnce()) -> io::Result<()> {
    if is_pulled() || allowed(1) == 0 {
        if !std::thread::panicking() && TORN.get() {
            half();
        }
        return Err(cut());
    }
    Ok(())
}

//! A person's sign of life: the Enter key, passed on to the daemon.
//!
//! Whether it came after the change is judged by the daemon, which counts no earlier one. So each
//! key press is passed on once, and never repeated on the person's behalf.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader};
use std::thread;
use std::time::Instant;

use crate::progress::FIRST;

/// The terminal's keys and its screen, also where standard input is a file.
pub(crate) fn terminal() -> io::Result<(BufReader<File>, File)> {
    let screen = OpenOptions::new().read(true).write(true).open("/dev/tty")?;
    Ok((BufReader::new(screen.try_clone()?), screen))
}

/// Passes on each Enter from now on; ends when the keys do, or when nobody takes one.
pub(crate) fn forward(keys: impl BufRead + Send + 'static, confirm: impl FnMut() -> bool + Send + 'static) {
    // The thread waits in `read` when the program ends, and ends with it.
    let start = Instant::now();
    thread::spawn(move || pass_on(keys, || start.elapsed() >= FIRST, confirm));
}

/// What is typed before there was a question is no answer to it.
fn pass_on(keys: impl BufRead, asked: impl Fn() -> bool, mut confirm: impl FnMut() -> bool) {
    let presses = keys.split(b'\n').take_while(Result::is_ok);
    for _ in presses.filter(|_| asked()) {
        if !confirm() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn confirmed(keys: &str, asked: impl Fn() -> bool, takes: usize) -> usize {
        let count = Cell::new(0);
        let confirm = || {
            count.set(count.get() + 1);
            count.get() < takes
        };
        pass_on(keys.as_bytes(), asked, confirm);
        count.get()
    }

    #[test]
    fn each_press_is_passed_on_once() {
        assert_eq!(confirmed("\nyes\n\n", || true, 9), 3);
        assert_eq!(confirmed("", || true, 9), 0);
    }

    #[test]
    fn a_press_before_the_question_does_not_count() {
        let presses = Cell::new(0);
        let asked = || {
            presses.set(presses.get() + 1);
            presses.get() > 2
        };
        assert_eq!(confirmed("\n\n\n", asked, 9), 1);
    }

    #[test]
    fn where_nobody_takes_one_no_more_are_sent() {
        assert_eq!(confirmed("\n\n\n", || true, 1), 1);
    }
}

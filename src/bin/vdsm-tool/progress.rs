//! "12 s": a line for those who wait at a terminal, gone when the waiting is over.
//!
//! What is waited for is not known here.

use std::io::Write;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Nobody needs to be told about a shorter wait.
pub(crate) const FIRST: Duration = Duration::from_secs(1);

/// Writes until it is dropped.
#[derive(Debug)]
pub(crate) struct Progress {
    /// Never sent on: it ends the waiting of the other end when it is dropped.
    still_waiting: Option<Sender<()>>,
    writer: Option<JoinHandle<()>>,
}

impl Progress {
    /// Tells `text` on `screen` every `pace`, with the seconds since now.
    pub(crate) fn on(mut screen: impl Write + Send + 'static, text: &'static str, pace: Duration) -> Progress {
        let (still_waiting, waiting) = mpsc::channel::<()>();
        let start = Instant::now();
        let writer = thread::spawn(move || {
            let mut shown = false;
            while let Err(RecvTimeoutError::Timeout) = waiting.recv_timeout(pace) {
                // A screen that takes nothing is no reason to stop the change.
                let _ = write!(screen, "{ERASE}{} s: {text}", start.elapsed().as_secs());
                let _ = screen.flush();
                shown = true;
            }
            if shown {
                let _ = write!(screen, "{ERASE}");
                let _ = screen.flush();
            }
        });
        Progress { still_waiting: Some(still_waiting), writer: Some(writer) }
    }
}

/// To the line's beginning, and all of it away (ECMA-48: EL).
const ERASE: &str = "\r\x1b[K";

impl Drop for Progress {
    fn drop(&mut self) {
        drop(self.still_waiting.take());
        // What is printed next must not be erased by us.
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    /// A screen that tells each write.
    struct Screen(Sender<String>);

    impl Write for Screen {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let text = String::from_utf8_lossy(bytes).into_owned();
            self.0.send(text).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            self.write(b"|").map(|_| ())
        }
    }

    #[test]
    fn a_long_wait_is_told_and_then_erased() {
        let (said, seen) = mpsc::channel();
        let progress = Progress::on(Screen(said), "waiting", Duration::from_millis(1));
        let mut text = String::new();
        while text.matches("waiting|").count() < 2 {
            text += &seen.recv().expect("it goes on");
        }
        drop(progress);
        text.extend(seen);
        assert!(text.starts_with("\r\x1b[K0 s: waiting|\r\x1b[K"), "{text:?}");
        assert!(text.ends_with("s: waiting|\r\x1b[K|"), "{text:?}");
    }

    #[test]
    fn a_short_wait_is_not_told() {
        let (said, seen) = mpsc::channel();
        drop(Progress::on(Screen(said), "waiting", Duration::from_secs(3600)));
        assert_eq!(seen.into_iter().collect::<String>(), "");
    }
}

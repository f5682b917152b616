//! Looking on: what happens to the host (`monitor`), and how much flows through it (`top`).
//!
//! Both go on until they are interrupted, the daemon ends, or nobody reads any more. What an event
//! means and how a screen is drawn is the library's.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::{Value, json};
use vdsm_net::client::ClientError;
use vdsm_net::events;
use vdsm_net::top::{Frame, Screen};

use crate::daemon::Daemon;
use crate::outcome::{Answer, Failure, Outcome};
use crate::words::plain;

/// Who waits for an event looks so often whether somebody still reads.
const LOOKING: Duration = Duration::from_secs(1);

/// Shows events, each on a line; as JSON if that is wanted.
pub(crate) fn monitor(mut daemon: Daemon, kinds: &[String], as_json: bool) -> Outcome {
    let params = if kinds.is_empty() { Value::Null } else { json!({ "events": kinds }) };
    daemon.call("Host.subscribe", params)?;
    let mut daemon = daemon.silent();
    loop {
        let is_read = match daemon.next_event(LOOKING).map_err(ended)? {
            Some(event) if as_json => print(&event.to_string())?,
            Some(event) => print(&format!("{}  {}", clock(&event), plain(&events::sentence(&event))))?,
            None => is_read(Duration::ZERO),
        };
        if !is_read {
            return Ok(Answer::default());
        }
    }
}

/// Shows traffic, a screen for each look; as JSON the counters, a line for each.
pub(crate) fn top(daemon: Daemon, interval: f64, frames: Option<u64>, how: Shown) -> Outcome {
    let mut daemon = daemon.silent();
    let mut previous: Option<Value> = None;
    let mut looks = 0;
    loop {
        let current = daemon.call("Host.getStats", Value::Null).map_err(ended)?;
        let text = match how {
            Shown::Json => current.to_string(),
            Shown::Screen { colour } => {
                let topology = daemon.call("Host.getTopology", Value::Null).map_err(ended)?;
                // Its last line is for the newline.
                let (rows, columns) = size().map_or((1000, 120), |(rows, columns)| (rows.saturating_sub(1), columns));
                let screen = Screen { rows, columns, colour };
                // A terminal gets the screen in place of the last one, a file one after the other.
                let start = if is_terminal() { "\x1b[H\x1b[2J" } else { "" };
                let frame = Frame { previous: previous.as_ref(), current: &current, topology: &topology };
                format!("{start}{}", frame.drawn(screen))
            }
        };
        previous = Some(current);
        looks += 1;
        let is_last = frames.is_some_and(|most| looks >= most);
        if !print(&text)? || is_last || !is_read(Duration::from_secs_f64(interval)) {
            return Ok(Answer::default());
        }
    }
}

/// How traffic is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    Json,
    Screen { colour: bool },
}

/// A terminal whose cursor can be moved.
pub(crate) fn is_terminal() -> bool {
    io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Prints a line; false when nobody reads any more, as `head` after its last line.
fn print(line: &str) -> Result<bool, Failure> {
    match writeln!(io::stdout(), "{line}").and_then(|()| io::stdout().flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::Print(error)),
    }
}

/// Waits so long, but no longer than somebody reads what we print; false when nobody does.
fn is_read(within: Duration) -> bool {
    // Nothing is waited for: a pipe whose reader is gone says so unasked.
    let stdout = io::stdout();
    let mut all = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
    let within = PollTimeout::try_from(within).unwrap_or(PollTimeout::MAX);
    match poll(&mut all, within) {
        Ok(0) | Err(_) => true,
        Ok(_) => !all[0].revents().is_some_and(|it| it.intersects(PollFlags::POLLERR | PollFlags::POLLHUP)),
    }
}

/// Who only looks on has no call whose fate he need wonder about.
fn ended(error: ClientError) -> Failure {
    match error {
        ClientError::Io(error) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => {
            Failure::Ended
        }
        other => Failure::Call(other),
    }
}

/// The time of an event, UTC.
fn clock(event: &Value) -> String {
    let seconds = event["time"].as_f64().unwrap_or_default();
    let of_day = seconds.rem_euclid(86_400.0);
    let (hours, minutes) = ((of_day / 3600.0) as u32, (of_day / 60.0) as u32 % 60);
    format!("{hours:02}:{minutes:02}:{:06.3}Z", of_day % 60.0)
}

/// Rows and columns of the terminal.
fn size() -> Option<(usize, usize)> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the kernel writes one `winsize` there.
    let done = unsafe { libc::ioctl(io::stdout().as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) };
    (done == 0 && size.ws_row > 0 && size.ws_col > 0).then(|| (size.ws_row.into(), size.ws_col.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_events_time_is_told_to_the_millisecond() {
        assert_eq!(clock(&json!({ "time": 86_400.0 * 3.0 + 3723.5 })), "01:02:03.500Z");
        assert_eq!(clock(&Value::Null), "00:00:00.000Z");
    }
}

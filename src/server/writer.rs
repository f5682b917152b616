//! The one who writes to a client: answers, and in between what a feed has to say.
//!
//! Answers go first, lines stay whole, and only answers must be taken in time: a
//! client that waits for an answer is at work, one that reads no notifications
//! may be a terminal somebody has suspended. What the lines say is not known
//! here, nor when a call is done (`connection`).

use std::convert::Infallible;
use std::future::pending;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::task::yield_now;
use tokio::time::timeout;

use super::feed::Attached;
use super::reply::Text;

/// What came of a line, and the client's permit it gives back once that is sent.
///
/// The queue of them has no bound of its own, these permits are it.
pub(super) struct Answer {
    /// None when the line held only notifications.
    pub(super) line: Option<Text>,
    /// What flows from now on.
    pub(super) feed: Option<Attached>,
    pub(super) turn: OwnedSemaphorePermit,
}

/// The time for all answers that are left when the connection is to end: a client that does not read
/// must not keep a daemon from ending.
const LEAVE: Duration = Duration::from_secs(2);

/// Writes to a client until no answer can come any more and no feed is attached.
///
/// `patience` is the time in which the client has to take an answer; when the connection is to end,
/// all that are left have [`LEAVE`] together. A feed is
/// closed when the client has left, and when the other end of `listening` is
/// dropped: the connection is to end. A client that has only closed its sending
/// side has not left. The line of a feed that is half sent then is finished
/// only if an answer follows it.
pub(super) async fn write(
    to: OwnedWriteHalf,
    mut answers: mpsc::UnboundedReceiver<Answer>,
    mut listening: oneshot::Receiver<Infallible>,
    patience: Duration,
) -> io::Result<()> {
    let mut writer = Writer { to, fed: None, taken: Taken::default() };
    let (mut more, mut feeding) = (true, true);
    let mut leave = patience.min(LEAVE);
    while more || writer.fed.is_some() {
        tokio::select! {
            biased;
            answer = answers.recv(), if more => match answer {
                Some(answer) => {
                    let start = Instant::now();
                    let mut sending = Box::pin(writer.answer(answer));
                    let sent = tokio::select! {
                        biased;
                        _ = &mut listening, if feeding => {
                            feeding = false;
                            timeout(leave, &mut sending).await
                        }
                        sent = timeout(if feeding { patience } else { leave }, &mut sending) => sent,
                    };
                    drop(sending);
                    let feed = sent??;
                    if !feeding {
                        leave = leave.saturating_sub(start.elapsed());
                        writer.detach();
                    }
                    if let Some(feed) = feed.filter(|_| feeding) {
                        writer.attach(feed)?;
                    }
                }
                None => more = false,
            },
            _ = &mut listening, if feeding => {
                feeding = false;
                writer.detach();
            }
            pushed = writer.push(), if writer.fed.is_some() => pushed?,
        }
    }
    Ok(())
}

struct Writer {
    to: OwnedWriteHalf,
    fed: Option<Fed>,
    taken: Taken,
}

struct Fed {
    feed: Attached,
    left: Departure,
}

impl Writer {
    /// Sends an answer, after the line that is half sent.
    async fn answer(&mut self, answer: Answer) -> io::Result<Option<Attached>> {
        let Answer { line, feed, turn } = answer;
        if let Some(line) = line {
            self.to.write_all(self.taken.begun()).await?;
            self.taken.begun_is_sent();
            line.write_to(&mut self.to).await?;
        }
        drop(turn);
        Ok(feed)
    }

    fn attach(&mut self, feed: Attached) -> io::Result<()> {
        self.detach();
        self.fed = Some(Fed { feed, left: Departure::of(self.to.as_ref())? });
        Ok(())
    }

    /// Ends the feed; of what was taken from it only the line that is half sent stays.
    fn detach(&mut self) {
        self.fed = None;
        self.taken.keep_begun();
    }

    /// One piece of what the feed has to say, or waits until there is one.
    ///
    /// May be dropped at any `await`, nothing is lost there.
    async fn push(&mut self) -> io::Result<()> {
        let Some(fed) = &self.fed else {
            return pending().await;
        };
        self.to.writable().await?;
        if self.taken.rest().is_empty() {
            let Some(lines) = fed.feed.take() else {
                tokio::select! {
                    () = fed.feed.woken() => {}
                    () = fed.left.happened() => self.detach(),
                }
                return Ok(());
            };
            self.taken = Taken { lines, sent: 0 };
        }
        match self.to.try_write(self.taken.rest()) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => self.taken.sent(count),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        // A client that reads as fast as we write must not keep the thread to itself, nor its
        // own requests from being read.
        yield_now().await;
        Ok(())
    }
}

/// What was taken from the feed and is on its way.
#[derive(Default)]
struct Taken {
    lines: Vec<u8>,
    sent: usize,
}

impl Taken {
    fn rest(&self) -> &[u8] {
        &self.lines[self.sent..]
    }

    fn sent(&mut self, count: usize) {
        self.sent += count;
        if self.rest().is_empty() {
            // An idle connection holds nothing.
            *self = Taken::default();
        }
    }

    /// The rest of the line that is half sent; empty between two lines.
    fn begun(&self) -> &[u8] {
        &self.lines[self.sent..self.end_of_begun()]
    }

    fn begun_is_sent(&mut self) {
        self.sent(self.begun().len());
    }

    fn keep_begun(&mut self) {
        self.lines.truncate(self.end_of_begun());
    }

    fn end_of_begun(&self) -> usize {
        let (sent, rest) = self.lines.split_at(self.sent);
        match sent.last() {
            None | Some(b'\n') => self.sent,
            Some(_) => rest.iter().position(|&byte| byte == b'\n').map_or(self.lines.len(), |end| self.sent + end + 1),
        }
    }
}

/// A client's leaving, told even while there is nothing to read or to write.
///
/// Its end of the stream of requests does not tell: it may have closed only its
/// sending side. epoll tells the two apart with `EPOLLHUP`, which comes unasked;
/// the stream's own registration hears it too, but cannot be waited for with it
/// while the socket is writable, so this is a second one.
struct Departure(AsyncFd<OwnedFd>);

impl Departure {
    fn of(stream: &UnixStream) -> io::Result<Departure> {
        let second = stream.as_fd().try_clone_to_owned()?;
        // SAFETY: the registration owns the descriptor and never hands it out, so it stays what it is.
        let watched = unsafe { AsyncFd::register_with_interest(second, Interest::PRIORITY) };
        Ok(Departure(watched?))
    }

    async fn happened(&self) {
        // An error means that the runtime ends, and with it all connections.
        while let Ok(mut ready) = self.0.ready(Interest::PRIORITY).await {
            if ready.ready().is_read_closed() {
                return;
            }
            // Urgent data, which a client may send though nobody looks at it.
            ready.clear_ready();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(lines: &str, sent: usize) -> Taken {
        Taken { lines: lines.into(), sent }
    }

    #[test]
    fn only_the_line_that_is_half_sent_must_be_finished() {
        let cases =
            [("", 0, ""), ("ab\ncd\n", 0, ""), ("ab\ncd\n", 1, "b\n"), ("ab\ncd\n", 2, "\n"), ("ab\ncd\n", 3, "")];
        let more = [("ab\ncd\n", 4, "d\n"), ("ab\ncd\n", 6, ""), ("ab", 1, "b")];
        for (lines, sent, begun) in cases.into_iter().chain(more) {
            let mut it = taken(lines, sent);
            assert_eq!(it.begun(), begun.as_bytes(), "{lines:?} {sent}");
            it.keep_begun();
            assert_eq!(it.rest(), begun.as_bytes(), "{lines:?} {sent}");
            it.begun_is_sent();
            assert_eq!((it.rest(), it.begun()), (&b""[..], &b""[..]), "{lines:?} {sent}");
            assert_eq!(it.lines.capacity(), 0, "an idle connection holds something");
        }
    }
}

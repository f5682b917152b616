//! Bytes become lines, within limits of length and time.
//!
//! A line that is too long, or that there is no room for, is thrown away as it
//! comes, so an endless one costs no more memory than a short one. What a line
//! says is not looked at.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::time::{Instant, timeout_at};

use super::room::{Room, Share};

/// What came next.
#[derive(Debug)]
#[cfg_attr(test, derive(PartialEq))]
pub(super) enum Line {
    /// A line. The last one needs no end.
    Whole(Held),
    /// A line longer than the limit; it is read to its end and gone.
    TooLong,
    /// The same of one that there was no room for, beside all that this user's clients hold.
    NoRoom,
    /// The rest of a line did not come in time.
    Unfinished,
    /// The client has nothing more to say.
    End,
}

pub(super) struct Lines<R> {
    from: BufReader<R>,
    limit: usize,
    patience: Duration,
    room: Arc<Room>,
    uid: u32,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// The lines of this user's connection, for which there is this room.
    pub(super) fn new(from: R, limit: usize, patience: Duration, room: Arc<Room>, uid: u32) -> Self {
        Lines { from: BufReader::new(from), limit, patience, room, uid }
    }

    fn nothing(&self) -> Held {
        Held { bytes: Vec::new(), share: self.room.share(self.uid), refused: None }
    }

    /// The next line that is not blank.
    ///
    /// Only the time spent in here counts for the line's time limit, not the
    /// time we ourselves leave the client waiting between two lines.
    pub(super) async fn next(&mut self) -> io::Result<Line> {
        let mut held = self.nothing();
        let mut deadline = None;
        loop {
            let chunk = match deadline {
                None => self.from.fill_buf().await?,
                Some(deadline) => match timeout_at(deadline, self.from.fill_buf()).await {
                    Ok(chunk) => chunk?,
                    Err(_) => return Ok(Line::Unfinished),
                },
            };
            let ended = chunk.is_empty();
            let end = chunk.iter().position(|&byte| byte == b'\n');
            held.take(&chunk[..end.unwrap_or(chunk.len())], self.limit);
            let used = end.map_or(chunk.len(), |end| end + 1);
            self.from.consume(used);
            if ended && held.is_blank() {
                return Ok(Line::End);
            }
            if (end.is_some() || ended) && !held.is_blank() {
                return Ok(held.into_line());
            }
            if end.is_some() {
                // A blank line, as some clients send to see whether we live.
                held = self.nothing();
                deadline = None;
            } else if deadline.is_none() {
                deadline = Instant::now().checked_add(self.patience);
            }
        }
    }
}

/// The part of a line that has come, or all of it without its end; the room it takes is free again
/// when this is dropped.
#[derive(Debug)]
pub(super) struct Held {
    bytes: Vec<u8>,
    share: Share,
    refused: Option<Refused>,
}

/// Why a line is thrown away.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Refused {
    TooLong,
    NoRoom,
}

impl Held {
    /// What the line says.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn take(&mut self, part: &[u8], limit: usize) {
        if self.refused.is_none() {
            self.refused = self.make_room(part.len(), limit).err();
            if self.refused.is_some() {
                self.bytes = Vec::new();
                self.share.clear();
            } else {
                self.bytes.extend_from_slice(part);
            }
        }
        #[cfg(test)]
        tests::LARGEST.with(|largest| largest.set(largest.get().max(self.bytes.capacity())));
    }

    /// Room that is taken is paid for before: a line takes as much as its vector, not as its text.
    fn make_room(&mut self, more: usize, limit: usize) -> Result<(), Refused> {
        let length = self.bytes.len().checked_add(more).filter(|length| *length <= limit).ok_or(Refused::TooLong)?;
        let capacity = self.bytes.capacity();
        if length > capacity {
            let wanted = capacity.saturating_mul(2).clamp(length, limit);
            if !self.share.widen(wanted) {
                return Err(Refused::NoRoom);
            }
            self.bytes.reserve_exact(wanted - self.bytes.len());
        }
        Ok(())
    }

    fn is_blank(&self) -> bool {
        self.refused.is_none() && self.bytes.trim_ascii().is_empty()
    }

    fn into_line(self) -> Line {
        match self.refused {
            None => Line::Whole(self),
            Some(Refused::TooLong) => Line::TooLong,
            Some(Refused::NoRoom) => Line::NoRoom,
        }
    }
}

/// The whole lines of a source that never fails.
#[cfg(test)]
pub(crate) async fn all_lines<R: AsyncRead + Unpin>(from: R, limit: usize, patience: Duration) -> Vec<Vec<u8>> {
    let mut lines = Lines::new(from, limit, patience, Room::new(usize::MAX), 0);
    let mut all = Vec::new();
    loop {
        match lines.next().await {
            Ok(Line::Whole(line)) => all.push(line.bytes),
            Ok(Line::TooLong | Line::NoRoom) => {}
            Ok(Line::Unfinished | Line::End) | Err(_) => return all,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::cell::Cell;

    use proptest::prelude::*;
    use tokio::io::AsyncReadExt;

    use super::*;

    thread_local! {
        /// The largest room a line has taken on this thread.
        pub(super) static LARGEST: Cell<usize> = const { Cell::new(0) };
    }

    impl PartialEq for Held {
        fn eq(&self, other: &Held) -> bool {
            (&self.bytes, self.refused) == (&other.bytes, other.refused)
        }
    }

    /// All lines of a source.
    fn all_of(from: impl AsyncRead + Unpin, limit: usize) -> Vec<Line> {
        all_within(&Room::new(usize::MAX), from, limit)
    }

    fn all_within(room: &Arc<Room>, from: impl AsyncRead + Unpin, limit: usize) -> Vec<Line> {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap().block_on(async {
            let mut lines = Lines::new(from, limit, Duration::from_millis(50), Arc::clone(room), 1000);
            let mut all = Vec::new();
            loop {
                all.push(lines.next().await.unwrap());
                if let Some(Line::End | Line::Unfinished) = all.last() {
                    return all;
                }
            }
        })
    }

    fn whole(text: &str) -> Line {
        Line::Whole(Held { bytes: text.into(), share: Room::new(0).share(0), refused: None })
    }

    #[test]
    fn lines_are_told_apart_and_blank_ones_passed_over() {
        let text = b"one\n\n \r\ntwo\r\n\tthree" as &[u8];
        let expected = [whole("one"), whole("two\r"), whole("\tthree"), Line::End];
        assert_eq!(all_of(text, 100), expected);
    }

    #[test]
    fn a_line_may_be_as_long_as_the_limit_and_no_longer() {
        let text = b"12345\n123456\n12345\n1234567" as &[u8];
        let expected = [whole("12345"), Line::TooLong, whole("12345"), Line::TooLong, Line::End];
        assert_eq!(all_of(text, 5), expected);
    }

    #[test]
    fn an_endless_line_takes_no_more_room_than_the_limit() {
        LARGEST.set(0);
        let endless = tokio::io::repeat(b'x').take(32 << 20);
        let text = endless.chain(b"\nok\n" as &[u8]);
        assert_eq!(all_of(text, 100_000), [Line::TooLong, whole("ok"), Line::End]);
        let largest = LARGEST.get();
        assert!((1..=200_000).contains(&largest), "held {largest} bytes");
    }

    #[test]
    fn a_line_without_room_is_thrown_away_and_the_next_one_read() {
        let room = Room::new(100_000);
        let (long, most) = ("x".repeat(70_000), "x".repeat(40_000));
        // What came before is held until somebody is done with it.
        let text = format!("{long}\n{most}\n{most}\nshort\n");
        let read = all_within(&room, text.as_bytes(), 1 << 20);
        assert_eq!(read, [Line::NoRoom, whole(&most), Line::NoRoom, whole("short"), Line::End]);
        drop(read);
        let read = all_within(&room, text.as_bytes(), 1 << 20);
        assert_eq!(read[1], whole(&most), "there is room again");
    }

    #[test]
    fn half_a_line_is_waited_for_only_so_long() {
        let (mut to, from) = tokio::io::duplex(100);
        let text = b"one\nhal" as &[u8];
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.build().unwrap();
        runtime.block_on(tokio::io::AsyncWriteExt::write_all(&mut to, text)).unwrap();
        assert_eq!(all_of(from, 100), [whole("one"), Line::Unfinished]);
        drop(to);
    }

    proptest! {
        #[test]
        fn how_the_bytes_arrive_makes_no_difference(
            parts in prop::collection::vec("[ab \n]{0,9}", 0..8),
            limit in 1usize..12,
        ) {
            let expected: Vec<Line> = parts
                .concat()
                .split('\n')
                .filter(|line| line.len() > limit || !line.trim().is_empty())
                .map(|line| if line.len() > limit { Line::TooLong } else { whole(line) })
                .chain([Line::End])
                .collect();
            let mut from = tokio_chunks(parts.into_iter().map(String::into_bytes).collect());
            from.reverse();
            prop_assert_eq!(all_of(Chunks(from), limit), expected);
        }
    }

    fn tokio_chunks(parts: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        parts.into_iter().filter(|part| !part.is_empty()).collect()
    }

    /// Gives out one piece a read, the last of the list first.
    struct Chunks(Vec<Vec<u8>>);

    impl AsyncRead for Chunks {
        fn poll_read(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            into: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            if let Some(part) = self.0.pop() {
                into.put_slice(&part);
            }
            std::task::Poll::Ready(Ok(()))
        }
    }
}

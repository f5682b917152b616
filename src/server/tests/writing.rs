//! The writer alone, on a socket and a thread of its own: here one can tell what was sent when.

use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::taps::{Tap, Taps};
use super::*;
use crate::rpc::Id;
use crate::server::feed::Caller;
use crate::server::reply::{Answered, Text};
use crate::server::writer::{Answer, write};

/// Longer than a packet, and a few of them longer than a socket's buffer.
const LENGTH: usize = 30_000;

const LINES: u64 = 40;

fn answer(line: Option<Text>, turns: &Arc<Semaphore>, feed: Option<Arc<dyn Feed>>) -> Answer {
    let peer = Peer { uid: 0, gid: 0, pid: 0, access: Access::Read };
    let caller = Caller::new(peer.into());
    feed.into_iter().for_each(|feed| caller.attach(feed));
    Answer { line, feed: caller.into_attached(), turn: turns.clone().try_acquire_owned().unwrap() }
}

fn unread(stream: &UnixStream) -> usize {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the call writes one integer.
    assert_eq!(unsafe { libc::ioctl(stream.as_raw_fd(), libc::FIONREAD, &mut bytes) }, 0);
    bytes as usize
}

/// A writer with this feed attached, and the client's end of its socket.
fn writer_of(taps: &Arc<Taps>, tap: Tap) -> (Writing, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (answers, queue) = mpsc::unbounded_channel();
    let (heard, listening) = oneshot::channel();
    let had = Arc::new(AtomicUsize::new(0));
    let task = tokio::spawn({
        let had = had.clone();
        let mut writing = Box::pin(write(ours.into_split().1, queue, listening, SOON));
        std::future::poll_fn(move |context| {
            had.fetch_add(1, Ordering::Relaxed);
            writing.as_mut().poll(context)
        })
    });
    let turns = Arc::new(Semaphore::new(10));
    assert!(answers.send(answer(None, &turns, Some(taps.open(tap).1))).is_ok());
    (Writing { answers, turns, had, task, _heard: heard }, theirs)
}

struct Writing {
    answers: mpsc::UnboundedSender<Answer>,
    turns: Arc<Semaphore>,
    /// The turns on the thread it has had.
    had: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<io::Result<()>>,
    _heard: oneshot::Sender<std::convert::Infallible>,
}

fn alone(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

#[test]
fn an_answer_goes_before_all_lines_that_are_not_begun() {
    alone(async {
        let taps = Arc::new(Taps::default());
        let (writing, theirs) = writer_of(&taps, Tap::of_one_portion(0, LINES, LENGTH));
        // The writer runs only while we wait, and stops when the socket is full.
        let mut before = 0;
        while unread(&theirs) == 0 || unread(&theirs) > before {
            before = unread(&theirs);
            tokio::task::yield_now().await;
        }
        let line = taps::event(0, 0, LENGTH).to_string().len();
        let begun = before.div_ceil(line + 1);
        assert!(begun > 0 && (begun as u64) < LINES - 2, "{begun} of {LINES} lines fit the socket");
        for id in [1, 2] {
            let line = Text::single(Answered { id: Id::from(id), outcome: Ok(Value::Null.into()) });
            assert!(writing.answers.send(answer(Some(line), &writing.turns, None)).is_ok());
        }
        drop(writing.answers);
        let mut lines = BufReader::new(theirs).lines();
        let mut order = Vec::new();
        for _ in 0..LINES + 2 {
            let heard: Value = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
            order.push(heard["id"].as_u64().is_some());
        }
        let expected = [vec![false; begun], vec![true; 2], vec![false; LINES as usize - begun]].concat();
        assert_eq!(order, expected);
        // No answer can come any more, but the feed is attached still.
        assert!(!writing.task.is_finished());
        drop(lines);
        writing.task.await.unwrap().unwrap();
        assert_eq!(taps.seen(|all| all[0].closed), 1);
    });
}

#[test]
fn others_on_the_thread_have_their_turn_after_each_portion() {
    alone(async {
        let taps = Arc::new(Taps::default());
        let (_writing, _theirs) = writer_of(&taps, Tap::endless());
        for turns in 0..50 {
            let made = taps.seen(|all| all[0].made);
            assert!(made <= 2 * turns, "{made} portions in {turns} turns");
            tokio::task::yield_now().await;
        }
        assert!(taps.seen(|all| all[0].made) > 0);
    });
}

#[test]
fn who_takes_nothing_and_who_is_told_nothing_costs_no_turns() {
    for tap in [Tap::endless(), Tap::default()] {
        alone(async {
            let taps = Arc::new(Taps::default());
            let (writing, _theirs) = writer_of(&taps, tap);
            let mut quiet = 0;
            for _ in 0..100_000 {
                let before = writing.had.load(Ordering::Relaxed);
                tokio::task::yield_now().await;
                let same = writing.had.load(Ordering::Relaxed) == before;
                quiet = if same { quiet + 1 } else { 0 };
                if quiet == 100 {
                    return;
                }
            }
            panic!("the writer never rests");
        });
    }
}

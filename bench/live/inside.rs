//! The live picture within this process: how long it takes to open, and when a change shows in it.
//!
//! This file and `journal/stage.rs` are linked against the daemon's crates: what is asked of the daemon
//! elsewhere goes over its socket.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use vdsm_net::conf::{Absent, Settings};
use vdsm_net::netinfo::{Live, Watching};
use vdsm_net::transaction::chain;

/// How often one who waits for news looks whether it is wanted still.
const GLANCE: Duration = Duration::from_millis(100);
/// No change takes so long to show.
const PATIENCE: Duration = Duration::from_secs(60);

/// The daemon's settings, as it would read them.
pub(crate) fn settings(config: &Path) -> Result<Settings, String> {
    Settings::load(config, Absent::IsAnError).map_err(|error| chain(&error))
}

/// A picture of this namespace.
pub(crate) struct Picture {
    live: Arc<Live>,
    _watching: Watching,
}

impl Picture {
    pub(crate) fn open(settings: &Settings) -> Result<Picture, String> {
        let opened = Live::open(settings.clone(), settings.netlink_timeout, None);
        let (live, watching) = opened.map_err(|error| chain(&error))?;
        Ok(Picture { live, _watching: watching })
    }

    /// How often everything was read.
    pub(crate) fn readings(&self) -> u64 {
        self.live.readings()
    }

    /// Waits until it shows all that the kernel has told.
    pub(crate) fn settle(&self) -> Result<(), String> {
        self.live.settled().map(drop).map_err(|error| chain(&error))
    }

    /// Has a thread wait for news of a link.
    pub(crate) fn follow(&self, link: &str) -> Result<Follower, String> {
        let now = self.live.latest();
        let found = now.links().find(|it| it.name.as_str() == link).map(|it| it.name);
        let link = found.ok_or_else(|| format!("there is no {link}"))?;
        let order = Arc::new(Order { mtu: AtomicU32::new(NONE), over: AtomicBool::new(false) });
        let (tell, told) = channel();
        let (live, ordered) = (Arc::clone(&self.live), Arc::clone(&order));
        let mtu = move || live.latest().link(&link).map(|link| link.mtu.get());
        let live = Arc::clone(&self.live);
        let thread = std::thread::spawn(move || wait_for_news(&live, &ordered, &tell, mtu));
        Ok(Follower { order, told, thread: Some(thread) })
    }
}

/// The MTU of no link.
const NONE: u32 = 0;

/// What a follower is to wait for.
struct Order {
    mtu: AtomicU32,
    over: AtomicBool,
}

fn wait_for_news(live: &Live, order: &Order, tell: &Sender<Instant>, mtu: impl Fn() -> Option<u32>) {
    loop {
        let (moment, more) = live.news(GLANCE);
        if order.over.load(Ordering::SeqCst) || !more {
            return;
        }
        if moment.is_none() {
            continue;
        }
        let (seen, now) = (mtu(), Instant::now());
        let wanted = order.mtu.load(Ordering::SeqCst);
        if wanted != NONE && seen == Some(wanted) {
            order.mtu.store(NONE, Ordering::SeqCst);
            if tell.send(now).is_err() {
                return;
            }
        }
    }
}

/// A thread that waits until a link has another MTU.
pub(crate) struct Follower {
    order: Arc<Order>,
    told: Receiver<Instant>,
    thread: Option<JoinHandle<()>>,
}

impl Follower {
    /// How long it takes from before `change` until the picture shows that MTU.
    pub(crate) fn time(&self, mtu: u32, change: impl FnOnce() -> Result<(), String>) -> Result<Duration, String> {
        self.order.mtu.store(mtu, Ordering::SeqCst);
        let begun = Instant::now();
        change()?;
        match self.told.recv_timeout(PATIENCE) {
            Ok(shown) => Ok(shown.saturating_duration_since(begun)),
            Err(_) => Err(format!("an MTU of {mtu} does not show in the picture")),
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.order.over.store(true, Ordering::SeqCst);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            eprintln!("vdsm-bench: the thread that waited for news had failed");
        }
    }
}

//! The host, kept true: read once, then every event of the kernel makes a new moment.
//!
//! Who reads gets the latest moment and waits for nobody. Who is about to change something asks for
//! all that the kernel has told until now ([`Live::settled`]): its notifications lie in our sockets
//! before the change that they tell of returns to whoever made it. Whenever something may have been
//! missed, everything is read anew; until that has succeeded the last true moment stays.
//!
//! Two locks, always taken in this order: `asker`, for whoever asks the kernel and may wait, and
//! `side`, for whoever takes what is there already. What a message means is `mirror.rs`'s, what is asked `questions.rs`'s.

mod questions;

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, TryLockError, TryLockResult};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use vdsm_model::dhcp::SeenClients;
use vdsm_model::name::DeviceName;
use vdsm_model::netinfo::NetInfo;
use vdsm_netlink::ethtool::{Ethtool, EthtoolMonitor};
use vdsm_netlink::generic::{self, GenericError};
use vdsm_netlink::team::{TeamMonitor, Teams};
use vdsm_netlink::{Drained, Event, Listener, Topic, WireError};

use super::NicRule;
use super::mirror::{Mirror, Wants};
use super::news::{Moment, News};
use super::reader::{LookError, Reader};
use questions::Asker;

/// The most messages taken at once, so that a storm keeps nobody for ever; more than fit into a
/// socket's buffer.
const AT_ONCE: usize = 50_000;
/// To take a few events needs less than these pauses together (3 ms), and a reader waits that long
/// for who does. They are counted, since where clocks are coarse one of them may last as long as all.
pub(super) const A_FEW: usize = 20;
const SHORT: Duration = Duration::from_micros(100);
/// Each device that is made or changed has some ten events; beyond so many devices reading anew costs less.
const WORTH_HEARING: usize = 32;
/// How often answers lead to new questions before the rest is left to the listening thread.
const ROUNDS: usize = 8;
/// How long to wait before everything is read anew once more, when that failed.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How often bonds with LACP are asked what it has learned. Its fast partners speak once a second.
const LACP_PACE: Duration = Duration::from_secs(1);

/// A live picture of one network namespace.
pub struct Live {
    asker: Mutex<Asker>,
    side: Mutex<Side>,
    published: RwLock<Arc<NetInfo>>,
    /// How many moments there were; with `came`, for those who wait for one.
    moments: Mutex<u64>,
    came: Condvar,
    news: News,
    nics: Box<dyn NicRule>,
    readings: AtomicU64,
    /// How many change the host at this moment.
    held: Mutex<usize>,
    released: Condvar,
    /// The sockets of `side` once more, to wait for them without its lock.
    ears: Vec<OwnedFd>,
    /// Its other end is kept by [`Watching`]; when that is gone, the listening thread ends.
    stop: OwnedFd,
}

/// Whoever listens to it.
struct Side {
    mirror: Mirror,
    listener: Listener,
    modes: Option<EthtoolMonitor>,
    teams: Option<TeamMonitor>,
    /// Something was missed: everything has to be read anew.
    lost: bool,
    /// That is under way, and events wait until it is done.
    reading: bool,
    /// Nobody listens at the moment: see [`Live::hold`].
    deaf: bool,
}

/// A time in which the picture stands still; ends when this is dropped.
pub struct Hold {
    live: Arc<Live>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        let (mut side, mut held) = (self.live.side(), self.live.held());
        *held -= 1;
        if *held == 0 {
            self.live.listen(&mut side);
            self.live.released.notify_all();
        }
    }
}

/// What came of taking what was there.
enum Pumped {
    Quiet,
    Wanting,
    Lost,
}

/// A listening thread; it ends when this is dropped.
pub struct Watching {
    stop: Option<OwnedFd>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Live {
    /// Listens in the network namespace of this thread, and reads all of it once. The deadline holds
    /// for each table. `buffer` is the room for events that wait, in bytes; none: 8 MiB.
    ///
    /// # Errors
    /// Whatever keeps the sockets from opening or a table from its end.
    pub fn open(
        nics: impl NicRule + 'static,
        deadline: Duration,
        buffer: Option<usize>,
    ) -> Result<(Arc<Live>, Watching), LookError> {
        // First listen, then look: nothing is missed in between.
        let listener = Listener::open(Topic::All, buffer).map_err(LookError::Events)?;
        let ethtool = Ethtool::open(deadline).unwrap_or_else(|error| {
            tracing::warn!("no link speeds: {error}");
            None
        });
        let modes = EthtoolMonitor::open().unwrap_or_else(|error| {
            tracing::warn!("changes of link speeds are not noticed: {error}");
            None
        });
        let deaf = |error: std::io::Error| LookError::Events(WireError::Open(error));
        // They need no team yet, nor a kernel that has any.
        let no_teams = |error: &GenericError| tracing::warn!("no word about teams: {error}");
        let teams = Teams::open(deadline).inspect_err(no_teams).ok();
        let changes = TeamMonitor::open().inspect_err(no_teams).ok();
        let (end, stop) = nix::unistd::pipe2(OFlag::O_CLOEXEC).map_err(|errno| deaf(errno.into()))?;
        let ears = [Some(listener.as_fd()), modes.as_ref().map(AsFd::as_fd), changes.as_ref().map(AsFd::as_fd)];
        let ears = ears.into_iter().flatten().map(|ear| ear.try_clone_to_owned());
        let ears = ears.collect::<Result<_, _>>().map_err(deaf)?;
        let live = Arc::new(Live {
            asker: Mutex::new(Asker { reader: Reader::open(deadline)?, ethtool, teams }),
            side: Mutex::new(Side {
                mirror: Mirror::new(),
                listener,
                modes,
                teams: changes,
                lost: true,
                reading: false,
                deaf: false,
            }),
            published: RwLock::default(),
            moments: Mutex::new(0),
            came: Condvar::new(),
            news: News::default(),
            nics: Box::new(nics),
            readings: AtomicU64::new(0),
            held: Mutex::new(0),
            released: Condvar::new(),
            ears,
            stop: end,
        });
        live.settle()?;
        // What was there before us is no news.
        live.news.forget();
        let thread = std::thread::Builder::new().name("events".to_owned());
        let watcher = Arc::clone(&live);
        let thread = thread.spawn(move || watcher.watch()).map_err(deaf)?;
        Ok((live, Watching { stop: Some(stop), thread: Some(thread) }))
    }

    /// The latest moment, with what the kernel has told until now. Waits for no answer of the kernel,
    /// and while others take more than a few events at once, not for these either.
    pub fn latest(&self) -> Arc<NetInfo> {
        if let Some(mut side) = patiently(|| self.side.try_lock(), || std::thread::sleep(SHORT)) {
            // What was lost, and what is wanted, is the listening thread's.
            self.take(&mut side);
        }
        self.published()
    }

    /// The moment with all that the kernel has told until now, and all that follows from it.
    ///
    /// # Errors
    /// When the host has to be read anew, and cannot be.
    pub fn settled(&self) -> Result<Arc<NetInfo>, LookError> {
        self.settle()?;
        Ok(self.published())
    }

    /// What has changed since the last call; waits for it, but no longer than `within`. For one
    /// caller only. Whether there will be more stands beside it.
    pub fn news(&self, within: Duration) -> (Option<Moment>, bool) {
        self.news.next(within)
    }

    /// What is known of the host's DHCP clients, all of it.
    pub fn learn_clients(&self, all: BTreeMap<DeviceName, Arc<SeenClients>>) {
        let mut side = self.side();
        side.mirror.learn_clients(all);
        if !side.reading && !side.lost {
            self.publish(&mut side);
        }
    }

    /// Waits until the picture is as wished, but no longer than `within`; whether it came to that.
    pub fn wait_until(&self, within: Duration, is_so: &dyn Fn(&NetInfo) -> bool) -> bool {
        let end = Instant::now() + within;
        let mut seen = self.moments.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if is_so(&self.published()) {
                return true;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let before = *seen;
            let same = |now: &mut u64| *now == before;
            seen = self.came.wait_timeout_while(seen, left, same).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// For somebody who is about to change `steps` devices, and looks at them afterwards
    /// ([`Live::refreshed`]): nobody takes events meanwhile. Before a change so large that all is
    /// read anew in the end, nobody even listens. Readers get what was before.
    pub fn hold(self: &Arc<Live>, steps: usize) -> Hold {
        let (mut side, mut held) = (self.side(), self.held());
        *held += 1;
        if steps > WORTH_HEARING && !side.deaf {
            side.deaf = true;
            if let Err(error) = side.listener.leave() {
                tracing::warn!("cannot stop listening to the kernel: {error}");
            }
        }
        drop((side, held));
        Hold { live: Arc::clone(self) }
    }

    fn held(&self) -> MutexGuard<'_, usize> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Listens again; what was missed has to be read.
    fn listen(&self, side: &mut Side) {
        if side.deaf {
            side.lost = true;
            match side.listener.join() {
                Ok(()) => side.deaf = false,
                Err(error) => tracing::error!("cannot listen to the kernel: {error}"),
            }
        }
    }

    /// How often the whole host was read.
    pub fn readings(&self) -> u64 {
        self.readings.load(Ordering::Relaxed)
    }

    /// How often the kernel was asked about links, addresses, routes, rules and disciplines.
    pub fn questions(&self) -> u64 {
        self.asker().reader.questions()
    }

    fn published(&self) -> Arc<NetInfo> {
        Arc::clone(&self.published.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn asker(&self) -> MutexGuard<'_, Asker> {
        self.asker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn side(&self) -> MutexGuard<'_, Side> {
        self.side.lock().unwrap_or_else(|poisoned| {
            let mut side = poisoned.into_inner();
            // Whoever panicked may have left half an event behind.
            side.lost = true;
            side
        })
    }

    /// Takes what is there, and publishes what follows.
    fn pump(&self) -> Pumped {
        self.take(&mut self.side())
    }

    fn take(&self, side: &mut Side) -> Pumped {
        if side.reading || side.deaf {
            return Pumped::Quiet;
        }
        self.take_queued(side);
        if side.lost {
            return Pumped::Lost;
        }
        self.publish(side);
        if !side.mirror.is_wanting() { Pumped::Quiet } else { Pumped::Wanting }
    }

    fn take_queued(&self, side: &mut Side) {
        let Side { mirror, listener, modes, teams, lost, .. } = side;
        let mut each = |event: Event<'_>| mirror.take(event.kind, event.flags, event.payload, &*self.nics);
        match listener.drain(AT_ONCE, &mut each) {
            Ok(Drained::Empty | Drained::More) => {}
            Ok(Drained::Lost) => *lost = true,
            Err(error) => {
                tracing::warn!("cannot take the kernel's events: {error}");
                *lost = true;
            }
        }
        if let Some(monitor) = modes {
            let speeds = changed(|each| monitor.drain(each), || mirror.nics().collect());
            mirror.want(Wants { speeds, ..Wants::default() });
        }
        if let Some(monitor) = teams {
            let teams = changed(|each| monitor.drain(each), || mirror.teams().collect());
            mirror.want(Wants { teams, ..Wants::default() });
        }
    }

    fn publish(&self, side: &mut Side) {
        if side.mirror.is_stale() {
            let (info, links) = side.mirror.compose();
            self.publish_as(info, links);
        }
    }

    fn publish_as(&self, info: NetInfo, links: BTreeSet<DeviceName>) {
        let after = Arc::new(info);
        let before = {
            let mut published = self.published.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *published, Arc::clone(&after))
        };
        self.news.add(&before, &after, links);
        *self.moments.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.came.notify_all();
    }

    /// Until nothing is missed and nothing is wanted; false when new events keep coming.
    fn settle(&self) -> Result<bool, LookError> {
        // A host at rest needs no asker, and does not wait for one who is busy.
        if matches!(self.pump(), Pumped::Quiet) && !self.side().reading {
            return Ok(true);
        }
        let mut asker = self.asker();
        for _ in 0..ROUNDS {
            match self.pump() {
                Pumped::Quiet => return Ok(true),
                Pumped::Wanting => self.ask(&mut asker)?,
                Pumped::Lost => self.read_anew(&mut asker)?,
            }
        }
        Ok(false)
    }

    /// Waits for events until nobody wants them any more.
    fn watch(&self) {
        let (mut pause, mut done, mut asked) = (None, true, Instant::now());
        while !done || self.wait(pause) {
            if asked.elapsed() >= LACP_PACE {
                let mirror = &mut self.side().mirror;
                let lacp = mirror.lacp();
                mirror.want(Wants { lacp, ..Wants::default() });
                asked = Instant::now();
            }
            let held = self.held();
            drop(self.released.wait_while(held, |held| *held > 0).unwrap_or_else(PoisonError::into_inner));
            pause = match self.settle() {
                Ok(all) => {
                    done = all;
                    if !done {
                        // Others want to ask, too.
                        std::thread::sleep(Duration::from_millis(1));
                    }
                    None
                }
                Err(error) => {
                    done = true;
                    let longer = pause.map_or(FIRST_PAUSE, |it: Duration| (it * 2).min(LONGEST_PAUSE));
                    tracing::warn!("cannot read the host, trying again in {longer:?}: {error}");
                    Some(longer)
                }
            };
        }
        self.news.close();
    }

    /// Waits until there is something to take, or for a while; false when it is time to end.
    fn wait(&self, pause: Option<Duration>) -> bool {
        let mut all = vec![PollFd::new(self.stop.as_fd(), PollFlags::POLLIN)];
        // During a pause what is queued stays queued.
        let ears = self.ears.iter().filter(|_| pause.is_none());
        all.extend(ears.map(|ear| PollFd::new(ear.as_fd(), PollFlags::POLLIN)));
        let pace = || Some(LACP_PACE).filter(|_| self.side().mirror.has_lacp());
        let timeout = pause.or_else(pace);
        let timeout = timeout.map_or(PollTimeout::NONE, |it| PollTimeout::try_from(it).unwrap_or(PollTimeout::MAX));
        if let Err(errno) = poll(&mut all, timeout)
            && errno != nix::errno::Errno::EINTR
        {
            tracing::error!("cannot wait for the kernel's events: {errno}");
            return false;
        }
        // Nobody writes into that pipe: its end says that it was dropped.
        !all[0].any().unwrap_or(true)
    }
}

/// The links of which a group has told something; all that can be asked about, where something was lost.
pub(super) fn changed(
    drain: impl FnOnce(&mut dyn FnMut(u32)) -> Result<generic::Drained, GenericError>,
    all: impl FnOnce() -> BTreeSet<u32>,
) -> BTreeSet<u32> {
    let mut changed = BTreeSet::new();
    match drain(&mut |index| changed.extend([index])) {
        Ok(generic::Drained::Empty) => changed,
        Ok(generic::Drained::Lost) => all(),
        Err(error) => {
            tracing::debug!("cannot take events over generic netlink: {error}");
            changed
        }
    }
}

/// What a lock keeps, unless it is kept for more than [`A_FEW`] pauses, or was poisoned: whoever
/// asks the kernel repairs what a panic has left.
pub(super) fn patiently<T>(mut attempt: impl FnMut() -> TryLockResult<T>, pause: impl Fn()) -> Option<T> {
    for _ in 0..A_FEW {
        match attempt() {
            Ok(kept) => return Some(kept),
            Err(TryLockError::WouldBlock) => pause(),
            Err(TryLockError::Poisoned(_)) => return None,
        }
    }
    None
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that listens to the kernel had failed");
        }
    }
}

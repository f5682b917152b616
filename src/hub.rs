//! Who listens to events, and what waits for him.
//!
//! Each subscriber has a mailbox with a bound: what is newer about a subject takes the place of what
//! is older, and who does not take anything for long loses the oldest and is told how many. What is
//! waiting is shared by all mailboxes, so one that nobody empties costs little. How it travels is
//! the server's (`server::Feed`), what it says `events.rs`'s.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::Notify;

use crate::events::{self, Event, Subject};
use crate::server::Feed;

/// The most events that wait for one subscriber.
pub const MOST_WAITING: usize = 1024;
/// About so many bytes are given to a connection at once.
const PORTION: usize = 16 << 10;

/// All subscribers.
#[derive(Default)]
pub struct Hub {
    mailboxes: Mutex<Vec<Arc<Mailbox>>>,
}

/// One subscriber's.
pub struct Mailbox {
    waiting: Mutex<Waiting>,
    waker: Notify,
    kinds: Kinds,
    hub: Weak<Hub>,
}

/// Which kinds of events a subscriber wants: bit n is the n-th of [`events::KINDS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kinds(u16);

impl Kinds {
    /// Whatever happens.
    pub const ALL: Kinds = Kinds(u16::MAX);

    /// None of them.
    pub const NONE: Kinds = Kinds(0);

    /// These and one more; none if there is no such kind.
    pub fn and(self, kind: &str) -> Option<Kinds> {
        let place = events::KINDS.iter().position(|it| *it == kind)?;
        Some(Kinds(self.0 | 1 << place))
    }

    fn has(self, kind: &str) -> bool {
        events::KINDS.iter().position(|it| *it == kind).is_some_and(|place| self.0 & (1 << place) != 0)
    }
}

#[derive(Default)]
struct Waiting {
    /// By the order in which they happened.
    lines: BTreeMap<u64, (Subject, Arc<[u8]>)>,
    places: HashMap<Subject, u64>,
    last: u64,
    missed: u64,
}

impl Hub {
    /// A mailbox for one more subscriber; it stays until it is closed.
    pub fn subscribe(self: &Arc<Hub>, kinds: Kinds) -> Arc<Mailbox> {
        let mailbox = Mailbox { waiting: Mutex::default(), waker: Notify::new(), kinds, hub: Arc::downgrade(self) };
        let mailbox = Arc::new(mailbox);
        self.all().push(Arc::clone(&mailbox));
        mailbox
    }

    /// How many listen.
    pub fn count(&self) -> usize {
        self.all().len()
    }

    /// Tells everybody. Never waits for anybody.
    pub fn publish(&self, events: &[Event]) {
        let mailboxes = self.all().clone();
        if mailboxes.is_empty() {
            return;
        }
        let at = now();
        for event in events {
            let line: Arc<[u8]> = event.to_notification(at).to_line().into();
            mailboxes.iter().for_each(|mailbox| mailbox.put(event, &line));
        }
        mailboxes.iter().for_each(|mailbox| mailbox.waker.notify_one());
    }

    fn all(&self) -> MutexGuard<'_, Vec<Arc<Mailbox>>> {
        self.mailboxes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Mailbox {
    fn put(&self, event: &Event, line: &Arc<[u8]>) {
        if !self.kinds.has(event.kind()) {
            return;
        }
        let waiting = &mut *self.waiting();
        let subject = event.subject();
        if let Some(older) = waiting.places.remove(&subject) {
            waiting.lines.remove(&older);
        }
        waiting.last += 1;
        waiting.places.insert(subject.clone(), waiting.last);
        waiting.lines.insert(waiting.last, (subject, Arc::clone(line)));
        while waiting.lines.len() > MOST_WAITING {
            if let Some((_, (subject, _))) = waiting.lines.pop_first() {
                waiting.places.remove(&subject);
                waiting.missed += 1;
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Feed for Mailbox {
    fn take(&self) -> Option<Vec<u8>> {
        let waiting = &mut *self.waiting();
        let mut portion = Vec::new();
        let missed = std::mem::take(&mut waiting.missed);
        if missed > 0 {
            portion = events::missed(missed, now()).to_line();
        }
        while portion.len() < PORTION
            && let Some((_, (subject, line))) = waiting.lines.pop_first()
        {
            waiting.places.remove(&subject);
            portion.extend_from_slice(&line);
        }
        if waiting.lines.is_empty() {
            // A storm's room is given back.
            waiting.places.shrink_to_fit();
        }
        (!portion.is_empty()).then_some(portion)
    }

    fn waker(&self) -> &Notify {
        &self.waker
    }

    fn closed(&self) {
        if let Some(hub) = self.hub.upgrade() {
            hub.all().retain(|mailbox| !std::ptr::eq(Arc::as_ptr(mailbox), self));
        }
    }
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use vdsm_model::name::DeviceName;

    fn link(name: &str) -> DeviceName {
        DeviceName::try_from(name).unwrap()
    }

    fn taken(mailbox: &Mailbox) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(lines) = mailbox.take() {
            let lines = lines.strip_suffix(b"\n").unwrap().split(|byte| *byte == b'\n');
            all.extend(lines.map(|line| {
                let line: Value = serde_json::from_slice(line).unwrap();
                assert_eq!((&line["jsonrpc"], &line["method"]), (&"2.0".into(), &events::METHOD.into()));
                events::sentence(&line["params"])
            }));
        }
        all
    }

    #[test]
    fn the_latest_about_a_subject_is_told_and_in_its_order() {
        let hub = Arc::new(Hub::default());
        let mailbox = hub.subscribe(Kinds::ALL);
        let state = |name, up| Event::State { link: link(name), up };
        hub.publish(&[state("a", true), state("b", true), Event::Vanished { link: link("a") }, state("a", false)]);
        assert_eq!(taken(&mailbox), ["b is up", "a vanished", "a is down"]);
        assert_eq!(taken(&mailbox), [""; 0]);
    }

    #[test]
    fn who_takes_nothing_loses_the_oldest_and_is_told_so() {
        let hub = Arc::new(Hub::default());
        let (slow, quick) = (hub.subscribe(Kinds::ALL), hub.subscribe(Kinds::ALL));
        for number in 0..MOST_WAITING + 7 {
            hub.publish(&[Event::Vanished { link: link(&format!("d{number}")) }]);
            assert_eq!(taken(&quick), [format!("d{number} vanished")]);
        }
        let told = taken(&slow);
        assert_eq!(told.len(), MOST_WAITING + 1);
        assert_eq!(told[..2], ["7 events were missed", "d7 vanished"]);
        let waiting = slow.waiting();
        assert!(waiting.places.is_empty() && waiting.lines.is_empty() && waiting.missed == 0);
    }

    #[test]
    fn only_what_is_wanted_is_kept_and_a_closed_mailbox_is_gone() {
        let hub = Arc::new(Hub::default());
        let mailbox = hub.subscribe(Kinds::NONE.and("link_down").unwrap());
        hub.publish(&[Event::State { link: link("a"), up: true }, Event::State { link: link("b"), up: false }]);
        assert_eq!(taken(&mailbox), ["b is down"]);
        assert_eq!(hub.count(), 1);
        mailbox.closed();
        assert_eq!(hub.count(), 0);
    }
}

//! Room for the lines that are held: those that come still, and those that wait for their call.
//!
//! What all clients of one access hold together is bounded. Within that, nobody may have more than
//! he leaves free: one user alone holds at most a half, two at most a third each, and whoever comes
//! next finds room, too. What a line says, and how it comes, is not known here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// So many bytes of a line take no room: short calls are heard however full it is, and the number of
/// connections bounds what they hold.
const FREE: usize = 8 << 10;

/// The room for the lines of some clients.
#[derive(Debug)]
pub(super) struct Room {
    bytes: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_user: HashMap<u32, usize>,
}

/// What one line takes of it, until it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    room: Arc<Room>,
    uid: u32,
    bytes: usize,
}

impl Room {
    pub(super) fn new(bytes: usize) -> Arc<Room> {
        Arc::new(Room { bytes, taken: Mutex::default() })
    }

    /// For a line of this user; it takes nothing yet.
    pub(super) fn share(self: &Arc<Room>, uid: u32) -> Share {
        Share { room: Arc::clone(self), uid, bytes: 0 }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    /// Makes room for a line of so many bytes, never less than before; false: there is not so much for this user.
    pub(super) fn widen(&mut self, line: usize) -> bool {
        let more = line.saturating_sub(FREE).saturating_sub(self.bytes);
        if more == 0 {
            return true;
        }
        let mut taken = self.room.taken();
        let theirs = taken.by_user.get(&self.uid).copied().unwrap_or_default() + more;
        let all = taken.all + more;
        if self.room.bytes.checked_sub(all).is_none_or(|left| theirs > left) {
            return false;
        }
        taken.all = all;
        taken.by_user.insert(self.uid, theirs);
        self.bytes += more;
        true
    }

    /// Gives all of it back.
    pub(super) fn clear(&mut self) {
        if self.bytes == 0 {
            return;
        }
        let mut taken = self.room.taken();
        taken.all -= self.bytes;
        if let Some(theirs) = taken.by_user.get_mut(&self.uid) {
            *theirs -= self.bytes;
        }
        taken.by_user.retain(|_, bytes| *bytes > 0);
        self.bytes = 0;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: usize = 100;

    /// Takes as much as there is for a user, line after line.
    fn fill(room: &Arc<Room>, uid: u32) -> Vec<Share> {
        let mut shares = Vec::new();
        loop {
            let mut share = room.share(uid);
            if !share.widen(FREE + STEP) {
                return shares;
            }
            shares.push(share);
        }
    }

    #[test]
    fn who_has_much_leaves_as_much_to_others() {
        let room = Room::new(64 * STEP);
        let first = fill(&room, 1);
        assert_eq!(first.len(), 32, "one alone has a half");
        let second = fill(&room, 2);
        assert_eq!(second.len(), 16, "the next one a half of what is left");
        assert_eq!(fill(&room, 1).len(), 0);
        drop(first);
        assert_eq!(fill(&room, 1).len(), 24, "what was given back is there for all");
        drop(second);
        assert_eq!(room.taken().all, 0);
        assert!(room.taken().by_user.is_empty(), "nobody is remembered");
    }

    #[test]
    fn a_line_takes_what_is_new_of_it_and_the_first_bytes_are_free() {
        let room = Room::new(10 * STEP);
        let mut share = room.share(7);
        assert!(share.widen(FREE) && share.widen(FREE + 2 * STEP) && share.widen(FREE + 5 * STEP));
        assert_eq!(room.taken().all, 5 * STEP);
        assert!(!share.widen(FREE + 6 * STEP) && !room.share(8).widen(FREE + 6 * STEP));
        assert!(room.share(7).widen(FREE), "short calls are heard");
        share.clear();
        assert_eq!(room.taken().all, 0);
    }
}

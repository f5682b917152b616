//! What changed since somebody last looked: two moments, and the links that differ.
//!
//! However many moments lie between two looks, only the first and the last are kept. What a change
//! means is not judged here.

use std::collections::BTreeSet;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use vdsm_model::name::DeviceName;
use vdsm_model::netinfo::NetInfo;

/// What has changed.
#[derive(Clone, Debug)]
pub struct Moment {
    /// The host at the last look.
    pub before: Arc<NetInfo>,
    /// The host now.
    pub after: Arc<NetInfo>,
    /// The links that came, went or changed between the two.
    pub links: BTreeSet<DeviceName>,
}

/// Where changes wait for the one who wants to know.
#[derive(Default)]
pub(super) struct News {
    waiting: Mutex<Waiting>,
    came: Condvar,
}

#[derive(Default)]
struct Waiting {
    moment: Option<Moment>,
    closed: bool,
}

impl News {
    /// Something changed.
    pub(super) fn add(&self, before: &Arc<NetInfo>, after: &Arc<NetInfo>, links: BTreeSet<DeviceName>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut waiting.moment {
            Some(moment) => {
                moment.after = Arc::clone(after);
                moment.links.extend(links);
            }
            none => *none = Some(Moment { before: Arc::clone(before), after: Arc::clone(after), links }),
        }
        self.came.notify_all();
    }

    /// What waits is not told.
    pub(super) fn forget(&self) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).moment = None;
    }

    /// Nothing more will come.
    pub(super) fn close(&self) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.came.notify_all();
    }

    /// What has changed since the last call; waits for it, but no longer than `within`. Whether
    /// there will be more stands beside it.
    pub(super) fn next(&self, within: Duration) -> (Option<Moment>, bool) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let quiet = |waiting: &mut Waiting| waiting.moment.is_none() && !waiting.closed;
        let (mut waiting, _) =
            self.came.wait_timeout_while(waiting, within, quiet).unwrap_or_else(PoisonError::into_inner);
        (waiting.moment.take(), !waiting.closed)
    }
}

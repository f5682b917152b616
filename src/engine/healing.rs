//! What was to be brought back and could not be, for those who ask for a check. The keeper says it, and
//! tries again.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use serde_json::{Value, json};

/// What fails, by the list of a check's answer that it is in, and its name there.
#[derive(Default)]
pub struct Healing(Mutex<BTreeMap<(&'static str, String), Failing>>);

/// What came of the last attempt.
pub(crate) struct Failing {
    pub(crate) why: String,
    /// When it is tried again.
    pub(crate) again: Instant,
}

impl Healing {
    pub(crate) fn set(&self, failing: BTreeMap<(&'static str, String), Failing>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = failing;
    }

    /// Adds `healing` to what is out of sync in the answer of a check: `failed`, why in words, and `again`, in how
    /// many seconds it is tried the next time.
    pub fn tell(&self, checked: &mut Value) {
        for ((list, name), failing) in &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            if let Some(verdict) = checked[list].get_mut(name)
                && verdict["state"] != "in_sync"
            {
                let again = failing.again.saturating_duration_since(Instant::now());
                verdict["healing"] = json!({ "failed": failing.why, "again": again.as_secs_f64().ceil() as u64 });
            }
        }
    }
}

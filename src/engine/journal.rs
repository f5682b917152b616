//! The change that is under way, written down so that it is undone, or finished, whatever becomes
//! of the process that makes it.
//!
//! How the lines come to the disk is `persistence/journal.rs`'s. Here stands what they say, and what
//! whoever finds them does: before its verdict the host becomes as it was, by the same planning as a
//! rollback; after it the configuration is stored, and what was done to the host since is undone. After a
//! reboot the kernel has nothing of either, so only what was to be safe is finished.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use vdsm_model::config::NetConfig;
use vdsm_model::ethtool_options::Tuned;
use vdsm_model::graph::{Desired, Graph, Scope};
use vdsm_model::plan::Plan;
use vdsm_persistence::{Journal, Place, StoreError, Tree, Unfinished, Verdict};

use super::account::{self, Account};
use super::{Engine, RESTORE, tree};
use crate::conf::Settings;
use crate::host::Host;
use crate::transaction::{Planned, SetupError, chain, complete, undo};

/// What the head's lines mean. Another number is another program's.
const FORMAT: u32 = 1;

/// Who wants a change, for those who read of it later.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Asker {
    /// The verb that was called, or what was reacted to.
    pub verb: String,
    /// The caller's user and process; none for what we do by ourselves.
    pub caller: Option<(u32, i32)>,
    /// The request as it was made, where it was one.
    pub request: Value,
}

impl Asker {
    /// Ourselves.
    pub fn ourselves(verb: &str) -> Asker {
        Asker { verb: verb.to_owned(), caller: None, request: Value::Null }
    }

    /// Whether its change may be one of many that are one to those who read of it later.
    pub(super) fn is_restore(&self) -> bool {
        self.caller.is_none() && self.verb == RESTORE
    }
}

/// What is written before a change, beside its reach.
#[derive(Serialize, Deserialize)]
pub(super) struct Head {
    format: u32,
    /// The kernel's identity of this boot, and of the network namespace: elsewhere there is nothing of it.
    boot: String,
    /// Seconds since 1970.
    pub(super) began: u64,
    pub(super) asker: Asker,
    /// The request's own.
    pub(super) reason: Option<String>,
    /// The number of its entry in the history, once it is committed; none if it is to have none.
    pub(super) number: Option<u64>,
    /// Whether the configuration is to be made safe with it.
    pub(super) safe: bool,
    pub(super) before: Tree,
    pub(super) after: Tree,
    pub(super) plan: Vec<String>,
    /// See [`plan_hash`].
    pub(super) plan_hash: String,
}

/// The journal of one host.
pub(super) struct ChangeJournal {
    file: Journal,
    /// A change was begun and has not ended: whoever made it is no more.
    open: AtomicBool,
    boot: String,
    /// See [`Engine::unwritten`].
    pub(super) is_unwritten: bool,
}

impl ChangeJournal {
    pub(super) fn new(settings: &Settings) -> ChangeJournal {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        ChangeJournal {
            file: Journal::new(settings.run_dir.clone(), settings.lib_dir.clone()),
            open: AtomicBool::new(false),
            boot: format!("{} {}", boot.trim(), namespace()),
            is_unwritten: false,
        }
    }

    /// Writes down what is about to be done; it is on the disk when this returns.
    pub(super) fn begin(&self, wish: &Wish<'_>, planned: &Planned<'_>) -> Result<Head, SetupError> {
        let (desired, plan) = (planned.desired(), planned.plan());
        let head = Head {
            format: FORMAT,
            boot: self.boot.clone(),
            began: now(),
            asker: wish.asker.clone(),
            reason: wish.reason.map(str::to_owned),
            number: wish.number,
            safe: wish.safe,
            before: tree(wish.before),
            after: tree(wish.after),
            plan: account::texts(plan),
            plan_hash: plan_hash(plan),
        };
        if self.is_unwritten {
            return Ok(head);
        }
        let line = Line { head: &head, reach: Reach::of(desired) };
        // An earlier one that has ended and could not be removed says nothing any more.
        if let Err(error) = self.file.end() {
            tracing::debug!("{}", chain(&error));
        }
        // What a caller asks for can wait for room on the disk; what brings a host back cannot.
        match self.file.begin(&line, wish.asker.caller.is_some()) {
            Ok(None) => {}
            Ok(Some(trouble)) => tracing::warn!("the journal would not survive a reboot: {}", chain(&trouble)),
            Err(error) => return Err(SetupError::Unwritable(chain(&error))),
        }
        self.open.store(true, Ordering::SeqCst);
        Ok(head)
    }

    /// Whether a change was begun and has not ended.
    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::SeqCst)
    }

    /// Notes how far the change has come. This and the rest is nothing for one that was not begun,
    /// since it changes nothing.
    pub(super) fn note(&self, what: impl FnOnce() -> Value) {
        if self.is_open()
            && let Err(error) = self.file.note(&what())
        {
            tracing::warn!("if we die now, nobody knows how far the change has come: {}", chain(&error));
        }
    }

    /// Writes down what the change concerns by now; it is on the disk when this returns.
    pub(super) fn widen(&self, desired: &Desired) -> Result<(), String> {
        if !self.is_open() {
            return Ok(());
        }
        self.file.add(&BTreeMap::from([(WIDENED, Reach::of(desired))])).map_err(|error| chain(&error))
    }

    /// The host is as wished: from here on the change is finished, not undone.
    pub(super) fn commit(&self) -> Result<(), StoreError> {
        if self.is_open() { self.file.decide(Verdict::Committed) } else { Ok(()) }
    }

    /// It could not be stored: it is undone after all.
    pub(super) fn abandon(&self) {
        if self.is_open()
            && let Err(error) = self.file.decide(Verdict::Abandoned)
        {
            tracing::error!("if we die now, the change is finished instead of undone: {}", chain(&error));
        }
    }

    fn set_aside(&self) {
        if let Err(error) = self.file.set_aside() {
            tracing::error!("{}", chain(&error));
        }
    }

    /// The change is over, done or undone.
    pub(super) fn end(&self) {
        if let Err(error) = self.file.end() {
            tracing::error!("the journal of a finished change stays: {}", chain(&error));
        }
        self.open.store(false, Ordering::SeqCst);
    }
}

/// The first line of a journal.
#[derive(Serialize, Deserialize)]
struct Line<H = Head, R = Reach> {
    #[serde(flatten)]
    head: H,
    reach: R,
}

/// The key of a line with what the change concerns by now, where that is more than its head knew.
const WIDENED: &str = "widened";

/// What a change concerns: where it comes from, and where it goes.
#[derive(Serialize, Deserialize)]
struct Reach<G = Graph, S = Scope, T = Tuned> {
    prior: G,
    target: G,
    scope: S,
    tuned: T,
}

impl<'a> Reach<&'a Graph, &'a Scope, &'a Tuned> {
    fn of(desired: &'a Desired) -> Self {
        let Desired { prior, graph, scope, tuned, .. } = desired;
        Reach { prior, target: graph, scope, tuned }
    }
}

/// What a change concerned in the end, as far as that was written down.
fn latest(reach: Reach, unfinished: &Unfinished) -> Reach {
    let widened = unfinished.notes.iter().rev().find_map(|note| note.get(WIDENED));
    widened.and_then(|it| Reach::deserialize(it).ok()).unwrap_or(reach)
}

fn namespace() -> u64 {
    fs::metadata("/proc/thread-self/ns/net").map_or(0, |it| it.ino())
}

/// What is about to be done, beside the plan.
pub(super) struct Wish<'a> {
    pub(super) asker: &'a Asker,
    pub(super) reason: Option<&'a str>,
    pub(super) number: Option<u64>,
    pub(super) safe: bool,
    pub(super) before: &'a NetConfig,
    pub(super) after: &'a NetConfig,
}

/// A plan's identity: equal plans have equal hashes, on any machine (FNV-1a, 64 bits).
pub fn plan_hash(plan: &Plan) -> String {
    hash_of(&plan.to_string())
}

pub(super) fn hash_of(text: &str) -> String {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    format!("{:016x}", text.bytes().fold(0xcbf2_9ce4_8422_2325, step))
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

impl Engine {
    /// Undoes or finishes what an earlier process, or a panic, has left in the middle; whether nothing
    /// is left of it. To be called with the host in hand and before anything else is done to it.
    pub(super) fn recover(&self, host: &mut Host) -> bool {
        let done = match self.journal.file.left() {
            Ok(None) => true,
            Ok(Some(left)) => self.take_up(host, &left),
            // It may say anything; the host is as it is, and drift tells.
            Err(error) => {
                tracing::error!("whether a change was interrupted is not known: {}", chain(&error));
                self.journal.set_aside();
                true
            }
        };
        if done {
            self.journal.end();
        } else {
            self.journal.open.store(true, Ordering::SeqCst);
        }
        done
    }

    /// The same before another change: what cannot be brought back at the second attempt either must
    /// not keep people from changing anything ever again.
    pub(super) fn recover_or_give_up(&self, host: &mut Host) {
        if !self.recover(host) {
            tracing::error!("what was interrupted cannot be brought to an end; its journal is set aside");
            self.journal.set_aside();
            self.journal.end();
        }
    }

    /// Whether a change is not at its end: one that was interrupted, or one under way.
    pub fn is_unfinished(&self) -> bool {
        self.journal.is_open()
    }

    fn take_up(&self, host: &mut Host, left: &Unfinished) -> bool {
        let line = match serde_json::from_value::<Line>(left.head.clone()) {
            Ok(line) if line.head.format == FORMAT => line,
            strange => {
                let why = strange.map_or_else(|error| error.to_string(), |it| format!("format {}", it.head.format));
                tracing::error!("an interrupted change cannot be understood: {why}");
                self.journal.set_aside();
                return true;
            }
        };
        // Written last and removed first: its change had ended.
        if left.place == Place::Lasting && line.head.boot == self.journal.boot {
            return true;
        }
        self.resume(host, line, left)
    }

    fn resume(&self, host: &mut Host, line: Line, unfinished: &Unfinished) -> bool {
        let Line { head, reach } = line;
        let verb = &head.asker.verb;
        let is_this_boot = head.boot == self.journal.boot;
        if unfinished.verdict == Verdict::Committed {
            tracing::warn!("{verb} ({} steps) was interrupted after its end; it is stored now", head.plan.len());
            let is_stored = self.finish(&head, is_this_boot);
            if is_this_boot {
                let Reach { target, scope, tuned, .. } = latest(reach, unfinished);
                if let Err(error) = complete(host, target, scope, tuned) {
                    tracing::error!("the host is not as it was committed, see vdsm-tool check: {}", chain(&error));
                }
            }
            return is_stored;
        }
        let account = Account::of(unfinished);
        tracing::warn!("{verb} was interrupted ({account}); it is undone now");
        if !is_this_boot {
            return true;
        }
        if let Some(uncertain) = account.uncertain() {
            tracing::warn!("what may have been done: {uncertain}");
        }
        if let Err(error) = self.journal.file.note(&account::recovery()) {
            tracing::debug!("{}", chain(&error));
        }
        let Reach { prior, scope, tuned, .. } = latest(reach, unfinished);
        let undone = match undo(host, prior, scope, tuned) {
            Ok(missing) if missing.is_empty() => {
                tracing::info!("the host is as it was before");
                true
            }
            Ok(missing) => {
                tracing::warn!("the host is as it was before, without {missing:?}, which vanished");
                true
            }
            Err(error) => {
                tracing::error!("{}", chain(&error));
                false
            }
        };
        self.put_running(&head.before) && undone
    }

    fn finish(&self, head: &Head, is_this_boot: bool) -> bool {
        let is_stored = !is_this_boot || self.put_running(&head.after);
        let is_safe = !head.safe
            || match self.store.persistent.save(&head.after) {
                Ok(()) => {
                    self.history.mark_safe(&head.after);
                    true
                }
                Err(error) => {
                    tracing::error!("what was to be safe is not: {}", chain(&error));
                    false
                }
            };
        self.history.remember(head);
        is_stored && is_safe
    }

    fn put_running(&self, tree: &Tree) -> bool {
        let stored = self.store.running.save(tree);
        let config = NetConfig::from_stored(&tree.nets, &tree.bonds).0;
        *self.running.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
        if let Err(error) = &stored {
            tracing::error!("the running configuration on disk is not that of the host: {}", chain(error));
        }
        stored.is_ok()
    }
}

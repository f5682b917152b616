//! The change that is under way, written down so that it is undone, or finished, whatever becomes
//! of the process that makes it.
//!
//! How the lines come to the disk is `persistence/journal.rs`'s. Here stands what they say, and what
//! whoever finds them does: before its verdict the host becomes as it was, by the same planning as a
//! rollback; after it the configuration is stored. After a reboot the kernel has nothing of either,
//! so only what was to be safe is finished.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use vdsm_model::config::NetConfig;
use vdsm_model::ethtool_options::Tuned;
use vdsm_model::graph::{Graph, Scope};
use vdsm_model::plan::Plan;
use vdsm_persistence::{Journal, StoreError, Tree, Unfinished, Verdict};

use super::{Engine, RESTORE};
use crate::conf::Settings;
use crate::host::Host;
use crate::transaction::{Planned, SetupError, chain, undo};

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

/// What is written before a change.
#[derive(Serialize, Deserialize)]
pub(super) struct Head {
    format: u32,
    /// The kernel's identity of this boot.
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
    pub(super) before: Stored,
    pub(super) after: Stored,
    prior: Graph,
    target: Graph,
    scope: Scope,
    tuned: Tuned,
    pub(super) plan: Vec<String>,
    /// See [`plan_hash`].
    pub(super) plan_hash: String,
}

/// A configuration as it is stored.
#[derive(Serialize, Deserialize)]
pub(super) struct Stored {
    pub(super) nets: BTreeMap<String, Value>,
    pub(super) bonds: BTreeMap<String, Value>,
}

impl Stored {
    pub(super) fn of(config: &NetConfig) -> Stored {
        let (nets, bonds) = config.to_stored();
        Stored { nets, bonds }
    }

    fn tree(&self) -> Tree {
        Tree { nets: self.nets.clone(), bonds: self.bonds.clone() }
    }

    fn config(&self) -> NetConfig {
        NetConfig::from_stored(&self.nets, &self.bonds).0
    }
}

/// The journal of one host.
pub(super) struct ChangeJournal {
    file: Journal,
    /// A change was begun and has not ended: whoever made it is no more.
    open: AtomicBool,
    boot: String,
}

impl ChangeJournal {
    pub(super) fn new(settings: &Settings) -> ChangeJournal {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        ChangeJournal {
            file: Journal::new(settings.run_dir.clone(), settings.lib_dir.clone()),
            open: AtomicBool::new(false),
            boot: boot.trim().to_owned(),
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
            before: Stored::of(wish.before),
            after: Stored::of(wish.after),
            prior: desired.prior.clone(),
            target: desired.graph.clone(),
            scope: desired.scope.clone(),
            tuned: desired.tuned.clone(),
            plan: plan.steps().iter().map(ToString::to_string).collect(),
            plan_hash: plan_hash(plan),
        };
        let line = serde_json::to_value(&head).map_err(|error| SetupError::Unwritable(error.to_string()))?;
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
    pub(super) fn note(&self, what: &str) {
        if self.is_open() {
            self.file.note(&json!({ "did": what }));
        }
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

    /// The change is over, done or undone.
    pub(super) fn end(&self) {
        if let Err(error) = self.file.end() {
            tracing::error!("the journal of a finished change stays: {}", chain(&error));
        }
        self.open.store(false, Ordering::SeqCst);
    }
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
    /// Undoes or finishes what an earlier process, or a panic, has left in the middle. To be called
    /// with the host in hand and before anything else is done to it.
    pub(super) fn recover(&self, host: &mut Host) {
        let left = match self.journal.file.left() {
            Ok(left) => left,
            // It may say anything; the host is as it is, and drift tells.
            Err(error) => return tracing::error!("whether a change was interrupted is not known: {}", chain(&error)),
        };
        if let Some(unfinished) = left {
            match serde_json::from_value::<Head>(unfinished.head.clone()) {
                Ok(head) if head.format == FORMAT => self.resume(host, &head, &unfinished),
                Ok(head) => tracing::error!("an interrupted change was written in another format ({})", head.format),
                Err(error) => tracing::error!("an interrupted change cannot be understood: {error}"),
            }
        }
        self.journal.end();
    }

    fn resume(&self, host: &mut Host, head: &Head, unfinished: &Unfinished) {
        let (verb, steps) = (&head.asker.verb, head.plan.len());
        let is_this_boot = head.boot == self.journal.boot;
        if unfinished.verdict == Verdict::Committed {
            tracing::warn!("{verb} ({steps} steps) was interrupted after its end; it is stored now");
            return self.finish(head, is_this_boot);
        }
        let reached = unfinished.notes.last().and_then(|note| note["did"].as_str()).unwrap_or("nothing was done");
        tracing::warn!("{verb} ({steps} steps) was interrupted ({reached}); it is undone now");
        if !is_this_boot {
            return;
        }
        match undo(host, head.prior.clone(), head.scope.clone(), head.tuned.clone()) {
            Ok(missing) if missing.is_empty() => tracing::info!("the host is as it was before"),
            Ok(missing) => tracing::warn!("the host is as it was before, without {missing:?}, which vanished"),
            Err(error) => tracing::error!("{}", chain(&error)),
        }
        self.put_running(head.before.config(), &head.before.tree());
    }

    fn finish(&self, head: &Head, is_this_boot: bool) {
        if is_this_boot {
            self.put_running(head.after.config(), &head.after.tree());
        }
        if head.safe {
            match self.store.persistent.save(&head.after.tree()) {
                Ok(()) => self.history.mark_safe(&head.after),
                Err(error) => tracing::error!("what was to be safe is not: {}", chain(&error)),
            }
        }
        self.history.remember(head);
    }

    fn put_running(&self, config: NetConfig, tree: &Tree) {
        if let Err(error) = self.store.running.save(tree) {
            tracing::error!("the running configuration on disk is not that of the host: {}", chain(&error));
        }
        *self.running.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }
}

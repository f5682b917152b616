//! What was committed: who changed the networks when, why and how, and what they were from then on.
//!
//! An entry is made of the journal's head, so that whoever finishes the change of another writes the
//! one that he would have written, under the number that the head holds for it. A change never fails
//! for want of an entry. A configuration that stays what it was makes none, whatever was done to the
//! host; and a restore, which may take many changes, makes one if it brings another configuration
//! than the last entry's.
//!
//! How entries come to the disk is `persistence/history.rs`'s; how two of them differ is told by
//! `difference.rs`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use vdsm_model::config::{Changed, NetConfig};
use vdsm_model::plan::Plan;
use vdsm_model::request::{BondRequest, Request, UnknownKeys};
use vdsm_persistence::{History, StoreError, Tree};

use super::journal::{Asker, Head, hash_of, now};
use super::{Engine, EngineError, Explained, tree};
use crate::asked::Asked;
use crate::conf::Settings;
use crate::transaction::{Done, chain};

/// What an entry's members mean. Another number is another program's.
const FORMAT: u32 = 1;

/// One committed configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    format: u32,
    /// 1, 2, 3 and so on.
    pub number: u64,
    /// When the change began, in seconds since 1970.
    pub time: u64,
    /// The verb that was called, or what was reacted to.
    pub verb: String,
    /// Who called it; none for what the daemon did by itself.
    pub caller: Option<Caller>,
    /// The request's own `reason`.
    pub reason: Option<String>,
    /// The request as it was made, where it was one.
    pub request: Value,
    /// What became of networks and bonds, by name.
    pub changed: Changes,
    /// What was done for it, in words.
    pub plan: Vec<String>,
    /// The plan's identity.
    pub plan_hash: String,
    /// Whether it was made safe, with the change or later.
    pub safe: bool,
    /// All networks and bonds from then on.
    pub config: Config,
}

/// A process and its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)] // named for what they are
pub struct Caller {
    pub uid: u32,
    pub pid: i32,
}

/// A configuration in its stored form.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// Networks by name.
    pub networks: BTreeMap<String, Value>,
    /// Bonds by name.
    pub bondings: BTreeMap<String, Value>,
}

/// The names of what is new, different or gone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)] // named for what they are
pub struct Names {
    pub added: Vec<String>,
    pub changed: Vec<String>,
    pub removed: Vec<String>,
}

/// The same for networks and bonds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)] // named for what they are
pub struct Changes {
    pub networks: Names,
    pub bondings: Names,
}

/// Why an entry cannot be had, or not be gone back to; nothing was touched.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// There is none of that number, or not any more.
    #[error("the history has no entry {number}; {}", kept_text(*.kept))]
    Missing {
        /// The number.
        number: u64,
        /// The first and the last one that it has.
        kept: Option<(u64, u64)>,
    },
    /// It cannot be read.
    #[error("entry {number} of the history cannot be used: {reason}")]
    Unusable {
        /// Its number.
        number: u64,
        /// What is wrong with it.
        reason: String,
    },
}

fn kept_text(kept: Option<(u64, u64)>) -> String {
    kept.map_or_else(|| "it is empty".to_owned(), |(first, last)| format!("it has {first} to {last}"))
}

impl Config {
    fn of(stored: &Tree) -> Config {
        Config { networks: stored.nets.clone(), bondings: stored.bonds.clone() }
    }

    fn changes_from(&self, before: &Config) -> Changes {
        let names = |now: &BTreeMap<String, Value>, before: &BTreeMap<String, Value>| Names {
            added: now.keys().filter(|name| !before.contains_key(*name)).cloned().collect(),
            changed: now
                .iter()
                .filter(|(name, now)| before.get(*name).is_some_and(|before| before != *now))
                .map(|(name, _)| name.clone())
                .collect(),
            removed: before.keys().filter(|name| !now.contains_key(*name)).cloned().collect(),
        };
        Changes { networks: names(&self.networks, &before.networks), bondings: names(&self.bondings, &before.bondings) }
    }
}

impl Entry {
    /// Of a change that was committed, where it has a number.
    fn of(head: &Head) -> Option<Entry> {
        let config = Config::of(&head.after);
        Some(Entry {
            format: FORMAT,
            number: head.number?,
            time: head.began,
            verb: head.asker.verb.clone(),
            caller: head.asker.caller.map(|(uid, pid)| Caller { uid, pid }),
            reason: head.reason.clone(),
            request: head.asker.request.clone(),
            changed: config.changes_from(&Config::of(&head.before)),
            plan: head.plan.clone(),
            plan_hash: head.plan_hash.clone(),
            safe: head.safe,
            config,
        })
    }

    /// The configuration, as far as it can be had.
    fn config(&self) -> Result<NetConfig, HistoryError> {
        match NetConfig::from_stored(&self.config.networks, &self.config.bondings) {
            (config, problems) if problems.is_empty() => Ok(config),
            // Without what cannot be read it would be another one.
            (_, problems) => {
                let reason = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
                Err(HistoryError::Unusable { number: self.number, reason })
            }
        }
    }

    /// Without what may be long.
    fn summary(self) -> Value {
        json!({
            "number": self.number, "time": self.time, "verb": self.verb, "caller": self.caller,
            "reason": self.reason, "changed": self.changed, "steps": self.plan.len(),
            "plan_hash": self.plan_hash, "safe": self.safe,
        })
    }
}

/// The history of one host.
pub(super) struct ChangeHistory {
    file: History,
    /// None makes no entries; what is there stays.
    most: Option<usize>,
}

impl ChangeHistory {
    pub(super) fn new(settings: &Settings) -> ChangeHistory {
        let most = Some(settings.history_entries).filter(|most| *most > 0);
        ChangeHistory { file: History::new(settings.lib_dir.join("history")), most }
    }

    /// The number for the entry of a change from one configuration to another, none where there is
    /// to be no entry; or a sentence about why there can be none.
    pub(super) fn number_for(&self, before: &NetConfig, after: &NetConfig) -> (Option<u64>, Option<String>) {
        let differs = |changed: &Changed| match changed {
            Changed::Network(name) => before.stored_network(name) != after.stored_network(name),
            Changed::Bond(name) => before.stored_bond(name) != after.stored_bond(name),
        };
        if self.most.is_none() || !after.changes_from(before).iter().any(differs) {
            return (None, None);
        }
        match self.file.next() {
            Ok(number) => (Some(number), None),
            Err(error) => (None, Some(missing_text(&chain(&error)))),
        }
    }

    /// Keeps what was committed; a sentence about what went wrong.
    pub(super) fn remember(&self, head: &Head) -> Option<String> {
        Entry::of(head).and_then(|entry| self.put(&entry))
    }

    fn put(&self, entry: &Entry) -> Option<String> {
        let kept = serde_json::to_value(entry)
            .map_err(|error| error.to_string())
            .and_then(|json| self.file.keep(entry.number, &json).map_err(|error| chain(&error)));
        if let Err(error) = kept {
            return Some(missing_text(&error));
        }
        for trouble in self.file.prune(self.most.unwrap_or(usize::MAX)) {
            tracing::error!("an old entry of the history stays: {}", chain(&trouble));
        }
        None
    }

    /// One entry for all that a restore did, unless the last one has that configuration already;
    /// a sentence about what went wrong.
    pub(super) fn remember_restore(
        &self,
        asker: &Asker,
        before: &NetConfig,
        now_runs: &NetConfig,
        plans: &[Plan],
    ) -> Option<String> {
        self.most?;
        let config = Config::of(&tree(now_runs));
        let last = self.last();
        let known = last.as_ref().map_or_else(|| Config::of(&tree(before)), |entry| entry.config.clone());
        if known == config {
            return None;
        }
        let number = match self.file.next() {
            Ok(number) => number,
            Err(error) => return Some(missing_text(&chain(&error))),
        };
        self.put(&Entry {
            format: FORMAT,
            number,
            time: now(),
            verb: asker.verb.clone(),
            caller: None,
            reason: None,
            request: asker.request.clone(),
            changed: config.changes_from(&known),
            plan: plans.iter().flat_map(Plan::steps).map(ToString::to_string).collect(),
            plan_hash: hash_of(&plans.iter().map(ToString::to_string).collect::<String>()),
            // It is what is stored, but perhaps for what waits for its nic.
            safe: true,
            config,
        })
    }

    /// Says of the last entry that its configuration was made safe, if it is this one.
    pub(super) fn mark_safe(&self, config: &Tree) {
        let Some(last) = self.last().filter(|last| !last.safe && last.config == Config::of(config)) else { return };
        let number = last.number;
        let done = serde_json::to_value(Entry { safe: true, ..last })
            .map_err(|error| error.to_string())
            .and_then(|json| self.file.replace(number, &json).map_err(|error| chain(&error)));
        if let Err(error) = done {
            tracing::error!("the history does not say that entry {number} was made safe: {error}");
        }
    }

    fn last(&self) -> Option<Entry> {
        let number = *self.file.numbers().ok()?.last()?;
        self.entry(number).ok()
    }

    fn entry(&self, number: u64) -> Result<Entry, EngineError> {
        let unusable = |reason: String| HistoryError::Unusable { number, reason };
        let json = match self.file.read(number) {
            Ok(Some(json)) => json,
            Ok(None) => {
                let numbers = self.file.numbers()?;
                let kept = numbers.first().copied().zip(numbers.last().copied());
                return Err(HistoryError::Missing { number, kept }.into());
            }
            Err(error) => return Err(unusable(chain(&error)).into()),
        };
        match serde_json::from_value::<Entry>(json) {
            Ok(entry) if entry.format == FORMAT && entry.number == number => Ok(entry),
            Ok(entry) => Err(unusable(format!("it is entry {} in format {}", entry.number, entry.format)).into()),
            Err(error) => Err(unusable(error.to_string()).into()),
        }
    }
}

fn missing_text(why: &str) -> String {
    let text = format!("the history has no entry of this change: {why}");
    tracing::error!("{text}");
    text
}

impl Engine {
    /// What was committed, the last one last: from a number on, or else the last ones, and at most
    /// so many. Of those that cannot be read, their numbers and why.
    ///
    /// # Errors
    /// When there is no looking at the history at all.
    pub fn history(&self, from: Option<u64>, count: Option<usize>) -> Result<Vec<Value>, StoreError> {
        let mut numbers = self.history.file.numbers()?;
        let count = count.unwrap_or(usize::MAX);
        match from {
            Some(from) => {
                numbers.retain(|number| *number >= from);
                numbers.truncate(count);
            }
            None => drop(numbers.drain(..numbers.len().saturating_sub(count))),
        }
        let told = |number: u64| match self.history.entry(number) {
            Ok(entry) => Some(entry.summary()),
            // It went while we looked.
            Err(EngineError::History(HistoryError::Missing { .. })) => None,
            Err(error) => Some(json!({ "number": number, "unreadable": chain(&error) })),
        };
        Ok(numbers.into_iter().filter_map(told).collect())
    }

    /// All that is known of a committed configuration.
    ///
    /// # Errors
    /// [`EngineError::History`].
    pub fn entry(&self, number: u64) -> Result<Entry, EngineError> {
        self.history.entry(number)
    }

    /// The running configuration in the form of an entry's.
    pub fn running_as_stored(&self) -> Config {
        Config::of(&tree(&self.running()))
    }

    /// Makes the configuration of an entry the running one again: an ordinary change, with the
    /// site's scripts around it.
    ///
    /// # Errors
    /// As [`Engine::setup_with_hooks`], and [`EngineError::History`].
    pub fn go_back(&self, number: u64, options: &Value, asker: &Asker) -> Result<Done, EngineError> {
        let goal = self.entry(number)?.config()?;
        self.alone(|host| {
            let way = Way::between(&self.running(), &goal, options, self.unknown_keys);
            self.hooked(host, way.asked.clone(), asker, |asked| way.read(asked, self.unknown_keys))
        })
    }

    /// What [`Engine::go_back`] would do; changes nothing.
    ///
    /// # Errors
    /// As [`Engine::explain`], and [`EngineError::History`].
    pub fn explain_going_back(&self, number: u64, options: &Value) -> Result<Explained, EngineError> {
        let goal = self.entry(number)?.config()?;
        self.explain(&Way::between(&self.running(), &goal, options, self.unknown_keys).request)
    }
}

/// A request for what differs, typed and as the site's scripts see it.
struct Way {
    request: Request,
    asked: Asked,
}

impl Way {
    fn between(from: &NetConfig, to: &NetConfig, options: &Value, unknown: UnknownKeys) -> Way {
        let Request { options: typed, problems, warnings, .. } =
            Request::read(&Value::Null, &Value::Null, options, unknown);
        let mut request = Request { options: typed, problems, warnings, ..Request::default() };
        for differing in to.changes_from(from) {
            match differing {
                Changed::Network(name) => {
                    let network = to.networks.get(&name).cloned();
                    request.networks.insert(name, network);
                }
                Changed::Bond(name) => drop(request.bonds.insert(name, to.bonds.get(&name).map(BondRequest::from))),
            }
        }
        let or_removal = |stored: Option<Value>| stored.unwrap_or_else(|| json!({ "remove": true }));
        let networks = request.networks.keys().map(|name| (name.to_string(), or_removal(to.stored_network(name))));
        let bonds = request.bonds.keys().map(|name| (name.to_string(), or_removal(to.stored_bond(name))));
        let (networks, bondings) = (networks.collect(), bonds.collect());
        Way { request, asked: Asked { networks, bondings, options: options.clone() } }
    }

    /// What scripts have left as it was keeps its exact meaning: of a bond without options the
    /// JSON would say that it keeps those it has.
    fn read(&self, asked: &Asked, unknown: UnknownKeys) -> Request {
        if asked.to_hook_json() == self.asked.to_hook_json() { self.request.clone() } else { asked.read(unknown) }
    }
}

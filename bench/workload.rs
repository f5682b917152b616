//! What is measured: the steps, the names in them, and what the daemon is asked for each.
//!
//! The same steps as netlink messages are in `raw.rs`, as a batch of `ip` in `batch.rs`; what
//! the host must look like afterwards is in `state.rs`.

use serde_json::{Map, Value, json};

/// The two nics below the bond; they are made before the clock starts.
pub(crate) const NICS: [&str; 2] = ["dummy_0", "dummy_1"];
pub(crate) const BOND: &str = "bond0";

/// Who does the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Candidate {
    /// vdsm-netd.
    Ours,
    /// Netlink messages encoded before: the kernel's own limit.
    Raw,
    /// One process of iproute2 for a step, or two.
    IpBatch,
}

impl Candidate {
    pub(crate) const ALL: [Candidate; 3] = [Candidate::Ours, Candidate::Raw, Candidate::IpBatch];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Candidate::Ours => "ours",
            Candidate::Raw => "raw",
            Candidate::IpBatch => "ip-batch",
        }
    }

    pub(crate) fn named(word: &str) -> Result<Candidate, String> {
        Self::ALL.into_iter().find(|c| c.name() == word).ok_or_else(|| format!("{word}: no candidate"))
    }
}

/// The bond's mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BondMode {
    ActiveBackup,
    Lacp,
}

impl BondMode {
    pub(crate) fn name(self) -> &'static str {
        match self {
            BondMode::ActiveBackup => "active-backup",
            BondMode::Lacp => "802.3ad",
        }
    }

    /// As the kernel counts (`BOND_MODE_*`).
    pub(crate) fn number(self) -> u8 {
        match self {
            BondMode::ActiveBackup => 1,
            BondMode::Lacp => 4,
        }
    }

    pub(crate) fn named(word: &str) -> Result<BondMode, String> {
        [BondMode::ActiveBackup, BondMode::Lacp]
            .into_iter()
            .find(|m| m.name() == word)
            .ok_or_else(|| format!("{word}: no bond mode"))
    }
}

/// One thing measured. Each finds the host as the one before left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// The bond and N networks on an empty host.
    Create,
    /// The same once more: nothing is to be done.
    Reapply,
    /// Network N+1.
    AddOne,
    /// All N+1 networks to 1400 bytes.
    MtuDown,
    /// And back to 1500.
    MtuUp,
    /// Network N+1 goes.
    RemoveOne,
    /// All N networks and the bond go.
    RemoveAll,
}

impl Step {
    pub(crate) const ALL: [Step; 7] =
        [Step::Create, Step::Reapply, Step::AddOne, Step::MtuDown, Step::MtuUp, Step::RemoveOne, Step::RemoveAll];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Step::Create => "create",
            Step::Reapply => "re-apply",
            Step::AddOne => "add-one",
            Step::MtuDown => "mtu-1400",
            Step::MtuUp => "mtu-1500",
            Step::RemoveOne => "remove-one",
            Step::RemoveAll => "remove-all",
        }
    }

    pub(crate) fn named(word: &str) -> Result<Step, String> {
        Self::ALL.into_iter().find(|s| s.name() == word).ok_or_else(|| format!("{word}: no step"))
    }
}

/// N networks on a bond: `n1` is a bridge over the VLAN `bond0.1`, and so on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Workload {
    pub(crate) n: usize,
    pub(crate) mode: BondMode,
}

impl Workload {
    /// The tags of the networks a step makes, changes or removes.
    pub(crate) fn touched(self, step: Step) -> std::ops::RangeInclusive<usize> {
        match step {
            Step::Create | Step::Reapply | Step::RemoveAll => 1..=self.n,
            Step::AddOne | Step::RemoveOne => self.n + 1..=self.n + 1,
            Step::MtuDown | Step::MtuUp => 1..=self.n + 1,
        }
    }

    /// How many networks there are after a step; none: the bond is gone as well.
    pub(crate) fn left_by(self, step: Step) -> usize {
        match step {
            Step::Create | Step::Reapply | Step::RemoveOne => self.n,
            Step::AddOne | Step::MtuDown | Step::MtuUp => self.n + 1,
            Step::RemoveAll => 0,
        }
    }

    /// The parameters of `Host.setupNetworks` for a step.
    pub(crate) fn request(self, step: Step) -> Value {
        let mtu = mtu_after(step);
        let network = |tag: usize| match step {
            Step::RemoveOne | Step::RemoveAll => json!({"remove": true}),
            _ => json!({"bonding": BOND, "vlan": tag, "bridged": true, "mtu": mtu, "stp": false}),
        };
        let networks: Map<String, Value> = self.touched(step).map(|tag| (bridge(tag), network(tag))).collect();
        let bondings = match step {
            Step::Create | Step::Reapply => {
                json!({BOND: {"nics": NICS, "options": format!("mode={} miimon=100", self.mode.name())}})
            }
            Step::RemoveAll => json!({BOND: {"remove": true}}),
            _ => json!({}),
        };
        json!({"networks": networks, "bondings": bondings, "options": {"connectivityCheck": false}})
    }
}

/// The MTU of everything after a step.
pub(crate) fn mtu_after(step: Step) -> u32 {
    match step {
        Step::MtuDown => 1400,
        _ => 1500,
    }
}

/// A network, and the bridge VDSM gives it.
pub(crate) fn bridge(tag: usize) -> String {
    format!("n{tag}")
}

pub(crate) fn vlan(tag: usize) -> String {
    format!("{BOND}.{tag}")
}

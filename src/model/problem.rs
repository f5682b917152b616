//! Every way a request can be wrong, the code the engine knows it by, and its sentence.
//!
//! Nothing is judged here. A problem says what is wrong, not where in the code it was found.

use std::collections::HashSet;
use std::fmt;

use crate::name::{DeviceName, NameError, NetworkName};

/// The original's numeric codes (vdsm-facts 1.3). The engine keys on these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Code {
    LostConnection = 10,
    Unexpected = 16,
    BadParams = 21,
    BadAddr = 22,
    BadNic = 23,
    UsedNic = 24,
    BadBonding = 25,
    BadVlan = 26,
    BadBridge = 27,
    UsedBridge = 28,
    FailedIfup = 29,
    UsedBond = 31,
    Unavailable = 40,
    HookError = 78,
}

impl Code {
    /// All of them, in the order of their numbers.
    pub const ALL: [Code; 14] = [
        Code::LostConnection,
        Code::Unexpected,
        Code::BadParams,
        Code::BadAddr,
        Code::BadNic,
        Code::UsedNic,
        Code::BadBonding,
        Code::BadVlan,
        Code::BadBridge,
        Code::UsedBridge,
        Code::FailedIfup,
        Code::UsedBond,
        Code::Unavailable,
        Code::HookError,
    ];
}

/// What a problem is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A network of the request, by the name it was given, legal or not.
    Network(String),
    /// A bond of the request.
    Bond(String),
    /// The options of the request.
    Options,
    /// The request itself.
    Request,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Network(name) => write!(f, "network '{}'", Quoted(name)),
            Subject::Bond(name) => write!(f, "bond '{}'", Quoted(name)),
            Subject::Options => f.write_str("options"),
            Subject::Request => f.write_str("request"),
        }
    }
}

/// The stages of the original's validation; its first failure's code was the answer's
/// (vdsm-facts 2.1), so the problems are sorted by these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Bringing a request into canonical form.
    Canonical,
    /// Names of bonds, slaves given, VLANs with something below.
    Link,
    /// Addresses.
    Ip,
    /// Who shares what.
    Sharing,
    /// What the switch makes of it: removals, tags, options, slaves.
    Switch,
    /// What the original found out while applying.
    Apply,
    /// Legal, but not built yet.
    Support,
}

/// The user in [`Problem::UsedNic`] that stands for the request itself.
pub const THE_REQUEST: &str = "the request";

/// One thing wrong with a request. The sentence (`Display`) names key, value and rule.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the fields are named for what they hold
pub enum Problem {
    /// A value that is illegal by itself.
    Value {
        /// Whose value.
        of: Subject,
        /// The engine's key.
        key: String,
        /// The value as given.
        value: String,
        /// What would be legal.
        rule: String,
        /// The original's code for it.
        code: Code,
        /// The stage at which the original would have said so.
        stage: Stage,
    },
    /// A key nobody knows (`unknown_keys = refuse`).
    UnknownKey { of: Subject, key: String, nearest: Option<String> },
    /// A value that another one of the same entry needs.
    Missing { of: Subject, key: &'static str, because: &'static str, code: Code, stage: Stage },
    /// Two values of one entry that exclude each other.
    Both { of: Subject, keys: (&'static str, &'static str), code: Code, stage: Stage },
    /// More than one network with `defaultRoute`.
    ManyDefaultRoutes { networks: Vec<NetworkName> },
    /// A name that is none.
    NetworkName { name: String, error: NameError },
    /// A bond must be called `bond` and a number.
    BondName { name: String },
    /// A removal with anything but `custom` beside it.
    RemovalWithAttributes { of: Subject, keys: Vec<String> },
    /// A bond option that its mode or the bonding driver does not take.
    BondOption { bond: DeviceName, problem: String },
    /// A bond whose name another kind of device has.
    BondNameTaken { bond: DeviceName, kind: String },
    /// A bridge option the kernel does not take.
    BridgeOption { network: NetworkName, problem: String },
    /// An ethtool option that is wrong, or that the nic does not take.
    EthtoolOption { network: NetworkName, problem: String },
    /// A nic that the host does not have or hides.
    UnknownNic { of: Subject, nic: DeviceName },
    /// A nic wanted twice by the request, or held by something that is not ours.
    UsedNic { nic: DeviceName, users: Vec<String> },
    /// A bond neither requested nor there.
    UnknownBond { network: NetworkName, bond: DeviceName },
    /// A removal of a bond that does not exist.
    NoSuchBond { bond: DeviceName },
    /// A removal of a bond that networks stand on.
    UsedBond { bond: DeviceName, networks: Vec<NetworkName> },
    /// A removal of a bond that something of a stranger's stands on.
    BondInUse { bond: DeviceName, users: Vec<DeviceName> },
    /// A VLAN that would go while something of a stranger's stands on it.
    VlanInUse { vlan: DeviceName, users: Vec<DeviceName> },
    /// A removal of a network that does not exist.
    NoSuchNetwork { network: NetworkName },
    /// Networks that cannot share their interface.
    SharedInterface { interface: DeviceName, networks: Vec<NetworkName>, rule: &'static str },
    /// Networks with one address and each a gateway of its own.
    SharedAddress { address: std::net::Ipv4Addr, networks: Vec<NetworkName> },
    /// A network without bridge and without device.
    NoDevices { network: NetworkName },
    /// A VLAN device that cannot have its name.
    VlanName { network: NetworkName, base: DeviceName, tag: u16, error: NameError },
    /// A device of that name exists and is something else.
    NameTaken { network: NetworkName, device: DeviceName, kind: String, code: Code },
    /// A bridge that would go while others are attached to it, mostly VMs.
    BridgeInUse { network: NetworkName, ports: Vec<DeviceName> },
    /// Another's queueing discipline where a network's `hostQos` needs its own; the handle's major number.
    ForeignQdisc { network: NetworkName, device: DeviceName, kind: String, major: u32 },
    /// Name servers on a host whose resolver is somebody else's.
    ForeignResolver { network: NetworkName, why: String },
    /// The way to whoever manages the host would be interrupted, and nobody would notice.
    CutsOff { whom: String, steps: Vec<String> },
    /// A default route, or one for source routing, would change where several are in one place, which
    /// nobody could put back; each with its device.
    CrowdedRoute { of: Subject, routes: Vec<String> },
    /// A key that needs IPv6, on a kernel that has none.
    NoIpv6 { network: NetworkName, key: &'static str, value: String },
    /// A key whose behaviour no configurator of this version has.
    NotSupported { of: Subject, key: String, value: String, configurator: String },
}

impl Problem {
    /// The code the engine gets.
    pub fn code(&self) -> Code {
        match self {
            Problem::Value { code, .. } | Problem::Missing { code, .. } | Problem::Both { code, .. } => *code,
            Problem::NameTaken { code, .. } => *code,
            Problem::UnknownKey { .. }
            | Problem::ManyDefaultRoutes { .. }
            | Problem::RemovalWithAttributes { .. }
            | Problem::SharedInterface { .. }
            | Problem::NoDevices { .. }
            | Problem::BridgeOption { .. }
            | Problem::EthtoolOption { .. }
            | Problem::ForeignQdisc { .. }
            | Problem::ForeignResolver { .. }
            | Problem::CutsOff { .. }
            | Problem::CrowdedRoute { .. }
            | Problem::NotSupported { .. } => Code::BadParams,
            Problem::SharedAddress { .. } | Problem::NoIpv6 { .. } => Code::BadAddr,
            Problem::UnknownNic { .. } => Code::BadNic,
            Problem::UsedNic { .. } => Code::UsedNic,
            Problem::BondName { .. }
            | Problem::BondOption { .. }
            | Problem::BondNameTaken { .. }
            | Problem::UnknownBond { .. }
            | Problem::NoSuchBond { .. } => Code::BadBonding,
            Problem::VlanName { .. } => Code::BadVlan,
            Problem::NetworkName { .. } | Problem::NoSuchNetwork { .. } => Code::BadBridge,
            Problem::BridgeInUse { .. } | Problem::VlanInUse { .. } => Code::UsedBridge,
            Problem::UsedBond { .. } | Problem::BondInUse { .. } => Code::UsedBond,
        }
    }

    /// When the original would have found it.
    pub fn stage(&self) -> Stage {
        match self {
            Problem::Value { stage, .. } | Problem::Missing { stage, .. } | Problem::Both { stage, .. } => *stage,
            Problem::UnknownKey { .. }
            | Problem::ManyDefaultRoutes { .. }
            | Problem::BridgeOption { .. }
            | Problem::EthtoolOption { .. } => Stage::Canonical,
            Problem::BondName { .. } => Stage::Link,
            Problem::SharedInterface { .. } | Problem::NoDevices { .. } | Problem::SharedAddress { .. } => {
                Stage::Sharing
            }
            Problem::RemovalWithAttributes { .. }
            | Problem::BondOption { .. }
            | Problem::BondNameTaken { .. }
            | Problem::UnknownNic { .. }
            | Problem::UsedNic { .. }
            | Problem::UnknownBond { .. }
            | Problem::NoSuchBond { .. }
            | Problem::UsedBond { .. }
            | Problem::BondInUse { .. }
            | Problem::VlanName { .. } => Stage::Switch,
            Problem::NetworkName { .. }
            | Problem::NoSuchNetwork { .. }
            | Problem::BridgeInUse { .. }
            | Problem::VlanInUse { .. }
            | Problem::ForeignQdisc { .. }
            | Problem::ForeignResolver { .. }
            | Problem::CutsOff { .. }
            | Problem::CrowdedRoute { .. }
            | Problem::NoIpv6 { .. }
            | Problem::NameTaken { .. } => Stage::Apply,
            Problem::NotSupported { .. } => Stage::Support,
        }
    }
}

/// The longest piece of a request that is quoted back.
const QUOTED: usize = 200;

/// A text from a request, not too long to be read.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(QUOTED) {
            Some((end, _)) => write!(f, "{}... ({} bytes)", &self.0[..end], self.0.len()),
            None => f.write_str(self.0),
        }
    }
}

/// "a", "a and b", "a, b and c".
fn list<T: fmt::Display>(items: &[T]) -> String {
    let mut texts: Vec<String> = items.iter().take(20).map(|i| format!("'{}'", Quoted(&i.to_string()))).collect();
    if items.len() > texts.len() {
        texts.push(format!("{} more", items.len() - texts.len()));
    }
    match texts.split_last() {
        None => "nothing".to_owned(),
        Some((last, [])) => last.clone(),
        Some((last, front)) => format!("{} and {last}", front.join(", ")),
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Value { of, key, value, rule, .. } => {
                write!(f, "{of}: {} is {}, but {rule}", Quoted(key), Quoted(value))
            }
            Problem::UnknownKey { of, key, nearest } => {
                write!(f, "{of}: the key '{}' is unknown", Quoted(key))?;
                nearest.as_ref().map_or(Ok(()), |n| write!(f, "; the nearest known key is '{n}'"))
            }
            Problem::Missing { of, key, because, .. } => write!(f, "{of}: {key} is missing, {because}"),
            Problem::Both { of, keys: (a, b), .. } => {
                write!(f, "{of}: {a} and {b} are both given, but they exclude each other")
            }
            Problem::ManyDefaultRoutes { networks } => write!(
                f,
                "defaultRoute is true on {}, but only a single default route network is allowed",
                list(networks)
            ),
            Problem::NetworkName { name, error } => {
                write!(f, "network '{}': this is no name for it: {error}", Quoted(name))
            }
            Problem::BondName { name } => {
                write!(f, "bond '{}': this is no name for a bond, which is 'bond' and a number", Quoted(name))
            }
            Problem::RemovalWithAttributes { of, keys } => {
                write!(f, "{of}: a removal takes no attribute but custom, and has {}", list(keys))
            }
            Problem::BondOption { bond, problem } => write!(f, "bond '{bond}': options: {problem}"),
            Problem::BondNameTaken { bond, kind } => {
                write!(f, "bond '{bond}': a device of that name exists ({kind})")
            }
            Problem::BridgeOption { network, problem } => {
                write!(f, "network '{network}': custom.bridge_opts: {problem}")
            }
            Problem::EthtoolOption { network, problem } => {
                write!(f, "network '{network}': custom.ethtool_opts: {}", Quoted(problem))
            }
            Problem::UnknownNic { of, nic } => {
                write!(f, "{of}: unknown nic '{nic}': the host has none of that name, or hides it")
            }
            Problem::UsedNic { nic, users } => write!(f, "nic '{nic}' has several uses: {}", list(users)),
            Problem::UnknownBond { network, bond } => {
                write!(f, "network '{network}': bonding is '{bond}', but no such bond is there or in the request")
            }
            Problem::NoSuchBond { bond } => write!(f, "bond '{bond}': it cannot be removed, for it does not exist"),
            Problem::UsedBond { bond, networks } => {
                write!(f, "bond '{bond}': it cannot be removed, for {} stand on it", list(networks))
            }
            Problem::BondInUse { bond, users } => {
                write!(f, "bond '{bond}': it cannot be removed, for {}, not ours, would lose it", list(users))
            }
            Problem::VlanInUse { vlan, users } => {
                write!(f, "vlan '{vlan}': it would go, but {}, not ours, would be lost with it", list(users))
            }
            Problem::NoSuchNetwork { network } => {
                write!(f, "network '{network}': it cannot be removed, for it does not exist")
            }
            Problem::SharedInterface { interface, networks, rule } => {
                write!(f, "networks {} share the interface '{interface}', but {rule}", list(networks))
            }
            Problem::SharedAddress { address, networks } => write!(
                f,
                "networks {} all have the ipaddr {address} and a gateway, but what came to one address is answered \
                 through one gateway",
                list(networks)
            ),
            Problem::NoDevices { network } => {
                write!(f, "network '{network}': it is not bridged and has neither nic nor bonding")
            }
            Problem::VlanName { network, base, tag, error } => write!(
                f,
                "network '{network}': the VLAN device would be called '{base}.{tag}', which is no name: {error}"
            ),
            Problem::NameTaken { network, device, kind, .. } => {
                // Kinds are the kernel's words, an ifb among them, so no article goes before one.
                write!(f, "network '{network}': it needs a device called '{device}', but that name is taken ({kind})")
            }
            Problem::BridgeInUse { network, ports } => {
                write!(f, "network '{network}': its bridge would go, but has {} connected", list(ports))
            }
            Problem::ForeignQdisc { network, device, kind, major } => write!(
                f,
                "network '{network}': its hostQos needs the root queueing discipline of '{device}', but that is {} {major:x}: of somebody else",
                Quoted(kind)
            ),
            Problem::ForeignResolver { network, why } => {
                write!(f, "network '{network}': nameservers cannot be had, for {why}")
            }
            Problem::CutsOff { whom, steps } => write!(
                f,
                "the way to {whom} is interrupted by {}: that takes a connectivityCheck, or allowInterruption = true",
                list(steps)
            ),
            Problem::CrowdedRoute { of, routes } => write!(
                f,
                "{of}: a route would change in a place that has {}, which could not be put back as they are; \
                 leave it one at most, with one gateway",
                list(routes)
            ),
            Problem::NoIpv6 { network, key, value } => {
                write!(f, "network '{network}': {key} is {}, but this kernel has no IPv6", Quoted(value))
            }
            Problem::NotSupported { of, key, value, configurator } => {
                write!(f, "{of}: {key} is {value}, which is not supported by this configurator ({configurator}) yet")
            }
        }
    }
}

/// Everything wrong with a request, in the order of the original's validation; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// `Ok` when nothing is wrong.
    pub fn check(mut all: Vec<Problem>) -> Result<(), Problems> {
        // Stable: within a stage the order in which they were found stays.
        all.sort_by_key(Problem::stage);
        // Two rules may find the same thing wrong.
        let mut told = HashSet::new();
        all.retain(|problem| told.insert(format!("{problem:?}")));
        if all.is_empty() { Ok(()) } else { Err(Problems(all)) }
    }

    /// All of them, the one that decides the code first.
    pub fn all(&self) -> &[Problem] {
        &self.0
    }

    /// The first one's code.
    pub fn code(&self) -> Code {
        self.0.first().map_or(Code::BadParams, Problem::code)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            write!(f, "{}{problem}", if i > 0 { "; " } else { "" })?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

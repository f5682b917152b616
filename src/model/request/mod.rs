//! The engine's JSON becomes a typed request, and a configuration becomes the original's JSON
//! again. The only folder that knows the engine's keys.
//!
//! A value alone is judged here; whether the host or the other networks bear it, in `graph/`.

mod bond;
mod fields;
mod network;
pub mod qos;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use serde_json::{Map, Value};

pub use bond::BondRequest;
use fields::Fields;

use crate::config::{BondConfig, NetConfig, NetworkConfig};
use crate::name::{DeviceName, NetworkName};
use crate::problem::{Code, Problem, Stage, Subject};

/// What the engine asks for.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// A network each; none is its removal.
    pub networks: BTreeMap<NetworkName, Option<NetworkConfig>>,
    /// A bond each; none is its removal.
    pub bonds: BTreeMap<DeviceName, Option<BondRequest>>,
    /// How to go about it.
    pub options: Options,
    /// Networks that could not be read whole: nothing more is to be said about them.
    pub broken: BTreeSet<NetworkName>,
    /// The same for bonds.
    pub broken_bonds: BTreeSet<DeviceName>,
    /// What is wrong with values alone.
    pub problems: Vec<Problem>,
    /// Keys nobody knows, when the policy is to warn.
    pub warnings: Vec<String>,
}

/// The `options` of a request (vdsm-facts 1.1.3).
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Wait for a sign of life after the change.
    pub connectivity_check: bool,
    /// For how long; seconds on the wire, fractions allowed.
    pub connectivity_timeout: Duration,
    /// The sign of life is to be a call, whatever probes vdsm.conf has besides: a person who is asked has
    /// the last word. Not one of the original's.
    pub connectivity_call: bool,
    /// Make the result safe in the same call.
    pub commit_on_success: bool,
    /// Who asks is reached through the host's network at this address, and wants to be reached afterwards.
    pub peer: Option<IpAddr>,
    /// The way to whoever manages the host may be interrupted, also if nobody waits for a sign of life.
    pub allow_interruption: bool,
    /// Why, for those who read of the change later. Not one of the original's.
    pub reason: Option<String>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            connectivity_check: true,
            connectivity_timeout: Duration::from_secs(4),
            connectivity_call: false,
            commit_on_success: false,
            peer: None,
            allow_interruption: false,
            reason: None,
        }
    }
}

/// What to do about a key nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownKeys {
    /// The request is refused.
    Refuse,
    /// It is done, and the answer says so.
    Warn,
    /// Nothing: the disk's files hold what older versions left there (vdsm-facts 5.4).
    Ignore,
}

/// The most networks, or bonds, of one request: more than a host can have VLANs on two bonds.
const MOST: usize = 10_000;

impl Request {
    /// Reads a request. Never fails: what is wrong is in `problems`, all of it.
    pub fn read(networks: &Value, bondings: &Value, options: &Value, unknown: UnknownKeys) -> Request {
        let mut request = Request::default();
        for (name, map) in request.entries("networks", networks, Subject::Network) {
            request.read_network(&name, map, unknown);
        }
        for (name, map) in request.entries("bondings", bondings, Subject::Bond) {
            request.read_bond(&name, map, unknown);
        }
        request.read_options(options, unknown);
        request
    }

    /// The entries of a map of maps.
    fn entries<'a>(
        &mut self,
        key: &str,
        value: &'a Value,
        subject: fn(String) -> Subject,
    ) -> Vec<(String, &'a Map<String, Value>)> {
        let mut wrong = |of, key: &str, value: &Value, rule: &str| {
            self.problems.push(Problem::Value {
                of,
                key: key.to_owned(),
                value: value.to_string(),
                rule: rule.to_owned(),
                code: Code::BadParams,
                stage: Stage::Canonical,
            });
        };
        let map = match value {
            Value::Null => return Vec::new(),
            Value::Object(map) => map,
            other => {
                wrong(Subject::Request, key, other, "it must be a map of names to attributes");
                return Vec::new();
            }
        };
        if map.len() > MOST {
            wrong(Subject::Request, key, &Value::from(map.len()), "there must be no more than 10000 entries");
            return Vec::new();
        }
        let mut entries = Vec::new();
        for (name, attributes) in map {
            match attributes {
                Value::Object(attributes) => entries.push((name.clone(), attributes)),
                other => wrong(subject(name.clone()), "attributes", other, "they must be a map"),
            }
        }
        entries
    }

    fn read_network(&mut self, name: &str, map: &Map<String, Value>, unknown: UnknownKeys) {
        let mut f = Fields::new(Subject::Network(name.to_owned()), map);
        let typed = NetworkName::try_from(name);
        let removal = is_removal(&mut f, &["custom", "remove"]);
        let network = match (&typed, removal) {
            (Err(error), _) => {
                f.problems.push(Problem::NetworkName { name: name.to_owned(), error: error.clone() });
                None
            }
            (Ok(_), true) => None,
            (Ok(typed), false) => Some(network::read(typed, &mut f)),
        };
        self.note(f.unknown(network::KNOWN, network::IGNORED), unknown);
        if let Ok(name) = typed {
            if !f.problems.is_empty() {
                self.broken.insert(name.clone());
            }
            self.networks.insert(name, network);
        }
        self.problems.append(&mut f.problems);
    }

    fn read_bond(&mut self, name: &str, map: &Map<String, Value>, unknown: UnknownKeys) {
        let mut f = Fields::new(Subject::Bond(name.to_owned()), map);
        let typed = bond::name(name);
        let removal = is_removal(&mut f, &["remove"]);
        match typed {
            None => f.problems.push(Problem::BondName { name: name.to_owned() }),
            Some(typed) => {
                let bond = (!removal).then(|| bond::read(typed, &mut f));
                self.bonds.insert(typed, bond);
                if !f.problems.is_empty() {
                    self.broken_bonds.insert(typed);
                }
            }
        }
        self.note(f.unknown(bond::KNOWN, &[]), unknown);
        self.problems.append(&mut f.problems);
    }

    fn read_options(&mut self, value: &Value, unknown: UnknownKeys) {
        let empty = Map::new();
        let map = match value {
            Value::Null => &empty,
            Value::Object(map) => map,
            other => {
                self.problems.push(Problem::Value {
                    of: Subject::Request,
                    key: "options".to_owned(),
                    value: other.to_string(),
                    rule: "they must be a map".to_owned(),
                    code: Code::BadParams,
                    stage: Stage::Canonical,
                });
                return;
            }
        };
        let mut f = Fields::new(Subject::Options, map);
        let defaults = Options::default();
        self.options = Options {
            connectivity_check: f.boolean("connectivityCheck").unwrap_or(defaults.connectivity_check),
            connectivity_timeout: seconds(&mut f, "connectivityTimeout").unwrap_or(defaults.connectivity_timeout),
            connectivity_call: f.boolean("connectivityCall").unwrap_or(defaults.connectivity_call),
            commit_on_success: f.boolean("commitOnSuccess").unwrap_or(defaults.commit_on_success),
            peer: address(&mut f, "peer"),
            allow_interruption: f.boolean("allowInterruption").unwrap_or(defaults.allow_interruption),
            reason: reason(&mut f),
        };
        // `force` skipped the original's validation, the others marked its own calls: no meaning here.
        const KNOWN: &[&str] = &[
            "connectivityCheck",
            "connectivityTimeout",
            "connectivityCall",
            "commitOnSuccess",
            "peer",
            "allowInterruption",
            "reason",
        ];
        self.note(f.unknown(KNOWN, &["force", "_inRollback", "inRollback", "implicitBonding"]), unknown);
        self.problems.append(&mut f.problems);
    }

    fn note(&mut self, strange: Vec<Problem>, unknown: UnknownKeys) {
        match unknown {
            UnknownKeys::Refuse => self.problems.extend(strange),
            UnknownKeys::Warn => self.warnings.extend(strange.iter().map(Problem::to_string)),
            UnknownKeys::Ignore => {}
        }
    }

    /// The request that turns `from` into `to`: what differs is set, what is more is removed.
    pub fn between(from: &NetConfig, to: &NetConfig) -> Request {
        let mut request =
            Request { options: Options { connectivity_check: false, ..Options::default() }, ..Request::default() };
        for name in from.networks.keys().chain(to.networks.keys()) {
            request.networks.insert(name.clone(), to.networks.get(name).cloned());
        }
        for name in from.bonds.keys().chain(to.bonds.keys()) {
            request.bonds.insert(*name, to.bonds.get(name).map(BondRequest::from));
        }
        request
    }
}

impl From<&BondConfig> for BondRequest {
    fn from(bond: &BondConfig) -> BondRequest {
        BondRequest {
            nics: bond.nics.clone(),
            options: Some((bond.options_text.clone(), bond.options.clone())),
            hwaddr: bond.hwaddr,
            switch: bond.switch,
        }
    }
}

/// Whether `remove` is true. `remove: false` is no removal (the original's bug, vdsm-facts 9.3).
fn is_removal(f: &mut Fields<'_>, allowed: &[&str]) -> bool {
    let removal = f.boolean("remove").unwrap_or(false);
    if removal {
        let keys: Vec<String> = f.map.keys().filter(|k| !allowed.contains(&k.as_str())).cloned().collect();
        if !keys.is_empty() {
            f.problems.push(Problem::RemovalWithAttributes { of: f.of.clone(), keys });
        }
    }
    removal
}

/// A number of seconds, whole or not, or a text that is one; at most a day.
fn seconds(f: &mut Fields<'_>, key: &str) -> Option<Duration> {
    let number = match f.value(key)? {
        Value::Number(n) => n.as_f64(),
        Value::String(s) => s.trim().parse().ok(),
        _ => None,
    };
    match number.filter(|n| (0.0..=86_400.0).contains(n)) {
        Some(n) => Some(Duration::from_secs_f64(n)),
        None => {
            f.wrong(key, "it must be a number of seconds from 0 to 86400", Code::BadParams, Stage::Canonical);
            None
        }
    }
}

/// An IPv4 or IPv6 address.
fn address(f: &mut Fields<'_>, key: &str) -> Option<IpAddr> {
    let found = f.value(key)?.as_str().and_then(|text| text.trim().parse().ok());
    if found.is_none() {
        f.wrong(key, "it must be an IPv4 or IPv6 address", Code::BadParams, Stage::Canonical);
    }
    found
}

/// A text that is not too long to be read.
fn reason(f: &mut Fields<'_>) -> Option<String> {
    const LONGEST: usize = 1024;
    let text = f.text("reason")?;
    if text.chars().nth(LONGEST).is_some() {
        f.wrong("reason", "it must be a text of at most 1024 characters", Code::BadParams, Stage::Canonical);
        return None;
    }
    Some(text.to_owned())
}

/// Entities as the disk holds them: name and JSON object.
pub type Stored = BTreeMap<String, Value>;

impl NetConfig {
    /// Reads what is stored. Entries that cannot be used are left out and their problems returned:
    /// one bad network must not keep a host from booting (vdsm-facts 9.4).
    pub fn from_stored(nets: &Stored, bonds: &Stored) -> (NetConfig, Vec<Problem>) {
        let object = |entries: &Stored| Value::Object(entries.iter().map(|(k, v)| (k.clone(), v.clone())).collect());
        let mut nets = nets.clone();
        let left_out: Vec<Problem> =
            nets.iter_mut().flat_map(|(name, net)| network::leave_out_ethtool(name, net)).collect();
        let mut request = Request::read(&object(&nets), &object(bonds), &Value::Null, UnknownKeys::Ignore);
        request.problems.extend(left_out);
        let broken = &request.broken;
        let networks = request
            .networks
            .into_iter()
            .filter(|(name, _)| !broken.contains(name))
            .filter_map(|(name, net)| Some((name, net?)))
            .collect();
        let bonds = request
            .bonds
            .into_iter()
            .filter(|(name, _)| !request.broken_bonds.contains(name))
            .filter_map(|(name, bond)| Some((name, BondConfig::from(bond?))))
            .collect();
        (NetConfig { networks, bonds }, request.problems)
    }

    /// The stored form of one network.
    pub fn stored_network(&self, name: &NetworkName) -> Option<Value> {
        self.networks.get(name).map(network::write)
    }

    /// The stored form of one bond.
    pub fn stored_bond(&self, name: &DeviceName) -> Option<Value> {
        self.bonds.get(name).map(bond::write)
    }

    /// The stored form of all networks and bonds.
    pub fn to_stored(&self) -> (Stored, Stored) {
        (
            self.networks.iter().map(|(name, net)| (name.to_string(), network::write(net))).collect(),
            self.bonds.iter().map(|(name, bond)| (name.to_string(), bond::write(bond))).collect(),
        )
    }
}

impl From<BondRequest> for BondConfig {
    fn from(bond: BondRequest) -> BondConfig {
        let (options_text, options) = bond.options.unwrap_or_default();
        BondConfig { nics: bond.nics, options, options_text, hwaddr: bond.hwaddr, switch: bond.switch }
    }
}

impl NetworkConfig {
    /// The network without an accessory part.
    pub fn drop_feature(&mut self, feature: crate::config::Feature) {
        use crate::config::Feature::*;
        match feature {
            Nameservers => self.nameservers = None,
            EthtoolOptions => {
                self.custom.remove("ethtool_opts");
                self.ethtool_options = Default::default();
            }
            HostQos => {
                self.qos.shift_remove("hostQos");
                self.host_qos = None;
            }
            QosInbound => drop(self.qos.shift_remove("qosInbound")),
            QosOutbound => drop(self.qos.shift_remove("qosOutbound")),
            Dhcpv4 | Dhcpv6 | Ipv6Autoconf | OvsSwitch => {}
        }
    }

    /// The engine's keys and values that need IPv6, for sentences.
    pub fn spelled_ipv6(&self) -> Vec<(&'static str, String)> {
        let address = self.ipv6.map(|ip| ("ipv6addr", ip.to_string()));
        let heard = [("ipv6autoconf", self.ipv6_autoconf), ("dhcpv6", self.dhcpv6)];
        let heard = heard.into_iter().filter(|(_, wanted)| *wanted).map(|(key, _)| (key, "true".to_owned()));
        address.into_iter().chain(heard).collect()
    }

    /// The network without what needs IPv6.
    pub fn drop_ipv6(&mut self) {
        (self.ipv6, self.ipv6_gateway) = (None, None);
        (self.ipv6_autoconf, self.dhcpv6) = (false, false);
    }

    /// The engine's keys and values of the parts in `features`, for sentences.
    pub fn spelled(&self, feature: crate::config::Feature) -> (String, String) {
        use crate::config::Feature::*;
        let qos = |key: &str| (key.to_owned(), self.qos.get(key).map(Value::to_string).unwrap_or_default());
        let simply = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        match feature {
            Dhcpv4 => simply("bootproto", "dhcp"),
            Dhcpv6 => simply("dhcpv6", "true"),
            Ipv6Autoconf => simply("ipv6autoconf", "true"),
            Nameservers => ("nameservers".to_owned(), format!("{:?}", self.nameservers.as_deref().unwrap_or_default())),
            OvsSwitch => simply("switch", "ovs"),
            EthtoolOptions => {
                ("custom.ethtool_opts".to_owned(), format!("{:?}", self.custom.get("ethtool_opts").map_or("", |t| t)))
            }
            HostQos => qos("hostQos"),
            QosInbound => qos("qosInbound"),
            QosOutbound => qos("qosOutbound"),
        }
    }
}

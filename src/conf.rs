//! vdsm.conf: text becomes `Settings` once, at the start.
//!
//! The file is shared with VDSM, so the keys keep its names and other sections
//! are none of our business. Nothing is re-read while the daemon runs, and
//! whether a directory or group exists is not asked here but by who uses it.

mod patterns;
mod probes;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use vdsm_model::name::NetworkName;
use vdsm_model::nearest;

pub use patterns::Patterns;
pub use probes::{Probe, Quorum};

/// Where the settings are looked for when nobody says otherwise.
pub const DEFAULT_PATH: &str = "/etc/vdsm/vdsm.conf";

/// Everything one can choose about the daemon and the tool. `vdsm.conf.example` explains each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Who carries out changes.
    pub net_configurator: Configurator,
    /// What survives a reboot, and where.
    pub net_persistence: Persistence,
    /// The running configuration and markers; an absolute path, lost on reboot.
    pub run_dir: PathBuf,
    /// The persistent configuration; an absolute path.
    pub lib_dir: PathBuf,
    /// The daemon's socket; an absolute path of at most 107 bytes.
    pub socket: PathBuf,
    /// Who, besides root, may change the network.
    pub group: String,
    /// What to make of keys of a request that nobody knows.
    pub unknown_keys: UnknownKeys,
    /// Which networks may share an interface.
    pub network_combination: NetworkCombination,
    /// What becomes of an address a bond had before a network came onto it.
    pub bond_foreign_addresses: BondForeignAddresses,
    /// What to do about a host that is not as its running configuration says.
    pub drift: Drift,
    /// The network through which the host is managed; none: no network is special.
    pub management_network: Option<NetworkName>,
    /// What proves after a change that the host is still reachable; never empty.
    pub connectivity_probes: Vec<Probe>,
    /// How many of them must come true.
    pub connectivity_quorum: Quorum,
    /// Devices reported as nics although no hardware is behind them.
    pub fake_nics: Patterns,
    /// Nics that are not reported.
    pub hidden_nics: Patterns,
    /// Bonds that are not reported.
    pub hidden_bonds: Patterns,
    /// VLAN devices that are not reported.
    pub hidden_vlans: Patterns,
    /// The folders of the site's scripts; an absolute path, or none for no hooks.
    pub hooks_dir: Option<PathBuf>,
    /// How long one script may take; 1 s to 1 h.
    pub hook_timeout: Duration,
    /// How long a request with `blockingdhcp`, and a restore, waits for leases; 1 s to 1 h.
    pub dhcp_timeout: Duration,
    /// The host's resolver, or the link to whose it is; an absolute path.
    pub resolv_conf: PathBuf,
    /// How long the kernel may take for one answer; 1 s to 1 h.
    pub netlink_timeout: Duration,
    /// How many committed configurations are kept; 0 to 10000.
    pub history_entries: usize,
    /// The longest request, in bytes; 4096 to 1 GiB.
    pub max_request_bytes: usize,
    /// How many may be connected at once; 1 to 65536.
    pub max_clients: usize,
    /// A sentence for each key or section that looks like a slip, for the log. No setting itself.
    pub unknown: Vec<String>,
}

/// Who carries out changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Configurator {
    /// rtnetlink, as `ip` speaks it. Leaves no files behind.
    Iproute2,
}

/// What survives a reboot, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Persistence {
    /// One JSON file a network and a bond below `lib_dir`.
    Unified,
}

/// What to make of keys of a request that nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownKeys {
    /// The request is done, and the answer names them.
    Warn,
    /// The request is refused.
    Refuse,
}

/// Which networks may share an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkCombination {
    /// The design document's rule.
    Strict,
    /// One network for each pair of interface and tag.
    Relaxed,
}

/// What becomes of an address a bond had before a bridgeless network came onto it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BondForeignAddresses {
    /// It stays, as a secondary one.
    Preserve,
    /// It goes.
    Replace,
}

/// What to do about drift.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drift {
    /// Tell those who listen.
    Report,
    /// Tell, and bring back what was.
    Heal,
    /// Nothing, unless somebody asks.
    Ignore,
}

/// What it means if the file is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// Nobody asked for this file: all defaults.
    MeansDefaults,
    /// It was named, as with `--config`: an error.
    IsAnError,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            net_configurator: Configurator::Iproute2,
            net_persistence: Persistence::Unified,
            run_dir: "/var/run/vdsm".into(),
            lib_dir: "/var/lib/vdsm".into(),
            socket: "/run/vdsm/vdsm-netd.sock".into(),
            group: "vdsm".into(),
            unknown_keys: UnknownKeys::Warn,
            network_combination: NetworkCombination::Strict,
            bond_foreign_addresses: BondForeignAddresses::Preserve,
            drift: Drift::Report,
            management_network: None,
            connectivity_probes: vec![Probe::Call],
            connectivity_quorum: Quorum::All,
            fake_nics: Patterns::from("dummy_*,veth_*"),
            hidden_nics: Patterns::from("w*,usb*"),
            hidden_bonds: Patterns::default(),
            hidden_vlans: Patterns::default(),
            hooks_dir: Some("/usr/libexec/vdsm/hooks".into()),
            hook_timeout: Duration::from_secs(60),
            dhcp_timeout: Duration::from_secs(60),
            resolv_conf: "/etc/resolv.conf".into(),
            netlink_timeout: Duration::from_secs(30),
            history_entries: 100,
            max_request_bytes: 16 << 20,
            max_clients: 256,
            unknown: Vec::new(),
        }
    }
}

impl Settings {
    /// Reads `[vars]` of `path`, then of the drop-ins: `*.conf` in the directory that is called
    /// as the file with `.d` behind (`/etc/vdsm/vdsm.conf.d`), in the order of their names. What
    /// is said later wins, and only what wins is judged.
    ///
    /// # Errors
    ///
    /// Names every file that cannot be read and every value that breaks its key's rule.
    pub fn load(path: &Path, absent: Absent) -> Result<Settings, ConfError> {
        let mut said = Said::default();
        said.read(path, absent);
        for path in said.drop_ins(path) {
            said.read(&path, Absent::MeansDefaults);
        }
        said.judge()
    }

    /// Reads the file that was named, or else the usual one, which may be missing.
    ///
    /// # Errors
    ///
    /// As [`Settings::load`].
    pub fn named(path: Option<&Path>) -> Result<Settings, ConfError> {
        match path {
            Some(path) => Settings::load(path, Absent::IsAnError),
            None => Settings::load(Path::new(DEFAULT_PATH), Absent::MeansDefaults),
        }
    }

    /// Sets one key, or tells the rule the value breaks. None if there is no such key.
    fn set(&mut self, key: &str, value: &str) -> Option<Result<(), String>> {
        Some(match key {
            "net_configurator" => configurator(value).map(|v| self.net_configurator = v),
            "net_persistence" => persistence(value).map(|v| self.net_persistence = v),
            "run_dir" => absolute(value).map(|v| self.run_dir = v),
            "lib_dir" => absolute(value).map(|v| self.lib_dir = v),
            "resolv_conf" => absolute(value).map(|v| self.resolv_conf = v),
            "socket" => socket(value).map(|v| self.socket = v),
            "group" => group(value).map(|v| self.group = v),
            "unknown_keys" => choice(value, UNKNOWN_KEYS).map(|v| self.unknown_keys = v),
            "network_combination" => choice(value, COMBINATIONS).map(|v| self.network_combination = v),
            "bond_foreign_addresses" => choice(value, FOREIGN).map(|v| self.bond_foreign_addresses = v),
            "drift" => choice(value, DRIFT).map(|v| self.drift = v),
            "management_network" => network_or_none(value).map(|v| self.management_network = v),
            "connectivity_probes" => probes::probes(value).map(|v| self.connectivity_probes = v),
            "connectivity_quorum" => probes::quorum(value).map(|v| self.connectivity_quorum = v),
            "fake_nics" => patterns(value).map(|v| self.fake_nics = v),
            "hidden_nics" => patterns(value).map(|v| self.hidden_nics = v),
            "hidden_bonds" => patterns(value).map(|v| self.hidden_bonds = v),
            "hidden_vlans" => patterns(value).map(|v| self.hidden_vlans = v),
            "hooks_dir" => path_or_none(value).map(|v| self.hooks_dir = v),
            "hook_timeout" => number(value, 1..=3600).map(|v| self.hook_timeout = Duration::from_secs(v)),
            "dhcp_timeout" => number(value, 1..=3600).map(|v| self.dhcp_timeout = Duration::from_secs(v)),
            "netlink_timeout" => number(value, 1..=3600).map(|v| self.netlink_timeout = Duration::from_secs(v)),
            "history_entries" => number(value, 0..=10_000).map(|v| self.history_entries = v),
            "max_request_bytes" => number(value, 4096..=1 << 30).map(|v| self.max_request_bytes = v),
            "max_clients" => number(value, 1..=65536).map(|v| self.max_clients = v),
            _ => return None,
        })
    }
}

/// Every key that does something here; a test holds it against `Settings::set` and the example.
const KEYS: [&str; 25] = [
    "net_configurator",
    "net_persistence",
    "run_dir",
    "lib_dir",
    "socket",
    "group",
    "unknown_keys",
    "network_combination",
    "bond_foreign_addresses",
    "drift",
    "management_network",
    "connectivity_probes",
    "connectivity_quorum",
    "fake_nics",
    "hidden_nics",
    "hidden_bonds",
    "hidden_vlans",
    "hooks_dir",
    "hook_timeout",
    "dhcp_timeout",
    "resolv_conf",
    "netlink_timeout",
    "history_entries",
    "max_request_bytes",
    "max_clients",
];

/// VDSM's keys about networks that have no meaning here, and deserve no warning.
const VDSM_KEYS: [&str; 7] = [
    "hwaddr_in_ifcfg",
    "ethtool_opts",
    "nic_model",
    "enable_lldp",
    "net_nmstate_enabled",
    "migration_ovs_hook_enabled",
    "fake_sriov_enable",
];

const UNKNOWN_KEYS: &[(&str, UnknownKeys)] = &[("warn", UnknownKeys::Warn), ("refuse", UnknownKeys::Refuse)];
const COMBINATIONS: &[(&str, NetworkCombination)] =
    &[("strict", NetworkCombination::Strict), ("relaxed", NetworkCombination::Relaxed)];
const DRIFT: &[(&str, Drift)] = &[("report", Drift::Report), ("heal", Drift::Heal), ("ignore", Drift::Ignore)];
const FOREIGN: &[(&str, BondForeignAddresses)] =
    &[("preserve", BondForeignAddresses::Preserve), ("replace", BondForeignAddresses::Replace)];

fn choice<T: Copy>(value: &str, choices: &[(&str, T)]) -> Result<T, String> {
    match choices.iter().find(|(name, _)| *name == value) {
        Some((_, choice)) => Ok(*choice),
        None => {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            Err(format!("must be {}", names.join(" or ")))
        }
    }
}

fn configurator(value: &str) -> Result<Configurator, String> {
    choice(value, &[("iproute2", Configurator::Iproute2)]).map_err(|rule| match value {
        "ifcfg" | "pyroute2" | "ovs" | "networkmanager" | "team" | "sim" => {
            format!("{rule}; this build has no configurator `{value}`")
        }
        _ => rule,
    })
}

fn persistence(value: &str) -> Result<Persistence, String> {
    choice(value, &[("unified", Persistence::Unified)]).map_err(|rule| match value {
        "ifcfg" => {
            format!("{rule}; networks are no longer kept as ifcfg files, only below lib_dir")
        }
        _ => rule,
    })
}

fn absolute(value: &str) -> Result<PathBuf, String> {
    match value.starts_with('/') {
        true => Ok(value.into()),
        false => Err("must be an absolute path".into()),
    }
}

fn network_or_none(value: &str) -> Result<Option<NetworkName>, String> {
    let name = (!value.is_empty()).then(|| NetworkName::try_from(value)).transpose();
    name.map_err(|error| format!("must be the name of a network, or nothing: {error}"))
}

fn path_or_none(value: &str) -> Result<Option<PathBuf>, String> {
    if value.is_empty() { Ok(None) } else { absolute(value).map(Some).map_err(|rule| format!("{rule}, or nothing")) }
}

/// The kernel keeps a socket's path in 108 bytes with a final zero, see unix(7).
fn socket(value: &str) -> Result<PathBuf, String> {
    match value.len() <= 107 {
        true => absolute(value),
        false => Err("must be an absolute path of at most 107 bytes".into()),
    }
}

fn group(value: &str) -> Result<String, String> {
    match value.is_empty() || value.contains(|c: char| c.is_whitespace() || c == ':' || c == ',') {
        true => Err("must be the name of one group".into()),
        false => Ok(value.into()),
    }
}

fn number<T: FromStr + PartialOrd + fmt::Display>(value: &str, range: RangeInclusive<T>) -> Result<T, String> {
    let number = value.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| format!("must be a whole number from {} to {}", range.start(), range.end()))
}

/// Every text is some list of patterns.
fn patterns(value: &str) -> Result<Patterns, String> {
    Ok(Patterns::from(value))
}

/// What the files say, not yet judged.
#[derive(Default)]
struct Said {
    /// Key to the file that has the last word on it, and the word: None without a `=`.
    values: BTreeMap<String, (PathBuf, Option<String>)>,
    unknown: Vec<String>,
    problems: Vec<ConfProblem>,
}

impl Said {
    fn read(&mut self, path: &Path, absent: Absent) {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound && absent == Absent::MeansDefaults => {
                return;
            }
            Err(reason) => {
                return self.problems.push(ConfProblem::Unreadable { file: path.into(), reason });
            }
        };
        match ini::inistr!(safe cs &text) {
            Ok(sections) => sections.into_iter().for_each(|(name, keys)| match name.as_str() {
                "vars" => {
                    let tagged = keys.into_iter().map(|(key, value)| (key, (path.to_owned(), value)));
                    self.values.extend(tagged);
                }
                _ => self.unknown.extend(misnamed(path, &name)),
            }),
            Err(reason) => self.problems.push(ConfProblem::NotIni { file: path.into(), reason }),
        }
    }

    fn drop_ins(&mut self, path: &Path) -> Vec<PathBuf> {
        let mut dir = path.as_os_str().to_owned();
        dir.push(".d");
        let dir = PathBuf::from(dir);
        let entries = fs::read_dir(&dir).and_then(|entries| entries.collect::<io::Result<Vec<_>>>());
        let mut files: Vec<PathBuf> = match entries {
            Ok(entries) => entries.iter().map(|entry| entry.path()).collect(),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(reason) => {
                self.problems.push(ConfProblem::Unreadable { file: dir, reason });
                Vec::new()
            }
        };
        files.retain(|file| is_drop_in(file));
        files.sort();
        files
    }

    fn judge(mut self) -> Result<Settings, ConfError> {
        let mut settings = Settings::default();
        let mut unknown = Vec::new();
        let quorum = self.values.get("connectivity_quorum").cloned();
        for (key, (file, value)) in std::mem::take(&mut self.values) {
            let set = match &value {
                Some(value) => settings.set(&key, value),
                None if KEYS.contains(&key.as_str()) => Some(Err("needs a `=` and a value".into())),
                None => None,
            };
            match set {
                Some(Ok(())) => {}
                Some(Err(rule)) => {
                    let value = value.unwrap_or_default();
                    self.problems.push(ConfProblem::Value { file, key, value, rule });
                }
                None if VDSM_KEYS.contains(&key.split('.').next().unwrap_or(&key)) => {}
                None => unknown.push(ConfProblem::Unknown { nearest: nearest(&key, &KEYS), file, key }),
            }
        }
        // Two keys that are sound alone. Whichever has the fault, it is the number that is out of range.
        if let Some((file, Some(value))) = quorum.filter(|_| self.problems.is_empty())
            && let Err(rule) = probes::together(&settings.connectivity_probes, settings.connectivity_quorum)
        {
            self.problems.push(ConfProblem::Value { file, key: "connectivity_quorum".to_owned(), value, rule });
        }
        // `unknown_keys` is about requests: a stranger's key in this file never keeps a host's
        // network daemon from starting.
        self.unknown.extend(unknown.iter().map(ConfProblem::to_string));
        self.unknown.sort();
        match self.problems.is_empty() {
            true => Ok(Settings { unknown: self.unknown, ..settings }),
            false => Err(ConfError { problems: self.problems }),
        }
    }
}

/// As the shell's `*.conf`: no hidden files.
fn is_drop_in(file: &Path) -> bool {
    let hidden = file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    !hidden && file.extension() == Some(OsStr::new("conf"))
}

/// A sentence about a section that was probably meant to be `[vars]`.
fn misnamed(path: &Path, section: &str) -> Option<String> {
    let path = path.display();
    match section.to_lowercase().as_str() {
        // What the ini crate calls the part above all sections.
        "default" => Some(format!("{path}: keys above the line `[vars]` are ignored")),
        lower if nearest(lower, &["vars"]).is_some() => {
            Some(format!("{path}: section [{section}] is ignored; did you mean [vars]?"))
        }
        _ => None,
    }
}

/// Everything that is wrong with the configuration files.
#[derive(Debug)]
pub struct ConfError {
    /// Never empty.
    pub problems: Vec<ConfProblem>,
}

impl fmt::Display for ConfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each: Vec<String> = self.problems.iter().map(ConfProblem::to_string).collect();
        f.write_str(&each.join("\n"))
    }
}

impl std::error::Error for ConfError {}

/// One thing that is wrong with a configuration file.
#[derive(Debug, thiserror::Error)]
pub enum ConfProblem {
    /// The file is there, or should be, and cannot be read as text.
    #[error("{}: cannot be read: {reason}", file.display())]
    Unreadable {
        /// The file, or the directory of the drop-ins.
        file: PathBuf,
        /// What the kernel said.
        reason: io::Error,
    },
    /// The file does not have the form of an INI file.
    #[error("{}: {reason}", file.display())]
    NotIni {
        /// The file.
        file: PathBuf,
        /// The line and what is wrong with it.
        reason: String,
    },
    /// A value breaks the rule of its key.
    #[error("{}: `{key} = {value}`: {rule}", file.display())]
    Value {
        /// The file that had the last word.
        file: PathBuf,
        /// The key, in [vars].
        key: String,
        /// Its value, empty if there was none.
        value: String,
        /// What it must be.
        rule: String,
    },
    /// Nobody knows this key; a warning, never a problem.
    #[error("{}: unknown key `{key}`{}", file.display(), hint(*nearest))]
    Unknown {
        /// The file.
        file: PathBuf,
        /// The key, in [vars].
        key: String,
        /// What it may have been meant to be.
        nearest: Option<&'static str>,
    },
}

fn hint(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |known| format!("; did you mean `{known}`?"))
}

//! The bonding driver's options as data: one row for each.
//!
//! Every column was measured on Linux 6.1 (user-mode-linux, each mode by each option, the bond up
//! and down, with and without slaves) and compared with `bond_opts[]` in the kernel's
//! `drivers/net/bonding/bond_options.c`. No rule between two options is here: those are in
//! `bond_options.rs` (what may be asked for together) and `change.rs` (the order of setting).
//! The files under `/sys/class/net/BOND/bonding/` that only tell something (`slaves`, `mii_status`,
//! `ad_aggregator`, ...) or steer one slave (`active_slave`, `queue_id`) are not options.

use std::fmt;

/// How a bond spreads its traffic; the number is the kernel's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[repr(u8)]
pub enum BondMode {
    /// `balance-rr`, what the kernel takes when nobody says otherwise.
    #[default]
    BalanceRr = 0,
    /// `active-backup`
    ActiveBackup,
    /// `balance-xor`
    BalanceXor,
    /// `broadcast`
    Broadcast,
    /// `802.3ad`
    Lacp,
    /// `balance-tlb`
    BalanceTlb,
    /// `balance-alb`
    BalanceAlb,
}

impl BondMode {
    /// All modes, at the index that is their number.
    pub const ALL: [BondMode; 7] = [
        BondMode::BalanceRr,
        BondMode::ActiveBackup,
        BondMode::BalanceXor,
        BondMode::Broadcast,
        BondMode::Lacp,
        BondMode::BalanceTlb,
        BondMode::BalanceAlb,
    ];

    /// The kernel's number of the mode.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The kernel's name of the mode.
    pub fn name(self) -> &'static str {
        MODE_NAMES[usize::from(self.number())].0
    }

    /// The mode with this number.
    pub fn from_number(number: u32) -> Option<BondMode> {
        BondMode::ALL.get(usize::try_from(number).ok()?).copied()
    }

    /// 802.3ad, balance-tlb and balance-alb live by MII monitoring alone: the kernel refuses ARP
    /// monitoring there, and switches `miimon` on when it is off.
    pub fn monitors_by_mii_only(self) -> bool {
        matches!(self, BondMode::Lacp | BondMode::BalanceTlb | BondMode::BalanceAlb)
    }

    fn bit(self) -> u8 {
        1 << self.number()
    }
}

/// As in `802.3ad (4)`.
impl fmt::Display for BondMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.number())
    }
}

/// What an option's value is, and how wide its netlink attribute is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueKind {
    /// A number sent in one byte.
    U8,
    /// A number sent in two bytes.
    U16,
    /// A number sent in four bytes.
    U32,
    /// A device, by name here and in sysfs, by index in netlink.
    Device,
    /// Up to [`MAX_TARGETS`] IPv4 addresses.
    Ips4,
    /// Up to [`MAX_TARGETS`] IPv6 addresses.
    Ips6,
    /// A MAC address.
    Mac,
}

/// In which condition the bond must be for the kernel to take an option; the kernel asks for it
/// even when the value does not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Needs {
    /// Can be set at any time, with slaves and traffic.
    #[default]
    Nothing,
    /// `EBUSY` while the bond is up. Its slaves may stay.
    Down,
    /// `ENOTEMPTY` while the bond has slaves. It may stay up.
    NoSlaves,
    /// Both.
    DownAndNoSlaves,
}

impl Needs {
    /// What satisfies both.
    pub fn and(self, other: Needs) -> Needs {
        let down = self.down() || other.down();
        match (down, self.no_slaves() || other.no_slaves()) {
            (false, false) => Needs::Nothing,
            (true, false) => Needs::Down,
            (false, true) => Needs::NoSlaves,
            (true, true) => Needs::DownAndNoSlaves,
        }
    }

    /// Whether the bond must be down.
    pub fn down(self) -> bool {
        matches!(self, Needs::Down | Needs::DownAndNoSlaves)
    }

    /// Whether the bond must have no slaves.
    pub fn no_slaves(self) -> bool {
        matches!(self, Needs::NoSlaves | Needs::DownAndNoSlaves)
    }
}

/// When a netlink dump has the option's attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dumped {
    /// Always, even in modes that have no use for it: a value left from an earlier mode shows.
    Always,
    /// In mode 802.3ad only, and only to a reader with `CAP_NET_ADMIN`.
    InLacp,
    /// When it is not empty. `primary` is left out, too, until the device is a slave.
    WhenSet,
}

/// One option of the bonding driver.
#[derive(Debug)]
pub struct BondOption {
    /// The name under `/sys/class/net/BOND/bonding/`, also the word in `BONDING_OPTS`.
    pub name: &'static str,
    /// The number of its `IFLA_BOND_*` attribute, from `linux/if_link.h`.
    pub attribute: u16,
    /// What its value is.
    pub kind: ValueKind,
    /// The words the kernel knows besides numbers.
    pub symbols: &'static [(&'static str, u32)],
    /// The lowest and the highest number the kernel takes; of no meaning for other kinds.
    pub range: (u32, u32),
    default: u32,
    modes: u8,
    /// What the bond must be like.
    pub needs: Needs,
    /// When a dump has it.
    pub dumped: Dumped,
}

impl BondOption {
    /// Whether the kernel takes the option in this mode; else it says `EACCES`, "option not
    /// supported in mode", whatever the value.
    pub fn works_in(&self, mode: BondMode) -> bool {
        self.modes & mode.bit() != 0
    }

    /// The number a new bond of this mode has; of no meaning for kinds that are not numbers.
    pub fn default_number(&self, mode: BondMode) -> u32 {
        if self.name == "miimon" && mode.monitors_by_mii_only() { MIIMON_OF_LACP } else { self.default }
    }

    /// The sentence that follows "allowed:".
    pub(super) fn allowed(&self) -> String {
        match self.kind {
            ValueKind::Device => "the name of a network device".to_owned(),
            ValueKind::Ips4 => format!("up to {MAX_TARGETS} different IPv4 addresses, comma separated"),
            ValueKind::Ips6 => format!("up to {MAX_TARGETS} different unicast IPv6 addresses, comma separated"),
            ValueKind::Mac => "a MAC address that is not multicast".to_owned(),
            _ if self.is_enumeration() => {
                let words: Vec<_> = self.symbols.iter().map(|(word, number)| format!("{word} ({number})")).collect();
                words.join(", ")
            }
            _ => format!("{} to {}", self.range.0, self.range.1),
        }
    }

    /// Every number of the range has a word.
    fn is_enumeration(&self) -> bool {
        (self.range.0..=self.range.1).take(8).all(|n| self.symbols.iter().any(|(_, number)| *number == n))
    }
}

/// The option of this name; `num_unsol_na` is the same option as `num_grat_arp`.
pub fn find(name: &str) -> Option<&'static BondOption> {
    let name = if name == "num_unsol_na" { "num_grat_arp" } else { name };
    BOND_OPTIONS.iter().find(|option| option.name == name)
}

/// All names a request may use, `mode` included.
pub(super) fn names() -> Vec<&'static str> {
    ["mode", "custom", "num_unsol_na"].into_iter().chain(BOND_OPTIONS.iter().map(|option| option.name)).collect()
}

/// `BOND_MAX_ARP_TARGETS` and `BOND_MAX_NS_TARGETS`.
pub const MAX_TARGETS: usize = 16;
/// `IFLA_BOND_MODE`, a byte.
pub const MODE_ATTRIBUTE: u16 = 1;
/// The condition for a change of mode. The kernel refuses it otherwise even if the mode stays.
pub const MODE_NEEDS: Needs = Needs::DownAndNoSlaves;

pub(super) const MODE_NAMES: &[(&str, u32)] = &[
    ("balance-rr", 0),
    ("active-backup", 1),
    ("balance-xor", 2),
    ("broadcast", 3),
    ("802.3ad", 4),
    ("balance-tlb", 5),
    ("balance-alb", 6),
    ("default", 0),
];

/// `BOND_DEFAULT_MIIMON`: what a bond has when its mode lives by MII monitoring alone.
const MIIMON_OF_LACP: u32 = 100;
const INT_MAX: u32 = i32::MAX as u32;

const ALL: u8 = 0b111_1111;
const RR: u8 = 0b000_0001;
const ARP: u8 = 0b000_1111;
const LACP: u8 = 0b001_0000;
const PRIMARY: u8 = 0b110_0010;
const TLB: u8 = 0b110_0000;

const OFF_ON: &[(&str, u32)] = &[("off", 0), ("on", 1)];
const MILLISECONDS: &[(&str, u32)] = &[("off", 0), ("maxval", INT_MAX), ("default", 0)];
const UP_TO_255: &[(&str, u32)] = &[("off", 0), ("maxval", 255), ("default", 1)];
const NONE: &[(&str, u32)] = &[];

const fn row(name: &'static str, attribute: u16, kind: ValueKind) -> BondOption {
    let (range, symbols, dumped) = match kind {
        ValueKind::Device | ValueKind::Ips4 | ValueKind::Ips6 => ((0, 0), NONE, Dumped::WhenSet),
        ValueKind::Mac => ((0, 0), NONE, Dumped::InLacp),
        _ => ((0, INT_MAX), MILLISECONDS, Dumped::Always),
    };
    BondOption { name, attribute, kind, symbols, range, default: 0, modes: ALL, needs: Needs::Nothing, dumped }
}

impl BondOption {
    const fn words(self, symbols: &'static [(&'static str, u32)]) -> Self {
        BondOption { symbols, ..self }
    }
    const fn range(self, low: u32, high: u32) -> Self {
        BondOption { range: (low, high), ..self }
    }
    const fn normally(self, default: u32) -> Self {
        BondOption { default, ..self }
    }
    const fn only_in(self, modes: u8) -> Self {
        BondOption { modes, ..self }
    }
    const fn needs(self, needs: Needs) -> Self {
        BondOption { needs, ..self }
    }
    const fn dumped(self, dumped: Dumped) -> Self {
        BondOption { dumped, ..self }
    }
}

use ValueKind::{Device, Ips4, Ips6, Mac, U8, U16, U32};

use serde::{Deserialize, Serialize};

/// Every option but the mode, in the order in which `bond_changelink()` applies the attributes of
/// one message, whatever their order in it. In the same message it applies the mode before all.
///
/// `coupled_control` (Linux 6.9) and `broadcast_neighbor` (6.17) have no file in sysfs or only a
/// new one; an older kernel ignores their attributes silently, so read back what you set.
#[rustfmt::skip]
pub static BOND_OPTIONS: &[BondOption] = &[
    row("miimon", 3, U32),
    row("updelay", 4, U32),
    row("downdelay", 5, U32),
    row("peer_notif_delay", 28, U32).range(0, 300_000).words(&[("off", 0), ("maxval", 300_000)]),
    row("use_carrier", 6, U8).range(0, 1).words(OFF_ON).normally(1),
    row("arp_interval", 7, U32).only_in(ARP),
    row("arp_ip_target", 8, Ips4),
    row("ns_ip6_target", 31, Ips6),
    row("arp_validate", 9, U32).only_in(ARP).range(0, 6).words(&[("none", 0), ("active", 1), ("backup", 2), ("all", 3), ("filter", 4), ("filter_active", 5), ("filter_backup", 6)]),
    row("arp_all_targets", 10, U32).range(0, 1).words(&[("any", 0), ("all", 1)]),
    row("primary", 11, Device).only_in(PRIMARY),
    row("primary_reselect", 12, U8).range(0, 2).words(&[("always", 0), ("better", 1), ("failure", 2)]),
    row("fail_over_mac", 13, U8).range(0, 2).words(&[("none", 0), ("active", 1), ("follow", 2)]).needs(Needs::NoSlaves),
    row("xmit_hash_policy", 14, U8).range(0, 5).words(&[("layer2", 0), ("layer3+4", 1), ("layer2+3", 2), ("encap2+3", 3), ("encap3+4", 4), ("vlan+srcmac", 5)]),
    row("resend_igmp", 15, U32).range(0, 255).words(UP_TO_255).normally(1),
    row("num_grat_arp", 16, U8).range(0, 255).words(UP_TO_255).normally(1),
    row("all_slaves_active", 17, U8).range(0, 1).words(OFF_ON),
    row("min_links", 18, U32),
    row("lp_interval", 19, U32).range(1, INT_MAX).words(&[("minval", 1), ("maxval", INT_MAX), ("default", 1)]).normally(1),
    row("packets_per_slave", 20, U32).only_in(RR).range(0, 65535).words(&[("default", 1), ("maxval", 65535)]).normally(1),
    row("lacp_active", 29, U8).only_in(LACP).range(0, 1).words(OFF_ON).normally(1).needs(Needs::Down),
    row("lacp_rate", 21, U8).only_in(LACP).range(0, 1).words(&[("slow", 0), ("fast", 1)]).needs(Needs::Down),
    row("ad_select", 22, U8).range(0, 2).words(&[("stable", 0), ("bandwidth", 1), ("count", 2)]).needs(Needs::Down),
    row("ad_actor_sys_prio", 24, U16).only_in(LACP).range(1, 65535).words(&[("minval", 1), ("maxval", 65535), ("default", 65535)]).normally(65535).dumped(Dumped::InLacp),
    row("ad_user_port_key", 25, U16).only_in(LACP).range(0, 1023).words(&[("minval", 0), ("maxval", 1023), ("default", 0)]).needs(Needs::Down).dumped(Dumped::InLacp),
    row("ad_actor_system", 26, Mac).only_in(LACP),
    row("tlb_dynamic_lb", 27, U8).only_in(TLB).range(0, 1).words(OFF_ON).normally(1).needs(Needs::Down),
    row("arp_missed_max", 30, U8).only_in(ARP).range(1, 255).words(&[("minval", 1), ("maxval", 255), ("default", 2)]).normally(2),
    row("coupled_control", 32, U8).only_in(LACP).range(0, 1).words(OFF_ON).normally(1).needs(Needs::Down),
    row("broadcast_neighbor", 33, U8).only_in(LACP).range(0, 1).words(OFF_ON),
];

//! The settings by ethtool(8)'s names, and how each travels in an ethtool netlink message.
//!
//! Names of features are the kernel's (`net/ethtool/common.c`, `netdev_features_strings`); the other
//! names are ethtool's, the numbers those of `linux/ethtool_netlink.h`.

use super::{Group, Kind};

/// One setting.
pub(super) struct Row {
    pub(super) group: Group,
    pub(super) name: &'static str,
    /// The number of its attribute in the group's message; 0 for features, which travel by name.
    pub(super) attribute: u16,
    pub(super) kind: Kind,
}

/// A name of ethtool's that stands for one or more of the kernel's features (`off_flag_def` in its `ethtool.c`).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Alias {
    pub(super) short: &'static str,
    pub(super) long: &'static str,
    pattern: Pattern,
}

/// Which features an alias stands for.
#[derive(Debug, PartialEq, Eq)]
enum Pattern {
    One(&'static str),
    /// All that begin and end like this; written with a `*` in between.
    Between(&'static str, &'static str),
}

impl Alias {
    /// Whether it stands for this feature of the kernel's.
    pub(super) fn covers(&self, feature: &str) -> bool {
        match self.pattern {
            Pattern::One(name) => feature == name,
            Pattern::Between(begin, end) => feature.strip_prefix(begin).is_some_and(|rest| rest.ends_with(end)),
        }
    }
}

/// A name for exactly one feature.
const fn one(short: &'static str, long: &'static str, feature: &'static str) -> Alias {
    Alias { short, long, pattern: Pattern::One(feature) }
}

/// A name for several.
const fn many(short: &'static str, long: &'static str, begin: &'static str, end: &'static str) -> Alias {
    Alias { short, long, pattern: Pattern::Between(begin, end) }
}

pub(super) static ALIASES: &[Alias] = &[
    one("rx", "rx-checksumming", "rx-checksum"),
    many("tx", "tx-checksumming", "tx-checksum-", ""),
    many("sg", "scatter-gather", "tx-scatter-gather", ""),
    many("tso", "tcp-segmentation-offload", "tx-tcp", "-segmentation"),
    one("ufo", "udp-fragmentation-offload", "tx-udp-fragmentation"),
    one("gso", "generic-segmentation-offload", "tx-generic-segmentation"),
    one("gro", "generic-receive-offload", "rx-gro"),
    one("lro", "large-receive-offload", "rx-lro"),
    one("rxvlan", "rx-vlan-offload", "rx-vlan-hw-parse"),
    one("txvlan", "tx-vlan-offload", "tx-vlan-hw-insert"),
    one("ntuple", "ntuple-filters", "rx-ntuple-filter"),
    one("rxhash", "receive-hashing", "rx-hashing"),
];

/// The features of Linux up to 6.18, those it has lost since among them.
macro_rules! features {
    ($($name:literal)*) => {
        [$(Row { group: Group::Features, name: $name, attribute: 0, kind: Kind::Truth }),*]
    };
}

static FEATURES: [Row; 64] = features![
    "tx-scatter-gather" "tx-checksum-ipv4" "tx-checksum-ip-generic" "tx-checksum-ipv6" "highdma"
    "tx-scatter-gather-fraglist" "tx-vlan-hw-insert" "rx-vlan-hw-parse" "rx-vlan-filter" "tx-vlan-stag-hw-insert"
    "rx-vlan-stag-hw-parse" "rx-vlan-stag-filter" "vlan-challenged" "tx-generic-segmentation" "tx-lockless"
    "netns-local" "rx-gro" "rx-gro-hw" "rx-lro" "tx-tcp-segmentation" "tx-gso-robust" "tx-tcp-ecn-segmentation"
    "tx-tcp-mangleid-segmentation" "tx-tcp6-segmentation" "tx-tcp-accecn-segmentation" "tx-fcoe-segmentation"
    "tx-gre-segmentation" "tx-gre-csum-segmentation" "tx-ipxip4-segmentation" "tx-ipxip6-segmentation"
    "tx-udp_tnl-segmentation" "tx-udp_tnl-csum-segmentation" "tx-gso-partial" "tx-tunnel-remcsum-segmentation"
    "tx-sctp-segmentation" "tx-esp-segmentation" "tx-udp-fragmentation" "tx-udp-segmentation" "tx-gso-list"
    "tx-checksum-fcoe-crc" "tx-checksum-sctp" "fcoe-mtu" "rx-ntuple-filter" "rx-hashing" "rx-checksum"
    "tx-nocache-copy" "loopback" "rx-fcs" "rx-all" "l2-fwd-offload" "hw-tc-offload" "esp-hw-offload"
    "esp-tx-csum-hw-offload" "rx-udp_tunnel-port-offload" "tls-hw-tx-offload" "tls-hw-rx-offload" "tls-hw-record"
    "rx-gro-list" "macsec-hw-offload" "rx-udp-gro-forwarding" "hsr-tag-ins-offload" "hsr-tag-rm-offload"
    "hsr-fwd-offload" "hsr-dup-offload"
];

const fn row(group: Group, name: &'static str, attribute: u16, kind: Kind) -> Row {
    Row { group, name, attribute, kind }
}

const fn coalesce(name: &'static str, attribute: u16) -> Row {
    row(Group::Coalesce, name, attribute, Kind::Number)
}

static OTHERS: [Row; 41] = [
    row(Group::Modes, "autoneg", 2, Kind::Truth),
    row(Group::Modes, "speed", 5, Kind::Speed),
    row(Group::Modes, "duplex", 6, Kind::Duplex),
    row(Group::Channels, "rx", 6, Kind::Number),
    row(Group::Channels, "tx", 7, Kind::Number),
    row(Group::Channels, "other", 8, Kind::Number),
    row(Group::Channels, "combined", 9, Kind::Number),
    row(Group::Rings, "rx", 6, Kind::Number),
    row(Group::Rings, "rx-mini", 7, Kind::Number),
    row(Group::Rings, "rx-jumbo", 8, Kind::Number),
    row(Group::Rings, "tx", 9, Kind::Number),
    row(Group::Rings, "rx-buf-len", 10, Kind::Number),
    row(Group::Rings, "cqe-size", 12, Kind::Number),
    row(Group::Rings, "tx-push", 13, Kind::Truth),
    coalesce("rx-usecs", 2),
    coalesce("rx-frames", 3),
    coalesce("rx-usecs-irq", 4),
    coalesce("rx-frames-irq", 5),
    coalesce("tx-usecs", 6),
    coalesce("tx-frames", 7),
    coalesce("tx-usecs-irq", 8),
    coalesce("tx-frames-irq", 9),
    coalesce("stats-block-usecs", 10),
    row(Group::Coalesce, "adaptive-rx", 11, Kind::Truth),
    row(Group::Coalesce, "adaptive-tx", 12, Kind::Truth),
    coalesce("pkt-rate-low", 13),
    coalesce("rx-usecs-low", 14),
    coalesce("rx-frames-low", 15),
    coalesce("tx-usecs-low", 16),
    coalesce("tx-frames-low", 17),
    coalesce("pkt-rate-high", 18),
    coalesce("rx-usecs-high", 19),
    coalesce("rx-frames-high", 20),
    coalesce("tx-usecs-high", 21),
    coalesce("tx-frames-high", 22),
    coalesce("sample-interval", 23),
    row(Group::Coalesce, "cqe-mode-tx", 24, Kind::Truth),
    row(Group::Coalesce, "cqe-mode-rx", 25, Kind::Truth),
    row(Group::Pause, "autoneg", 2, Kind::Truth),
    row(Group::Pause, "rx", 3, Kind::Truth),
    row(Group::Pause, "tx", 4, Kind::Truth),
];

/// All settings; a [`Key`](super::Key) is a place among them.
pub(super) fn rows() -> impl Iterator<Item = &'static Row> {
    FEATURES.iter().chain(&OTHERS)
}

pub(super) fn row_at(place: u8) -> &'static Row {
    let place = usize::from(place);
    FEATURES.get(place).unwrap_or_else(|| &OTHERS[place - FEATURES.len()])
}

//! Random changes of a host by other tools; about half of them make sense.

use std::fs;
use std::process::Command;

use proptest::prelude::*;

use super::stage::{Switch, run};

/// Who makes a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Ip,
    Bridge,
    Tc,
    Teamnl,
    Ethtool,
    /// A file, and what is written into it.
    File,
    /// Said to Open vSwitch; it never refuses.
    Switch,
}

/// One change.
pub type Change = (By, String);

/// Makes changes in their order, whatever is said to them. Neighbours by one tool are made by one
/// process where the tool can. How many of `teamnl`'s were done.
pub fn make(changes: &[Change], switch: Option<&Switch>) -> usize {
    let mut teamed = 0;
    for group in changes.chunk_by(|one, other| one.0 == other.0) {
        let lines: Vec<&str> = group.iter().map(|(_, line)| line.as_str()).collect();
        let batch = || lines.join("\n") + "\n";
        let each = |program: &str| {
            let done =
                |line: &&&str| Command::new(program).args(line.split_whitespace()).output().unwrap().status.success();
            lines.iter().filter(done).count()
        };
        match group[0].0 {
            // In a batch there is no `-6` for one line, and rules need it.
            By::Ip => {
                for part in lines.chunk_by(|one, other| one.starts_with("-6 ") == other.starts_with("-6 ")) {
                    let six = if part[0].starts_with("-6 ") { "-6 " } else { "" };
                    let lines: Vec<&str> = part.iter().map(|line| line.trim_start_matches("-6 ")).collect();
                    drop(run("ip", &format!("{six}-force -batch -"), &(lines.join("\n") + "\n")));
                }
            }
            By::Bridge => drop(run("bridge", "-force -batch -", &batch())),
            By::Tc => drop(run("tc", "-force -batch -", &batch())),
            By::Teamnl => teamed += each("teamnl"),
            By::Ethtool => drop(each("ethtool")),
            By::File => lines.iter().for_each(|line| write(line)),
            By::Switch => switch.into_iter().for_each(|switch| switch.change(&lines.join(" -- "))),
        }
    }
    teamed
}

fn write(line: &str) {
    if let Some((path, text)) = line.split_once(' ') {
        let _ = fs::write(path, text);
    }
}

fn dev() -> impl Strategy<Value = String> {
    (0..9_u8).prop_map(|n| format!("d{n}"))
}

fn four() -> impl Strategy<Value = String> {
    (0..3_u8, 1..5_u8).prop_map(|(net, host)| format!("10.0.{net}.{host}"))
}

fn six() -> impl Strategy<Value = String> {
    (0..2_u8, 1..4_u8).prop_map(|(net, host)| format!("2001:db8:{net}::{host}"))
}

fn any_of(words: &'static str) -> impl Strategy<Value = &'static str> {
    prop::sample::select(words.split('|').collect::<Vec<_>>())
}

fn on_off() -> impl Strategy<Value = &'static str> {
    any_of("on|off")
}

/// Some changes of a small host by one tool.
pub fn changes() -> impl Strategy<Value = Vec<Change>> {
    let speeds = || {
        (any_of("10|100|1000"), any_of("half|full"))
            .prop_map(|(speed, duplex)| format!("-s tap0 speed {speed} duplex {duplex} autoneg off"))
    };
    prop_oneof![
        8 => several(By::Ip, || prop_oneof![3 => links(), 2 => layer3()], 10),
        2 => several(By::Bridge, ports, 5),
        2 => several(By::Tc, queues, 5),
        4 => several(By::File, files, 6),
        1 => several(By::Teamnl, teams, 1),
        1 => several(By::Ethtool, speeds, 1),
    ]
}

fn several<S>(by: By, change: fn() -> S, most: usize) -> impl Strategy<Value = Vec<Change>>
where
    S: Strategy<Value = String>,
{
    prop::collection::vec(change().prop_map(move |line| (by, line)), 1..=most)
}

const KINDS: &str = "type bridge|type bridge stp_state 1|type bridge forward_delay 400 mcast_snooping 0\
    |type veth peer name BASE|type veth peer name BASE|type dummy|type dummy|type dummy|type team\
    |type bond|type bond mode active-backup miimon 100|type bond mode 802.3ad miimon 100 lacp_rate fast\
    |type bond mode balance-xor arp_interval 100 arp_ip_target 10.0.0.9|link BASE type vlan id 7\
    |link BASE type vlan id 8|link BASE type vlan proto 802.1ad id 9|link BASE type macvlan mode private\
    |link BASE type macvlan mode bridge|type ifb|type vxlan id 7 dstport 4789 dev BASE";

fn links() -> impl Strategy<Value = String> {
    let bond = "miimon 50|miimon 0|updelay 200|primary BASE|active_slave BASE|xmit_hash_policy layer3+4|min_links 1\
        |arp_interval 200 arp_ip_target 10.0.0.8,10.0.0.7|fail_over_mac active|lacp_rate slow|num_grat_arp 3";
    let bridge = "stp_state 1|stp_state 0|forward_delay 300|priority 4096|vlan_filtering 1|vlan_filtering 0\
        |mcast_snooping 0|mcast_snooping 1|ageing_time 1000|group_fwd_mask 8";
    prop_oneof![
        8 => (dev(), any_of(KINDS), dev()).prop_map(|(it, kind, base)| format!("link add {it} {}", kind.replace("BASE", &base))),
        2 => dev().prop_map(|it| format!("link del {it}")),
        6 => (dev(), any_of("up|up|down")).prop_map(|(it, how)| format!("link set {it} {how}")),
        6 => (dev(), dev()).prop_map(|(it, master)| format!("link set {it} master {master}")),
        2 => (any_of("d1|d2|d3|tap0"), any_of("tm0|d4|d5")).prop_map(|(it, master)| format!("link set {it} master {master}")),
        2 => dev().prop_map(|it| format!("link set {it} nomaster")),
        2 => (dev(), dev()).prop_map(|(it, new)| format!("link set {it} name {new}")),
        2 => (dev(), any_of("1200|1280|1400|1500|9000")).prop_map(|(it, mtu)| format!("link set {it} mtu {mtu}")),
        1 => (dev(), 0..3_u8).prop_map(|(it, group)| format!("link set {it} group {group}")),
        // No two have one address by our doing: of a bond and a slave it refuses, one would change in silence.
        2 => (0..9_u8, 1..5_u8).prop_map(|(it, end)| format!("link set d{it} address 02:00:00:00:0{it}:0{end}")),
        2 => (dev(), on_off()).prop_map(|(it, how)| format!("link set {it} carrier {how}")),
        1 => (dev(), any_of("dormant|default")).prop_map(|(it, mode)| format!("link set {it} mode {mode}")),
        3 => (dev(), any_of(bond), dev()).prop_map(|(it, what, base)| format!("link set {it} type bond {}", what.replace("BASE", &base))),
        3 => (dev(), any_of(bridge)).prop_map(|(it, what)| format!("link set {it} type bridge {what}")),
        1 => (dev(), any_of("private|bridge|vepa")).prop_map(|(it, mode)| format!("link set {it} type macvlan mode {mode}")),
        1 => (any_of("tap0|tap1"), any_of("tap|tap user 4242|tun|tap multi_queue")).prop_map(|(it, mode)| format!("tuntap add {it} mode {mode}")),
        1 => any_of("tap0|tap1").prop_map(|it| format!("link del {it}")),
        1 => (any_of("tap0|tm0"), any_of("up|down")).prop_map(|(it, how)| format!("link set {it} {how}")),
    ]
}

fn layer3() -> impl Strategy<Value = String> {
    let metric = || any_of("| metric 5| metric 6");
    let table = || any_of("|| table 77");
    let verb = || any_of("add|add|replace|append|del");
    let protocol = || any_of("| proto static| proto dhcp| proto bird");
    let more = any_of("|| noprefixroute| metric 9| label d:x| scope link| valid_lft 5000 preferred_lft 4000");
    prop_oneof![
        6 => (dev(), four(), 20..28_u8, more).prop_map(|(it, ip, prefix, more)| {
            format!("addr add {ip}/{prefix} brd + dev {it}{}", more.replace("d:x", &format!("{it}:x")))
        }),
        3 => (dev(), four(), 20..28_u8).prop_map(|(it, ip, prefix)| format!("addr del {ip}/{prefix} dev {it}")),
        2 => (dev(), four(), four()).prop_map(|(it, ip, peer)| format!("addr add {ip} peer {peer} dev {it}")),
        3 => (dev(), six(), any_of(" nodad| nodad| home| nodad noprefixroute|")).prop_map(|(it, ip, more)| format!("addr add {ip}/64 dev {it}{more}")),
        1 => (dev(), six()).prop_map(|(it, ip)| format!("addr del {ip}/64 dev {it}")),
        1 => (dev(), 5..7_u8).prop_map(|(it, n)| format!("addr add fe80::{n}/64 dev {it} nodad")),
        // Without its link-local address IPv6 would be turned off in silence.
        1 => dev().prop_map(|it| format!("addr flush dev {it} scope global")),
        6 => (verb(), any_of("default|10.9.0.0/16|10.8.1.0/24"), four(), metric(), table(), protocol()).prop_map(|(verb, to, via, metric, table, protocol)| {
            // Nobody is told when a routing daemon's route, of which we hear nothing, takes another's place.
            let silent = verb == "replace" && to != "default" && protocol.ends_with("bird");
            let verb = if silent { "add" } else { verb };
            format!("route {verb} {to} via {via}{metric}{table}{protocol}")
        }),
        2 => (verb(), dev(), four(), table(), any_of("| mtu 1300| initcwnd 20")).prop_map(|(verb, it, src, table, more)| {
            format!("route {verb} 10.7.0.0/16 dev {it} src {src}{table}{more}")
        }),
        1 => (verb(), dev(), dev()).prop_map(|(verb, it, other)| format!("route {verb} 10.6.0.0/16 nexthop dev {it} nexthop dev {other}")),
        1 => (verb(), dev()).prop_map(|(verb, it)| format!("route {verb} 10.5.0.0/16 via 192.0.2.7 dev {it} onlink")),
        3 => (verb(), any_of("::/0|2001:db8:9::/48"), six(), metric(), table()).prop_map(|(verb, to, via, metric, table)| {
            format!("route {verb} {to} via {via}{metric}{table}")
        }),
        1 => (verb(), dev(), six()).prop_map(|(verb, it, src)| format!("route {verb} 2001:db8:7::/48 dev {it} src {src}")),
        2 => (any_of("add|del"), 100..103_u16, 0..3_u8, any_of("lookup 77|blackhole|goto 32766|fwmark 1/3 lookup 78")).prop_map(|(verb, priority, net, what)| {
            format!("rule {verb} from 10.0.{net}.0/24 {what} priority {priority}")
        }),
        1 => (any_of("add|del"), dev()).prop_map(|(verb, it)| format!("rule {verb} iif {it} ipproto tcp dport 80 lookup 79")),
        1 => (any_of("add|del"), dev()).prop_map(|(verb, it)| format!("-6 rule {verb} not oif {it} lookup 78")),
    ]
}

fn ports() -> impl Strategy<Value = String> {
    let what = "cost 7|cost 8|priority 9|state 3|state 0|hairpin on|hairpin off|guard on|guard off|root_block on\
        |fastleave on|learning off|learning on|flood off|flood on|mcast_flood off|mcast_to_unicast on|vlan_tunnel on\
        |neigh_suppress on|isolated on|isolated off|locked on";
    prop_oneof![
        4 => (dev(), any_of(what)).prop_map(|(it, what)| format!("link set dev {it} {what}")),
        1 => (dev(), 2..5_u8).prop_map(|(it, tag)| format!("vlan add dev {it} vid {tag}")),
    ]
}

fn queues() -> impl Strategy<Value = String> {
    let what = "add dev D root handle 1: prio|replace dev D root handle 2: htb default 1|del dev D root\
        |add dev D parent 1:1 handle 10: pfifo limit 5|add dev D parent 1:2 handle 20: tbf rate 1mbit burst 10k latency 50ms\
        |replace dev D parent 1:1 handle 11: sfq|del dev D parent 1:1|add dev D clsact|del dev D clsact|add dev D ingress\
        |del dev D ingress|replace dev D root fq_codel|replace dev D root handle 3: hfsc default 1\
        |add dev D parent 10: handle 100: pfifo|change dev D root handle 1: prio bands 4";
    let class = "add dev D parent 2: classid 2:1 htb rate 1mbit|del dev D classid 2:1";
    prop_oneof![
        6 => (dev(), any_of(what)).prop_map(|(it, what)| format!("qdisc {}", what.replace('D', &it))),
        1 => (dev(), any_of(class)).prop_map(|(it, what)| format!("class {}", what.replace('D', &it))),
        1 => dev().prop_map(|it| format!("qdisc add dev {it} parent 2:1 handle 30: pfifo")),
    ]
}

fn files() -> impl Strategy<Value = String> {
    let sys = |what: &'static str| {
        (dev(), any_of(what), dev())
            .prop_map(|(it, what, other)| format!("/sys/class/net/{it}/{}", what.replace("OTHER", &other)))
    };
    let bond = "slaves +OTHER|slaves -OTHER|miimon 200|primary OTHER|active_slave OTHER|queue_id OTHER:5|lacp_rate slow\
        |xmit_hash_policy layer2+3|arp_ip_target +10.0.0.5|arp_ip_target -10.0.0.5|mode 1|mode 4|mode 0|num_grat_arp 7\
        |all_slaves_active 1|fail_over_mac 2";
    let bridge = "stp_state 1|stp_state 0|forward_delay 500|hello_time 300|priority 8192|multicast_snooping 0|group_fwd_mask 16\
        |ageing_time 4000|default_pvid 5";
    let port =
        "hairpin_mode 1|hairpin_mode 0|path_cost 17|priority 5|bpdu_guard 1|learning 0|unicast_flood 0|isolated 1";
    prop_oneof![
        4 => sys(bond).prop_map(|line| inside(&line, "bonding")),
        3 => sys(bridge).prop_map(|line| inside(&line, "bridge")),
        3 => sys(port).prop_map(|line| inside(&line, "brport")),
        1 => sys("mtu 1450|flags 0x1003|ifalias some|carrier 0|carrier 1"),
        2 => (dev(), any_of("disable_ipv6 1|disable_ipv6 0|accept_ra 0|autoconf 0|accept_ra 1")).prop_map(|(it, what)| {
            format!("/proc/sys/net/ipv6/conf/{it}/{what}")
        }),
        1 => (dev(), 0..2_u8).prop_map(|(it, on)| format!("/proc/sys/net/ipv4/conf/{it}/promote_secondaries {on}")),
    ]
}

/// The same file in a folder of the link's.
fn inside(line: &str, folder: &str) -> String {
    let (path, value) = line.split_once(' ').expect("a value");
    let (link, file) = path.rsplit_once('/').expect("a path");
    format!("{link}/{folder}/{file} {value}")
}

fn teams() -> impl Strategy<Value = String> {
    (any_of("tm0|d4|d5"), any_of("setoption mode activebackup|setoption mode roundrobin|setoption activeport 5"))
        .prop_map(|(it, what)| format!("{it} {what}"))
}

/// One change that Open vSwitch is asked for; together they make one transaction.
pub fn switching() -> impl Strategy<Value = Change> {
    let what = prop_oneof![
        2 => any_of("o0|o1").prop_map(|it| format!("--may-exist add-br {it}")),
        1 => any_of("o0|o1").prop_map(|it| format!("--if-exists del-br {it}")),
        4 => dev().prop_map(|it| format!("--may-exist add-br o2 -- --may-exist add-port o2 {it}")),
        3 => dev().prop_map(|it| format!("--if-exists del-port {it}")),
        2 => (0..2_u8).prop_map(|n| format!("--may-exist add-br o2 -- --may-exist add-port o2 oi{n} -- set interface oi{n} type=internal")),
        1 => (0..2_u8).prop_map(|n| format!("--if-exists del-port oi{n}")),
    ];
    what.prop_map(|line| (By::Switch, line))
}

//! The live picture while other tools change the host: it is what a look from outside sees.
//!
//! Random changes are `ip`'s, many of them refused; and the truth is what the kernel's tables say
//! afterwards, held against `ip`'s own view in the end. Needs root and iproute2.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use vdsm_model::bridge_options::BridgeOptions;
use vdsm_model::netinfo::{NetInfo, SeenKind};

use super::beside_ip::{Rule, agrees, differences, in_namespace, ip, name};
use super::{Live, NicRule, Reader};

/// Longer than anything takes; used up only when a promise is broken.
const PATIENCE: Duration = Duration::from_secs(20);

/// Many lines for `ip`, whatever it says to some of them. In a batch there is no `-6` for one line,
/// and rules need it.
fn batch(lines: &[String]) {
    for part in lines.chunk_by(|one, other| one.starts_with("-6 ") == other.starts_with("-6 ")) {
        let family = part[0].starts_with("-6 ").then_some("-6");
        let lines: Vec<&str> = part.iter().map(|line| line.trim_start_matches("-6 ")).collect();
        batch_of(family, &lines);
    }
}

fn batch_of(family: Option<&str>, lines: &[&str]) {
    let mut ip = Command::new("ip")
        .args(family)
        .args(["-force", "-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    ip.stdin.take().unwrap().write_all((lines.join("\n") + "\n").as_bytes()).unwrap();
    ip.wait().unwrap();
}

/// One change of a small host; about half of them make sense.
fn change() -> impl Strategy<Value = String> {
    let dev = || (0..8_u8).prop_map(|n| format!("d{n}"));
    let four = || (0..3_u8, 1..5_u8).prop_map(|(net, host)| format!("10.0.{net}.{host}"));
    let six = || (0..2_u8, 1..4_u8).prop_map(|(net, host)| format!("2001:db8:{net}::{host}"));
    let kind = prop::sample::select(KINDS);
    let metric = || prop::sample::select(vec!["", " metric 5", " metric 6"]);
    let verb = || prop::sample::select(vec!["add", "add", "replace", "append", "del"]);
    let table = || prop::sample::select(vec!["", " table 77"]);
    let protocol = || prop::sample::select(vec!["", " proto static", " proto dhcp", " proto bird"]);
    let to = prop::sample::select(vec!["default", "10.9.0.0/16", "10.8.1.0/24"]);
    let to6 = prop::sample::select(vec!["::/0", "2001:db8:9::/48"]);
    let nowhere = prop::sample::select(vec!["default", "10.9.0.0/16", "::/0", "2001:db8:9::/48"]);
    let fate = prop::sample::select(vec!["unreachable", "blackhole", "prohibit", "throw"]);
    prop_oneof![
        4 => (dev(), kind, dev()).prop_map(|(it, kind, other)| format!("link add {it} {}", kind.replace("BASE", &other))),
        2 => dev().prop_map(|it| format!("link del {it}")),
        6 => (dev(), any::<bool>()).prop_map(|(it, up)| format!("link set {it} {}", if up { "up" } else { "down" })),
        4 => (dev(), dev()).prop_map(|(it, master)| format!("link set {it} master {master}")),
        2 => dev().prop_map(|it| format!("link set {it} nomaster")),
        2 => (dev(), dev()).prop_map(|(it, new)| format!("link set {it} name {new}")),
        2 => (dev(), 1000..2000_u16).prop_map(|(it, mtu)| format!("link set {it} mtu {mtu}")),
        1 => (dev(), 0..3_u8).prop_map(|(it, group)| format!("link set {it} group {group}")),
        1 => (dev(), 1..5_u8).prop_map(|(it, end)| format!("link set {it} address 02:00:00:00:00:0{end}")),
        1 => (dev(), any::<bool>()).prop_map(|(it, on)| format!("link set {it} type bridge_slave hairpin {}", if on { "on" } else { "off" })),
        1 => (dev(), any::<bool>()).prop_map(|(it, on)| format!("link set {it} type bridge stp_state {}", u8::from(on))),
        6 => (dev(), four(), 20..28_u8).prop_map(|(it, ip, prefix)| format!("addr add {ip}/{prefix} brd + dev {it}")),
        3 => (dev(), four(), 20..28_u8).prop_map(|(it, ip, prefix)| format!("addr del {ip}/{prefix} dev {it}")),
        3 => (dev(), six()).prop_map(|(it, ip)| format!("addr add {ip}/64 dev {it} nodad")),
        1 => (dev(), six()).prop_map(|(it, ip)| format!("addr del {ip}/64 dev {it}")),
        1 => dev().prop_map(|it| format!("addr flush dev {it}")),
        6 => (verb(), to, four(), metric(), table(), protocol()).prop_map(|(verb, to, via, metric, table, protocol)| {
            // Nobody is told when a routing daemon's route, of which we hear nothing, takes another's place.
            let silent = verb == "replace" && to != "default" && protocol.ends_with("bird");
            let verb = if silent { "add" } else { verb };
            format!("route {verb} {to} via {via}{metric}{table}{protocol}")
        }),
        2 => (verb(), dev(), four(), table()).prop_map(|(verb, it, src, table)| {
            format!("route {verb} 10.7.0.0/16 dev {it} src {src}{table}")
        }),
        3 => (verb(), to6, six(), metric(), table()).prop_map(|(verb, to, via, metric, table)| {
            format!("route {verb} {to} via {via}{metric}{table}")
        }),
        3 => (verb(), fate, nowhere, metric(), table()).prop_map(|(verb, fate, to, metric, table)| {
            format!("route {verb} {fate} {to}{metric}{table}")
        }),
        1 => (verb(), dev(), six()).prop_map(|(verb, it, src)| format!("route {verb} 2001:db8:7::/48 dev {it} src {src}")),
        2 => (any::<bool>(), 100..103_u16, 0..3_u8).prop_map(|(add, priority, net)| {
            format!("rule {} from 10.0.{net}.0/24 lookup 77 priority {priority}", if add { "add" } else { "del" })
        }),
        1 => (any::<bool>(), dev()).prop_map(|(add, it)| format!("-6 rule {} iif {it} lookup 78", if add { "add" } else { "del" })),
    ]
}

/// What every kernel of ours has; `tests/netns/full/picture` has the rest.
const KINDS: &[&str] = &["type bridge", "type bridge", "type veth peer name BASE", "type veth", "type ifb"];
#[test]
fn random_changes_by_others_are_followed() {
    in_namespace(|| {
        ip("link set lo up");
        let mut reader = Reader::open(PATIENCE).unwrap();
        let (live, _watching) = Live::open(Rule, PATIENCE, None).unwrap();
        let seed = std::env::var("SEED").map_or(1, |s| s.parse().unwrap());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
        let mut runner = TestRunner::new_with_rng(Config::default(), rng);
        let changes = prop::collection::vec(change(), 1..25);
        let mut done: Vec<String> = Vec::new();
        let (mut routed, mut ruled, mut nowhere) = (0, 0, 0);
        for _ in 0..60 {
            let lines = changes.new_tree(&mut runner).unwrap().current();
            batch(&lines);
            done.extend(lines);
            let from = done.len().saturating_sub(60);
            same(&live, &mut reader, &done[from..].join("\n"));
            let now = live.latest();
            routed += now.links().flat_map(|link| &link.routes).filter(|it| it.to.addr.is_ipv6()).count();
            nowhere += now.link(&name("lo")).unwrap().routes.len();
            ruled += now.rules().filter(|rule| rule.v6 && rule.table == 78).count();
        }
        assert!(routed > 0 && ruled > 0 && nowhere > 0, "IPv6, too");
        // Of what is up, everything is told.
        batch(&(0..8).map(|n| format!("link set d{n} up")).collect::<Vec<_>>());
        same(&live, &mut reader, "all up");
        // A carrier is seen up to a second later.
        let agrees = || catch_unwind(AssertUnwindSafe(|| agrees(as_told(&live.settled().unwrap()))));
        let end = Instant::now() + PATIENCE;
        while let Err(panic) = agrees() {
            assert!(Instant::now() < end, "{panic:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
        assert_eq!(live.readings(), 1, "nothing was lost, and nothing read anew");
    });
}

#[test]
fn among_a_full_table_events_tell_of_routes_and_nobody_looks_for_them() {
    in_namespace(|| {
        ip("link set lo up");
        batch(&["link add d0 type ifb", "link set d0 up", "addr add 10.0.0.1/24 dev d0"].map(str::to_owned));
        let mut asked = Vec::new();
        for crowd in [100, 10_100_u32] {
            let bird = |n: u32| format!("route add 11.0.{}.{}/32 via 10.0.0.2 proto bird", n >> 8, n & 255);
            batch(&(0..crowd).map(bird).collect::<Vec<_>>());
            let (live, _watching) = Live::open(Rule, PATIENCE, None).unwrap();
            batch(&["route add 10.9.0.0/16 via 10.0.0.3", "route add 2001:db8::/32 dev d0"].map(str::to_owned));
            let before = live.questions();
            let seen = live.refreshed(&[name("d0")].into()).unwrap();
            asked.push(live.questions() - before);
            let truth = Reader::open(PATIENCE).unwrap().look(&Rule).unwrap();
            assert_eq!(differences(&seen, &truth), "");
            assert_eq!(seen.link(&name("d0")).unwrap().routes.len(), 2, "those of a daemon are not kept");
            batch(&["route del 10.9.0.0/16", "route del 2001:db8::/32", "link set d0 down"].map(str::to_owned));
            let seen = live.refreshed(&[name("d0")].into()).unwrap();
            assert!(seen.link(&name("d0")).unwrap().routes.is_empty(), "there are none through a link that is down");
            ip("link set d0 up");
        }
        assert_eq!(asked[1] + 1, asked[0], "one question less");
    });
}

/// Without what the kernel tells nobody: changes of a group, of a bridge's options and of a port's
/// switches, while the link is down (net/core/dev.c, netdev_state_change), and IPv6 addresses
/// without duplicate detection until it runs (net/ipv6/addrconf.c, addrconf_dad_begin).
fn as_told(host: &NetInfo) -> NetInfo {
    let told = host.links().cloned().map(|mut link| {
        if !link.running {
            link.addresses.retain(|address| address.ip.addr.is_ipv4());
        }
        if !link.up {
            link.group = 0;
            Arc::make_mut(&mut link.details).port = None;
            if let SeenKind::Bridge { options, .. } = &mut link.kind {
                *options = BridgeOptions::default();
            }
        }
        (link.name, Some(link))
    });
    host.clone().with(told.collect::<Vec<_>>())
}

/// The picture is the truth. The kernel does some things a moment later (it sees a carrier, it is
/// done with duplicate addresses), so one that differs has another chance.
fn same(live: &Live, reader: &mut Reader, when: &str) {
    let end = Instant::now() + PATIENCE;
    loop {
        let seen = live.settled().unwrap();
        let truth = reader.look(&Rule).unwrap();
        let differs = differences(&as_told(&seen), &as_told(&truth));
        if differs.is_empty() {
            return;
        }
        assert!(Instant::now() < end, "{when}\n{differs}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_burst_beyond_the_sockets_room_ends_in_the_right_picture() {
    in_namespace(|| {
        let mut reader = Reader::open(PATIENCE).unwrap();
        let (live, _watching) = Live::open(Rule, PATIENCE, Some(32 << 10)).unwrap();
        for round in 0..3 {
            let line = |n: usize| format!("link add b{n} group {} type ifb", 7 + n % 20 / 19);
            batch(&(0..2000).map(line).collect::<Vec<_>>());
            ip("link del group 7");
            if round < 2 {
                ip("link del group 8");
            }
        }
        same(&live, &mut reader, "after the burst");
        assert_eq!(live.settled().unwrap().count(), 101);
        assert!(live.readings() > 1, "nothing was lost, so that nothing was tested");
        // And it hears on.
        ip("link add late type bridge");
        assert!(live.latest().link(&name("late")).is_some());
    });
}

#[test]
fn a_full_table_of_others_is_not_kept() {
    in_namespace(|| {
        ip("link add nic type veth peer name end\nlink set nic up\nlink set end up\naddr add 10.0.0.1/24 dev nic");
        let routes = |from: usize, to: usize, protocol: &str| {
            let line =
                |n: usize| format!("route add 10.{}.{}.0/24 via 10.0.0.2 proto {protocol}", 100 + n / 256, n % 256);
            (from..to).map(line).collect::<Vec<_>>()
        };
        batch(&routes(0, 3000, "static"));
        let (live, _watching) = Live::open(Rule, PATIENCE, None).unwrap();
        let kept = || {
            let seen = live.settled().unwrap();
            let link = seen.link(&name("nic")).unwrap().clone();
            (link.many_routes, link.routes.len())
        };
        assert_eq!(kept(), (true, 0), "of a look");
        ip("route add default via 10.0.0.254");
        assert_eq!(kept(), (true, 1), "default routes are");
        assert_eq!(live.all_routes(&[name("nic")]).unwrap()[0].1.len(), 3001);
        ip("route flush proto static");
        live.reread().unwrap();
        assert_eq!(kept(), (false, 1));
        batch(&routes(0, 3000, "static"));
        assert_eq!(kept(), (true, 1), "of events");
        ip("route flush proto static");
        live.reread().unwrap();
        batch(&routes(0, 3000, "bird"));
        assert_eq!(kept(), (false, 1), "a routing daemon's are none of ours");
        assert_eq!(live.all_routes(&[name("nic")]).unwrap()[0].1.len(), 1);
    });
}

#[test]
fn an_old_moment_stays_what_it_was() {
    in_namespace(|| {
        ip("link add br0 type bridge");
        let (live, _watching) = Live::open(Rule, PATIENCE, None).unwrap();
        assert!(live.news(Duration::ZERO).0.is_none(), "what was there before is no news");
        let then = live.latest();
        ip("link set br0 mtu 1400\nlink add br1 type bridge");
        let now = live.latest();
        let mtu = |host: &NetInfo| host.link(&name("br0")).unwrap().mtu.get();
        assert_eq!((mtu(&then), then.count(), mtu(&now), now.count()), (1500, 2, 1400, 3));
        let (moment, more) = live.news(PATIENCE);
        let moment = moment.unwrap();
        assert!(more && moment.links.contains(&name("br1")));
        assert_eq!(moment.before.count(), 2, "what was there before anybody looked is no news");
    });
}

#[test]
fn the_picture_stands_still_while_much_is_changed_and_is_right_afterwards() {
    in_namespace(|| {
        ip("link add br0 type bridge");
        let mut reader = Reader::open(PATIENCE).unwrap();
        let (live, _watching) = Live::open(Rule, PATIENCE, None).unwrap();
        for (steps, stands) in [(1000, true), (2, false)] {
            let before = live.latest().count();
            let held = live.hold(steps);
            ip(&format!("link add new{steps} type bridge"));
            // Of a small change, whoever looks sees it at once.
            assert_eq!(live.latest().count(), before + usize::from(!stands), "{steps}");
            drop(held);
            same(&live, &mut reader, "afterwards");
            // Who looks at what was changed need not wait for the end.
            let _held = live.hold(steps);
            ip(&format!("link set new{steps} mtu 1400"));
            let seen = live.refreshed(&[name(&format!("new{steps}"))].into()).unwrap();
            assert_eq!(seen.link(&name(&format!("new{steps}"))).unwrap().mtu.get(), 1400);
        }
        ip("link del new2");
        assert!(live.latest().link(&name("new2")).is_none(), "it hears again");
    });
}

#[test]
fn it_ends_when_nobody_watches() {
    in_namespace(|| {
        let (live, watching) = Live::open(Rule, PATIENCE, None).unwrap();
        drop(watching);
        live.news(Duration::ZERO);
        assert!(matches!(live.news(PATIENCE), (None, false)));
    });
}

/// Stops whoever takes an event of a link called `gate`, until it is let go.
struct Gate(Mutex<(Sender<()>, Receiver<()>)>);

impl NicRule for Gate {
    fn is_fake(&self, name: &str) -> bool {
        if name == "gate" {
            let gate = self.0.lock().unwrap();
            gate.0.send(()).unwrap();
            // An error is the test's end.
            let _ = gate.1.recv();
        }
        false
    }

    fn is_hidden(&self, _: &str) -> bool {
        false
    }
}

#[test]
fn a_reader_waits_a_few_pauses_however_long_one_lasts() {
    use std::sync::TryLockError;
    let long = || std::thread::sleep(Duration::from_millis(10));
    let mut left = 3;
    let kept = super::live::patiently(
        || {
            left -= 1;
            if left == 0 { Ok(7) } else { Err(TryLockError::WouldBlock) }
        },
        long,
    );
    assert_eq!(kept, Some(7));
    let mut attempts = 0;
    let kept: Option<()> = super::live::patiently(
        || {
            attempts += 1;
            Err(TryLockError::WouldBlock)
        },
        || {},
    );
    assert_eq!((kept, attempts), (None, super::live::A_FEW));
}

#[test]
fn a_reader_does_not_wait_for_who_takes_events() {
    in_namespace(|| {
        let ((stopped, is_stopped), (let_go, may)) = (channel(), channel());
        let (live, _watching) = Live::open(Gate(Mutex::new((stopped, may))), PATIENCE, None).unwrap();
        let before = live.latest().count();
        ip("link add gate type ifb");
        is_stopped.recv_timeout(PATIENCE).unwrap();
        let (reader, (told, is_told)) = (Arc::clone(&live), channel());
        std::thread::spawn(move || told.send(reader.latest().count()));
        let read = is_told.recv_timeout(PATIENCE);
        // Each time it is asked of that link from now on, it is let go at once.
        drop(let_go);
        assert_eq!(read, Ok(before), "what was there before");
        assert!(live.settled().unwrap().link(&name("gate")).is_some());
    });
}

#[test]
fn where_a_group_has_lost_something_all_are_asked() {
    use vdsm_netlink::generic::{Drained as Group, GenericError};

    let all = || [7, 8, 9].into();
    let drained = |how: Result<Group, GenericError>| {
        super::live::changed(
            |each| {
                each(7);
                each(7);
                how
            },
            all,
        )
    };
    assert_eq!(drained(Ok(Group::Empty)), [7].into());
    assert_eq!(drained(Ok(Group::Lost)), [7, 8, 9].into());
    assert_eq!(drained(Err(GenericError::Malformed)), [7].into(), "what was told before counts");
}

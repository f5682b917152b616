//! Routes of others in the place of ours: what routers announce, what leads nowhere, what a nexthop object
//! leads, what stands in our tables, and what goes over several next hops or stands beside another.

use std::process::Command;

use serde_json::{Value, json};

use crate::beyond::server::{Announce, Offers, Server};
use crate::ears::until;
use crate::lab::{Lab, Nics::Veth, story, story_needing};
use crate::look::{Look, assert_same, without_indexes};
use crate::monitor::changes;

const V4: &str = "addr add 192.0.2.1/24 dev veth_1\naddr add 198.51.100.1/24 dev veth_2\n";

fn red(v6: bool) -> Value {
    let mut net = json!({ "nic": "veth_0", "defaultRoute": true });
    let more = match v6 {
        true => json!({ "ipv6addr": "fd00::1/64", "ipv6gateway": "fd00::fffe" }),
        false => json!({ "ipaddr": "10.0.0.1", "prefix": 24, "gateway": "10.0.0.254" }),
    };
    net.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    net
}

/// What the kernel told of default routes of the main table; none went when one took its place.
fn told(act: impl FnOnce()) -> Vec<String> {
    let all = changes(act).into_iter();
    all.filter(|it| it.contains(" route default") && it.ends_with("in table 254")).collect()
}

/// All default routes as `ip` tells them.
fn shown() -> String {
    let of =
        |family: &str| Command::new("ip").args(["-d", family, "route", "show", "default"]).output().unwrap().stdout;
    String::from_utf8([of("-4"), of("-6")].concat()).unwrap()
}

/// The same but for how long they last, and for the hop limit: what a router says of that holds for its
/// link, too.
fn spelled() -> String {
    let text = shown();
    let words: Vec<&str> = text.split_whitespace().collect();
    let is_of = |at: usize, word: &str| words[at] == word || at > 0 && words[at - 1] == word;
    let lasting = (0..words.len()).filter(|at| !is_of(*at, "expires") && !is_of(*at, "hoplimit"));
    lasting.map(|at| words[at]).collect::<Vec<_>>().join(" ")
}

/// Fails after the default route has moved: the gateway of another one is out of reach.
fn fails(lab: &mut Lab, v6: bool) {
    let bad = json!({ "nic": "veth_2", "ipaddr": "10.9.0.1", "prefix": 24, "gateway": "10.5.0.254" });
    lab.expect_error(29, json!({ "networks": { "red": red(v6), "zz": bad } }));
}

#[test]
fn a_default_route_through_a_tunnel_gives_way_and_comes_back() {
    story(Veth, 3, |lab| {
        lab.ip("tuntap add stun mode tun\nlink set stun up\nroute add default dev stun\n");
        let state = || (shown(), Look::now().text(Some(&["stun"])));
        let before = state();
        assert!(before.0.contains("dev stun"), "{before:?}");
        fails(lab, false);
        assert_eq!(state(), before);
        let told = told(|| {
            lab.nets(json!({ "red": red(false) }));
        });
        assert_eq!(told.len(), 1, "ours takes its place: {told:?}");
        assert!(shown().contains("via 10.0.0.254 dev red") && !shown().contains("stun"), "{}", shown());
        lab.ip("route replace default dev stun\n");
        let checked = lab.call("Host.healNetworks", json!({})).unwrap();
        assert_eq!((shown().contains("dev red"), shown().contains("stun")), (true, false), "{checked}");
        assert_eq!(Look::now().mtu("stun"), 1500, "it is there");
    });
}

#[test]
fn a_default_route_that_a_router_announced_to_others_gives_way() {
    story(Veth, 3, |lab| {
        // Nobody is there to announce it again.
        lab.ip("route add default via fe80::77 dev veth_1 proto ra metric 1024 expires 600 mtu 1400\n");
        let before = spelled();
        let (come, back) = (
            "+ route default via fd00::fffe by red in table 254",
            "+ route default via fe80::77 by veth_1 in table 254",
        );
        // The bridge is gone by then, and so is its name.
        let undone = told(|| fails(lab, true)).join("\n").replace(" by  ", " by red ");
        assert_eq!(undone, [come, back].join("\n"), "never without");
        assert_eq!(spelled(), before);
        assert!(!shown().contains(" expires "), "an announcement would end it at once");
        assert_eq!(told(|| assert!(lab.nets(json!({ "red": red(true) })))), [come]);
        assert_eq!(Look::now().default_routes(), ["fd00::fffe red"]);
        assert!(!lab.nets(json!({ "red": red(true) })));
    });
}

#[test]
fn a_real_router_of_others_gives_way_and_is_heard_again_after_a_rollback() {
    story_needing(&["dnsmasq"], Veth, 3, |lab| {
        let mut server = Server::behind(1);
        server.start(&Offers { announce: Announce::Prefix, v6: Some(0x100..=0x1ff), lease: 120, ..Offers::default() });
        until("a router", |look| look.default_routes().iter().any(|it| it.ends_with(" veth_1")));
        let before = spelled();
        let moves = told(|| fails(lab, true));
        assert!(moves.iter().all(|it| it.starts_with('+')), "{moves:?}");
        assert_eq!(spelled(), before);
        let moves = told(|| assert!(lab.nets(json!({ "red": red(true) }))));
        assert_eq!(moves, ["+ route default via fd00::fffe by red in table 254"]);
    });
}

#[test]
fn from_one_that_hears_routers_to_a_static_gateway_there_is_always_one() {
    story_needing(&["dnsmasq"], Veth, 2, |lab| {
        let mut server = Server::behind(1);
        server.start(&Offers { announce: Announce::Prefix, v6: Some(0x100..=0x1ff), lease: 120, ..Offers::default() });
        let slaac = |default: bool| json!({ "nic": "veth_1", "ipv6autoconf": true, "defaultRoute": default });
        let mut still = red(true);
        still["defaultRoute"] = json!(false);
        lab.nets(json!({ "red": still, "slaac": slaac(true) }));
        until("a router", |look| look.default_routes().iter().any(|it| it.ends_with(" slaac")));
        let moves = told(|| assert!(lab.nets(json!({ "red": red(true) }))));
        assert_eq!(moves, ["+ route default via fd00::fffe by red in table 254"]);
        assert_eq!(Look::now().default_routes(), ["fd00::fffe red"]);
    });
}

/// What others have put where ours goes, how the answer's warning names it, and how a check does.
const IN_THE_WAY: [(&str, &str, &str); 12] = [
    ("route add unreachable default\n", "'unreachable default'", "default route"),
    ("route add blackhole default proto static mtu 1400\n", "'blackhole default'", "default route"),
    ("route add prohibit default\n", "'prohibit default'", "default route"),
    ("route add throw default\n", "'throw default'", "default route"),
    ("route add unreachable ::/0 metric 1024\n", "'unreachable default'", "default route"),
    ("route add prohibit ::/0 metric 1024 proto static\n", "'prohibit default'", "default route"),
    ("nexthop add id 77 via 192.0.2.254 dev veth_1\nroute add default nhid 77\n", "that of veth_1", "default route"),
    ("nexthop add id 78 blackhole\nroute add default nhid 78\n", "'default nhid 78'", "default route"),
    (
        "route add default via 192.0.2.254 dev veth_1 table 167772161\n",
        "'default via 192.0.2.254 table 167772161 on veth_1'",
        "source routing",
    ),
    ("route add unreachable default table 167772161\n", "'unreachable default table 167772161'", "source routing"),
    ("route add 10.0.0.0/24 dev veth_1 table 167772161\n", "'10.0.0.0/24 table 167772161 on veth_1'", "source routing"),
    ("route add blackhole 10.0.0.0/24 table 167772161\n", "'blackhole 10.0.0.0/24 table 167772161'", "source routing"),
];

/// With gateways of both families.
fn dual() -> Value {
    let mut net = red(false);
    net.as_object_mut().unwrap().extend(red(true).as_object().unwrap().clone());
    net
}

#[test]
fn what_leads_nowhere_or_stands_in_our_tables_gives_way_and_comes_back() {
    for (add, name, _) in IN_THE_WAY {
        story(Veth, 3, move |lab| {
            lab.ip(V4);
            lab.ip(add);
            let before = Look::now().text(None);
            // It fails after the route has moved.
            let bad = json!({ "nic": "veth_2", "ipaddr": "10.9.0.1", "prefix": 24, "gateway": "10.5.0.254" });
            let moves = told(|| drop(lab.expect_error(29, json!({ "networks": { "red": dual(), "zz": bad } }))));
            assert_same(&without_indexes(&before), &without_indexes(&Look::now().text(None)), add);
            // Each family's comes, and one of them was another's before and is again; the other goes.
            let gone = moves.iter().filter(|it| it.starts_with('-')).count();
            assert!(gone <= 1 + usize::from(name.contains("table")), "{add}: {moves:?}");
            let answer = lab.request(json!({ "networks": { "red": dual() } })).unwrap();
            assert!(answer["warnings"].to_string().contains(name), "{add}: {answer}");
            assert_eq!(Look::now().default_routes(), ["10.0.0.254 red", "fd00::fffe red"], "{add}");
            assert_eq!(Look::now().source_routes(), OURS, "{add}");
            lab.again(json!({ "red": dual() }), json!({}));
        });
    }
}

const OURS: [&str; 2] = ["10.0.0.0/24 via - of red, table 167772161", "default via 10.0.0.254 of red, table 167772161"];

#[test]
fn what_has_taken_the_place_of_ours_is_told_in_words_and_healed() {
    for (add, name, whose) in IN_THE_WAY {
        story(Veth, 3, move |lab| {
            lab.ip(V4);
            lab.nets(json!({ "red": dual() }));
            let before = Look::now().text(None);
            lab.ip(&add.replace("route add", "route replace"));
            let checked = lab.call("Host.checkNetworks", json!({})).unwrap();
            let words = name.replace("that of veth_1", "default nhid 77 on veth_1").replace('\'', "");
            let expected = format!("{words} is in the way of its {whose}");
            assert!(checked["networks"]["red"].to_string().contains(&expected), "{add}: {checked}");
            lab.call("Host.healNetworks", json!({})).unwrap();
            assert_same(&before, &Look::now().text(None), add);
            assert_eq!(lab.call("Host.checkNetworks", json!({})).unwrap()["in_sync"], true);
        });
    }
}

#[test]
fn a_restore_at_boot_comes_up_in_spite_of_them() {
    story(Veth, 3, |lab| {
        lab.nets(json!({ "red": dual() }));
        lab.set_safe();
        lab.reboot();
        lab.ip(V4);
        for (add, ..) in [0, 4, 8, 11].map(|at| IN_THE_WAY[at]) {
            lab.ip(add);
        }
        let told = lab.restore(false);
        assert_eq!((&told["restored"], &told["failed"]), (&json!(true), &json!([])), "{told}");
        assert_eq!(Look::now().default_routes(), ["10.0.0.254 red", "fd00::fffe red"]);
        assert_eq!(Look::now().source_routes(), OURS);
    });
}

#[test]
fn a_nexthop_object_of_which_the_kernel_tells_its_number_alone_gives_way_and_comes_back() {
    for next in [
        "nexthop add id 77 via 192.0.2.254 dev veth_1\n",
        "nexthop add id 76 via 192.0.2.254 dev veth_1\nnexthop add id 77 group 76\n",
    ] {
        story(Veth, 3, move |lab| {
            std::fs::write("/proc/sys/net/ipv4/nexthop_compat_mode", "0").unwrap();
            lab.ip(V4);
            lab.ip(&format!("{next}route add default nhid 77\n"));
            let before = shown();
            assert!(before.contains("nhid 77"), "{before}");
            fails(lab, false);
            assert_eq!(shown(), before);
            assert!(lab.nets(json!({ "red": red(false) })));
            assert!(shown().contains("via 10.0.0.254 dev red") && !shown().contains("nhid"), "{}", shown());
        });
    }
}

#[test]
fn what_could_not_be_put_back_is_not_taken() {
    let both = "default via 192.0.2.254 on veth_1' and 'default via 198.51.100.254 on veth_2";
    let both6 = "default via fe80::1 on veth_1' and 'default via fe80::2 on veth_2";
    let cases = [
        // Over several next hops.
        (
            false,
            both,
            "route add default nexthop via 192.0.2.254 dev veth_1 nexthop via 198.51.100.254 dev veth_2 weight 3\n",
            "route del default\n",
        ),
        // One beside another.
        (
            false,
            both,
            "route add default via 192.0.2.254 dev veth_1\nroute append default via 198.51.100.254 dev veth_2\n",
            "route del default via 198.51.100.254 dev veth_2\n",
        ),
        // One that leads nowhere is one of several, too.
        (
            false,
            "unreachable default' and 'default via 192.0.2.254 on veth_1",
            "route add default via 192.0.2.254 dev veth_1\nroute append unreachable default\n",
            "route del default\nroute del unreachable default\n",
        ),
        // In a table of ours.
        (
            false,
            "unreachable default table 167772161' and 'default via 198.51.100.254 table 167772161 on veth_2",
            "route add unreachable default table 167772161\nroute append default via 198.51.100.254 dev veth_2 table 167772161\n",
            "route flush table 167772161\n",
        ),
        // IPv6 makes several next hops of that.
        (
            true,
            both6,
            "route add default via fe80::1 dev veth_1\nroute append default via fe80::2 dev veth_2\n",
            "route del default via fe80::1 dev veth_1\n",
        ),
    ];
    for (v6, names, add, del) in cases {
        story(Veth, 3, move |lab| {
            lab.ip(V4);
            lab.ip(add);
            let before = Look::now().text(None);
            let error = lab.refused(21, json!({ "red": red(v6) }), json!({}));
            let expected = format!(
                "network 'red': a route would change in a place that has '{names}', which could not be put back as they are; leave it one at most, with one gateway"
            );
            assert_eq!(error.data.as_ref().unwrap()["problems"][0]["message"], expected);
            assert_eq!(Look::now().text(None), before);
            // One is left at most, and the picture of the host knows that from an event.
            lab.ip(del);
            let left = Look::now().default_routes().len();
            let come =
                format!("+ route default via {} by red in table 254", if v6 { "fd00::fffe" } else { "10.0.0.254" });
            assert_eq!(told(|| assert!(lab.nets(json!({ "red": red(v6) })))), [come]);
            assert!(left <= 1 && Look::now().default_routes().len() == 1);
        });
    }
}

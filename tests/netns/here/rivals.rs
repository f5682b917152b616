//! Default routes of others in the place of ours: what routers announce, and what goes over several
//! next hops or stands beside another.

use std::process::Command;

use serde_json::{Value, json};

use crate::beyond::server::{Announce, Offers, Server};
use crate::ears::until;
use crate::lab::{Lab, Nics::Veth, story, story_needing};
use crate::look::Look;
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
                "network 'red': a default route would change in a place that has '{names}', which could not be put back as they are; leave it one at most, with one gateway"
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

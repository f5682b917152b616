//! Drift: each kind of difference in its exact words, whom it is told, and what is no difference.
//!
//! That a check is in sync exactly when re-applying would do nothing is shown in `laws.rs`.

mod concerned;
mod cost;
mod drift;
mod laws;
mod meddling;
mod parts;
mod strangers;

use serde_json::{Value, json};
use vdsm_configurators::iproute2::{Action, LinkChange};
use vdsm_model::bond_options::BondOptions;
use vdsm_model::bridge_options::BridgeOptions;
use vdsm_model::device::Adverts;
use vdsm_model::ip::{Address, Route};
use vdsm_model::netinfo::SeenKind;
use vdsm_net::check::{Checked, Difference, State, Verdict, check};
use vdsm_net::transaction::Transaction;

use crate::world::{World, dev, net};

const CLEAN: [&str; 0] = [];

impl World {
    pub(super) fn check(&self) -> Checked {
        check(&self.running, &self.sim.look(), &self.policy, None)
    }

    /// What the check says of a network or bond, in its order.
    pub(super) fn said(&self, name: &str) -> Vec<String> {
        texts(verdict(&self.check(), name))
    }

    pub(super) fn heal(&mut self) {
        let request = self.check().request;
        Transaction::plan(&mut self.host, &self.running, &request, &self.policy)
            .and_then(|planned| planned.apply())
            .and_then(|applied| applied.confirm(None, |_, _| Ok(())))
            .and_then(|confirmed| confirmed.commit(|_| Ok(())))
            .unwrap_or_else(|e| panic!("{}", vdsm_net::transaction::chain(&e)));
        assert_eq!(self.check().to_json()["networks"], World::clean(&self.check()));
        assert!(self.check().in_sync());
    }

    fn clean(checked: &Checked) -> Value {
        checked
            .networks
            .keys()
            .map(|name| (name.to_string(), json!({ "state": "in_sync", "differences": [] })))
            .collect()
    }

    fn leave(&mut self, port: &str) {
        self.change(port, LinkChange { master: Some(None), ..LinkChange::default() });
    }

    fn enter(&mut self, port: &str, master: &str) {
        self.change(port, LinkChange { master: Some(Some(dev(master))), ..LinkChange::default() });
    }

    fn delete(&mut self, name: &str) {
        self.act(Action::DelLink { name: dev(name) });
    }

    /// Somebody sets a bond's options to these.
    fn set_bond(&mut self, name: &str, options: &str) {
        let SeenKind::Bond { options: now, .. } = self.link(name).kind else { panic!("{name} is no bond") };
        for change in now.changes(&BondOptions::parse(options).unwrap()) {
            self.act(Action::SetBond { name: dev(name), change });
        }
    }

    fn set_bridge(&mut self, name: &str, options: &str) {
        let SeenKind::Bridge { options: now, .. } = self.link(name).kind else { panic!("{name} is no bridge") };
        for change in BridgeOptions::parse(options).unwrap().changes_from(&now) {
            self.act(Action::SetBridge { name: dev(name), change });
        }
    }

    fn drop_address(&mut self, device: &str, address: &str) {
        let (addr, prefix) = address.split_once('/').unwrap();
        let address = Address::new(addr.parse().unwrap(), prefix.parse().unwrap());
        self.act(Action::DelAddress { device: dev(device), address });
    }
}

pub(super) fn verdict<'a>(checked: &'a Checked, name: &str) -> &'a Verdict {
    let network = checked.networks.get(&net(name));
    network.or_else(|| checked.bonds.get(&dev(name))).unwrap_or_else(|| panic!("{name} was not looked at"))
}

pub(super) fn texts(verdict: &Verdict) -> Vec<String> {
    verdict.differences.iter().map(|d| d.text.clone()).collect()
}

/// A bridged network over a VLAN, a bridgeless one, and a bond with two slaves.
fn world() -> World {
    World::with(
        json!({
            "net1": { "bonding": "bond0", "vlan": 100, "mtu": 1500, "stp": false, "ipv6addr": "fd00::1/64" },
            "plain": { "nic": "dummy_2", "bridged": false, "ipaddr": "192.0.2.9", "prefix": 24, "gateway": "192.0.2.1", "defaultRoute": true },
        }),
        json!({ "bond0": { "nics": ["dummy_0", "dummy_1"], "options": "mode=1 miimon=100", "hwaddr": "52:54:00:aa:bb:01" } }),
    )
}

// ---- One difference, one sentence; and each can be healed.

#[track_caller]
fn says<const N: usize>(name: &str, drift: impl FnOnce(&mut World), expected: [&str; N]) {
    let mut world = world();
    assert!(world.check().in_sync());
    drift(&mut world);
    assert_eq!(world.said(name), expected);
    world.heal();
}

#[test]
fn an_mtu_is_told_with_both_values() {
    says("plain", |w| w.set_mtu("dummy_2", 1400), ["the MTU of dummy_2 is 1400 instead of 1500"]);
    // A bridge that nobody gave an MTU has that of its port. What is below comes first.
    let told = ["the MTU of bond0.100 is 1400 instead of 1500", "the MTU of net1 is 1400 instead of 1500"];
    says("net1", |w| w.set_mtu("bond0.100", 1400), told);
}

#[test]
fn a_device_that_is_down_is_told() {
    says("net1", |w| w.set_up("net1", false), ["net1 is down instead of up", "address fd00::1/64 on net1 is missing"]);
}

#[test]
fn a_slave_that_left_is_told_of_the_bond() {
    says("bond0", |w| w.leave("dummy_1"), ["dummy_1 left bond0"]);
}

#[test]
fn a_slave_that_is_not_ours_is_told_of_the_bond() {
    let drift = |w: &mut World| {
        w.set_up("dummy_3", false);
        w.enter("dummy_3", "bond0");
    };
    says("bond0", drift, ["slave dummy_3 of bond0 is not ours"]);
}

#[test]
fn a_port_that_left_is_told() {
    says("net1", |w| w.leave("bond0.100"), ["bond0.100 left net1"]);
}

#[test]
fn a_missing_bridge_is_told_once() {
    says("net1", |w| w.delete("net1"), ["the bridge net1 is missing"]);
}

#[test]
fn a_missing_vlan_is_told_and_that_it_left_the_bridge() {
    says("net1", |w| w.delete("bond0.100"), ["the vlan bond0.100 is missing", "bond0.100 left net1"]);
}

#[test]
fn a_missing_address_is_told_with_the_routes_it_took_along() {
    says(
        "plain",
        |w| w.drop_address("dummy_2", "192.0.2.9/24"),
        [
            "address 192.0.2.9/24 on dummy_2 is missing",
            "default route via 192.0.2.1 on dummy_2 is missing",
            "default route via 192.0.2.1 table 3221225993 on dummy_2 is missing",
            "route 192.0.2.0/24 table 3221225993 on dummy_2 is missing",
        ],
    );
}

#[test]
fn an_address_that_is_to_end_is_told_and_stays_in_its_place() {
    for (network, device, text) in [("plain", "dummy_2", "192.0.2.9/24"), ("net1", "net1", "fd00::1/64")] {
        let mut world = world();
        let mut address = world.link(device).addresses[0];
        address.more.lifetime = Some((60, 120));
        world.act(Action::AddAddress { device: dev(device), address, replace: true });
        assert_eq!(world.said(network), [format!("address {text} on {device} has an end, and is to stay")]);
        let plan = world.check().plan.to_string();
        assert_eq!(plan, format!("address {device}: {text} without end\n"));
        world.heal();
        assert_eq!(world.link(device).addresses[0].more.lifetime, None);
    }
}

#[test]
fn an_address_of_somebody_elses_is_told() {
    says("net1", |w| w.add_address("net1", "198.51.100.7/24"), ["address 198.51.100.7/24 on net1 is not ours"]);
}

#[test]
fn an_address_that_only_moved_is_told() {
    let drift = |w: &mut World| {
        w.drop_address("dummy_2", "192.0.2.9/24");
        w.add_address("dummy_2", "192.0.2.10/24");
        w.add_address("dummy_2", "192.0.2.9/24");
        w.add_default_route("dummy_2", "192.0.2.1");
    };
    says(
        "plain",
        drift,
        [
            "address 192.0.2.10/24 on dummy_2 is not ours",
            // With the last address of a device all its routes go, those of other tables as well.
            "default route via 192.0.2.1 table 3221225993 on dummy_2 is missing",
            "route 192.0.2.0/24 table 3221225993 on dummy_2 is missing",
        ],
    );
}

#[test]
fn a_missing_route_is_told() {
    let drift = |w: &mut World| {
        let route = Route::default_via("192.0.2.1".parse().unwrap());
        w.act(Action::DelRoute { device: dev("dummy_2"), route });
    };
    says("plain", drift, ["default route via 192.0.2.1 on dummy_2 is missing"]);
}

#[test]
fn a_route_made_by_somebody_else_is_told() {
    let drift = |w: &mut World| {
        let ours = Route::default_via("192.0.2.1".parse().unwrap());
        w.act(Action::DelRoute { device: dev("dummy_2"), route: ours });
        // As `ip route add` makes it: RTPROT_BOOT.
        w.act(Action::AddRoute { device: dev("dummy_2"), route: Route { protocol: 3, ..ours }, replace: false });
    };
    says("plain", drift, ["default route via 192.0.2.1 on dummy_2 has other attributes than ours"]);
}

#[test]
fn a_route_of_somebody_elses_is_told() {
    let drift = |w: &mut World| {
        let default = Route::default_via("192.0.2.77".parse().unwrap());
        let to = vdsm_model::units::Prefixed { addr: "203.0.113.0".parse().unwrap(), prefix: 24 };
        w.act(Action::AddRoute { device: dev("dummy_2"), route: Route { to, ..default }, replace: false });
    };
    says("plain", drift, ["route 203.0.113.0/24 via 192.0.2.77 on dummy_2 is not ours"]);
}

#[test]
fn options_are_told_by_name() {
    says("bond0", |w| w.set_bond("bond0", "mode=1 miimon=250"), ["option miimon of bond0 is 250 instead of 100"]);
    says(
        "net1",
        |w| w.set_bridge("net1", "stp_state=1"),
        ["STP on net1 is on instead of off", "option forward_delay of net1 is 200 instead of 0"],
    );
}

#[test]
fn a_mode_is_told_by_name() {
    let drift = |w: &mut World| {
        for nic in ["dummy_0", "dummy_1"] {
            w.leave(nic);
        }
        w.set_up("bond0", false);
        w.set_bond("bond0", "mode=2 miimon=100");
    };
    let mut world = world();
    drift(&mut world);
    let said = world.said("bond0");
    assert!(said.contains(&"the mode of bond0 is balance-xor (2) instead of active-backup (1)".to_owned()), "{said:?}");
    world.heal();
}

#[test]
fn ipv6_is_told() {
    let off = |w: &mut World| w.act(Action::Ipv6 { name: dev("net1"), on: false });
    says("net1", off, ["IPv6 on net1 is off instead of on", "address fd00::1/64 on net1 is missing"]);
    let on = |w: &mut World| w.act(Action::Ipv6 { name: dev("bond0.100"), on: true });
    says("net1", on, ["IPv6 on bond0.100 is on instead of off"]);
    let listening = |w: &mut World| w.act(Action::Adverts { name: dev("net1"), adverts: Adverts::heard(true, true) });
    says("net1", listening, ["IPv6 autoconfiguration on net1 is on instead of off"]);
}

#[test]
fn a_hardware_address_is_told_where_one_was_asked_for() {
    let drift = |w: &mut World| {
        let mac = "52:54:00:aa:bb:02".parse().ok();
        w.change("bond0", LinkChange { mac, ..LinkChange::default() });
    };
    says("bond0", drift, ["the hardware address of bond0 is 52:54:00:aa:bb:02 instead of 52:54:00:aa:bb:01"]);
}

#[test]
fn a_vm_that_must_follow_its_bridge_is_told() {
    let drift = |w: &mut World| {
        w.sim.plug_tap("vnet1", "net1");
        w.set_mtu("vnet1", 1400);
        w.set_mtu("net1", 1400);
    };
    says(
        "net1",
        drift,
        ["the MTU of net1 is 1400 instead of 1500", "the MTU of vnet1 on net1 is 1400 instead of 1500"],
    );
}

#[test]
fn a_device_of_several_networks_is_told_of_each() {
    let mut world = World::with(
        json!({ "a": { "nic": "dummy_0", "vlan": 1 }, "b": { "nic": "dummy_0", "vlan": 2 }, "c": { "nic": "dummy_1" } }),
        json!({}),
    );
    world.set_mtu("dummy_0", 1600);
    let told = ["the MTU of dummy_0 is 1600 instead of 1500"];
    assert_eq!(
        (world.said("a"), world.said("b"), world.said("c")),
        (told.map(str::to_owned).into(), told.map(str::to_owned).into(), vec![])
    );
    world.heal();
}

#[test]
fn an_address_below_concerns_the_untagged_network_alone() {
    let mut world = World::with(
        json!({ "a": { "nic": "dummy_0", "vlan": 1 }, "b": { "nic": "dummy_0", "bridged": false, "ipaddr": "192.0.2.9", "prefix": 24 } }),
        json!({}),
    );
    world.drop_address("dummy_0", "192.0.2.9/24");
    world.act(Action::Adverts { name: dev("dummy_0"), adverts: Adverts::heard(true, true) });
    assert_eq!(world.said("a"), CLEAN);
    // b needs no IPv6 at all: it is off, and nobody listens.
    assert_eq!(world.said("b"), ["address 192.0.2.9/24 on dummy_0 is missing"]);
    world.heal();
}

// ---- What is no difference.

#[test]
fn what_re_applying_would_leave_alone_is_in_sync() {
    let mut world = world();
    world.sim.plug_tap("vnet1", "net1");
    world.set_bridge("net1", "ageing_time=6000");
    world.add_vlan("theirs", "dummy_2", 7);
    world.add_address("dummy_3", "198.51.100.7/24");
    world.add_bridge("br9", &["dummy_3"]);
    assert_eq!(world.check().plan.to_string(), "nothing to do\n");
    assert!(world.check().in_sync(), "{:#}", world.check().to_json());
}

#[test]
fn rounding_defaults_and_order_are_no_drift() {
    let world = World::with(
        json!({ "n": { "bonding": "bond0", "custom": { "bridge_opts": "hello_time=200 forward_delay=0" } } }),
        json!({ "bond0": { "nics": ["dummy_1", "dummy_0"], "options": "updelay=250 miimon=100 mode=active-backup" } }),
    );
    assert!(world.check().in_sync(), "{:#}", world.check().to_json());
}

#[test]
fn a_stricter_rule_of_today_is_no_drift() {
    let mut world = World::new();
    world.policy.combination = vdsm_model::config::Combination::Relaxed;
    world.set(json!({ "a": { "nic": "dummy_0" }, "b": { "nic": "dummy_0", "vlan": 7 } }), json!({}));
    world.policy.combination = vdsm_model::config::Combination::Strict;
    assert!(world.check().in_sync(), "{:#}", world.check().to_json());
}

// ---- The form of it.

#[test]
fn a_difference_names_the_step_that_mends_it() {
    let mut world = world();
    world.leave("dummy_1");
    world.set_mtu("net1", 1400);
    world.add_address("net1", "198.51.100.7/24");
    let checked = world.check();
    for (name, verdict) in checked.networks.iter().map(|(n, v)| (n.to_string(), v)) {
        for Difference { device, text, mends } in &verdict.differences {
            let step = mends.and_then(|at| checked.plan.steps()[at].device());
            assert_eq!(step, *device, "{name}: {text}");
        }
    }
    let all: Vec<_> = checked.networks.values().chain(checked.bonds.values()).flat_map(|v| &v.differences).collect();
    assert_eq!(all.len(), 4, "{all:#?}");
}

#[test]
fn a_bond_brings_its_slaves_along() {
    let mut world = world();
    world.set_mtu("bond0", 1600);
    let checked = world.check();
    assert_eq!(checked.plan.to_string(), "change bond bond0: mtu 1600 -> 1500\n");
    let told = verdict(&checked, "bond0");
    assert_eq!(told.differences.iter().map(|d| d.mends).collect::<Vec<_>>(), [Some(0); 3], "{told:#?}");
}

#[test]
fn a_check_reads_as_json() {
    let mut world = world();
    world.set_mtu("net1", 1400);
    world.leave("dummy_1");
    let checked = world.check();
    assert_eq!(
        checked.to_json(),
        json!({
            "in_sync": false,
            "networks": {
                "net1": { "state": "drifted", "differences": [
                    { "device": "bond0", "text": "its bond bond0 is out of sync" },
                    { "device": "net1", "text": "the MTU of net1 is 1400 instead of 1500" },
                ] },
                "plain": { "state": "in_sync", "differences": [] },
            },
            "bonds": { "bond0": { "state": "drifted", "differences": [{ "device": "bond0", "text": "dummy_1 left bond0" }] } },
            "plan": checked.plan.to_json(),
            "text": checked.plan.to_string(),
        })
    );
    world.heal();
    let healed = world.check().to_json();
    assert_eq!(
        (&healed["in_sync"], &healed["plan"], &healed["text"]),
        (&json!(true), &json!([]), &json!("nothing to do\n"))
    );
}

#[test]
fn an_empty_configuration_is_in_sync() {
    let checked = World::new().check();
    assert!(checked.in_sync() && checked.networks.is_empty() && checked.bonds.is_empty());
    assert_eq!(State::InSync.word(), "in_sync");
}

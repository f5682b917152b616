//! A moment and its copies: what is found by master, base, tag and index is what the links say.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::strategy::ValueTree;

use super::*;
use crate::ip::Route;

fn name(number: u8) -> DeviceName {
    DeviceName::try_from(format!("d{number}").as_str()).unwrap()
}

/// A default route of the main table, or of another.
fn route(main: bool) -> Route {
    let route = Route::default_via(std::net::Ipv4Addr::LOCALHOST.into());
    Route { table: if main { MAIN_TABLE } else { 7 }, ..route }
}

prop_compose! {
    fn any_link()(
        me in 0..12_u8, index in 1..16_u32, master in prop::option::of(0..12_u8), base in prop::option::of(0..12_u8),
        tag in prop::option::of(1..4_i64), mtu in 1498..1502_u32, gateway in prop::option::of(any::<bool>()),
    ) -> SeenLink {
        let kind = match (base, tag.and_then(VlanTag::new)) {
            (Some(base), Some(tag)) => SeenKind::Vlan { tag, device: Some(name(base)) },
            _ => SeenKind::Nic,
        };
        SeenLink {
            nic: false, master: master.map(name), base: base.map(name), mtu: Mtu::seen(mtu),
            routes: gateway.map(route).into_iter().collect(), ..SeenLink::new(index, name(me), kind)
        }
    }
}

fn names<'a>(links: impl Iterator<Item = &'a SeenLink>) -> Vec<DeviceName> {
    links.map(|link| link.name).collect()
}

fn is_sound(host: &NetInfo, model: &BTreeMap<DeviceName, SeenLink>) {
    assert_eq!(names(host.links()), model.keys().copied().collect::<Vec<_>>());
    assert_eq!(host.count(), model.len());
    let has_default = |link: &&SeenLink| link.routes.iter().any(|route| route.table == MAIN_TABLE);
    assert_eq!(names(host.with_default_routes()), names(model.values().filter(has_default)));
    for number in 0..12 {
        let it = name(number);
        let of = |which: &dyn Fn(&SeenLink) -> bool| names(model.values().filter(|link| which(link)));
        assert_eq!(names(host.ports_of(it)), of(&|link| link.master == Some(it)));
        let above = |which: &dyn Fn(&SeenLink) -> bool| {
            let mut above: Vec<&SeenLink> =
                model.values().filter(|link| link.base == Some(it) && which(link)).collect();
            above.sort_by_key(|link| (Reverse(link.mtu), link.name));
            names(above.into_iter())
        };
        assert_eq!(names(host.standing_on(it)), above(&|_| true));
        assert_eq!(names(host.vlans_on(it)), above(&|link| matches!(link.kind, SeenKind::Vlan { .. })));
    }
}

proptest! {
    #[test]
    fn what_is_found_is_what_was_put_in(
        steps in prop::collection::vec((any_link(), any::<bool>()), 0..60),
        at in 0..60_usize,
    ) {
        let (mut host, mut model) = (NetInfo::default(), BTreeMap::new());
        let (mut copy, mut model_then) = (host.clone(), model.clone());
        for (number, (link, comes)) in steps.into_iter().enumerate() {
            if number == at {
                (copy, model_then) = (host.clone(), model.clone());
            }
            if comes {
                model.insert(link.name, link.clone());
                host.insert(Arc::new(link));
            } else {
                prop_assert_eq!(host.remove(&link.name).is_some(), model.remove(&link.name).is_some());
            }
            is_sound(&host, &model);
        }
        is_sound(&copy, &model_then);
    }
}

#[test]
fn an_index_belongs_to_whoever_came_last() {
    let runner = &mut proptest::test_runner::TestRunner::deterministic();
    let mut link = any_link().new_tree(runner).unwrap().current();
    let mut host = NetInfo::default();
    link.index = 7;
    for number in [1, 2] {
        host.insert(Arc::new(SeenLink { name: name(number), ..link.clone() }));
    }
    host.remove(&name(1));
    assert_eq!(host.name_of(7), Some(name(2)));
}

#[test]
fn rules_are_found_by_their_device_and_by_their_table() {
    let to = |table| Rule { table, ..Rule::new(7) };
    let from = |device, table| Rule { iif: Some(name(device)), ..to(table) };
    let all = [from(1, 1), from(1, 2), from(2, 2), to(2), Rule { priority: 8, ..from(1, 2) }];
    let mut host = NetInfo::default();
    // Said twice, it is there once.
    all.iter().chain(&all).for_each(|rule| host.insert_rule(rule.clone()));
    let other = NetInfo::default().with_rules_of(&host);
    let of = |host: &NetInfo| {
        let from: Vec<Rule> = host.rules_from(name(1), 7).cloned().collect();
        (from, host.rules_to(2, 7).cloned().collect::<Vec<_>>())
    };
    let mut leading = vec![to(2), from(1, 2), from(2, 2)];
    leading.sort();
    assert_eq!(of(&host), (vec![from(1, 1), from(1, 2)], leading));
    host.remove_rule(&from(1, 2));
    host.remove_rule(&from(1, 2));
    let mut leading = vec![to(2), from(2, 2)];
    leading.sort();
    assert_eq!(of(&host), (vec![from(1, 1)], leading));
    assert_eq!(of(&other).0.len(), 2, "a copy stays as it was");
}

#[test]
fn of_a_teams_ports_those_carry_traffic_that_are_enabled_and_in_active_backup_one() {
    let name = |text: &str| DeviceName::try_from(text).unwrap();
    let port = |enabled| TeamPort { enabled, ..TeamPort::default() };
    let team =
        |mode: Option<&str>, active: Option<&str>| Team { mode: mode.map(str::to_owned), active: active.map(name) };
    let backed = team(Some("activebackup"), Some("a"));
    assert!(backed.has_active(&name("a"), &port(true)));
    assert!(!backed.has_active(&name("a"), &port(false)) && !backed.has_active(&name("b"), &port(true)));
    assert!(!team(Some("activebackup"), None).has_active(&name("a"), &port(true)));
    for mode in [None, Some("roundrobin")] {
        assert!(team(mode, None).has_active(&name("a"), &port(true)));
        assert!(!team(mode, None).has_active(&name("a"), &port(false)));
    }
}

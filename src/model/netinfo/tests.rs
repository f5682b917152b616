//! A moment and its copies: what is found by master, base, tag and index is what the links say.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::strategy::ValueTree;

use super::*;

fn name(number: u8) -> DeviceName {
    DeviceName::try_from(format!("d{number}").as_str()).unwrap()
}

prop_compose! {
    fn any_link()(
        me in 0..12_u8, index in 1..16_u32, master in prop::option::of(0..12_u8), base in prop::option::of(0..12_u8),
        tag in prop::option::of(1..4_i64),
    ) -> SeenLink {
        let kind = match (base, tag.and_then(VlanTag::new)) {
            (Some(base), Some(tag)) => SeenKind::Vlan { tag, device: Some(name(base)) },
            _ => SeenKind::Nic,
        };
        SeenLink {
            nic: false, master: master.map(name), base: base.map(name), ..SeenLink::new(index, name(me), kind)
        }
    }
}

fn names<'a>(links: impl Iterator<Item = &'a SeenLink>) -> Vec<DeviceName> {
    links.map(|link| link.name).collect()
}

fn is_sound(host: &NetInfo, model: &BTreeMap<DeviceName, SeenLink>) {
    assert_eq!(names(host.links()), model.keys().copied().collect::<Vec<_>>());
    assert_eq!(host.count(), model.len());
    for number in 0..12 {
        let it = name(number);
        let of = |which: &dyn Fn(&SeenLink) -> bool| names(model.values().filter(|link| which(link)));
        assert_eq!(names(host.ports_of(it)), of(&|link| link.master == Some(it)));
        assert_eq!(names(host.standing_on(it)), of(&|link| link.base == Some(it)));
        let vlan = |link: &SeenLink| link.base == Some(it) && matches!(link.kind, SeenKind::Vlan { .. });
        assert_eq!(names(host.vlans_on(it)), of(&vlan));
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

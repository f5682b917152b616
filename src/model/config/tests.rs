//! A configuration and its copies: what is found by device, tag or address is what the networks and
//! bonds say, whatever came, changed and went.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;

fn network(number: u8) -> NetworkName {
    NetworkName::try_from(format!("n{number}").as_str()).unwrap()
}

fn device(number: u8) -> DeviceName {
    DeviceName::try_from(format!("d{number}").as_str()).unwrap()
}

fn address(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, number)
}

prop_compose! {
    fn any_network()(
        base in prop::option::of(0..3_u8), tag in prop::option::of(0..3_i64), mtu in 1498..1502_i64,
        ip in prop::option::of(0..3_u8), gateway: bool, default_route: bool, shares: bool,
    ) -> NetworkConfig {
        NetworkConfig {
            base: base.map(device).map(Base::Nic),
            vlan: tag.and_then(VlanTag::new),
            mtu: Mtu::new(mtu).unwrap(),
            ipv4: ip.map(|ip| Prefixed { addr: address(ip), prefix: 24 }),
            gateway: gateway.then(|| address(9)),
            default_route,
            host_qos: shares.then(Curves::default),
            ..NetworkConfig::new()
        }
    }
}

prop_compose! {
    fn any_bond()(nics in prop::collection::btree_set(0..3_u8, 0..3)) -> BondConfig {
        BondConfig {
            nics: nics.into_iter().map(device).collect(),
            options: BondOptions::default(),
            options_text: String::new(),
            hwaddr: None,
            switch: Switch::Legacy,
        }
    }
}

/// What happens to the network or bond of a number.
#[derive(Clone, Debug)]
enum Step {
    Network(u8, Option<NetworkConfig>),
    Bond(u8, Option<BondConfig>),
    /// Its MTU and its base change.
    Moves(u8, u8),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..6_u8, prop::option::weighted(0.7, any_network())).prop_map(|(name, net)| Step::Network(name, net)),
        (0..3_u8, prop::option::weighted(0.7, any_bond())).prop_map(|(name, bond)| Step::Bond(name, bond)),
        (0..6_u8, 0..3_u8).prop_map(|(name, base)| Step::Moves(name, base)),
    ]
}

#[derive(Clone, Default)]
struct Model {
    networks: BTreeMap<NetworkName, NetworkConfig>,
    bonds: BTreeMap<DeviceName, BondConfig>,
}

impl Model {
    fn take(&mut self, step: &Step, config: &mut NetConfig) {
        match step.clone() {
            Step::Network(name, Some(net)) => {
                config.networks.insert(network(name), net.clone());
                self.networks.insert(network(name), net);
            }
            Step::Network(name, None) => {
                let gone = config.networks.remove(&network(name));
                assert_eq!(gone.map(Arc::unwrap_or_clone), self.networks.remove(&network(name)));
            }
            Step::Bond(name, Some(bond)) => {
                config.bonds.insert(device(name), bond.clone());
                self.bonds.insert(device(name), bond);
            }
            Step::Bond(name, None) => {
                let gone = config.bonds.remove(&device(name));
                assert_eq!(gone.map(Arc::unwrap_or_clone), self.bonds.remove(&device(name)));
            }
            Step::Moves(name, to) => {
                let moves = |net: &mut NetworkConfig| {
                    (net.mtu, net.base) = (Mtu::IPV6_MINIMUM, Some(Base::Bond(device(to))));
                };
                config.networks.change(&network(name), moves);
                if let Some(net) = self.networks.get_mut(&network(name)) {
                    moves(net);
                }
            }
        }
    }

    fn names(&self, which: impl Fn(&NetworkConfig) -> bool) -> Vec<&NetworkName> {
        self.networks.iter().filter(|(_, net)| which(net)).map(|(name, _)| name).collect()
    }

    fn is_as(&self, config: &NetConfig) {
        let found: Vec<_> = config.networks.iter().collect();
        assert_eq!(found, self.networks.iter().collect::<Vec<_>>());
        assert_eq!(config.networks.default_routes().collect::<Vec<_>>(), self.names(|net| net.default_route));
        for number in 0..3 {
            self.is_as_on(device(number), config);
            let routed =
                |net: &NetworkConfig| net.gateway.is_some() && net.ipv4.is_some_and(|ip| ip.addr == address(number));
            assert_eq!(config.networks.routed_from(address(number)).collect::<Vec<_>>(), self.names(routed));
        }
    }

    fn is_as_on(&self, base: DeviceName, config: &NetConfig) {
        fn names<'a>(found: impl Iterator<Item = (&'a NetworkName, &'a NetworkConfig)>) -> Vec<&'a NetworkName> {
            found.map(|(name, _)| name).collect()
        }
        let on = |net: &NetworkConfig| net.base.map(Base::device) == Some(base);
        let mut users = names(config.networks.users_of(base));
        users.sort_unstable();
        assert_eq!(users, self.names(on));
        for tag in (0..3).map(VlanTag::new).chain([None]) {
            assert_eq!(names(config.networks.on(base, tag)), self.names(|net| on(net) && net.vlan == tag));
        }
        let largest = self.networks.values().filter(|net| on(net)).map(|net| net.mtu).max();
        assert_eq!(config.networks.largest_on(base), largest);
        assert_eq!(names(config.networks.wishing_of(base)), self.names(|net| on(net) && net.host_qos.is_some()));
        let masters: Vec<_> = config.bonds.masters_of(base).collect();
        assert_eq!(masters, self.bonds.iter().filter(|(_, bond)| bond.nics.contains(&base)).collect::<Vec<_>>());
    }
}

proptest! {
    #[test]
    fn what_is_found_is_what_is_configured(steps in prop::collection::vec(any_step(), 0..60), at in 0..60_usize) {
        let (mut config, mut model) = (NetConfig::default(), Model::default());
        let (mut copy, mut model_then) = (config.clone(), model.clone());
        for (number, step) in steps.iter().enumerate() {
            if number == at {
                (copy, model_then) = (config.clone(), model.clone());
            }
            model.take(step, &mut config);
            model.is_as(&config);
        }
        model_then.is_as(&copy);
        let changes = config.changes_from(&copy);
        prop_assert_eq!(changes.is_empty(), config == copy);
        for changed in changes {
            match changed {
                Changed::Network(name) => prop_assert_ne!(config.networks.get(&name), copy.networks.get(&name)),
                Changed::Bond(name) => prop_assert_ne!(config.bonds.get(&name), copy.bonds.get(&name)),
            }
        }
    }
}

//! What follows from a lease follows it, whatever `drift` says and whichever protocol it is of.

use std::net::IpAddr;

use vdsm_dhcp_client::Family;
use vdsm_model::dhcp::Lease;
use vdsm_model::ip::MAIN_TABLE;

use super::*;

fn lease(address: &str, prefix: u8, server: &str) -> Lease {
    let address = Prefixed { addr: address.parse::<IpAddr>().unwrap(), prefix };
    Lease { address, gateway: None, routes: Vec::new(), nameservers: vec![server.parse().unwrap()] }
}

#[test]
fn name_servers_follow_a_lease_of_either_protocol() {
    let v4 = NetworkConfig { dhcpv4: true, default_route: true, ..on_nic("eth0") };
    let v6 = NetworkConfig { dhcpv6: true, default_route: true, ..on_nic("eth0") };
    let cases = [
        (v4, Family::V4, lease("10.0.0.7", 24, "192.0.2.53")),
        (v6, Family::V6, lease("2001:db8::7", 128, "2001:db8::53")),
    ];
    for (net, family, lease) in cases {
        let mut stage = Stage::new(Drift::Ignore, config([("red", net)]));
        let servers = |stage: &Stage| stage.sim.look().resolver.servers();
        let own = servers(&stage);
        let offer = |stage: &mut Stage, lease: Option<&Lease>| {
            stage.sim.offer(dev("red"), family, lease.cloned());
            stage.rest();
        };
        offer(&mut stage, Some(&lease));
        assert_eq!(servers(&stage), [lease.nameservers[0].to_string()], "{family}");
        offer(&mut stage, None);
        assert_eq!(servers(&stage), own, "{family}");
        // Nothing follows from a lease whose address somebody took, and all of it once it is back.
        offer(&mut stage, Some(&lease));
        let address = stage.sim.look().link(&dev("red")).unwrap().addresses[0];
        stage.act(Action::DelAddress { device: dev("red"), address });
        stage.rest();
        assert_eq!(servers(&stage), own, "{family}");
        stage.act(Action::AddAddress { device: dev("red"), address, replace: false });
        stage.rest();
        assert_eq!(servers(&stage), [lease.nameservers[0].to_string()], "{family}");
    }
}

/// The default routes, each with its device.
fn default_routes(stage: &Stage) -> Vec<String> {
    let look = stage.sim.look();
    let all = look.links().flat_map(|link| link.routes.iter().map(move |route| (link.name, route)));
    all.filter(|(_, r)| r.to.prefix == 0 && r.table == MAIN_TABLE).map(|(of, r)| format!("{r} of {of}")).collect()
}

#[test]
fn the_default_route_moves_with_the_lease_it_waits_for() {
    for drift in [Drift::Ignore, Drift::Report, Drift::Heal] {
        let gateway = Some([10, 0, 0, 1].into());
        let red = |default_route| NetworkConfig { gateway, default_route, ..with_address("eth0", 5) };
        let mut stage = Stage::new(drift, config([("red", red(true))]));
        let before = default_routes(&stage);
        assert_eq!(before, ["default via 10.0.0.1 of red"]);
        let blue = NetworkConfig { dhcpv4: true, default_route: true, ..on_nic("eth1") };
        stage.set(&config([("red", red(false)), ("blue", blue)]));
        stage.rest();
        assert_eq!((default_routes(&stage), stage.heard()), (before.clone(), vec![]));
        // Healing, and a daemon that begins anew, leave it where it is.
        assert!(stage.engine.heal().unwrap().is_none());
        stage.restart();
        stage.rest();
        assert_eq!(default_routes(&stage), before);
        let granted = Lease { gateway: Some([10, 7, 0, 1].into()), ..lease("10.7.0.9", 24, "10.7.0.1") };
        for (lease, left) in
            [(granted, vec!["default via 10.7.0.1 of blue"]), (lease("10.7.0.9", 24, "10.7.0.1"), vec![])]
        {
            stage.sim.offer(dev("blue"), Family::V4, Some(lease));
            stage.rest();
            assert_eq!(
                (default_routes(&stage), stage.engine.heal().unwrap().is_none()),
                (left.iter().map(|it| it.to_string()).collect(), true)
            );
        }
    }
}

#[test]
fn a_lease_without_a_router_ends_the_wait_as_well() {
    let gateway = Some([10, 0, 0, 1].into());
    let red = |default_route| NetworkConfig { gateway, default_route, ..with_address("eth0", 5) };
    let mut stage = Stage::new(Drift::Ignore, config([("red", red(true))]));
    let blue = NetworkConfig { dhcpv4: true, default_route: true, ..on_nic("eth1") };
    stage.set(&config([("red", red(false)), ("blue", blue)]));
    stage.rest();
    stage.sim.offer(dev("blue"), Family::V4, Some(lease("10.7.0.9", 24, "10.7.0.1")));
    stage.rest();
    assert_eq!(default_routes(&stage), [""; 0]);
}

//! What follows from a lease follows it, whatever `drift` says and whichever protocol it is of.

use std::net::IpAddr;

use vdsm_dhcp_client::Family;
use vdsm_model::dhcp::Lease;

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
        stage.act(Action::AddAddress { device: dev("red"), address });
        stage.rest();
        assert_eq!(servers(&stage), [lease.nameservers[0].to_string()], "{family}");
    }
}

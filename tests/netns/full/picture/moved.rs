//! A host with bonds and VLANs that was there before anybody listened, and a VLAN that was moved to
//! another network namespace.

use std::sync::mpsc;
use std::thread;

use nix::sched::{CloneFlags, unshare};
use vdsm_model::name::DeviceName;
use vdsm_model::netinfo::SeenKind;

use super::stage::{agrees_wholly, listen, staged};
use crate::look::ip;

const HOST: &str = "link add d1 type dummy
link add d2 type dummy
link add d3 type dummy
link add bond0 type bond mode active-backup miimon 50 updelay 100
link add bond1 type bond mode 802.3ad miimon 100 lacp_rate fast
link set d1 master bond0
link set d2 master bond0
link set d3 master bond1
link set bond0 type bond primary d2
link set bond0 up
link set bond1 up
link add link bond0 name bond0.12 type vlan id 12
link add link d1 name stag type vlan proto 802.1ad id 13
link add br0 type bridge
link set bond0.12 master br0
link set bond0.12 up
link set br0 up
addr add 10.0.0.1/24 dev br0
route add default via 10.0.0.254
tuntap add tap0 mode tap
link set tap0 master br0
";

#[test]
fn bonds_and_vlans_are_read_and_a_base_in_another_namespace_stays_behind() {
    staged(&[], || {
        ip(HOST);
        let (live, _watching) = listen(None);
        agrees_wholly(&live, "read at the start");
        let (here, there) = mpsc::channel();
        let (back, moved) = mpsc::channel::<()>();
        let other = thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            here.send(nix::unistd::gettid()).unwrap();
            moved.recv().unwrap();
            listen(None).0.settled().unwrap()
        });
        ip(&format!("link set bond0.12 netns {}\n", there.recv().unwrap()));
        back.send(()).unwrap();
        let elsewhere = other.join().unwrap();
        let vlan = elsewhere.link(&DeviceName::try_from("bond0.12").unwrap()).unwrap();
        assert!(matches!(vlan.kind, SeenKind::Vlan { device: None, .. }), "{:?}", vlan.kind);
        agrees_wholly(&live, "without it");
    });
}

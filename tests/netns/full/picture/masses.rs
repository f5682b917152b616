//! Very many of something: a burst of links, and a routing daemon's table.

use std::fmt::Write;

use vdsm_model::name::DeviceName;
use vdsm_model::netinfo::SeenLink;
use vdsm_net::netinfo::Live;

use super::stage::{agrees, listen, run, staged};
use crate::look::ip;

fn name(text: &str) -> DeviceName {
    DeviceName::try_from(text).unwrap()
}

fn link(live: &Live, text: &str) -> SeenLink {
    live.settled().unwrap().link(&name(text)).unwrap().clone()
}

/// 2,000 links: dummies, VLANs upon one of them, and bridges upon VLANs. Every twentieth of each
/// is in group 8, the others in group 7.
fn two_thousand() -> String {
    let mut lines = "link add low type dummy\nlink set low up\n".to_owned();
    let group = |n: usize| 7 + usize::from(n.is_multiple_of(20));
    for n in 0..800 {
        writeln!(lines, "link add dum{n} group {} type dummy", group(n)).unwrap();
    }
    for n in 0..800 {
        writeln!(lines, "link add link low name vl{n} group {} type vlan id {}", group(n), n + 1).unwrap();
    }
    for n in 0..400 {
        writeln!(lines, "link add br{n} group {} type bridge\nlink set vl{n} master br{n} up", group(n)).unwrap();
    }
    lines
}

#[test]
fn a_burst_beyond_the_sockets_room_ends_in_the_right_picture() {
    staged(&["ip"], || {
        let (live, _watching) = listen(Some(32 << 10));
        run("ip", "-force -batch -", &two_thousand());
        assert_eq!(live.settled().unwrap().count(), 2002);
        ip("link del group 7\n");
        agrees(&live, "after the burst");
        assert_eq!(live.settled().unwrap().count(), 102);
        let readings = live.readings();
        assert!(readings > 1, "nothing was lost, so that nothing was tested");
        // And it hears on.
        ip("link add late type bridge\nlink set dum20 master late\nlink del group 8\n");
        agrees(&live, "later");
        assert_eq!(live.settled().unwrap().count(), 3);
    });
}

/// Adds so many routes of that protocol, each to a network of its own.
fn add_routes(first: u8, count: u32, protocol: &str) {
    let line = |n: u32| {
        let [_, a, b, c] = n.to_be_bytes();
        format!("route add {}.{b}.{c}.0/24 via 10.0.0.2 dev nic proto {protocol}\n", first + a)
    };
    let all: Vec<u32> = (0..count).collect();
    // The tool forgets to free something for each line, and a process in UML has room for some 60,000.
    for some in all.chunks(25_000) {
        run("ip", "-force -batch -", &some.iter().map(|n| line(*n)).collect::<String>());
    }
}

#[test]
fn a_hundred_thousand_routes_of_others_are_not_kept() {
    staged(&["ip"], || {
        ip("link add nic type veth peer name end\nlink set nic up\nlink set end up\naddr add 10.0.0.1/24 dev nic\n");
        let (live, _watching) = listen(None);
        add_routes(20, 95_000, "bgp");
        ip("route add default via 10.0.0.254 proto bgp metric 7\nroute add 10.9.0.0/16 via 10.0.0.2 proto static\n");
        // A default route is kept, whoever made it.
        let kept = |live: &Live| link(live, "nic").routes.iter().map(|it| it.to.to_string()).collect::<Vec<_>>();
        assert_eq!(kept(&live), ["0.0.0.0/0", "10.9.0.0/16"], "of events");
        assert_eq!(live.readings(), 1, "no event of theirs came");
        assert_eq!(kept(&listen(None).0), ["0.0.0.0/0", "10.9.0.0/16"], "of a look");
        assert_eq!(live.all_routes(&[name("nic")]).unwrap()[0].1.len(), 2, "of a question");
        // An administrator's own are kept until they are too many.
        let many = |live: &Live| (link(live, "nic").many_routes, kept(live));
        add_routes(30, 5000, "static");
        assert_eq!(many(&live), (true, vec!["0.0.0.0/0".to_owned()]), "of events");
        assert_eq!(many(&listen(None).0), (true, vec!["0.0.0.0/0".to_owned()]), "of a look");
        assert_eq!(live.all_routes(&[name("nic")]).unwrap()[0].1.len(), 5002, "of a question");
    });
}

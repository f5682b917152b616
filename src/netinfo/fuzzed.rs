//! What a kernel, or somebody who passes for it, may send: messages as events, and as the answer to a dump.

use vdsm_netlink::events;

use super::beside_ip::Rule;
use super::counters::counters;
use super::dump::Dump;
use super::mirror::Mirror;
use crate::fuzz::{Target, fuzz};

/// A datagram. The picture names each link once, and by the index it has there.
fn netlink(bytes: &[u8]) {
    let mut mirror = Mirror::new();
    let mut dump = Dump::new(&Rule);
    for event in events(bytes).map_while(Result::ok) {
        mirror.take(event.kind, event.flags, event.payload, &Rule);
        dump.take(event.kind, event.payload);
        let _ = counters(event.kind, event.payload);
    }
    let (told, _) = mirror.compose();
    for link in told.links() {
        assert_eq!(told.name_of(link.index), Some(link.name));
    }
    let wants = mirror.take_wants();
    mirror.refresh_routes(&wants.routes, &dump);
    let names = dump.heads().map(|(_, name, _)| name).collect();
    mirror.refresh(dump, &names);
    drop(mirror.compose());
    let mut dump = Dump::new(&Rule);
    events(bytes).map_while(Result::ok).for_each(|event| dump.take(event.kind, event.payload));
    drop(Mirror::of(dump, true).compose());
}

#[test]
fn messages() {
    // Headers of lengths and types that are common, and kinds of links.
    const WORDS: &[&[u8]] = &[
        b"bridge\0",
        b"bond\0",
        b"vlan\0",
        b"veth\0",
        b"tun\0",
        b"team\0",
        b"macvlan\0",
        b"eth0\0",
        b"red\0",
        &[16, 0],
        &[17, 0],
        &[20, 0],
        &[21, 0],
        &[24, 0],
        &[25, 0],
        &[32, 0],
        &[33, 0],
        &[36, 0],
        &[37, 0],
        &[40, 0],
        &[41, 0],
        &[44, 0],
        &[45, 0],
        &[8, 0, 3, 0],
        &[8, 0, 4, 0],
        &[8, 0, 10, 0],
        &[8, 0, 5, 0],
        &[12, 0, 18, 0x80],
        &[8, 0, 1, 0],
        &[12, 0, 2, 0x80],
        &[12, 0, 4, 0x80],
        &[10, 0, 0, 1],
        &[0, 1, 0, 0],
        &[0x7f, 0xff, 0xff, 0xff],
    ];
    fuzz(&Target { name: "netlink", words: WORDS, longest: 2048, run: netlink });
}

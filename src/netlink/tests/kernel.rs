//! The transport against this machine's kernel, each test in a network namespace of its own.
//!
//! Needs root; without it each test is skipped.

#![allow(clippy::unwrap_used)]

use std::{
    any::type_name_of_val,
    net::Ipv4Addr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    address::AddressMessage,
    link::{LinkAttribute, LinkMessage},
};
use nix::sched::{CloneFlags, setns, unshare};
use rtnetlink::{AddressMessageBuilder, LinkBridge, LinkUnspec, LinkVeth};
use vdsm_netlink::{
    BatchError, Dumped, KernelError, Request, Wire, WireError,
    attrs::{self, Attrs},
};

#[path = "../../../tests/common/skip.rs"]
mod skip;
use skip::skip;

const DEADLINE: Duration = Duration::from_secs(30);

/// Runs the test on a thread with a network namespace of its own.
fn in_namespace(test: impl FnOnce(Wire) + Send) {
    let name = type_name_of_val(&test).trim_end_matches("::{{closure}}");
    thread::scope(|scope| {
        let run = scope.spawn(|| match unshare(CloneFlags::CLONE_NEWNET) {
            Err(errno) => skip(name, &format!("no network namespace may be made here: {errno}")),
            Ok(()) => test(Wire::open(DEADLINE).unwrap()),
        });
        run.join().unwrap();
    });
}

fn create(link: LinkMessage) -> Request {
    Request::new(RouteNetlinkMessage::NewLink(link), NLM_F_CREATE | NLM_F_EXCL)
}

fn bridges(range: std::ops::Range<usize>) -> Vec<Request> {
    range.map(|i| create(LinkBridge::new(&format!("br{i}")).build())).collect()
}

fn by_name(name: &str) -> RouteNetlinkMessage {
    RouteNetlinkMessage::GetLink(LinkUnspec::new_with_name(name).build())
}

fn name(payload: &[u8]) -> String {
    attrs::find(Attrs::after(payload, 16), libc::IFLA_IFNAME).and_then(attrs::text).unwrap().to_owned()
}

fn names(wire: &mut Wire) -> Vec<String> {
    let mut seen = Vec::new();
    wire.dump(RouteNetlinkMessage::GetLink(LinkMessage::default()), &mut |dumped| match dumped {
        Dumped::Start => seen.clear(),
        Dumped::Object { kind, payload } => {
            assert_eq!(kind, libc::RTM_NEWLINK);
            seen.push(name(payload));
        }
    })
    .unwrap();
    seen
}

#[test]
fn what_a_batch_creates_a_dump_sees() {
    in_namespace(|mut wire| {
        wire.batch(&bridges(0..200)).unwrap();
        let seen = names(&mut wire);
        assert_eq!(seen.len(), 201);
        assert!((0..200).all(|i| seen.contains(&format!("br{i}"))));
        assert!(wire.strict());
    });
}

#[test]
fn a_refused_message_amid_a_batch_is_named() {
    in_namespace(|mut wire| {
        let mut requests = bridges(0..150);
        requests[77] = requests[3].clone();
        let Err(BatchError::Refused { index, done, source }) = wire.batch(&requests) else { panic!("was not refused") };
        assert_eq!((index, source.errno), (77, libc::EEXIST));
        // The kernel goes on to the end of the chunk, and we stop there.
        assert_eq!(done.len(), 128);
        assert!(done.iter().enumerate().all(|(i, done)| *done == (i != 77)));
        assert_eq!(names(&mut wire).len(), 1 + 127);
    });
}

#[test]
fn try_each_goes_on() {
    in_namespace(|mut wire| {
        let mut requests = bridges(0..130);
        requests[5] = requests[0].clone();
        let results = wire.try_each(&requests).unwrap();
        let failed: Vec<_> =
            results.iter().enumerate().filter_map(|(i, r)| Some((i, r.as_ref().err()?.errno))).collect();
        assert_eq!(failed, [(5, libc::EEXIST)]);
        assert_eq!(names(&mut wire).len(), 1 + 129);
    });
}

#[test]
fn a_strict_dump_of_a_missing_device_is_an_error() {
    in_namespace(|mut wire| {
        let mut addresses = AddressMessage::default();
        addresses.header.family = AddressFamily::Inet;
        addresses.header.index = 99999;
        let result = wire.dump(RouteNetlinkMessage::GetAddress(addresses), &mut |dumped| {
            assert_eq!(dumped, Dumped::Start);
        });
        assert!(matches!(result, Err(WireError::Refused(KernelError { errno: libc::ENODEV, .. }))), "{result:?}");
        assert_eq!(names(&mut wire), ["lo"]);
    });
}

#[test]
fn a_dump_request_the_kernel_does_not_like_carries_its_text() {
    in_namespace(|mut wire| {
        let mut links = LinkMessage::default();
        links.header.index = 1;
        let result = wire.dump(RouteNetlinkMessage::GetLink(links), &mut |_| {});
        let Err(WireError::Refused(error)) = result else { panic!("was not refused") };
        assert_eq!(error.errno, libc::EINVAL);
        assert!(error.text.is_some(), "{error}");
    });
}

#[test]
fn a_mtu_beyond_the_maximum_carries_the_text_of_the_kernel() {
    in_namespace(|mut wire| {
        wire.batch(&[create(LinkVeth::new("v0", "v1").build())]).unwrap();
        let link = LinkUnspec::new_with_name("v0").mtu(70_000).build();
        let results = wire.try_each(&[Request::new(RouteNetlinkMessage::SetLink(link), 0)]).unwrap();
        let error = results[0].as_ref().unwrap_err();
        assert_eq!(error.to_string(), "Invalid argument (EINVAL): mtu greater than device maximum");
    });
}

#[test]
fn the_attribute_at_fault_is_named() {
    in_namespace(|mut wire| {
        // The kernel wants four bytes of it.
        let mut link = LinkUnspec::new_with_name("lo").build();
        let short = netlink_packet_core::DefaultNla::new(libc::IFLA_MTU, vec![1, 2]);
        link.attributes.push(LinkAttribute::Other(short));
        let results = wire.try_each(&[Request::new(RouteNetlinkMessage::SetLink(link), 0)]).unwrap();
        let error = results[0].as_ref().unwrap_err();
        assert_eq!(error.attribute, Some(libc::IFLA_MTU), "{error:?}");
        assert!(error.text.is_some(), "{error:?}");
    });
}

#[test]
fn a_nested_attribute_at_fault_is_named() {
    in_namespace(|mut wire| {
        const IFLA_BR_VLAN_PROTOCOL: u16 = 8;
        let mut link = LinkBridge::new("br0").build();
        let short = netlink_packet_core::DefaultNla::new(IFLA_BR_VLAN_PROTOCOL, vec![1]);
        for attribute in &mut link.attributes {
            if let LinkAttribute::LinkInfo(info) = attribute {
                info.push(netlink_packet_route::link::LinkInfo::Data(netlink_packet_route::link::InfoData::Bridge(
                    vec![
                        netlink_packet_route::link::InfoBridge::VlanDefaultPvid(1),
                        netlink_packet_route::link::InfoBridge::Other(short.clone()),
                    ],
                )));
            }
        }
        let results = wire.try_each(&[create(link)]).unwrap();
        let error = results[0].as_ref().unwrap_err();
        assert_eq!(error.attribute, Some(IFLA_BR_VLAN_PROTOCOL), "{error:?}");
    });
}

#[test]
fn each_question_gets_its_own_answer() {
    in_namespace(|mut wire| {
        wire.batch(&bridges(0..100)).unwrap();
        let mut questions: Vec<_> = (0..100).map(|i| by_name(&format!("br{i}"))).collect();
        questions[42] = by_name("nobody");
        questions[99] = RouteNetlinkMessage::GetLink(LinkUnspec::new_with_index(1).build());
        let mut answers = vec![None; 100];
        wire.get(&questions, &mut |at, answer| {
            let answer = answer.map(|(_, payload)| name(payload)).map_err(|error| error.errno);
            assert!(answers[at].replace(answer).is_none(), "two answers to {at}");
        })
        .unwrap();
        for (at, answer) in answers.into_iter().enumerate() {
            let expected = match at {
                42 => Err(libc::ENODEV),
                99 => Ok("lo".to_owned()),
                _ => Ok(format!("br{at}")),
            };
            assert_eq!(answer, Some(expected));
        }
    });
}

#[test]
fn addresses_go_the_same_way() {
    in_namespace(|mut wire| {
        let address =
            AddressMessageBuilder::<Ipv4Addr>::new().index(1).address(Ipv4Addr::new(192, 0, 2, 1), 24).build();
        let add = Request::new(RouteNetlinkMessage::NewAddress(address), NLM_F_CREATE | NLM_F_EXCL);
        let results = wire.try_each(&[add.clone(), add]).unwrap();
        assert_eq!(results[0], Ok(()));
        assert_eq!(results[1].as_ref().unwrap_err().errno, libc::EEXIST);
    });
}

#[test]
fn dumps_stay_whole_while_links_come_and_go() {
    in_namespace(|mut wire| {
        wire.batch(&bridges(0..100)).unwrap();
        let stop = AtomicBool::new(false);
        let here = std::fs::File::open("/proc/thread-self/ns/net").unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                setns(&here, CloneFlags::CLONE_NEWNET).unwrap();
                let mut other = Wire::open(DEADLINE).unwrap();
                let add = create(LinkBridge::new("passing").build());
                let link = LinkUnspec::new_with_name("passing").build();
                let delete = Request::new(RouteNetlinkMessage::DelLink(link), 0);
                while !stop.load(Ordering::Relaxed) {
                    other.batch(&[add.clone(), delete.clone()]).unwrap();
                    // A host that never rests at all is an error, as it should be.
                    thread::sleep(Duration::from_millis(2));
                }
            });
            for _ in 0..30 {
                let seen = names(&mut wire);
                assert!((0..100).all(|i| seen.contains(&format!("br{i}"))));
            }
            stop.store(true, Ordering::Relaxed);
        });
    });
}

//! Counters of messages made by hand, and of this machine's kernel beside what `ip` makes of it.

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::process::Command;

use proptest::prelude::*;
use serde_json::Value;

use super::super::beside_ip::{in_namespace, ip};
use super::super::messages::attribute;
use super::*;

/// Ten numbers from `first` on, as the kernel orders them.
fn table(kind: u16, first: u64) -> Vec<u8> {
    let numbers: Vec<u8> = (first..first + 10).flat_map(u64::to_ne_bytes).collect();
    attribute(kind, &numbers)
}

fn header(length: usize, index: u32) -> Vec<u8> {
    let mut header = vec![0; length];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header
}

#[test]
fn the_counters_of_both_messages_are_the_same() {
    let expected = Counters { rx: 102, tx: 103, rx_errors: 104, tx_errors: 105, rx_dropped: 106, tx_dropped: 107 };
    let stats = [header(STATS_HEADER, 7), table(IFLA_STATS_LINK_64, 100)].concat();
    assert_eq!(counters(RTM_NEWSTATS, &stats), Some((7, expected)));
    let link = [header(IFINFOMSG, 7), attribute(libc::IFLA_IFNAME, b"eth0\0"), table(IFLA_STATS64, 100)].concat();
    assert_eq!(counters(libc::RTM_NEWLINK, &link), Some((7, expected)));
    assert_eq!(counters(libc::RTM_NEWADDR, &link), None);
    assert_eq!(counters(libc::RTM_NEWLINK, &header(IFINFOMSG, 7)), None);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(kind in prop::sample::select(vec![RTM_NEWSTATS, libc::RTM_NEWLINK]), bytes: Vec<u8>) {
        let _ = counters(kind, &bytes);
    }
}

/// What `ip -s` says of each link, by index.
fn beside() -> BTreeMap<u32, Counters> {
    let output = Command::new("ip").args(["-s", "-j", "link"]).output().unwrap();
    let links: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let of = |link: &Value| {
        let number = |way: &str, key: &str| link["stats64"][way][key].as_u64().unwrap();
        let counters = Counters {
            rx: number("rx", "bytes"),
            tx: number("tx", "bytes"),
            rx_errors: number("rx", "errors"),
            tx_errors: number("tx", "errors"),
            rx_dropped: number("rx", "dropped"),
            tx_dropped: number("tx", "dropped"),
        };
        (u32::try_from(link["ifindex"].as_u64().unwrap()).unwrap(), counters)
    };
    links.iter().map(of).collect()
}

#[test]
fn the_kernels_counters_are_those_that_ip_shows() {
    in_namespace(|| {
        ip("
            link set lo up
            link add br0 type bridge
            link add fake0 type veth peer name veth1");
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.send_to(&[0; 100], socket.local_addr().unwrap()).unwrap();
        let mut reader = CounterReader::open(Duration::from_secs(30)).unwrap();
        // No kernel takes an answer for a question: it says what one before 4.7 says to our first.
        let nonsense = || (RTM_NEWSTATS, vec![0; STATS_HEADER]);
        reader.questions.push(nonsense());
        for left in [2, 1] {
            let ours: BTreeMap<u32, Counters> = reader.read().unwrap().into_iter().collect();
            assert_eq!(reader.questions.len(), left);
            assert_eq!(ours, beside());
            let loopback = ours[&1];
            assert!(loopback.rx >= 128 && loopback.rx == loopback.tx, "{loopback:?}");
            reader.questions.pop();
        }
        reader.questions.push(nonsense());
        assert!(matches!(reader.read(), Err(CountersError::Read(error)) if is_unknown(&error)));
    });
}

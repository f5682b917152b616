//! Speed and duplex against this machine's kernel, each test in a network namespace of its own.
//!
//! Needs root and a kernel with `CONFIG_ETHTOOL_NETLINK`; without them each test
//! is skipped. What sysfs says is always compared with, the
//! program `ethtool` only where it is installed.

#![allow(clippy::unwrap_used)]

use std::{
    any::type_name_of_val,
    fs::{self, File, OpenOptions},
    os::fd::{AsFd, AsRawFd},
    process::Command,
    thread,
    time::Duration,
};

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::{RouteNetlinkMessage, link::LinkMessage};
use nix::{
    mount::{MsFlags, mount},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sched::{CloneFlags, unshare},
    sys::socket::{setsockopt, sockopt},
};
use rtnetlink::{LinkBridge, LinkUnspec, LinkVeth};
use vdsm_netlink::{
    Request, Wire, attrs,
    ethtool::{Duplex, Ethtool, EthtoolMonitor, Modes},
    generic::Drained,
};

#[path = "../../../tests/common/skip.rs"]
mod skip;
use skip::skip;

const DEADLINE: Duration = Duration::from_secs(30);
/// No link has this index.
const NOBODY: u32 = 99_999;
const UNKNOWN: Modes = Modes { speed: None, duplex: None };
const VETH: Modes = Modes { speed: Some(10_000), duplex: Some(Duplex::Full) };

/// Runs the test on a thread with a network namespace of its own, which `/sys` shows.
fn in_namespace(test: impl FnOnce(Wire, Ethtool) + Send) {
    let name = type_name_of_val(&test).trim_end_matches("::{{closure}}");
    thread::scope(|scope| {
        let run = scope.spawn(|| {
            if let Err(errno) = unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS) {
                return skip(name, &format!("no network namespace may be made here: {errno}"));
            }
            let none = None::<&str>;
            mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
            mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), none).unwrap();
            match Ethtool::open(DEADLINE).unwrap() {
                None => skip(name, "this kernel has no ethtool family"),
                Some(ethtool) => test(Wire::open(DEADLINE).unwrap(), ethtool),
            }
        });
        run.join().unwrap();
    });
}

fn create(link: LinkMessage) -> Request {
    Request::new(RouteNetlinkMessage::NewLink(link), NLM_F_CREATE | NLM_F_EXCL)
}

fn up(name: &str) -> Request {
    Request::new(RouteNetlinkMessage::SetLink(LinkUnspec::new_with_name(name).up().build()), 0)
}

fn index(wire: &mut Wire, name: &str) -> u32 {
    let mut index = None;
    let question = RouteNetlinkMessage::GetLink(LinkUnspec::new_with_name(name).build());
    wire.get(&[question], &mut |_, answer| index = attrs::u32(&answer.unwrap().1[4..])).unwrap();
    index.unwrap()
}

/// Two ends of a cable, both up.
fn veth(wire: &mut Wire, name: &str, peer: &str) -> u32 {
    wire.batch(&[create(LinkVeth::new(name, peer).build()), up(name), up(peer)]).unwrap();
    index(wire, name)
}

fn bridge(wire: &mut Wire, name: &str) -> u32 {
    wire.batch(&[create(LinkBridge::new(name).build()), up(name)]).unwrap();
    index(wire, name)
}

fn interface(name: &str) -> libc::ifreq {
    // SAFETY: all zeros are a sound `ifreq`.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from.cast_signed();
    }
    request
}

/// A tap device that is up; it lives, and has a carrier, as long as the file. None where there is no tun driver.
fn tap(wire: &mut Wire, name: &str) -> Option<File> {
    let Ok(file) = OpenOptions::new().read(true).write(true).open("/dev/net/tun") else {
        skip(name, "there is no /dev/net/tun");
        return None;
    };
    let mut request = interface(name);
    request.ifr_ifru.ifru_flags = i16::try_from(libc::IFF_TAP | libc::IFF_NO_PI).unwrap();
    // SAFETY: TUNSETIFF reads and writes one `ifreq`.
    assert_eq!(unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &mut request) }, 0);
    wire.batch(&[up(name)]).unwrap();
    Some(file)
}

/// As `ethtool -s NAME speed SPEED duplex half`, by ioctl.
fn set_half(name: &str, speed: u16) {
    const ETHTOOL_GSET: u8 = 1;
    const ETHTOOL_SSET: u8 = 2;
    // `struct ethtool_cmd`: command, two masks of modes, speed, duplex, and what stays as it is.
    let mut settings = [0_u8; 44];
    let ask = |command: u8, settings: &mut [u8; 44]| {
        settings[..4].copy_from_slice(&u32::from(command).to_ne_bytes());
        let mut request = interface(name);
        request.ifr_ifru.ifru_data = settings.as_mut_ptr().cast();
        let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
        // SAFETY: the kernel reads and writes one `ethtool_cmd` behind the pointer.
        assert_eq!(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL, &mut request) }, 0);
    };
    ask(ETHTOOL_GSET, &mut settings);
    settings[12..14].copy_from_slice(&speed.to_ne_bytes());
    settings[14] = 0;
    ask(ETHTOOL_SSET, &mut settings);
}

/// What sysfs says, which is what the driver says as long as the link is up.
fn sysfs(name: &str) -> Modes {
    let read = |what: &str| fs::read_to_string(format!("/sys/class/net/{name}/{what}")).unwrap_or_default();
    Modes {
        speed: read("speed").trim().parse::<i64>().ok().and_then(|speed| u32::try_from(speed).ok()),
        duplex: match read("duplex").trim() {
            "full" => Some(Duplex::Full),
            "half" => Some(Duplex::Half),
            _ => None,
        },
    }
}

/// What the program `ethtool` says; none where it is not installed.
fn program(name: &str) -> Option<Modes> {
    let Ok(output) = Command::new("ethtool").arg(name).output() else {
        skip(name, "there is no program ethtool to compare with");
        return None;
    };
    let text = String::from_utf8(output.stdout).unwrap();
    let value = |key: &str| text.lines().find_map(|line| line.trim().strip_prefix(key)).map_or("", str::trim);
    Some(Modes {
        speed: value("Speed:").strip_suffix("Mb/s").and_then(|speed| speed.parse().ok()),
        duplex: match value("Duplex:") {
            "Full" => Some(Duplex::Full),
            "Half" => Some(Duplex::Half),
            _ => None,
        },
    })
}

fn agree_with_others(wire: &mut Wire, ethtool: &mut Ethtool, name: &str, expected: Modes) {
    let index = index(wire, name);
    assert_eq!(ethtool.modes(&[index]).unwrap(), [expected], "{name}");
    assert_eq!(sysfs(name), expected, "sysfs of {name}");
    if let Some(seen) = program(name) {
        assert_eq!(seen, expected, "ethtool {name}");
    }
}

#[test]
fn links_that_run_say_what_sysfs_and_ethtool_say() {
    in_namespace(|mut wire, mut ethtool| {
        veth(&mut wire, "v0", "v1");
        bridge(&mut wire, "empty");
        for name in ["v0", "v1"] {
            agree_with_others(&mut wire, &mut ethtool, name, VETH);
        }
        for name in ["empty", "lo"] {
            agree_with_others(&mut wire, &mut ethtool, name, UNKNOWN);
        }
        // A bridge is as fast as its fastest port.
        let mut port = LinkUnspec::new_with_name("v0");
        port = port.controller(index(&mut wire, "empty"));
        wire.batch(&[Request::new(RouteNetlinkMessage::SetLink(port.build()), 0)]).unwrap();
        assert_eq!(sysfs("empty").speed, Some(10_000));
        let bridge = index(&mut wire, "empty");
        assert_eq!(ethtool.modes(&[bridge]).unwrap()[0].speed, Some(10_000));
    });
}

#[test]
fn a_tap_that_runs_says_what_was_set() {
    in_namespace(|mut wire, mut ethtool| {
        let Some(_file) = tap(&mut wire, "t0") else { return };
        let first = sysfs("t0");
        assert_eq!(first.duplex, Some(Duplex::Full));
        agree_with_others(&mut wire, &mut ethtool, "t0", first);
        set_half("t0", 100);
        let set = Modes { speed: Some(100), duplex: Some(Duplex::Half) };
        agree_with_others(&mut wire, &mut ethtool, "t0", set);
    });
}

#[test]
fn a_link_without_carrier_has_no_modes() {
    in_namespace(|mut wire, mut ethtool| {
        wire.batch(&[create(LinkVeth::new("v0", "v1").build()), up("v0")]).unwrap();
        let ends = [index(&mut wire, "v0"), index(&mut wire, "v1")];
        // The driver says 10000 Mbit/s of both all the same.
        assert_eq!(sysfs("v0"), VETH);
        assert_eq!(ethtool.modes(&ends).unwrap(), [UNKNOWN; 2]);
        wire.batch(&[up("v1")]).unwrap();
        assert_eq!(ethtool.modes(&ends).unwrap(), [VETH; 2]);

        let Some(file) = tap(&mut wire, "t0") else { return };
        // SAFETY: TUNSETPERSIST takes a number.
        assert_eq!(unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETPERSIST, 1) }, 0);
        let tap = index(&mut wire, "t0");
        assert_ne!(ethtool.modes(&[tap]).unwrap(), [UNKNOWN]);
        drop(file);
        // A program that another test just starts has a copy of the file for a moment.
        while fs::read_to_string("/sys/class/net/t0/carrier").unwrap().trim() != "0" {
            thread::yield_now();
        }
        assert_ne!(sysfs("t0"), UNKNOWN);
        assert_eq!(ethtool.modes(&[tap]).unwrap(), [UNKNOWN]);
    });
}

#[test]
fn a_link_that_vanished_has_no_modes() {
    in_namespace(|mut wire, mut ethtool| {
        let gone = veth(&mut wire, "v0", "v1");
        let stays = veth(&mut wire, "v2", "v3");
        assert_eq!(ethtool.modes(&[gone, stays]).unwrap(), [VETH; 2]);
        let delete = RouteNetlinkMessage::DelLink(LinkUnspec::new_with_name("v0").build());
        wire.batch(&[Request::new(delete, 0)]).unwrap();
        assert_eq!(ethtool.modes(&[gone, stays, NOBODY, 0]).unwrap(), [UNKNOWN, VETH, UNKNOWN, UNKNOWN]);
        assert_eq!(ethtool.modes(&[]).unwrap(), []);
    });
}

#[test]
fn three_hundred_answers_come_in_the_order_of_the_questions() {
    in_namespace(|mut wire, mut ethtool| {
        let mut expected = Vec::new();
        for i in 0..60 {
            expected.push((veth(&mut wire, &format!("v{i}"), &format!("w{i}")), VETH));
            expected.push((NOBODY + i, UNKNOWN));
            wire.batch(&[create(LinkVeth::new(&format!("x{i}"), &format!("y{i}")).build())]).unwrap();
            expected.push((index(&mut wire, &format!("x{i}")), UNKNOWN));
            expected.push((index(&mut wire, &format!("w{i}")), VETH));
            expected.push((1, UNKNOWN));
        }
        // 7 and 300 have no common divisor, so that each comes once.
        let expected: Vec<_> = (0..300).map(|i| expected[i * 7 % 300]).collect();
        let (indexes, modes): (Vec<_>, Vec<_>) = expected.into_iter().unzip();
        assert_eq!(ethtool.modes(&indexes).unwrap(), modes);
    });
}

#[test]
fn the_namespace_of_the_opening_thread_counts() {
    in_namespace(|mut wire, mut ethtool| {
        let here = veth(&mut wire, "v0", "v1");
        let mut monitor = EthtoolMonitor::open().unwrap().unwrap();
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        assert_eq!(ethtool.modes(&[here]).unwrap(), [VETH]);
        let mut there = Ethtool::open(DEADLINE).unwrap().unwrap();
        assert_eq!(there.modes(&[here]).unwrap(), [UNKNOWN]);

        let Some(_file) = tap(&mut Wire::open(DEADLINE).unwrap(), "t0") else { return };
        set_half("t0", 100);
        assert_eq!(changes(&mut monitor), (vec![], Drained::Empty));
    });
}

fn changes(monitor: &mut EthtoolMonitor) -> (Vec<u32>, Drained) {
    let mut seen = Vec::new();
    let drained = monitor.drain(&mut |index| seen.push(index)).unwrap();
    (seen, drained)
}

/// Whether there is something to drain.
fn is_ready(monitor: &EthtoolMonitor) -> bool {
    poll(&mut [PollFd::new(monitor.as_fd(), PollFlags::POLLIN)], PollTimeout::ZERO).unwrap() == 1
}

#[test]
fn the_monitor_tells_which_links_somebody_changed() {
    in_namespace(|mut wire, _| {
        let Some(_files) = tap(&mut wire, "t0").zip(tap(&mut wire, "t1")) else { return };
        let taps = [index(&mut wire, "t0"), index(&mut wire, "t1")];
        let mut monitor = EthtoolMonitor::open().unwrap().unwrap();
        assert!(!is_ready(&monitor));
        assert_eq!(changes(&mut monitor), (vec![], Drained::Empty));
        set_half("t1", 100);
        set_half("t0", 10);
        assert!(is_ready(&monitor));
        assert_eq!(changes(&mut monitor), (vec![taps[1], taps[0]], Drained::Empty));
        assert!(!is_ready(&monitor));
    });
}

#[test]
fn the_monitor_tells_of_loss_and_goes_on() {
    in_namespace(|mut wire, _| {
        let Some(_file) = tap(&mut wire, "t0") else { return };
        let tap = index(&mut wire, "t0");
        let mut monitor = EthtoolMonitor::open().unwrap().unwrap();
        // The kernel makes of it what it takes for the least.
        setsockopt(&monitor, sockopt::RcvBuf, &1).unwrap();
        for _ in 0..100 {
            set_half("t0", 100);
        }
        let (seen, drained) = changes(&mut monitor);
        assert_eq!((seen, drained), (vec![], Drained::Lost));
        let (seen, drained) = changes(&mut monitor);
        assert_eq!(drained, Drained::Empty);
        assert!(seen.len() < 100 && seen.iter().all(|index| *index == tap), "{seen:?}");
        set_half("t0", 100);
        assert_eq!(changes(&mut monitor), (vec![tap], Drained::Empty));
    });
}

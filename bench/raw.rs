//! The floor: one step as netlink messages that are ready before the clock starts.
//!
//! What brings it to the kernel's limit was measured before (each attribute folded into the
//! message that makes the link, indexes chosen here, IPv6 off before a device goes up, deletion
//! by group). One step is one process, which measures itself: `vdsm-bench raw STEP N CLOCK MODE`.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use crate::clock::{CpuClock, Measured, Stopwatch, Who};
use crate::message::Message;
use crate::netlink::{Chunk, Netlink, link_index, walk_address, walk_link};
use crate::workload::{BOND, BondMode, NICS, Step, Workload, bridge, mtu_after, vlan};

const BOND_INDEX: u32 = 100;
/// The group of what is about to be deleted.
const DOOMED: u32 = 77;

/// The index a nic was made with.
fn nic_index(number: usize) -> u32 {
    10 + number as u32
}

fn vlan_index(tag: usize) -> u32 {
    10_000 + 2 * tag as u32
}

fn bridge_index(tag: usize) -> u32 {
    vlan_index(tag) + 1
}

/// The two nics, before anything is measured.
pub(crate) fn make_nics() -> io::Result<()> {
    let nics = NICS.iter().enumerate().map(|(at, name)| Message::dummy(nic_index(at), name)).collect();
    run_all(&Chunk::pack(nics, &mut 1))
}

/// Deletes every link that can be, so that the namespace dies at once.
pub(crate) fn clear() -> io::Result<()> {
    let (mut socket, mut sequence) = (Netlink::open()?, 1);
    let mut found = Vec::new();
    for chunk in Chunk::pack(vec![Message::dump_links()], &mut sequence) {
        socket.dump(&chunk, |link| found.push(link_index(link)))?;
    }
    found.retain(|index| *index != 1); // the loopback
    found.sort_unstable();
    found.dedup();
    let mut messages: Vec<Message> = found.into_iter().map(|index| Message::group(index, DOOMED)).collect();
    messages.push(Message::delete_group(DOOMED));
    Chunk::pack(messages, &mut sequence).iter().try_for_each(|chunk| socket.run(chunk))
}

/// Does a step in a process of its own, in this network namespace.
pub(crate) fn step(step: Step, workload: Workload, clock: CpuClock) -> Result<Measured, String> {
    let program = std::env::current_exe().map_err(|e| format!("where am I: {e}"))?;
    let output = Command::new(program)
        .args(["raw", step.name(), &workload.n.to_string(), clock.name(), workload.mode.name()])
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| format!("cannot start myself: {e}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut nanos = text.split_whitespace().map_while(|word| word.parse().ok()).map(Duration::from_nanos);
    match (output.status.success(), nanos.next(), nanos.next()) {
        (true, Some(wall), Some(cpu)) => Ok(Measured { wall, cpu }),
        _ => Err(format!("raw {}: {}", step.name(), output.status)),
    }
}

/// The child's side of [`step`]: prints the wall and CPU nanoseconds.
pub(crate) fn run(args: &[String]) -> Result<ExitCode, String> {
    let [step, n, clock, mode] = args else { return Err("raw STEP N CLOCK MODE".into()) };
    let (step, clock, mode) = (Step::named(step)?, CpuClock::named(clock)?, BondMode::named(mode)?);
    let workload = Workload { n: n.parse().map_err(|e| format!("{n}: {e}"))?, mode };
    let measured = measured(&operations(step, workload), clock).map_err(|e| format!("raw {}: {e}", step.name()))?;
    println!("{} {}", measured.wall.as_nanos(), measured.cpu.as_nanos());
    Ok(ExitCode::SUCCESS)
}

/// One thing to be done between start and stop.
enum Operation {
    Send(Chunk),
    /// `1` into this file.
    Switch(String),
    DumpLinks(Chunk),
    DumpAddresses(Chunk),
}

fn measured(operations: &[Operation], clock: CpuClock) -> io::Result<Measured> {
    let mut socket = Netlink::open()?;
    let watch = Stopwatch::start(clock, Who::Me)?;
    let mut seen = 0;
    for operation in operations {
        match operation {
            Operation::Send(chunk) => socket.run(chunk)?,
            Operation::Switch(path) => switch_on(path)?,
            Operation::DumpLinks(chunk) => socket.dump(chunk, |link| seen += walk_link(link))?,
            Operation::DumpAddresses(chunk) => socket.dump(chunk, |address| seen += walk_address(address))?,
        }
    }
    let measured = watch.stop()?;
    std::hint::black_box(seen);
    Ok(measured)
}

pub(crate) fn run_all(chunks: &[Chunk]) -> io::Result<()> {
    let mut socket = Netlink::open()?;
    chunks.iter().try_for_each(|chunk| socket.run(chunk))
}

/// Where IPv6 is switched off for a device.
pub(crate) fn ipv6_switch(device: &str) -> String {
    format!("/proc/sys/net/ipv6/conf/{device}/disable_ipv6")
}

pub(crate) fn switch_on(path: &str) -> io::Result<()> {
    let named = |e: io::Error| io::Error::new(e.kind(), format!("{path}: {e}"));
    OpenOptions::new().write(true).open(path).and_then(|mut file| file.write_all(b"1")).map_err(named)
}

/// A step's operations, in their order.
fn operations(step: Step, workload: Workload) -> Vec<Operation> {
    let mut script = Script { sequence: 1, operations: Vec::new() };
    let tags = workload.touched(step);
    match step {
        Step::Create => {
            script.bond(workload.mode);
            script.networks(tags);
        }
        Step::AddOne => script.networks(tags),
        Step::Reapply => {
            let links = script.packed(vec![Message::dump_links()]);
            let addresses = script.packed(vec![Message::dump_addresses()]);
            script.operations.extend(links.into_iter().map(Operation::DumpLinks));
            script.operations.extend(addresses.into_iter().map(Operation::DumpAddresses));
        }
        Step::MtuDown | Step::MtuUp => script.mtu(step, tags),
        Step::RemoveOne => script.delete(tags.flat_map(|tag| [vlan_index(tag), bridge_index(tag)])),
        Step::RemoveAll => {
            script.delete(tags.flat_map(|tag| [bridge_index(tag), vlan_index(tag)]).chain([BOND_INDEX]));
        }
    }
    script.operations
}

struct Script {
    sequence: u32,
    operations: Vec<Operation>,
}

impl Script {
    /// The bond complete and up before its VLANs: later is a fifth dearer.
    fn bond(&mut self, mode: BondMode) {
        self.send(vec![Message::bond(BOND_INDEX, BOND, mode.number(), 100)]);
        self.without_ipv6([BOND, NICS[0], NICS[1]].map(str::to_owned));
        let slaves = (0..NICS.len()).map(|at| Message::enslave(nic_index(at), BOND_INDEX));
        self.send(slaves.chain([Message::up(BOND_INDEX)]).collect());
    }

    fn networks(&mut self, tags: impl Iterator<Item = usize> + Clone) {
        let made = tags.clone().flat_map(|tag| {
            let vlan = Message::vlan(vlan_index(tag), &vlan(tag), tag as u16, BOND_INDEX, bridge_index(tag));
            [Message::bridge(bridge_index(tag), &bridge(tag)), vlan]
        });
        self.send(made.collect());
        self.without_ipv6(tags.clone().flat_map(|tag| [bridge(tag), vlan(tag)]));
        self.send(tags.flat_map(|tag| [Message::up(vlan_index(tag)), Message::up(bridge_index(tag))]).collect());
    }

    /// The port, then its bridge, which has followed by then; an upper MTU never above its lower.
    fn mtu(&mut self, step: Step, tags: impl Iterator<Item = usize>) {
        let mtu = mtu_after(step);
        let bond = Message::mtu(BOND_INDEX, mtu);
        let networks = tags.flat_map(|tag| [Message::mtu(vlan_index(tag), mtu), Message::mtu(bridge_index(tag), mtu)]);
        self.send(if step == Step::MtuUp {
            [bond].into_iter().chain(networks).collect()
        } else {
            networks.chain([bond]).collect()
        });
    }

    fn delete(&mut self, indexes: impl Iterator<Item = u32>) {
        let doomed = indexes.map(|index| Message::group(index, DOOMED));
        self.send(doomed.chain([Message::delete_group(DOOMED)]).collect());
    }

    fn without_ipv6(&mut self, devices: impl IntoIterator<Item = String>) {
        self.operations.extend(devices.into_iter().map(|device| Operation::Switch(ipv6_switch(&device))));
    }

    fn send(&mut self, messages: Vec<Message>) {
        let chunks = self.packed(messages);
        self.operations.extend(chunks.into_iter().map(Operation::Send));
    }

    fn packed(&mut self, messages: Vec<Message>) -> Vec<Chunk> {
        Chunk::pack(messages, &mut self.sequence)
    }
}

//! `ip -batch`, in its best spelling: everything that can be said in one line is.
//!
//! IPv6 is switched off between the batches, by us and within the measured time, since `ip` has
//! no word for it and a device should not go up before. Two batches would do for a creation; the
//! third start of `ip` buys that the bond is up before its VLANs come, as in `raw.rs`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::clock::{CpuClock, Measured, Stopwatch, Who};
use crate::raw::{ipv6_switch, switch_on};
use crate::results::median;
use crate::workload::{BOND, NICS, Step, Workload, bridge, mtu_after, vlan};

/// Does a step in this network namespace; the batches are written into `dir` before.
pub(crate) fn step(step: Step, workload: Workload, clock: CpuClock, dir: &Path) -> Result<Measured, String> {
    let actions = actions(step, workload, dir)?;
    let failed = |e: std::io::Error| format!("ip-batch {}: {e}", step.name());
    let watch = Stopwatch::start(clock, Who::MeAndChildren).map_err(failed)?;
    for action in &actions {
        match action {
            Action::Ip(args) => ip(args)?,
            Action::Switches(paths) => paths.iter().try_for_each(|path| switch_on(path)).map_err(failed)?,
        }
    }
    watch.stop().map_err(failed)
}

/// How many times `ip` is started to create the networks.
pub(crate) const STARTS_TO_CREATE: f64 = 3.0;

/// The milliseconds of CPU that starting `ip` for an empty batch takes.
pub(crate) fn start_cost(clock: CpuClock) -> Result<Option<f64>, String> {
    let args = ["-batch", "/dev/null"].map(str::to_owned);
    let mut millis = Vec::new();
    for _ in 0..10 {
        let watch = Stopwatch::start(clock, Who::MeAndChildren).map_err(|e| format!("the clock: {e}"))?;
        ip(&args)?;
        millis.push(watch.stop().map_err(|e| format!("the clock: {e}"))?.cpu.as_secs_f64() * 1000.0);
    }
    Ok(median(&millis))
}

enum Action {
    /// `ip` with these arguments.
    Ip(Vec<String>),
    /// `1` into each of these files.
    Switches(Vec<String>),
}

fn ip(args: &[String]) -> Result<(), String> {
    let status = Command::new("ip").args(args).stdin(Stdio::null()).stdout(Stdio::null()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("ip {}: {status}", args.join(" "))),
        Err(error) => Err(format!("ip: {error}")),
    }
}

fn actions(step: Step, workload: Workload, dir: &Path) -> Result<Vec<Action>, String> {
    let tags = workload.touched(step);
    let mtu = mtu_after(step);
    match step {
        Step::Create => {
            let mode = workload.mode.name();
            let bond = format!("link add name {BOND} type bond mode {mode} miimon 100");
            let slaves = NICS.iter().map(|nic| format!("link set dev {nic} master {BOND}"));
            let bond_up = slaves.chain([format!("link set dev {BOND} up")]);
            Ok(vec![
                batch(dir, "bond", [bond].into_iter())?,
                switches([BOND, NICS[0], NICS[1]].map(str::to_owned).into_iter()),
                batch(dir, "add", bond_up.chain(adds(tags.clone())))?,
                switches(devices(tags.clone())),
                batch(dir, "up", ups(tags))?,
            ])
        }
        Step::AddOne => Ok(vec![
            batch(dir, "add", adds(tags.clone()))?,
            switches(devices(tags.clone())),
            batch(dir, "up", ups(tags))?,
        ]),
        Step::Reapply => {
            let words = |line: &str| Action::Ip(line.split(' ').map(str::to_owned).collect());
            Ok(vec![words("-d link show"), words("addr show")])
        }
        Step::MtuDown => {
            let networks = tags.flat_map(|tag| [vlan(tag), bridge(tag)]);
            let devices = networks.chain([BOND.to_owned()]);
            Ok(vec![batch(dir, "mtu", devices.map(|device| format!("link set dev {device} mtu {mtu}")))?])
        }
        Step::MtuUp => {
            let networks = tags.flat_map(|tag| [vlan(tag), bridge(tag)]);
            let devices = [BOND.to_owned()].into_iter().chain(networks);
            Ok(vec![batch(dir, "mtu", devices.map(|device| format!("link set dev {device} mtu {mtu}")))?])
        }
        Step::RemoveOne => Ok(vec![batch(dir, "del", dels(tags))?]),
        Step::RemoveAll => Ok(vec![batch(dir, "del", dels(tags).chain([format!("link del dev {BOND}")]))?]),
    }
}

type Tags = std::ops::RangeInclusive<usize>;

fn devices(tags: Tags) -> impl Iterator<Item = String> {
    tags.flat_map(|tag| [bridge(tag), vlan(tag)])
}

fn adds(tags: Tags) -> impl Iterator<Item = String> {
    tags.flat_map(|tag| {
        let (bridge, vlan) = (bridge(tag), vlan(tag));
        [
            format!("link add name {bridge} type bridge forward_delay 0 stp_state 0"),
            format!("link add link {BOND} name {vlan} master {bridge} type vlan id {tag}"),
        ]
    })
}

fn ups(tags: Tags) -> impl Iterator<Item = String> {
    tags.flat_map(|tag| [format!("link set dev {} up", vlan(tag)), format!("link set dev {} up", bridge(tag))])
}

fn dels(tags: Tags) -> impl Iterator<Item = String> {
    devices(tags).map(|device| format!("link del dev {device}"))
}

fn switches(devices: impl Iterator<Item = String>) -> Action {
    Action::Switches(devices.map(|device| ipv6_switch(&device)).collect())
}

fn batch(dir: &Path, name: &str, lines: impl Iterator<Item = String>) -> Result<Action, String> {
    let path: PathBuf = dir.join(name);
    let mut text: String = lines.collect::<Vec<_>>().join("\n");
    text.push('\n');
    fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(Action::Ip(vec!["-batch".to_owned(), path.display().to_string()]))
}

//! The actions against the kernel: in large batches, each acknowledgement checked.
//!
//! Links that go together go as a group: the kernel then waits for its readers once instead of
//! once for each (peers-performance 6.1).

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::ErrorKind;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use vdsm_dhcp_client::DhcpClients;
use vdsm_model::name::DeviceName;
use vdsm_model::netinfo::NetInfo;
use vdsm_netlink::ethtool::Ethtool;
use vdsm_netlink::{BatchError, CHUNK_MESSAGES, KernelError, Request, Wire, WireError};

use super::Kernel;
use super::action::{Action, NewLink, adverts_sysctls};
use super::clients;
use super::ethtool;
use super::message::{self, Indexes};
use super::routers;
use crate::resolver::HostResolver;
use crate::{Begin, RunError};

/// The kernel of this network namespace.
pub struct Rtnetlink {
    wire: Wire,
    /// Opened with the first setting that is changed, in the namespace of whoever changes it.
    ethtool: Option<Ethtool>,
    dhcp: Option<Arc<dyn DhcpClients>>,
    deadline: Duration,
    resolver: HostResolver,
}

impl std::fmt::Debug for Rtnetlink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rtnetlink").field("wire", &self.wire).field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

impl Rtnetlink {
    /// Opens a socket in the caller's network namespace; no answer may take longer than `deadline`.
    /// Name servers are `resolver`'s.
    pub fn open(deadline: Duration, resolver: HostResolver) -> Result<Rtnetlink, WireError> {
        Ok(Rtnetlink { wire: Wire::open(deadline)?, ethtool: None, dhcp: None, deadline, resolver })
    }

    /// The same with somebody who has the host's DHCP clients.
    pub fn with_dhcp(self, clients: Arc<dyn DhcpClients>) -> Rtnetlink {
        Rtnetlink { dhcp: Some(clients), ..self }
    }
}

/// How actions are sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// Any refusal ends the run.
    Strict,
    /// That a thing is gone already is what was wanted.
    Gone,
    /// Links that go.
    Links,
    /// No message of rtnetlink's: a file, another family, another process, a router.
    Aside,
}

fn manner(action: &Action) -> Manner {
    match action {
        Action::DelLink { .. } => Manner::Links,
        Action::DelAddress { .. } | Action::DelRoute { .. } | Action::DelRule { .. } | Action::SetTap { .. } => {
            Manner::Gone
        }
        Action::Ipv6 { .. }
        | Action::Adverts { .. }
        | Action::Solicit { .. }
        | Action::Ethtool { .. }
        | Action::Dhcp { .. }
        | Action::Resolver { .. } => Manner::Aside,
        _ => Manner::Strict,
    }
}

impl Kernel for Rtnetlink {
    fn run(
        &mut self,
        actions: &[(usize, Action)],
        seen: &NetInfo,
        begin: &mut Begin<'_>,
    ) -> Result<(), (usize, RunError)> {
        let mut names = Names::of(seen);
        let mut start = 0;
        while start < actions.len() {
            let how = manner(&actions[start].1);
            let length = actions[start..].iter().take_while(|(_, a)| manner(a) == how).count();
            let part = &actions[start..start + length];
            let mut begin = |batch: Range<usize>| begin(start + batch.start..start + batch.end);
            let done = match how {
                Manner::Strict => self.strict(part, &mut names, &mut begin),
                Manner::Gone => self.gone(part, &mut names, &mut begin),
                Manner::Links => self.delete(part, &mut names, &mut begin),
                Manner::Aside => batches(part.len(), &mut begin).try_for_each(|batch| {
                    let mut each = batch.map(|at| (at, &part[at].1));
                    each.try_for_each(|(at, action)| self.aside(action, &names).map_err(|error| (at, error)))
                }),
            };
            done.map_err(|(at, source)| (start + at, source))?;
            start += length;
        }
        Ok(())
    }
}

type Outcome = Result<(), (usize, RunError)>;

/// Cuts so many into batches of one datagram each, and begins each when it is its turn.
fn batches(count: usize, begin: &mut Begin<'_>) -> impl Iterator<Item = Range<usize>> {
    let starts = (0..count).step_by(CHUNK_MESSAGES);
    starts.map(move |start| start..count.min(start + CHUNK_MESSAGES)).inspect(|batch| begin(batch.clone()))
}

impl Rtnetlink {
    /// What rtnetlink has no message for, one by one.
    fn aside(&mut self, action: &Action, names: &Names<'_>) -> Result<(), RunError> {
        match action {
            Action::Ipv6 { name, on } => sysctl(*name, "disable_ipv6", u8::from(!on)),
            Action::Adverts { name, adverts } => {
                adverts_sysctls(*adverts).into_iter().try_for_each(|(key, value)| sysctl(*name, key, value))
            }
            Action::Solicit { device } => {
                solicit(*device, names);
                Ok(())
            }
            Action::Ethtool { name, group, settings } => {
                let index = names.index(name)?;
                if self.ethtool.is_none() {
                    self.ethtool = Ethtool::open(self.deadline).map_err(RunError::Ethtool)?;
                }
                ethtool::change(self.ethtool.as_mut(), index, *group, settings)
            }
            Action::Dhcp { device, change } => clients::run(self.dhcp.as_ref(), *device, change),
            Action::Resolver { from, to } => {
                self.resolver.set(from, to, |name| names.index(name).ok()).map_err(RunError::Resolver)
            }
            _ => Ok(()),
        }
    }

    fn strict(&mut self, actions: &[(usize, Action)], names: &mut Names<'_>, begin: &mut Begin<'_>) -> Outcome {
        let mut requests = Vec::with_capacity(actions.len());
        let mut sent = 0;
        let mut fresh = HashSet::new();
        for (at, (_, action)) in actions.iter().enumerate() {
            // Nothing may use an index of our choice before the kernel has given it to our device:
            // somebody else's may have it.
            if used(action).iter().flatten().any(|name| fresh.contains(name)) {
                self.send(&requests, sent, begin)?;
                sent = at;
                requests.clear();
                fresh.clear();
            }
            match message::request(action, names) {
                Ok(request) => requests.extend(request),
                // What can be said is said, so that the error is the first in order.
                Err(source) => {
                    return self.send(&requests, sent, begin).and(Err((at, source)));
                }
            }
            if let Action::AddLink { name, .. } = action {
                fresh.insert(*name);
            }
        }
        self.send(&requests, sent, begin)
    }

    /// The requests of the actions from `first` on.
    fn send(&mut self, requests: &[Request], first: usize, begin: &mut Begin<'_>) -> Outcome {
        let mut begin = |batch: Range<usize>| begin(first + batch.start..first + batch.end);
        batches(requests.len(), &mut begin).try_for_each(|batch| {
            let start = first + batch.start;
            self.wire.batch(&requests[batch]).map_err(|error| match error {
                BatchError::Refused { index, source, .. } => (start + index, RunError::Kernel(source)),
                BatchError::Broken { done, source } => {
                    (start + done.iter().position(|d| !d).unwrap_or(0), RunError::Wire(source))
                }
            })
        })
    }

    fn gone(&mut self, actions: &[(usize, Action)], names: &mut Names<'_>, begin: &mut Begin<'_>) -> Outcome {
        for batch in batches(actions.len(), begin) {
            let start = batch.start;
            let (mut requests, mut places) = (Vec::new(), Vec::new());
            for at in batch {
                match message::request(&actions[at].1, names) {
                    Ok(Some(request)) => {
                        requests.push(request);
                        places.push(at);
                    }
                    Ok(None) | Err(RunError::NoDevice(_)) => {}
                    Err(source) => return Err((at, source)),
                }
            }
            let answers = self.wire.try_each(&requests).map_err(|e| (start, RunError::Wire(e)))?;
            for (answer, at) in answers.into_iter().zip(places) {
                if let Err(error) = answer
                    && !is_gone(&error)
                {
                    return Err((at, RunError::Kernel(error)));
                }
            }
        }
        Ok(())
    }

    fn delete(&mut self, actions: &[(usize, Action)], names: &mut Names<'_>, begin: &mut Begin<'_>) -> Outcome {
        let doomed: Vec<(usize, u32)> = actions
            .iter()
            .enumerate()
            .filter_map(|(at, (_, action))| match action {
                Action::DelLink { name } => Some((at, names.index(name).ok()?)),
                _ => None,
            })
            .collect();
        if doomed.len() < 2 {
            return self.gone(actions, names, begin);
        }
        // They go together: none of them is done before all are.
        begin(0..actions.len());
        let group = names.free_group();
        let moves: Vec<Request> = doomed.iter().map(|(_, index)| message::to_group(*index, group)).collect();
        let answers = self.wire.try_each(&moves).map_err(|e| (0, RunError::Wire(e)))?;
        let refused = answers
            .into_iter()
            .zip(&doomed)
            .find_map(|(answer, (at, _))| Some((*at, answer.err().filter(|e| !is_gone(e))?)));
        let result = match refused {
            Some((at, error)) => Err((at, RunError::Kernel(error))),
            None => self.wire.try_each(&[message::delete_group(group)]).map_err(|e| (0, RunError::Wire(e))).and_then(
                |answers| {
                    let refused = answers.into_iter().find_map(|a| a.err().filter(|e| !is_gone(e)));
                    refused.map_or(Ok(()), |error| Err((0, RunError::Kernel(error))))
                },
            ),
        };
        if result.is_err() {
            // They stay: so their group must not be left behind as a trap for the next deletion.
            let back: Vec<Request> = doomed.iter().map(|(_, index)| message::to_group(*index, 0)).collect();
            if let Err(error) = self.wire.try_each(&back) {
                tracing::warn!("links stay in group {group}: {error}");
            }
        }
        result
    }
}

/// The devices an action refers to by index.
fn used(action: &Action) -> [Option<DeviceName>; 2] {
    match action {
        Action::AddLink { kind: NewLink::Vlan { device, .. }, .. } => [Some(*device), None],
        Action::SetLink { name, change } => [Some(*name), change.master.flatten()],
        Action::SetBond { name, .. } | Action::SetBridge { name, .. } => [Some(*name), None],
        Action::Qos { device, .. } | Action::AddAddress { device, .. } | Action::AddRoute { device, .. } => {
            [Some(*device), None]
        }
        _ => [None, None],
    }
}

/// No such device, process (route), address or entry (rule).
fn is_gone(error: &KernelError) -> bool {
    [libc::ENODEV, libc::ESRCH, libc::EADDRNOTAVAIL, libc::ENOENT].contains(&error.errno)
}

fn sysctl(device: DeviceName, key: &str, value: u8) -> Result<(), RunError> {
    let path = format!("/proc/sys/net/ipv6/conf/{device}/{key}");
    match fs::write(&path, value.to_string()) {
        // Without the file IPv6 does not run on the device: MTU below 1280, none at all, or not
        // yet, on a slave just released. Verification says whether that is as wished.
        Err(error) if error.kind() != ErrorKind::NotFound => Err(RunError::Sysctl { path, source: error }),
        _ => Ok(()),
    }
}

/// Routers announce themselves in their own time, too: so a failure is none.
fn solicit(device: DeviceName, names: &Names<'_>) {
    if let Ok(index) = names.index(&device)
        && let Err(error) = routers::solicit(index)
    {
        tracing::info!("cannot ask the routers on {device}: {error}");
    }
}

/// Indexes of the host as seen, and of what we have made since.
struct Names<'a> {
    seen: &'a NetInfo,
    made: HashMap<DeviceName, u32>,
    next: u32,
}

impl Names<'_> {
    fn of(seen: &NetInfo) -> Names<'_> {
        Names { seen, made: HashMap::new(), next: seen.links().map(|l| l.index).max().unwrap_or(0) + 1 }
    }

    /// A group that no link is in. Zero is everybody's, and small ones are people's.
    fn free_group(&self) -> u32 {
        let highest = self.seen.links().map(|l| l.group).max().unwrap_or(0);
        highest.max(0x7664_736d).wrapping_add(1)
    }
}

impl Indexes for Names<'_> {
    fn index(&self, name: &DeviceName) -> Result<u32, RunError> {
        self.made.get(name).copied().or_else(|| self.seen.link(name).map(|l| l.index)).ok_or(RunError::NoDevice(*name))
    }

    fn fresh(&mut self, name: &DeviceName) -> u32 {
        let index = self.next;
        self.next += 1;
        self.made.insert(*name, index);
        index
    }
}

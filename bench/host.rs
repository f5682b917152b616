//! A host with N networks for those who look at it, and links of nobody's that can be changed.
//!
//! The networks are made by the daemon, so that it knows them as its own. What is measured then is
//! in `live`, `load` and `storm`; the steps of a change of the networks are in `workload.rs`.

use std::fs;
use std::io;
use std::ops::RangeInclusive;

use nix::sched::{CloneFlags, unshare};
use serde_json::{Map, Value, json};

use crate::message::Message;
use crate::netlink::{Chunk, Netlink, link_index, walk_address, walk_link, walk_route};
use crate::ours::Daemon;
use crate::raw::{ipv6_switch, run_all, switch_on};
use crate::workload::{BOND, BondMode, NICS, bridge};

/// What the networks stand on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// A VLAN of one bond for each.
    Bond,
    /// A nic of its own for each, where the kernel has no bonds and VLANs. The nics are of the kind
    /// `ifb`, which is one link and needs nothing else.
    Nics,
}

impl Layout {
    const ALL: [Layout; 2] = [Layout::Bond, Layout::Nics];

    /// What this kernel can make, the bond if both.
    pub(crate) fn best() -> Layout {
        // A namespace of this thread's, which ends with it.
        let tried = std::thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            let bond = Message::bond(100, BOND, BondMode::ActiveBackup.number(), 100);
            let above = [Message::bridge(101, "n1"), Message::vlan(102, "v1", 1, 100, 101)];
            run_all(&Chunk::pack([bond, Message::dummy(103, "d1")].into_iter().chain(above).collect(), &mut 1))
        });
        if matches!(tried.join(), Ok(Ok(()))) { Layout::Bond } else { Layout::Nics }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Layout::Bond => "bond",
            Layout::Nics => "nics",
        }
    }

    pub(crate) fn named(word: &str) -> Result<Layout, String> {
        Self::ALL.into_iter().find(|it| it.name() == word).ok_or_else(|| format!("{word}: no workload"))
    }

    /// A sentence for the head of the report.
    pub(crate) fn explained(self) -> &'static str {
        match self {
            Layout::Bond => "each network is a bridge over a VLAN of one bond of two dummies",
            Layout::Nics => "each network is a bridge over a nic of its own, an ifb",
        }
    }

    /// The kind of links that are only links.
    fn plain(self) -> &'static str {
        match self {
            Layout::Bond => "dummy",
            Layout::Nics => "ifb",
        }
    }

    /// The nics below N networks.
    fn nics(self, n: usize) -> Vec<String> {
        match self {
            Layout::Bond => NICS.map(str::to_owned).to_vec(),
            Layout::Nics => (1..=n).map(|number| format!("ifb_{number}")).collect(),
        }
    }

    /// How many links the daemon makes for N networks.
    fn links_for(self, n: usize) -> usize {
        match self {
            Layout::Bond => 1 + 2 * n,
            Layout::Nics => n,
        }
    }

    /// The parameters of `Host.setupNetworks` for these networks; the first brings its bond.
    pub(crate) fn request(self, numbers: RangeInclusive<usize>) -> Value {
        let network = |number: usize| match self {
            Layout::Bond => json!({"bonding": BOND, "vlan": number, "bridged": true, "mtu": 1500, "stp": false}),
            Layout::Nics => {
                json!({"nic": format!("ifb_{number}"), "bridged": true, "mtu": 1500, "stp": false})
            }
        };
        let bond = json!({"nics": NICS, "options": "mode=active-backup miimon=100"});
        self.whole(numbers, network, bond)
    }

    /// The same for their removal.
    pub(crate) fn removal(self, numbers: RangeInclusive<usize>) -> Value {
        let removed = json!({"remove": true});
        self.whole(numbers, |_| removed.clone(), removed.clone())
    }

    fn whole(self, numbers: RangeInclusive<usize>, network: impl Fn(usize) -> Value, bond: Value) -> Value {
        let has_bond = self == Layout::Bond && numbers.contains(&1);
        let networks: Map<String, Value> = numbers.map(|number| (bridge(number), network(number))).collect();
        let bondings = if has_bond { json!({BOND: bond}) } else { json!({}) };
        json!({"networks": networks, "bondings": bondings, "options": {"connectivityCheck": false}})
    }

    /// Makes the nics below N networks, and so many strays, in this namespace.
    pub(crate) fn plug(self, n: usize, strays: usize) -> Result<(), String> {
        let failed = |e: io::Error| format!("cannot make the host: {e}");
        let mut made = Vec::new();
        for (at, name) in self.nics(n).iter().enumerate() {
            made.push(Message::plain(FIRST_NIC + at as u32, name, self.plain()));
        }
        let all = (0..strays).map(Stray);
        made.extend(all.clone().map(|stray| Message::plain(stray.index(), &stray.name(), self.plain())));
        run_all(&Chunk::pack(made, &mut 1)).map_err(failed)?;
        for stray in all.clone() {
            switch_on(&ipv6_switch(&stray.name())).map_err(failed)?;
        }
        run_all(&Chunk::pack(all.map(|stray| Message::up(stray.index())).collect(), &mut 1)).map_err(failed)
    }

    /// The same, and has the daemon make N networks.
    pub(crate) fn build(self, n: usize, strays: usize, dir: &std::path::Path) -> Result<(), String> {
        let failed = |e: io::Error| format!("cannot make the host: {e}");
        self.plug(n, strays)?;
        let before = count_links().map_err(failed)?;
        let daemon = Daemon::start(dir)?;
        daemon.connect()?.call("Host.setupNetworks", self.request(1..=n)).map_err(|error| daemon.explained(error))?;
        match count_links().map_err(failed)? - before {
            made if made == self.links_for(n) => Ok(()),
            made => Err(format!("{n} networks are {} links, but {made} came", self.links_for(n))),
        }
    }
}

const FIRST_NIC: u32 = 10;
/// Beyond what nics have, and the daemon begins above whatever there is.
const FIRST_STRAY: u32 = 5_000;

/// A link that no network needs; it is up, and has no IPv6.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stray(pub(crate) usize);

impl Stray {
    pub(crate) fn index(self) -> u32 {
        FIRST_STRAY + self.0 as u32
    }

    pub(crate) fn name(self) -> String {
        format!("stray{}", self.0)
    }
}

/// The index of any link of this namespace.
pub(crate) fn index_of(name: &str) -> Result<u32, String> {
    let path = format!("/sys/class/net/{name}/ifindex");
    let text = fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"))?;
    text.trim().parse().map_err(|e| format!("{path}: {e}"))
}

/// How many links there are.
pub(crate) fn count_links() -> io::Result<usize> {
    let mut indexes = Vec::new();
    let mut socket = Netlink::open()?;
    for chunk in Chunk::pack(vec![Message::dump_links()], &mut 1) {
        socket.dump(&chunk, |link| indexes.push(link_index(link)))?;
    }
    indexes.sort_unstable();
    // Links that move within the kernel's table are told twice.
    indexes.dedup();
    Ok(indexes.len())
}

/// The floor of everybody who reads the host: three dumps, and a walk over what they say.
pub(crate) struct Dumps {
    socket: Netlink,
    links: Vec<Chunk>,
    addresses: Vec<Chunk>,
    routes: Vec<Chunk>,
}

impl Dumps {
    pub(crate) fn open() -> io::Result<Dumps> {
        let mut sequence = 1;
        let mut packed = |message| Chunk::pack(vec![message], &mut sequence);
        Ok(Dumps {
            socket: Netlink::open()?,
            links: packed(Message::dump_links()),
            addresses: packed(Message::dump_addresses()),
            routes: packed(Message::dump_routes()),
        })
    }

    /// Reads all three; how many attributes there were.
    pub(crate) fn read(&mut self) -> io::Result<usize> {
        let mut seen = 0;
        self.links.iter().try_for_each(|it| self.socket.dump(it, |link| seen += walk_link(link)))?;
        self.addresses.iter().try_for_each(|it| self.socket.dump(it, |address| seen += walk_address(address)))?;
        self.routes.iter().try_for_each(|it| self.socket.dump(it, |route| seen += walk_route(route)))?;
        Ok(std::hint::black_box(seen))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_network_is_asked_for_on_what_it_stands() {
        let bond = Layout::Bond.request(1..=3);
        assert_eq!(bond["networks"].as_object().map(Map::len), Some(3));
        assert_eq!(bond["networks"]["n3"]["vlan"], 3);
        let nics = Layout::Nics.request(1..=3);
        assert_eq!(nics["networks"]["n3"]["nic"], *Layout::Nics.nics(3).last().unwrap());
        assert_eq!(nics["bondings"], json!({}));
        let more = Layout::Bond.removal(4..=4);
        assert_eq!((&more["networks"], &more["bondings"]), (&json!({"n4": {"remove": true}}), &json!({})));
    }
}

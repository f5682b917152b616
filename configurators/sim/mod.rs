//! A host in memory: the kernel's rules as measured, and nothing cleverer.
//!
//! It refuses what the kernel refuses and does of itself what the kernel does of itself, so that
//! laws can be tested on thousands of graphs in a second. Where it differs from the kernel, the
//! tests in `tests/netns` are right.

mod clients;
mod ethtool;
mod qos;
mod resolver;
mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;
use std::sync::{Arc, Mutex, PoisonError};

use vdsm_dhcp_client::Family;
use vdsm_model::bond_options::BondOptions;
use vdsm_model::bridge_options::BridgeOptions;
use vdsm_model::device::Adverts;
use vdsm_model::dhcp::{Foreign, Lease, SeenClients};
use vdsm_model::ethtool_options::{SeenSettings, Tuned};
use vdsm_model::ip::{Address, Fate, RA, Route};
use vdsm_model::name::DeviceName;
use vdsm_model::netinfo::{Details, NetInfo, Qdisc, SeenKind, SeenLink};
use vdsm_model::qos::Shaper;
use vdsm_model::resolver::{Manager, Resolver};
use vdsm_model::rule::Rule;
use vdsm_model::units::{Mac, Mtu, VlanTag};

use crate::iproute2::{Action, Kernel};
use crate::{Begin, RunError};
use ethtool::Tuning;

/// A handle on a simulated host; clones see the same one.
#[derive(Clone, Debug, Default)]
pub struct Sim(Arc<Mutex<Host>>);

/// The host itself.
#[derive(Debug, Default)]
pub(crate) struct Host {
    links: BTreeMap<DeviceName, Link>,
    rules: BTreeSet<Rule>,
    /// What DHCP servers have for whom.
    offers: BTreeMap<(DeviceName, Family), Lease>,
    /// Which routers announce themselves where: as the default routes that are made of that.
    routers: BTreeSet<(DeviceName, Route)>,
    /// The kernel has no IPv6.
    no_ipv6: bool,
    last_index: u32,
    last_mac: u32,
    resolver: Arc<Resolver>,
}

#[derive(Clone, Debug)]
pub(crate) struct Link {
    index: u32,
    kind: Kind,
    mtu: u32,
    up: bool,
    mac: Mac,
    /// While enslaved: what comes back with its release.
    own: Option<(Mac, u32)>,
    master: Option<DeviceName>,
    /// None: the MTU is below what IPv6 needs.
    ipv6: Option<bool>,
    adverts: Adverts,
    addresses: Vec<Address>,
    routes: Vec<Route>,
    tuning: Tuning,
    clients: SeenClients,
    shaper: Option<Shaper>,
    /// A root discipline of somebody else.
    qdisc: Option<Qdisc>,
}

#[derive(Clone, Debug)]
enum Kind {
    Nic,
    /// It is there once it has a route: nothing else of it matters here.
    Loopback,
    Tap,
    Bond {
        /// As the kernel keeps them: by attribute.
        options: BTreeMap<u16, Vec<u8>>,
        /// Somebody has set its address: it does not take its first slave's.
        pinned: bool,
    },
    Vlan {
        device: DeviceName,
        tag: VlanTag,
    },
    Bridge {
        options: BridgeOptions,
        /// Somebody has set its MTU: it does not follow its ports.
        fixed: bool,
    },
}

impl Sim {
    /// A host with these nics, up and with IPv6 running, and with name servers of its own.
    pub fn with_nics(names: &[&str]) -> Sim {
        let sim = Sim::default();
        names.iter().for_each(|name| sim.plug(name));
        let text = "# By hand.\nsearch example.org\nnameserver 192.0.2.1\noptions edns0\n".to_owned();
        sim.set_resolver(Resolver { manager: Manager::File { text: Some(text) }, kept: None });
        sim
    }

    /// From now on its kernel has no IPv6, as after a boot with `ipv6.disable=1`.
    pub fn without_ipv6(self) -> Sim {
        self.with(|host| {
            host.no_ipv6 = true;
            host.links.values_mut().for_each(rules::lose_ipv6);
        });
        self
    }

    /// Puts a nic into the host, as a hot plug does; it comes up with IPv6 running.
    pub fn plug(&self, nic: &str) {
        if let Ok(nic) = DeviceName::try_from(nic) {
            self.with(|host| {
                host.add(nic, Kind::Nic, 1500);
                host.links.entry(nic).and_modify(|l| l.up = true);
            });
        }
    }

    /// From now on a DHCP server has this for a device; none: there is no server any more, and the
    /// address goes.
    pub fn offer(&self, device: DeviceName, family: Family, lease: Option<Lease>) {
        self.with(|host| host.offer(device, family, lease));
    }

    /// A router announces itself on a link: the device takes its default route, if it hears of such.
    pub fn announce(&self, device: DeviceName, router: Ipv6Addr) {
        let route = Route { protocol: RA, ..Route::default_via(router.into()) };
        self.with(|host| host.announce(device, route));
    }

    /// Somebody adds a route whatever is there, as `ip route append` does; one that is shared is a
    /// next hop of `ip route add default nexthop ...`. One that leads nowhere is the loopback's.
    pub fn append(&self, device: DeviceName, route: Route) {
        self.with(|host| {
            if route.fate != Fate::Forwarded && !host.links.contains_key(&device) {
                host.add(device, Kind::Loopback, 65536);
                host.links.entry(device).and_modify(|link| link.up = true);
            }
            host.links.entry(device).and_modify(|link| link.routes.push(route));
        });
    }

    /// Somebody else starts a DHCP client on a device.
    pub fn serve(&self, device: DeviceName, client: Foreign) {
        self.with(|host| {
            host.links.entry(device).and_modify(|link| {
                link.clients.foreign.insert(client);
            });
        });
    }

    /// Attaches a VM's tap to a bridge.
    pub fn plug_tap(&self, tap: &str, bridge: &str) {
        if let (Ok(tap), Ok(bridge)) = (DeviceName::try_from(tap), DeviceName::try_from(bridge)) {
            self.with(|host| {
                host.add(tap, Kind::Tap, 1500);
                host.links.entry(tap).and_modify(|l| l.master = Some(bridge));
            });
        }
    }

    /// Takes a nic out of the host, as a driver that dies does.
    pub fn unplug(&self, nic: &str) {
        if let Ok(nic) = DeviceName::try_from(nic) {
            self.with(|host| host.remove(nic));
        }
    }

    /// Gives a device a root discipline, as somebody with `tc` does; none: the kernel's own.
    pub fn set_root_qdisc(&self, device: &str, kind: Option<&str>) {
        let qdisc = kind.map(|kind| Qdisc {
            parent: u32::MAX,
            handle: 0x8001_0000,
            kind: kind.to_owned(),
            default_class: None,
        });
        if let Ok(device) = DeviceName::try_from(device) {
            self.with(|host| {
                host.links.entry(device).and_modify(|l| (l.shaper, l.qdisc) = (None, qdisc));
            });
        }
    }

    /// Makes its resolver another than a file that is nobody's: systemd-resolved's, say.
    pub fn set_resolver(&self, resolver: Resolver) {
        self.with(|host| host.resolver = Arc::new(resolver));
    }

    /// Does a single thing, as somebody with `ip` does.
    ///
    /// # Errors
    /// What the kernel would say.
    pub fn act(&self, action: &Action) -> Result<(), RunError> {
        self.with(|host| host.act(action)).map_err(RunError::Simulated)
    }

    /// The host as a reader of the kernel would see it.
    pub fn look(&self) -> NetInfo {
        self.with(|host| {
            let links = host.links.iter().map(|(name, link)| host.seen(*name, link));
            let mut seen = NetInfo::new(links, !host.no_ipv6);
            host.rules.iter().for_each(|rule| seen.insert_rule(rule.clone()));
            seen.resolver = Arc::clone(&host.resolver);
            seen
        })
    }

    /// What ethtool would say of these nics.
    pub fn settings(&self, tuned: &Tuned) -> Vec<(DeviceName, SeenSettings)> {
        self.with(|host| {
            tuned.iter().filter_map(|(nic, groups)| Some((*nic, host.links.get(nic)?.tuning.seen(groups)))).collect()
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut Host) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Kernel for Sim {
    fn run(
        &mut self,
        actions: &[(usize, Action)],
        _: &NetInfo,
        begin: &mut Begin<'_>,
    ) -> Result<(), (usize, RunError)> {
        begin(0..actions.len());
        self.with(|host| {
            for (at, (_, action)) in actions.iter().enumerate() {
                host.act(action).map_err(|text| (at, RunError::Simulated(text)))?;
            }
            Ok(())
        })
    }
}

impl Host {
    fn seen(&self, name: DeviceName, link: &Link) -> SeenLink {
        let kind = match &link.kind {
            Kind::Nic => SeenKind::Nic,
            Kind::Loopback => SeenKind::Other("loopback".to_owned()),
            Kind::Tap => SeenKind::Tap,
            Kind::Bond { options, .. } => {
                SeenKind::Bond { options: self.bond_options(options), active: None, lacp: None }
            }
            Kind::Vlan { device, tag } => SeenKind::Vlan { tag: *tag, device: Some(*device) },
            Kind::Bridge { options, .. } => SeenKind::Bridge { options: options.clone(), report: Default::default() },
        };
        let enslaved = link.own.is_some();
        SeenLink {
            mtu: Mtu::seen(link.mtu),
            up: link.up,
            running: link.up,
            mac: Some(link.mac),
            permanent_mac: link.own.map(|(mac, _)| mac).filter(|_| enslaved),
            master: link.master,
            base: match link.kind {
                Kind::Vlan { device, .. } => Some(device),
                _ => None,
            },
            ipv6_disabled: link.ipv6.map(|on| !on),
            adverts: link.ipv6.map(|_| link.adverts),
            addresses: link.addresses.clone(),
            routes: link.routes.iter().filter(|it| it.protocol != RA && !it.shared).copied().collect(),
            made_routes: link.routes.iter().filter(|it| it.protocol == RA).copied().collect(),
            shared_routes: link.routes.iter().filter(|it| it.shared).copied().collect(),
            dhcp: Arc::new(link.clients.clone()),
            shaper: link.shaper.clone().map(Arc::new),
            details: Arc::new(Details { qdiscs: link.qdisc.clone().into_iter().collect(), ..Details::default() }),
            ..SeenLink::new(link.index, name, kind)
        }
    }

    fn bond_options(&self, raw: &BTreeMap<u16, Vec<u8>>) -> BondOptions {
        let name_of = |index| self.links.iter().find(|(_, l)| l.index == index).map(|(n, _)| n.to_string());
        BondOptions::from_kernel(raw.iter().map(|(kind, bytes)| (*kind, bytes.as_slice())), name_of)
    }
}

//! What the simulated kernel does with each action, and what it does of itself.
//!
//! Each rule names where the kernel has it; measured on Linux 6.1.

use vdsm_model::bond_options::{BondMode, MODE_ATTRIBUTE, Payload, find};
use vdsm_model::bridge_options::{BridgeOptions, default_of};
use vdsm_model::device::Adverts;
use vdsm_model::ip::{Address, Fate, RA, Route};
use vdsm_model::name::DeviceName;
use vdsm_model::units::Mac;

use super::{Host, Kind, Link};
use crate::iproute2::{Action, LinkChange, NewLink};

type Done = Result<(), String>;

/// The kernel's default.
const LISTENING: Adverts = Adverts { accept: 1, autoconf: true, default_route: Some(true) };

impl Host {
    pub(super) fn act(&mut self, action: &Action) -> Done {
        match action {
            Action::AddLink { name, kind, mtu, mac } => self.add_link(*name, kind, mtu.map(|m| m.get()), *mac),
            Action::SetLink { name, change } => self.set_link(*name, change),
            Action::SetBond { name, change } => {
                let needs = change.needs;
                let (up, busy) = (self.get(name)?.up, self.ports(*name).next().is_some());
                if needs.down() && up {
                    return Err("unable to set option because the bond device is up".into());
                }
                if needs.no_slaves() && busy {
                    return Err("unable to set option because the bond device has slaves".into());
                }
                self.set_bond_option(*name, change.attribute.number, &change.attribute.payload)
            }
            Action::SetBridge { name, change } => {
                let Kind::Bridge { options, .. } = &mut self.get_mut(name)?.kind else {
                    return Err(format!("{name} is no bridge"));
                };
                let stp = options.get("stp_state").is_some_and(|s| s != 0);
                if change.name == "forward_delay" && stp && !(200..=3000).contains(&change.value) {
                    return Err("Numerical result out of range".into());
                }
                options.set(change.name, change.value);
                *options = options.effective();
                Ok(())
            }
            Action::DelLink { name } => {
                self.remove(*name);
                self.forget_resolver_of_lost_links();
                Ok(())
            }
            Action::Ipv6 { name, on } => self.set_ipv6(*name, *on),
            Action::Adverts { name, adverts } => {
                let link = self.get_mut(name)?;
                match link.ipv6 {
                    None if adverts.are_heard() => return Err("No such file or directory".into()),
                    None => {}
                    Some(_) => {
                        let default_route = adverts.default_route.or(link.adverts.default_route);
                        link.adverts = Adverts { default_route, ..*adverts };
                    }
                }
                Ok(())
            }
            Action::Solicit { device } => {
                let routers = self.routers.clone();
                routers.into_iter().filter(|(it, _)| it == device).for_each(|(_, route)| self.announce(*device, route));
                Ok(())
            }
            Action::Dhcp { device, change } => self.change_clients(*device, change),
            Action::Qos { device, change } => self.get_mut(device)?.shape(change),
            Action::SetTap { name, mtu } => {
                if let Some(link) = self.links.get_mut(name) {
                    link.mtu = mtu.get();
                }
                Ok(())
            }
            Action::Ethtool { name, settings, .. } => self.get_mut(name)?.tuning.change(settings),
            Action::AddAddress { device, address, replace } => self.add_address(*device, *address, *replace),
            Action::DelAddress { device, address } => {
                self.del_address(*device, *address);
                Ok(())
            }
            Action::AddRoute { device, route, replace } => self.add_route(*device, *route, *replace),
            Action::DelRoute { device, route } => {
                if let Some(link) = self.links.get_mut(device) {
                    link.routes.retain(|r| r != route);
                }
                Ok(())
            }
            Action::AddRule { rule } => {
                let fresh = self.rules.insert(rule.clone());
                if fresh { Ok(()) } else { Err("File exists".into()) }
            }
            Action::DelRule { rule } => {
                self.rules.remove(rule);
                Ok(())
            }
            Action::Resolver { to, .. } => self.set_resolver(to),
        }
    }

    fn get(&self, name: &DeviceName) -> Result<&Link, String> {
        self.links.get(name).ok_or_else(|| format!("no device {name}"))
    }

    fn get_mut(&mut self, name: &DeviceName) -> Result<&mut Link, String> {
        self.links.get_mut(name).ok_or_else(|| format!("no device {name}"))
    }

    fn ports(&self, master: DeviceName) -> impl Iterator<Item = (&DeviceName, &Link)> {
        self.links.iter().filter(move |(_, l)| l.master == Some(master))
    }

    fn vlans_on(&self, base: DeviceName) -> Vec<DeviceName> {
        self.links
            .iter()
            .filter(|(_, l)| matches!(l.kind, Kind::Vlan { device, .. } if device == base))
            .map(|(n, _)| *n)
            .collect()
    }

    fn random_mac(&mut self) -> Mac {
        self.last_mac += 1;
        let [a, b, c, d] = self.last_mac.to_be_bytes();
        Mac([0x02, 0, a, b, c, d])
    }

    pub(super) fn add(&mut self, name: DeviceName, kind: Kind, mtu: u32) {
        self.last_index += 1;
        let (index, mac) = (self.last_index, self.random_mac());
        let link = Link {
            index,
            kind,
            mtu,
            up: false,
            mac,
            own: None,
            master: None,
            ipv6: (mtu >= 1280 && !self.no_ipv6).then_some(true),
            adverts: LISTENING,
            addresses: Vec::new(),
            routes: Vec::new(),
            tuning: Default::default(),
            clients: Default::default(),
            shaper: None,
            qdisc: None,
        };
        self.links.insert(name, link);
    }

    fn add_link(&mut self, name: DeviceName, kind: &NewLink, mtu: Option<u32>, mac: Option<Mac>) -> Done {
        if self.links.contains_key(&name) {
            return Err("File exists".into());
        }
        match kind {
            NewLink::Vlan { device, tag } => {
                let base = self.get(device)?.clone();
                if self
                    .vlans_on(*device)
                    .iter()
                    .any(|v| matches!(self.links[v].kind, Kind::Vlan { tag: t, .. } if t == *tag))
                {
                    return Err("VLAN device already exists".into());
                }
                let mtu = mtu.unwrap_or(base.mtu);
                if mtu > base.mtu {
                    return Err("mtu greater than device maximum".into());
                }
                self.add(name, Kind::Vlan { device: *device, tag: *tag }, mtu);
                self.get_mut(&name)?.mac = mac.unwrap_or(base.mac);
            }
            NewLink::Bridge(options) => {
                let mut all = BridgeOptions::default();
                for option in [
                    "forward_delay",
                    "stp_state",
                    "hello_time",
                    "max_age",
                    "ageing_time",
                    "priority",
                    "multicast_snooping",
                    "vlan_filtering",
                    "group_fwd_mask",
                ] {
                    all.set(option, default_of(option).unwrap_or(0));
                }
                all.extend(options);
                self.add(name, Kind::Bridge { options: all.effective(), fixed: false }, mtu.unwrap_or(1500));
                if let Some(mac) = mac {
                    self.get_mut(&name)?.mac = mac;
                }
            }
            NewLink::Bond(options) => {
                self.add(name, Kind::Bond { options: Default::default(), pinned: mac.is_some() }, mtu.unwrap_or(1500));
                if let Some(mac) = mac {
                    self.get_mut(&name)?.mac = mac;
                }
                for attribute in options.attributes() {
                    self.set_bond_option(name, attribute.number, &attribute.payload)?;
                }
            }
        }
        Ok(())
    }

    fn set_bond_option(&mut self, name: DeviceName, number: u16, payload: &Payload) -> Done {
        let bytes = match payload {
            Payload::Bytes(bytes) => bytes.clone(),
            Payload::Device(device) => {
                let index = self.links.iter().find(|(n, _)| n.as_str() == device).map_or(0, |(_, l)| l.index);
                index.to_ne_bytes().to_vec()
            }
        };
        let Kind::Bond { options, .. } = &mut self.get_mut(&name)?.kind else {
            return Err(format!("{name} is no bond"));
        };
        let set = u32::from_ne_bytes(bytes.clone().try_into().unwrap_or([0; 4])) != 0;
        let mode = (number == MODE_ATTRIBUTE)
            .then(|| bytes.first().and_then(|b| BondMode::from_number((*b).into())))
            .flatten();
        options.insert(number, bytes);
        // The modes that only know MII monitoring switch it on (bond_option_mode_set).
        if mode.is_some_and(BondMode::monitors_by_mii_only)
            && let (Some(miimon), Some(arp)) = (find("miimon"), find("arp_interval"))
        {
            options.insert(arp.attribute, vec![0; 4]);
            if options.get(&miimon.attribute).is_none_or(|b| b.iter().all(|b| *b == 0)) {
                options.insert(miimon.attribute, 100u32.to_ne_bytes().to_vec());
            }
        }
        // MII and ARP monitoring switch one another off (bond_option_miimon_set, bond_option_arp_interval_set).
        for (one, other) in [("miimon", "arp_interval"), ("arp_interval", "miimon")] {
            if let (Some(one), Some(other)) = (find(one), find(other))
                && one.attribute == number
                && set
            {
                options.insert(other.attribute, vec![0; 4]);
            }
        }
        Ok(())
    }

    /// do_setlink applies address, MTU, flags and then the master, and stops at the first error.
    fn set_link(&mut self, name: DeviceName, change: &LinkChange) -> Done {
        self.get(&name)?;
        if let Some(mac) = change.mac {
            let link = self.get_mut(&name)?;
            link.mac = mac;
            if let Kind::Bond { pinned, .. } = &mut link.kind {
                *pinned = true;
                let slaves: Vec<DeviceName> = self.ports(name).map(|(n, _)| *n).collect();
                for slave in slaves {
                    self.get_mut(&slave)?.mac = mac;
                }
            }
        }
        if let Some(mtu) = change.mtu {
            self.set_mtu(name, mtu.get(), true)?;
        }
        match change.up {
            Some(true) => self.set_up(name)?,
            Some(false) => self.set_down(name),
            None => {}
        }
        match change.master {
            Some(Some(master)) => self.join(name, master),
            Some(None) => {
                self.leave(name);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn set_mtu(&mut self, name: DeviceName, mtu: u32, by_user: bool) -> Done {
        let link = self.get(&name)?;
        if let Kind::Vlan { device, .. } = link.kind
            && self.links.get(&device).is_some_and(|base| mtu > base.mtu)
        {
            return Err("mtu greater than device maximum".into());
        }
        let (old, is_bond, master) = (link.mtu, matches!(link.kind, Kind::Bond { .. }), link.master);
        if old == mtu {
            return Ok(());
        }
        if is_bond {
            // bond_change_mtu sets the slaves first.
            let slaves: Vec<DeviceName> = self.ports(name).map(|(n, _)| *n).collect();
            slaves.into_iter().try_for_each(|slave| self.set_mtu(slave, mtu, false))?;
        }
        let has_ipv6 = mtu >= 1280 && !self.no_ipv6;
        let link = self.get_mut(&name)?;
        link.mtu = mtu;
        if let Kind::Bridge { fixed, .. } = &mut link.kind {
            *fixed |= by_user;
        }
        if !has_ipv6 {
            lose_ipv6(link);
        } else if link.ipv6.is_none() {
            link.ipv6 = Some(true);
            link.adverts = LISTENING;
        }
        // vlan_device_event: a VLAN never exceeds its base.
        for vlan in self.vlans_on(name) {
            if self.links[&vlan].mtu > mtu {
                self.set_mtu(vlan, mtu, false)?;
            }
        }
        if let Some(master) = master {
            self.adjust_bridge(master)?;
        }
        Ok(())
    }

    /// br_mtu_auto_adjust: the smallest of its ports' MTUs, unless somebody has set it.
    fn adjust_bridge(&mut self, bridge: DeviceName) -> Done {
        let Some(Kind::Bridge { fixed: false, .. }) = self.links.get(&bridge).map(|l| &l.kind) else { return Ok(()) };
        let least = self.ports(bridge).map(|(_, l)| l.mtu).min().unwrap_or(1500);
        self.set_mtu(bridge, least, false)
    }

    fn set_up(&mut self, name: DeviceName) -> Done {
        if let Kind::Vlan { device, .. } = self.get(&name)?.kind
            && !self.get(&device)?.up
        {
            return Err("Network is down".into());
        }
        let link = self.get_mut(&name)?;
        if !link.up {
            link.up = true;
            // vlan_device_event, NETDEV_UP: all VLANs come up along.
            self.vlans_on(name).into_iter().try_for_each(|vlan| self.set_up(vlan))?;
        }
        Ok(())
    }

    fn set_down(&mut self, name: DeviceName) {
        let Some(link) = self.links.get_mut(&name).filter(|l| l.up) else { return };
        link.up = false;
        link.routes.clear();
        drop_ipv6(link);
        self.vlans_on(name).into_iter().for_each(|vlan| self.set_down(vlan));
    }

    fn join(&mut self, name: DeviceName, master: DeviceName) -> Done {
        self.leave(name);
        let above = self.get(&master)?.clone();
        match above.kind {
            Kind::Bond { pinned, .. } => {
                if self.get(&name)?.up {
                    return Err("Device can not be enslaved while up".into());
                }
                let first = self.ports(master).next().is_none();
                if first && !pinned {
                    let mac = self.get(&name)?.mac;
                    self.get_mut(&master)?.mac = mac;
                }
                let (mac, mtu) = (self.get(&master)?.mac, above.mtu);
                let own = {
                    let link = self.get(&name)?;
                    (link.mac, link.mtu)
                };
                self.set_mtu(name, mtu, false)?;
                let link = self.get_mut(&name)?;
                link.own = Some(own);
                link.mac = mac;
                link.master = Some(master);
                self.set_up(name)
            }
            Kind::Bridge { .. } => {
                self.get_mut(&name)?.master = Some(master);
                self.adjust_bridge(master)
            }
            _ => Err(format!("{master} takes no ports")),
        }
    }

    fn leave(&mut self, name: DeviceName) {
        let Some(master) = self.links.get_mut(&name).and_then(|l| l.master.take()) else { return };
        if let Some((mac, mtu)) = self.links.get_mut(&name).and_then(|l| l.own.take()) {
            self.set_down(name);
            self.links.entry(name).and_modify(|l| l.mac = mac);
            let _ = self.set_mtu(name, mtu, false);
            // bond_release_one: a bond without slaves makes up an address.
            if self.ports(master).next().is_none() {
                let random = self.random_mac();
                self.links.entry(master).and_modify(|l| {
                    l.mac = random;
                    if let Kind::Bond { pinned, .. } = &mut l.kind {
                        *pinned = false;
                    }
                });
            }
        } else {
            let _ = self.adjust_bridge(master);
        }
    }

    pub(super) fn remove(&mut self, name: DeviceName) {
        self.vlans_on(name).into_iter().for_each(|vlan| self.remove(vlan));
        let ports: Vec<DeviceName> = self.ports(name).map(|(n, _)| *n).collect();
        ports.into_iter().for_each(|port| self.leave(port));
        self.leave(name);
        self.links.remove(&name);
    }

    fn set_ipv6(&mut self, name: DeviceName, on: bool) -> Done {
        let link = self.get_mut(&name)?;
        match link.ipv6 {
            None if on => Err("No such file or directory".into()),
            None => Ok(()),
            Some(_) => {
                link.ipv6 = Some(on);
                if !on {
                    drop_ipv6(link);
                }
                Ok(())
            }
        }
    }

    /// inet_rtm_newaddr, inet6_rtm_newaddr: one that is there already keeps its place.
    fn add_address(&mut self, device: DeviceName, address: Address, replace: bool) -> Done {
        let link = self.get_mut(&device)?;
        if address.ip.addr.is_ipv6() && link.ipv6 != Some(true) {
            return Err("IPv6 is disabled on this device".into());
        }
        match link.addresses.iter_mut().find(|there| **there == address) {
            Some(there) if replace => there.more.lifetime = address.more.lifetime,
            Some(_) => return Err("File exists".into()),
            None => link.addresses.push(address),
        }
        Ok(())
    }

    /// With a primary address its secondaries go; with the last one, all routes (__inet_del_ifa, fib_disable_ip).
    pub(super) fn del_address(&mut self, device: DeviceName, address: Address) {
        let Some(link) = self.links.get_mut(&device) else { return };
        let Some(place) = link.addresses.iter().position(|a| *a == address) else { return };
        let subnet = address.ip.network();
        let primary = link.addresses.iter().position(|a| a.ip.network() == subnet) == Some(place);
        if address.ip.addr.is_ipv4() && primary {
            link.addresses.retain(|a| a.ip.network() != subnet);
        } else {
            link.addresses.remove(place);
        }
        if address.ip.addr.is_ipv4() && !link.addresses.iter().any(|a| a.ip.addr.is_ipv4()) {
            link.routes.retain(|r| r.to.addr.is_ipv6());
        }
    }

    fn add_route(&mut self, device: DeviceName, route: Route, replace: bool) -> Done {
        let link = self.get(&device)?;
        if !link.up && route.fate == Fate::Forwarded {
            return Err("Device for nexthop is not up".into());
        }
        if let Some(gateway) = route.gateway.filter(|_| !route.onlink && route.nhid.is_none()) {
            let near = link.addresses.iter().any(|a| a.ip.covers(gateway));
            let linklocal = matches!(gateway, std::net::IpAddr::V6(a) if a.segments()[0] & 0xffc0 == 0xfe80)
                && link.ipv6 == Some(true);
            if !near && !linklocal {
                return Err("Nexthop has invalid gateway".into());
            }
        }
        // fib_table_insert and fib6_add_rt2node: whatever device it leaves through.
        let rival = |it: &&Route| it.rivals(&route);
        let rivals: Vec<Route> = self.links.values().flat_map(|l| &l.routes).filter(rival).copied().collect();
        if !replace && !rivals.is_empty() {
            return Err("File exists".into());
        }
        // One goes, and in IPv6 first one that could be a next hop beside the new one, or neither of them could
        // (rt6_qualify_for_ecmp): what the kernel made of an announcement never can.
        let joins = |it: &Route| it.nhid.is_none() && it.fate == Fate::Forwarded && it.gateway.is_some();
        let alike = |it: &&Route| (joins(it) && it.protocol != RA) == joins(&route);
        let taken = rivals.iter().find(alike).or(rivals.first());
        if let Some(taken) = taken {
            let holder = self.links.values_mut().find(|link| link.routes.contains(taken));
            holder.into_iter().for_each(|link| link.routes.retain(|it| it != taken));
            // One over several next hops goes as a whole.
            let whole = |it: &Route| taken.shared && it.shared && it.rivals(taken);
            self.links.values_mut().for_each(|link| link.routes.retain(|it| !whole(it)));
        }
        self.get_mut(&device)?.routes.push(route);
        Ok(())
    }

    /// rt6_add_dflt_router: beside whatever is there, and not twice.
    pub(super) fn announce(&mut self, device: DeviceName, route: Route) {
        self.routers.insert((device, route));
        let Some(link) = self.links.get_mut(&device) else { return };
        if link.up
            && link.ipv6 == Some(true)
            && link.adverts.default_route == Some(true)
            && !link.routes.contains(&route)
        {
            link.routes.push(route);
        }
    }
}

pub(super) fn lose_ipv6(link: &mut Link) {
    link.ipv6 = None;
    drop_ipv6(link);
}

fn drop_ipv6(link: &mut Link) {
    link.addresses.retain(|a| a.ip.addr.is_ipv4());
    link.routes.retain(|r| r.to.addr.is_ipv4());
}

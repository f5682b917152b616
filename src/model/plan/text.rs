//! A plan for people, and as JSON. How a backend would say it is the backend's `explain`.

use std::fmt;

use serde_json::{Value, json};

use super::{Change, Plan, Step};
use crate::device::{Adverts, Bond, Bridge, Link, NetDevice, Nic, Vlan};
use crate::dhcp::Clients;
use crate::ethtool_options::{Key, Settings, changes};
use crate::ip::IpConfig;
use crate::qos::{self, Shaper};
use crate::resolver::Resolver;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.steps.is_empty() {
            return writeln!(f, "nothing to do");
        }
        self.steps.iter().try_for_each(|step| writeln!(f, "{step}"))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (verb, what, details) = self.parts();
        write!(f, "{verb} {what}")?;
        if !details.is_empty() {
            write!(f, ": {}", details.join(", "))?;
        }
        self.interruption().map_or(Ok(()), |why| write!(f, "  [interrupts: {why}]"))
    }
}

impl Step {
    /// Verb, object and particulars.
    fn parts(&self) -> (&'static str, String, Vec<String>) {
        fn of<T: NetDevice>(
            word: &str,
            change: &Change<T>,
            whole: impl Fn(&T) -> Vec<String>,
            delta: impl Fn(&T, &T) -> Vec<String>,
        ) -> (&'static str, String, Vec<String>) {
            match change {
                Change::Create(d) => ("create", format!("{word} {}", d.name()), whole(d)),
                Change::Remove(d) => ("remove", format!("{word} {}", d.name()), Vec::new()),
                Change::Modify { from, to } => {
                    let mut details = link_changes(from.link(), to.link());
                    details.extend(delta(from, to));
                    ("change", format!("{word} {}", to.name()), details)
                }
            }
        }
        match self {
            Step::Nic(c) => of("nic", c, |n: &Nic| link_details(&n.link), |_, _| Vec::new()),
            Step::Ethtool { device, from, to } => ("tune", format!("nic {device}"), setting_changes(from, to)),
            Step::Bond(c) => of("bond", c, bond_details, bond_changes),
            Step::Vlan(c) => of("vlan", c, vlan_details, |_, _| Vec::new()),
            Step::Bridge(c) => of("bridge", c, bridge_details, bridge_changes),
            Step::Qos { device, from, to } => {
                ("shape", format!("qos {device}"), qos_changes(from.as_ref(), to.as_ref()))
            }
            Step::Dhcp { device, from, to, stay } => {
                let mut details = client_changes(from, to);
                details.extend(
                    stay.iter().map(|stay| format!("{} stays on {} until the lease arrives", stay.route, stay.device)),
                );
                ("dhcp", device.to_string(), details)
            }
            Step::Ip { device, from, to, replaces } => {
                let mut details = ip_changes(from, to);
                details.extend(replaces.iter().map(|(other, route)| format!("instead of {route} on {other}")));
                ("address", device.to_string(), details)
            }
            Step::Resolver { from, to } => ("set", "resolver of the host".to_owned(), resolver_changes(from, to)),
        }
    }

    /// The step as JSON: what, which device (null for the host's resolver), what in words, and whether it stops traffic.
    pub fn to_json(&self) -> Value {
        let (verb, what, details) = self.parts();
        let object = what.split_once(' ').map_or("ip", |(kind, _)| kind);
        json!({ "step": verb, "object": object, "device": self.device(), "details": details, "interrupts": self.interruption() })
    }
}

impl Plan {
    /// The plan as a list of steps.
    pub fn to_json(&self) -> Value {
        self.steps.iter().map(Step::to_json).collect()
    }
}

fn names<'a>(word: &str, names: impl IntoIterator<Item = &'a crate::name::DeviceName>) -> Option<String> {
    let names: Vec<&str> = names.into_iter().map(|n| n.as_str()).collect();
    (!names.is_empty()).then(|| format!("{word} {}", names.join(" ")))
}

fn link_details(link: &Link) -> Vec<String> {
    let mut out: Vec<String> = link.mtu.map(|m| format!("mtu {m}")).into_iter().collect();
    out.push(if link.up { "up" } else { "down" }.to_owned());
    out.extend(link.ipv6.map(|on| format!("ipv6 {}", if on { "on" } else { "off" })));
    out.extend(link.adverts.filter(|_| link.ipv6 == Some(true)).map(adverts));
    out.extend(link.mac.map(|m| format!("address {m}")));
    out
}

fn link_changes(from: &Link, to: &Link) -> Vec<String> {
    let mut out = Vec::new();
    if let Some(mtu) = to.mtu.filter(|_| to.mtu != from.mtu) {
        out.push(from.mtu.map_or_else(|| format!("mtu {mtu}"), |old| format!("mtu {old} -> {mtu}")));
    }
    if from.up != to.up {
        out.push(if to.up { "up" } else { "down" }.to_owned());
    }
    if let Some(on) = to.ipv6.filter(|_| to.ipv6 != from.ipv6) {
        out.push(format!("ipv6 {}", if on { "on" } else { "off" }));
    }
    let fresh = to.adverts.filter(|to| !from.adverts.is_some_and(|from| from.meets(*to)));
    out.extend(fresh.map(adverts));
    if let Some(mac) = to.mac.filter(|_| to.mac != from.mac) {
        out.push(format!("address {mac}"));
    }
    out
}

fn adverts(adverts: Adverts) -> String {
    let router = if adverts.default_route == Some(true) { " and as default route" } else { "" };
    match (adverts.are_heard(), adverts.autoconf) {
        (false, _) => "ipv6 autoconf off".to_owned(),
        (true, true) => format!("ipv6 autoconf on{router}"),
        (true, false) => format!("ipv6 routers heard{router}"),
    }
}

fn bond_details(bond: &Bond) -> Vec<String> {
    let mut out = vec![bond.options.canonical()];
    out.extend(names("slaves", &bond.slaves));
    out.extend(link_details(&bond.link));
    out
}

fn bond_changes(from: &Bond, to: &Bond) -> Vec<String> {
    let mut out = Vec::new();
    out.extend(names("slaves leave:", from.slaves.difference(&to.slaves)));
    out.extend(names("slaves join:", to.slaves.difference(&from.slaves)));
    if !from.options.same(&to.options) {
        out.push(format!("options {} -> {}", from.options.canonical(), to.options.canonical()));
    }
    out
}

fn vlan_details(vlan: &Vlan) -> Vec<String> {
    let mut out = vec![format!("tag {} on {}", vlan.tag, vlan.device)];
    out.extend(link_details(&vlan.link));
    out
}

fn bridge_details(bridge: &Bridge) -> Vec<String> {
    let mut out: Vec<String> = names("port", &bridge.ports).into_iter().collect();
    out.push(format!("stp {}", if bridge.stp() { "on" } else { "off" }));
    out.extend(link_details(&bridge.link));
    out
}

fn bridge_changes(from: &Bridge, to: &Bridge) -> Vec<String> {
    let mut out = Vec::new();
    out.extend(names("port leaves:", from.ports.difference(&to.ports)));
    out.extend(names("port joins:", to.ports.difference(&from.ports)));
    out.extend(to.options.changes_from(&from.options).iter().map(|c| format!("{} {}", c.name, c.value)));
    let taps = to.guests.iter().filter(|(tap, mtu)| from.guests.get(*tap).is_some_and(|old| old != *mtu));
    out.extend(taps.map(|(tap, mtu)| format!("tap {tap} mtu {mtu}")));
    out
}

fn setting_changes(from: &Settings, to: &Settings) -> Vec<String> {
    let change = |(key, value): (Key, u32)| format!("{key} {} -> {}", key.told(from), key.shown(value));
    changes(from, to).into_iter().map(change).collect()
}

fn qos_changes(from: Option<&Shaper>, to: Option<&Shaper>) -> Vec<String> {
    let (Some(to), none) = (to, Shaper::default()) else { return vec!["not any more".to_owned()] };
    let from = from.unwrap_or(&none);
    let gone = from.classes.keys().filter(|number| !to.classes.contains_key(*number));
    let mut out: Vec<String> = gone.map(|number| format!("-{}", qos::spelled(*number))).collect();
    for (number, class) in &to.classes {
        match from.classes.get(number) {
            Some(old) if old.same(class) => {}
            old => {
                out.push(format!("{}{} {}", if old.is_some() { "" } else { "+" }, qos::spelled(*number), class.curves))
            }
        }
    }
    out
}

fn client_changes(from: &Clients, to: &Clients) -> Vec<String> {
    let mut out: Vec<String> = from.foreign.difference(&to.foreign).map(|it| format!("-'{it}'")).collect();
    for (family, was, is) in [("DHCPv4", from.v4, to.v4), ("DHCPv6", from.v6, to.v6)] {
        if was != is {
            out.push(format!("{}{family}", if is { "+" } else { "-" }));
        }
    }
    out.extend(to.foreign.difference(&from.foreign).map(|it| format!("+'{it}'")));
    out
}

fn ip_changes(from: &IpConfig, to: &IpConfig) -> Vec<String> {
    let kept = from.kept(to);
    let mut out: Vec<String> = from.rules.difference(&kept.rules).map(|r| format!("-rule {r}")).collect();
    out.extend(from.routes.difference(&kept.routes).map(|r| format!("-{r}")));
    out.extend(from.announced.difference(&kept.announced).map(|r| format!("-{r} (announced)")));
    out.extend(from.addresses.iter().filter(|a| !kept.addresses.contains(a)).map(|a| format!("-{a}")));
    out.extend(to.addresses.iter().filter(|a| !kept.addresses.contains(a)).map(|a| format!("+{a}")));
    out.extend(from.outliving(to).map(|a| match a.more.lifetime {
        Some((_, valid)) if valid != u32::MAX => format!("{a} for {valid} s"),
        Some(_) => format!("{a} as it was"),
        None => format!("{a} without end"),
    }));
    out.extend(to.routes.difference(&kept.routes).map(|r| format!("+{r}")));
    out.extend(to.unheard(&kept).map(|r| format!("+{r} (announced)")));
    out.extend(to.rules.difference(&kept.rules).map(|r| format!("+rule {r}")));
    out
}

fn resolver_changes(from: &Resolver, to: &Resolver) -> Vec<String> {
    vec![format!("name servers {} -> {}", from.told(), to.told())]
}

//! The stored configuration back onto the host: at boot, or when somebody asks.
//!
//! Only what differs is changed, by an ordinary transaction. A network that cannot be had must not
//! keep the others away (vdsm-facts 9.4): what stands on missing nics is left out, and when all
//! together fail, each is tried by itself.

use std::collections::BTreeMap;

use vdsm_model::config::{Base, BondConfig, Feature, NetConfig, NetworkConfig, Policy};
use vdsm_model::name::{DeviceName, NetworkName};
use vdsm_model::netinfo::NetInfo;
use vdsm_model::request::Request;

/// Something that was not restored, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Omission {
    /// The network or bond.
    pub name: String,
    /// A sentence.
    pub reason: String,
}

/// What of a stored configuration this host can have now.
pub struct Possible {
    /// The possible part.
    pub config: NetConfig,
    /// The rest.
    pub skipped: Vec<Omission>,
}

/// Leaves out slaves that are missing, bonds without any left, networks on what is missing, the
/// parts of networks that this configurator lacks and a host can be reached without, name servers
/// where the host's resolver is somebody else's, and IPv6 where the kernel has none.
pub fn possible(stored: &NetConfig, seen: &NetInfo, policy: &Policy) -> Possible {
    let mut config = stored.clone();
    let mut skipped = Vec::new();
    for (name, bond) in stored.bonds.iter() {
        leave_out_slaves(&mut config, name, bond, seen, &mut skipped);
    }
    for (name, net) in stored.networks.iter() {
        leave_out_parts(&mut config, name, net, seen, policy, &mut skipped);
    }
    for name in stored.networks.keys() {
        let tuned = config.networks.get(name).into_iter().flat_map(|net| net.ethtool_options.devices());
        let missing: Vec<DeviceName> = tuned.filter(|device| seen.link(device).is_none()).collect();
        if !missing.is_empty() {
            let listed = missing.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let reason = format!("restored without custom.ethtool_opts for missing {listed}");
            skipped.push(Omission { name: name.to_string(), reason });
            config.networks.change(name, |net| {
                net.ethtool_options = net.ethtool_options.without(|device| missing.contains(device));
            });
        }
    }
    for (name, net) in stored.networks.iter() {
        if let Some(reason) = missing_below(net, &config, seen) {
            skipped.push(Omission { name: name.to_string(), reason });
            config.networks.remove(name);
        }
    }
    Possible { config, skipped }
}

fn leave_out_slaves(
    config: &mut NetConfig,
    name: &DeviceName,
    bond: &BondConfig,
    seen: &NetInfo,
    skipped: &mut Vec<Omission>,
) {
    let missing: Vec<String> =
        bond.nics.iter().filter(|nic| seen.link(nic).is_none()).map(ToString::to_string).collect();
    if missing.is_empty() {
        return;
    }
    let is_lost = missing.len() == bond.nics.len();
    let what = if is_lost { "none of its slaves is there" } else { "restored without missing slaves" };
    skipped.push(Omission { name: name.to_string(), reason: format!("{what}: {}", missing.join(", ")) });
    if is_lost {
        config.bonds.remove(name);
        return;
    }
    config.bonds.change(name, |bond| {
        bond.nics.retain(|nic| seen.link(nic).is_some());
        // What a bond is for: it goes on without its favourite.
        if let Some(options) = bond.options.without_primary(&missing) {
            bond.options_text = options.canonical();
            bond.options = options;
        }
    });
}

fn leave_out_parts(
    config: &mut NetConfig,
    name: &NetworkName,
    net: &NetworkConfig,
    seen: &NetInfo,
    policy: &Policy,
    skipped: &mut Vec<Omission>,
) {
    let mut leave_out = |feature, why: String| {
        let (key, value) = net.spelled(feature);
        skipped.push(Omission { name: name.to_string(), reason: format!("restored without {key} = {value}, {why}") });
        config.networks.change(name, |net| net.drop_feature(feature));
    };
    let lacking = net.features().into_iter().filter(|f| !policy.features.contains(f));
    for feature in lacking.filter(|f| f.is_accessory()) {
        let why = format!("which this configurator ({}) does not have yet", policy.configurator);
        leave_out(feature, why);
    }
    let lacks_servers = !policy.features.contains(&Feature::Nameservers);
    if let Some(why) = seen.resolver.closed().filter(|_| !lacks_servers && net.brings_nameservers()) {
        leave_out(Feature::Nameservers, format!("for {why}"));
    }
    let ipv6 = if seen.has_ipv6 { Vec::new() } else { net.spelled_ipv6() };
    if !ipv6.is_empty() {
        let keys: Vec<String> = ipv6.iter().map(|(key, value)| format!("{key} = {value}")).collect();
        let reason = format!("restored without {}, for this kernel has no IPv6", keys.join(", "));
        skipped.push(Omission { name: name.to_string(), reason });
        config.networks.change(name, NetworkConfig::drop_ipv6);
    }
}

/// What a network stands on and the host has not, nor will have.
fn missing_below(net: &NetworkConfig, config: &NetConfig, seen: &NetInfo) -> Option<String> {
    match net.base? {
        Base::Nic(nic) if seen.link(&nic).is_none() => Some(format!("its nic {nic} is missing")),
        Base::Bond(bond) if !config.bonds.contains_key(&bond) && seen.link(&bond).is_none() => {
            Some(format!("its bond {bond} is missing"))
        }
        _ => None,
    }
}

/// The request without what it wishes of nics' settings; none if it wishes nothing of them. A host
/// is reached without.
pub fn without_ethtool(request: &Request) -> Option<Request> {
    let mut plain = request.clone();
    let tuned = plain.networks.values_mut().flatten().filter(|net| net.custom.contains_key("ethtool_opts"));
    let count = tuned.map(|net| net.drop_feature(Feature::EthtoolOptions)).count();
    (count > 0).then_some(plain)
}

/// What leads from one configuration to the other in parts, each sound by itself: removals of networks, removals of bonds, then bonds,
/// then networks, those without a tag first.
pub fn one_by_one(running: &NetConfig, wanted: &NetConfig) -> Vec<(String, Request)> {
    let whole = Request::between(running, wanted);
    let mut parts = Vec::new();
    let part = |name: String, networks, bonds| {
        (name, Request { networks, bonds, options: whole.options.clone(), ..Request::default() })
    };
    let (mut tagged, mut untagged, mut gone) = (Vec::new(), Vec::new(), Vec::new());
    for (name, net) in &whole.networks {
        let entry = part(name.to_string(), BTreeMap::from([(name.clone(), net.clone())]), BTreeMap::new());
        match net {
            None => gone.push(entry),
            Some(net) if net.vlan.is_some() => tagged.push(entry),
            Some(_) => untagged.push(entry),
        }
    }
    parts.append(&mut gone);
    for removal in [true, false] {
        let bonds = whole.bonds.iter().filter(|(_, bond)| bond.is_none() == removal);
        parts.extend(
            bonds.map(|(name, bond)| part(name.to_string(), BTreeMap::new(), BTreeMap::from([(*name, bond.clone())]))),
        );
    }
    parts.append(&mut untagged);
    parts.append(&mut tagged);
    parts
}

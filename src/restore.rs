//! The stored configuration back onto the host: at boot, or when somebody asks.
//!
//! Only what differs is changed, by an ordinary transaction. A network that cannot be had must not
//! keep the others away (vdsm-facts 9.4): what stands on missing nics is left out, and when all
//! together fail, each is tried by itself.

use std::collections::BTreeMap;

use vdsm_model::config::{Base, Feature, NetConfig, Policy};
use vdsm_model::name::DeviceName;
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
    let is_there = |nic: &DeviceName| seen.link(nic).is_some();
    config.bonds.retain(|name, bond| {
        let missing: Vec<String> = bond.nics.iter().filter(|n| !is_there(n)).map(ToString::to_string).collect();
        let was_empty = bond.nics.is_empty();
        bond.nics.retain(|n| is_there(n));
        if !missing.is_empty() {
            let what =
                if bond.nics.is_empty() { "none of its slaves is there" } else { "restored without missing slaves" };
            skipped.push(Omission { name: name.to_string(), reason: format!("{what}: {}", missing.join(", ")) });
            // What a bond is for: it goes on without its favourite.
            if let Some(options) = bond.options.without_primary(&missing) {
                bond.options_text = options.canonical();
                bond.options = options;
            }
        }
        was_empty || !bond.nics.is_empty()
    });
    for (name, net) in &mut config.networks {
        let lacking = net.features().into_iter().filter(|f| !policy.features.contains(f));
        for feature in lacking.filter(|f| f.is_accessory()) {
            let (key, value) = net.spelled(feature);
            skipped.push(Omission {
                name: name.to_string(),
                reason: format!(
                    "restored without {key} = {value}, which this configurator ({}) does not have yet",
                    policy.configurator
                ),
            });
            net.drop_feature(feature);
        }
        if let Some(why) = seen.resolver.closed().filter(|_| net.brings_nameservers()) {
            let (key, value) = net.spelled(Feature::Nameservers);
            skipped.push(Omission {
                name: name.to_string(),
                reason: format!("restored without {key} = {value}, for {why}"),
            });
            net.drop_feature(Feature::Nameservers);
        }
        let ipv6 = if seen.has_ipv6 { Vec::new() } else { net.spelled_ipv6() };
        if !ipv6.is_empty() {
            let keys: Vec<String> = ipv6.iter().map(|(key, value)| format!("{key} = {value}")).collect();
            skipped.push(Omission {
                name: name.to_string(),
                reason: format!("restored without {}, for this kernel has no IPv6", keys.join(", ")),
            });
            net.drop_ipv6();
        }
    }
    for (name, net) in &mut config.networks {
        let missing: Vec<String> =
            net.ethtool_options.devices().filter(|d| !is_there(d)).map(|d| d.to_string()).collect();
        if !missing.is_empty() {
            let reason = format!("restored without custom.ethtool_opts for missing {}", missing.join(", "));
            skipped.push(Omission { name: name.to_string(), reason });
            net.ethtool_options = net.ethtool_options.without(|device| !is_there(device));
        }
    }
    let bonds = config.bonds.clone();
    config.networks.retain(|name, net| {
        let missing = match net.base {
            Some(Base::Nic(nic)) if !is_there(&nic) => Some(format!("its nic {nic} is missing")),
            Some(Base::Bond(bond)) if !bonds.contains_key(&bond) && !is_there(&bond) => {
                Some(format!("its bond {bond} is missing"))
            }
            _ => None,
        };
        match missing {
            Some(reason) => {
                skipped.push(Omission { name: name.to_string(), reason });
                false
            }
            None => true,
        }
    });
    Possible { config, skipped }
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

//! From one set of bonding options to another: what to set, in which order, in which bytes.
//!
//! The bytes are those of the `IFLA_BOND_*` attributes inside `IFLA_INFO_DATA`. Nothing is sent
//! from here, and no slave is moved.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{
    BOND_OPTIONS, BondOption, BondOptions, DELAYS, MAX_TARGETS, MODE_ATTRIBUTE, MODE_NEEDS, Needs, OptionValue,
    ValueKind, find, is_delay,
};

/// One `IFLA_BOND_*` attribute of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// The option, or `mode`.
    pub name: &'static str,
    /// The attribute's number.
    pub number: u16,
    /// Its content.
    pub payload: Payload,
}

/// The content of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// To be sent as they are.
    Bytes(Vec<u8>),
    /// To be sent as this device's index, 32 bits in the machine's byte order.
    Device(String),
}

/// One option to be set, in a message of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptionChange {
    /// What to send.
    pub attribute: Attribute,
    /// What it sets, for the log.
    pub value: OptionValue,
    /// What the bond must be like for it.
    pub needs: Needs,
}

impl OptionChange {
    /// What the bond must be like for all of them: take it down once, not for each.
    pub fn needs_of(changes: &[OptionChange]) -> Needs {
        changes.iter().fold(Needs::Nothing, |needs, change| needs.and(change.needs))
    }
}

impl BondOptions {
    /// All attributes to create such a bond with one `RTM_NEWLINK`. The kernel applies them in its
    /// own order, the mode first, so theirs is of no matter.
    ///
    /// None has to wait for the slaves: the kernel takes the index of any device as `primary`,
    /// remembers the name, and heeds it when that device is enslaved (a dump is silent about it
    /// until then). The device must exist, though.
    pub fn attributes(&self) -> Vec<Attribute> {
        let mode =
            Attribute { name: "mode", number: MODE_ATTRIBUTE, payload: Payload::Bytes(vec![self.mode.number()]) };
        let set = BOND_OPTIONS.iter().filter_map(|option| Some(encode(option, self.values.get(option.name)?)));
        // Below one round of miimon a delay is no delay, and without rounds the kernel refuses it.
        let miimon = self.number("miimon");
        std::iter::once(mode).chain(set.filter(|set| miimon != 0 || !DELAYS.contains(&set.name))).collect()
    }

    /// What to set, one after the other, to make a bond with these options one with those.
    ///
    /// Empty if, and only if, they are [the same](BondOptions::same). What `to` does not name
    /// returns to the default.
    ///
    /// One message for each: the kernel's own order within a message is the wrong one here, as
    /// `miimon` would be zero before the delays are.
    pub fn changes(&self, to: &BondOptions) -> Vec<OptionChange> {
        let mut road = Road { bond: self.clone(), to, unsure: Vec::new(), changes: Vec::new() };
        if self.same(to) {
            return Vec::new();
        }
        road.change_mode();
        road.change_monitoring();
        for option in BOND_OPTIONS {
            road.reach(option);
        }
        road.changes
    }
}

/// The way from one set of options to another, with what the kernel does of itself on it.
struct Road<'a> {
    /// What the bond is by now.
    bond: BondOptions,
    to: &'a BondOptions,
    /// Options that may have a value we cannot see.
    unsure: Vec<&'static str>,
    changes: Vec<OptionChange>,
}

impl Road<'_> {
    fn change_mode(&mut self) {
        let (old, new) = (self.bond.mode, self.to.mode);
        if old == new {
            return;
        }
        // A stale MAC could not be undone later: kernels before 5.17 refuse one of zeros, so we
        // send it only if we saw another.
        let system = find("ad_actor_system").filter(|system| !system.works_in(new));
        if let Some(system) = system.filter(|system| self.bond.values.contains_key(system.name)) {
            self.send(system, OptionValue::Mac([0; 6]));
        }
        let value = OptionValue::Number(u32::from(new.number()));
        let payload = Payload::Bytes(vec![new.number()]);
        let attribute = Attribute { name: "mode", number: MODE_ATTRIBUTE, payload };
        self.changes.push(OptionChange { attribute, value, needs: MODE_NEEDS });

        // The kernel keeps the values of options over a change of mode, even of those that mean
        // nothing in the new one: they come back with the next mode that has them.
        let numbers: Vec<_> =
            BOND_OPTIONS.iter().filter_map(|option| Some((option, self.bond.get(option.name)?))).collect();
        self.bond.mode = new;
        for (option, value) in numbers.into_iter().filter(|(option, _)| option.works_in(new)) {
            self.bond.put(option, value);
        }
        self.bond.values.retain(|name, _| find(name).is_some_and(|option| option.works_in(new)));
        let unseen = |option: &&BondOption| option.works_in(new) && !option.works_in(old);
        // The modes without ARP monitoring clear the interval, and every change of mode arp_validate.
        let certain = ["arp_interval", "arp_validate", "ad_actor_system"];
        self.unsure = BOND_OPTIONS.iter().filter(unseen).map(|option| option.name).collect();
        self.unsure.retain(|name| !certain.contains(name));

        self.bond.values.remove("arp_validate");
        if new.monitors_by_mii_only() {
            self.bond.values.remove("arp_interval");
            if self.bond.number("miimon") == 0 {
                self.bond.values.remove("miimon");
                self.unsure.extend(DELAYS);
            }
        }
        if new == super::BondMode::BalanceAlb {
            self.bond.values.remove("tlb_dynamic_lb");
            self.unsure.retain(|name| *name != "tlb_dynamic_lb");
        }
    }

    /// MII and ARP monitoring switch each other off, and the delays count rounds of the former.
    fn change_monitoring(&mut self) {
        let (old, new) = (self.bond.number("miimon"), self.to.number("miimon"));
        if new == 0 && old != 0 {
            // Later the kernel would refuse it, and the delays come back with the next miimon.
            for name in DELAYS {
                self.reach_named(name);
            }
        }
        if old != new && !(new == 0 && self.to.number("arp_interval") != 0) {
            let rounds: Vec<u64> =
                DELAYS.iter().map(|name| u64::from(self.bond.number(name)) / u64::from(old.max(1))).collect();
            self.reach_named("miimon");
            for (name, rounds) in DELAYS.into_iter().zip(rounds) {
                match (u32::try_from(rounds * u64::from(new)), find(name)) {
                    (Ok(delay), Some(option)) if old != 0 => self.bond.put(option, OptionValue::Number(delay)),
                    _ => self.unsure.push(name),
                }
            }
            if new != 0 && self.bond.number("arp_interval") != 0 {
                self.bond.values.remove("arp_interval");
                self.bond.values.remove("arp_validate");
            }
        }
        if new == 0 {
            self.unsure.retain(|name| !DELAYS.contains(name));
        }
        if old != 0 && self.to.number("arp_interval") != 0 {
            // Beside miimon it may be set, and we would not see it.
            self.unsure.push("arp_validate");
        }
        // ARP monitoring without a target finds every slave dead.
        if self.to.number("arp_interval") == 0 {
            self.reach_named("arp_interval");
        }
        for name in ["arp_ip_target", "ns_ip6_target", "arp_validate", "arp_interval"] {
            self.reach_named(name);
        }
        if let Some(miimon) = find("miimon").filter(|_| self.to.number("arp_interval") != 0) {
            self.bond.put(miimon, OptionValue::Number(0));
        }
    }

    fn reach_named(&mut self, name: &str) {
        if let Some(option) = find(name) {
            self.reach(option);
        }
    }

    /// Sets one option if it is not what it should be.
    fn reach(&mut self, option: &'static BondOption) {
        let (kept, wanted) = (self.bond.kept(option), self.to.kept(option));
        let unsure = self.unsure.contains(&option.name);
        if !option.works_in(self.to.mode) || (kept == wanted && !unsure) {
            return;
        }
        let value = if is_delay(option) { wanted } else { self.to.get(option.name).unwrap_or(wanted) };
        self.unsure.retain(|name| *name != option.name);
        self.send(option, value);
    }

    fn send(&mut self, option: &'static BondOption, value: OptionValue) {
        self.bond.put(option, value.clone());
        self.changes.push(OptionChange { attribute: encode(option, &value), value, needs: option.needs });
    }
}

/// `NLA_F_NESTED` and `NLA_F_NET_BYTEORDER` are flags beside an attribute's type.
pub(super) const TYPE_MASK: u16 = 0x3fff;

fn encode(option: &'static BondOption, value: &OptionValue) -> Attribute {
    let bytes = match value {
        OptionValue::Number(number) => match option.kind {
            ValueKind::U8 => vec![number.to_le_bytes()[0]],
            ValueKind::U16 => u16::try_from(*number).unwrap_or(u16::MAX).to_ne_bytes().to_vec(),
            _ => number.to_ne_bytes().to_vec(),
        },
        OptionValue::Device(name) if name.is_empty() => vec![0; 4],
        OptionValue::Device(name) => {
            return Attribute { name: option.name, number: option.attribute, payload: Payload::Device(name.clone()) };
        }
        OptionValue::Ips4(addresses) => nest(addresses.iter().map(|address| address.octets().to_vec())),
        OptionValue::Ips6(addresses) => nest(addresses.iter().map(|address| address.octets().to_vec())),
        OptionValue::Mac(mac) => mac.to_vec(),
    };
    Attribute { name: option.name, number: option.attribute, payload: Payload::Bytes(bytes) }
}

/// A nest replaces all targets the bond had; an empty one removes them.
fn nest(items: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (index, item) in (0u16..).zip(items.take(MAX_TARGETS)) {
        // Addresses have a multiple of four bytes, so nothing needs padding.
        let length = u16::try_from(item.len() + 4).unwrap_or(u16::MAX);
        bytes.extend(length.to_ne_bytes());
        bytes.extend(index.to_ne_bytes());
        bytes.extend(item);
    }
    bytes
}

pub(super) fn decode(
    option: &BondOption,
    bytes: &[u8],
    name_of_index: impl Fn(u32) -> Option<String>,
) -> Option<OptionValue> {
    let number = || -> Option<u32> {
        match option.kind {
            ValueKind::U8 => bytes.first().map(|byte| u32::from(*byte)),
            ValueKind::U16 => Some(u32::from(u16::from_ne_bytes(*bytes.first_chunk()?))),
            _ => Some(u32::from_ne_bytes(*bytes.first_chunk()?)),
        }
    };
    Some(match option.kind {
        ValueKind::U8 | ValueKind::U16 | ValueKind::U32 => OptionValue::Number(number()?),
        ValueKind::Device => OptionValue::Device(name_of_index(number()?)?),
        ValueKind::Ips4 => OptionValue::Ips4(
            unnest(bytes).filter_map(|item| Some(Ipv4Addr::from(*item.first_chunk::<4>()?))).collect(),
        ),
        ValueKind::Ips6 => OptionValue::Ips6(
            unnest(bytes).filter_map(|item| Some(Ipv6Addr::from(*item.first_chunk::<16>()?))).collect(),
        ),
        ValueKind::Mac => OptionValue::Mac(*bytes.first_chunk()?),
    })
}

/// The contents of the attributes in a nest; it ends at the first that is not whole.
fn unnest(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(*bytes.first_chunk()?));
        let item = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(item)
    })
}

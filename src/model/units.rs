//! Numbers and addresses with a meaning: VLAN tag, MTU, MAC address, IP address with prefix.
//!
//! Ranges are checked here once; where such a value may be used is the objects' business.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An 802.1Q VLAN identifier, 0 to 4094 (0 is legal for the original, 4095 is reserved by 802.1Q).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct VlanTag(u16);

impl VlanTag {
    /// The tag, if it lies in 0..=4094.
    pub fn new(tag: i64) -> Option<VlanTag> {
        (0..=4094).contains(&tag).then_some(VlanTag(tag as u16))
    }

    /// The number on the wire.
    pub fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Display for VlanTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A maximum transmission unit in bytes, 68 (RFC 791) to 65535.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Mtu(u32);

impl Mtu {
    /// Ethernet's, and what a request that names none gets.
    pub const DEFAULT: Mtu = Mtu(1500);
    /// Below this the kernel takes IPv6 off a device, its sysctls included (RFC 8200 section 5).
    pub const IPV6_MINIMUM: Mtu = Mtu(1280);
    /// No device has a larger one.
    pub(crate) const LARGEST: Mtu = Mtu(u32::MAX);

    /// The MTU, if it lies in 68..=65535.
    pub fn new(bytes: i64) -> Option<Mtu> {
        (68..=65535).contains(&bytes).then_some(Mtu(bytes as u32))
    }

    /// Whatever a device of the host has, the loopback's 65536 included.
    pub fn seen(bytes: u32) -> Mtu {
        Mtu(bytes)
    }

    /// The number of bytes.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Mtu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A 48-bit MAC address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Mac(pub [u8; 6]);

impl FromStr for Mac {
    type Err = ();

    fn from_str(text: &str) -> Result<Mac, ()> {
        let mut bytes = [0; 6];
        let mut parts = text.split([':', '-']);
        for byte in &mut bytes {
            let part = parts.next().filter(|p| p.len() == 2).ok_or(())?;
            *byte = u8::from_str_radix(part, 16).map_err(|_| ())?;
        }
        if parts.next().is_some() { Err(()) } else { Ok(Mac(bytes)) }
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// An address and the length of its network's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Prefixed<A> {
    /// The host's address.
    pub addr: A,
    /// 0 to 32 or 128.
    pub prefix: u8,
}

impl<A: fmt::Display> fmt::Display for Prefixed<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.prefix)
    }
}

impl Prefixed<IpAddr> {
    /// The address of the network: host bits zero.
    pub fn network(&self) -> Prefixed<IpAddr> {
        let addr = match self.addr {
            IpAddr::V4(a) => IpAddr::V4(Ipv4Addr::from(u32::from(a) & mask(self.prefix, 32) as u32)),
            IpAddr::V6(a) => IpAddr::V6(Ipv6Addr::from(u128::from(a) & mask(self.prefix, 128))),
        };
        Prefixed { addr, prefix: self.prefix }
    }

    /// Whether an address is in its network.
    pub fn covers(&self, addr: IpAddr) -> bool {
        Prefixed { addr, prefix: self.prefix }.network() == self.network()
    }
}

fn mask(prefix: u8, bits: u32) -> u128 {
    let host = bits - u32::from(prefix).min(bits);
    if host == 128 { 0 } else { (u128::MAX >> (128 - bits)) & !((1u128 << host) - 1) }
}

/// The netmask of a prefix, such as 255.255.255.0 of 24.
pub fn netmask_of(prefix: u8) -> Ipv4Addr {
    Ipv4Addr::from(mask(prefix, 32) as u32)
}

/// The prefix of a netmask, if its bits are contiguous.
pub fn prefix_of(netmask: Ipv4Addr) -> Option<u8> {
    let bits = u32::from(netmask);
    let prefix = bits.leading_ones();
    (bits.count_ones() == prefix).then_some(prefix as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn netmasks_are_contiguous() {
        assert_eq!(prefix_of(Ipv4Addr::new(255, 255, 255, 0)), Some(24));
        assert_eq!(prefix_of(Ipv4Addr::new(254, 0, 0, 0)), Some(7));
        assert_eq!(prefix_of(Ipv4Addr::UNSPECIFIED), Some(0));
        assert_eq!(prefix_of(Ipv4Addr::new(255, 0, 255, 0)), None);
        assert_eq!(prefix_of(Ipv4Addr::new(253, 0, 0, 0)), None);
        for prefix in 0..=32 {
            assert_eq!(prefix_of(netmask_of(prefix)), Some(prefix));
        }
    }

    #[test]
    fn a_network_has_no_host_bits() {
        let net = |a: &str, prefix| Prefixed { addr: a.parse::<IpAddr>().unwrap(), prefix }.network().addr.to_string();
        assert_eq!(net("192.0.2.77", 24), "192.0.2.0");
        assert_eq!(net("192.0.2.77", 0), "0.0.0.0");
        assert_eq!(net("2001:db8::1:2", 64), "2001:db8::");
        assert_eq!(net("2001:db8::1:2", 128), "2001:db8::1:2");
        assert_eq!(net("2001:db8::1:2", 0), "::");
    }

    #[test]
    fn a_mac_address_is_six_bytes() {
        assert_eq!("52:54:00:AB:cd:01".parse::<Mac>().map(|m| m.to_string()), Ok("52:54:00:ab:cd:01".into()));
        for bad in ["", "52:54:00:ab:cd", "52:54:00:ab:cd:01:02", "52:54:00:ab:cd:g1", "5254.00ab.cd01"] {
            assert_eq!(bad.parse::<Mac>(), Err(()), "{bad}");
        }
    }
}

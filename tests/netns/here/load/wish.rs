//! What a client wants its network to be, and how the host tells of it.

use serde_json::{Value, json};

use crate::common::random::Random;

/// A network that is wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct Wish {
    pub mtu: u32,
    /// With its prefix.
    pub address: Option<String>,
    pub dhcp: bool,
}

impl Wish {
    /// Any for the network of that number.
    pub fn any(random: &mut Random, number: usize) -> Wish {
        let mtu = 1400 + random.below(4) as u32 * 25;
        // Nobody answers the DHCP clients.
        let dhcp = number < 2 && random.chance(30);
        let address = (!dhcp && random.chance(60)).then(|| format!("10.9.{number}.{}/24", 1 + random.below(3)));
        Wish { mtu, address, dhcp }
    }

    /// As a request says it.
    pub fn network(&self, nic: Option<&str>) -> Value {
        let mut network = json!({ "mtu": self.mtu });
        if let Some(nic) = nic {
            network["nic"] = nic.into();
        }
        if let Some((ip, prefix)) = self.address.as_ref().and_then(|address| address.split_once('/')) {
            network["ipaddr"] = ip.into();
            network["prefix"] = prefix.into();
        }
        if self.dhcp {
            network["bootproto"] = "dhcp".into();
        }
        network
    }

    /// Whether it is what getCapabilities tells of a network.
    pub fn is(&self, told: &Value, nic: Option<&str>) -> bool {
        let (addresses, ports): (Vec<_>, Vec<_>) = (self.address.iter().collect(), nic.iter().collect());
        told["mtu"].as_str() == Some(&*self.mtu.to_string())
            && told["dhcpv4"] == self.dhcp
            && told["ipv4addrs"] == json!(addresses)
            && told["ports"] == json!(ports)
    }
}

/// A request that no host would take: its network, and the code it meets.
pub fn wrong(random: &mut Random) -> (i64, Value) {
    random.pick(&[
        (21, json!({ "mtu": 67 })),
        (21, json!({ "STP": "perhaps" })),
        (22, json!({ "ipaddr": "300.300.300.300", "prefix": 24 })),
        (23, json!({ "nic": "eth7" })),
        (26, json!({ "nic": "veth_0", "vlan": 4095 })),
    ])
}

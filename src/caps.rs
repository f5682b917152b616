//! What the engine is told of the host: Host.getCapabilities and Host.getNetworkCapabilities
//! (vdsm-facts 6.1).
//!
//! Devices are told as the kernel has them, networks as the running configuration names them. Each
//! object tells its own part (`part.rs`), straight into the bytes that are sent: of thousands of
//! networks the report has megabytes, and it is to cost no more than the kernel's own dump. Nothing
//! here asks the host. What vanished is left out, and so is a network whose device did.
//!
//! What differs from the original's report (4.30), and why; `tests/netns/full/caps.rs` knows of no more:
//!
//! | key | here | why |
//! |---|---|---|
//! | `netConfigDirty`, `lastClient`, `lastClientIface` | in the report | the original puts them in beside it |
//! | `networks[n].vlanid` | told | the later original has it, and the engine of today reads it |
//! | `bondings[b].slaves` | natural order | the original's is that of a set, different each time |
//!
//! And what its sample of one host does not show:
//!
//! | key | here | why |
//! |---|---|---|
//! | `dhcpv4`, `dhcpv6` | of our clients, and where an address ends | the original looked for processes of dhclient |
//! | `ipv4defaultroute` | where the kernel has it | a network without a lease yet has left it to another (`graph/waiting.rs`) |
//! | timers in `bridges[b].opts` | as of the bridge's last event | that a timer runs is no event |
//! | a VF in a VM's hands | told unless its PF lists its address | no other message says what is a VF |
//! | a VF of `enic` without an address | told | no message names the driver |
//! | `speed` of a link that comes up | that of the moment | the original waits up to 2 s for it; an event tells of it here |
//! | what runs on Open vSwitch (`samples/ovs`) | not told | issue 6 |
//! | a tun or ifb in `fake_nics` | a nic | our tests on kernels without dummy stand on them |
//! | `cfg` | not told | it was the content of ifcfg files, and the later originals dropped it |

mod client;
mod device;
mod host;
pub(crate) mod json;
mod network;
mod part;
mod qos;
pub(crate) mod speed;
mod visibility;

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use vdsm_model::config::NetConfig;
use vdsm_model::netinfo::NetInfo;

pub(crate) use client::towards;
use host::Host;
use json::Object;
use network::Network;
use part::Part;
pub(crate) use visibility::Sight;
pub use visibility::Visibility;

/// What the report has that is neither the host's nor the configuration's.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// What is kept from the engine.
    pub visible: Visibility,
    /// Whether something was changed since the configuration was made safe.
    pub dirty: bool,
    /// As [`resolver`] reads them.
    pub nameservers: Vec<String>,
    /// The address of whoever asks, when he came over the network.
    pub last_client: Option<IpAddr>,
}

/// The report of Host.getCapabilities: one JSON object on one line.
pub fn capabilities(seen: &NetInfo, running: &NetConfig, about: &About) -> Vec<u8> {
    Object::document(room_for(seen), |report| {
        network_part(seen, running, &about.visible, &about.nameservers, report);
        report.text("netConfigDirty", if about.dirty { "True" } else { "False" });
        // A caller of IPv4 on a socket for both families is told as an IPv6 one.
        let client = about.last_client.map(|addr| addr.to_canonical());
        report.text("lastClient", client);
        report.text("lastClientIface", client.and_then(|client| client::towards(seen, client)));
    })
}

/// The report of Host.getNetworkCapabilities: what of it is the network's.
pub fn network_capabilities(
    seen: &NetInfo,
    running: &NetConfig,
    visible: &Visibility,
    nameservers: &[String],
) -> Vec<u8> {
    Object::document(room_for(seen), |report| network_part(seen, running, visible, nameservers, report))
}

/// About as many bytes as the report will have; a bridge with its network takes two thousand.
fn room_for(seen: &NetInfo) -> usize {
    4096 + 1024 * seen.count()
}

fn network_part(
    seen: &NetInfo,
    running: &NetConfig,
    visible: &Visibility,
    nameservers: &[String],
    report: &mut Object<'_>,
) {
    let host = Host::of(seen, running, visible);
    report.object("networks", |networks| {
        for (name, config) in running.networks.iter() {
            match Network::of(&host, name, config) {
                Some(network) => networks.entry(name.as_str(), |keys| network.tell(&host, keys)),
                // The engine will miss it, and say so.
                None => tracing::debug!(network = %name, "its device is missing, and so it is left out"),
            }
        }
    });
    section(report, "bridges", &host, &host.bridges);
    section(report, "bondings", &host, &host.bonds);
    section(report, "nics", &host, &host.nics);
    section(report, "vlans", &host, &host.vlans);
    report.texts("nameservers", nameservers.iter().map(String::as_str));
    report.truth("supportsIPv6", seen.has_ipv6);
}

fn section<P: Part>(report: &mut Object<'_>, key: &str, host: &Host<'_>, parts: &[P]) {
    report.object(key, |section| {
        for part in parts {
            section.entry(part.device().name.as_str(), |keys| part.tell(host, keys));
        }
    });
}

//! What a host network is, and what a request makes of it. Pure thought: no I/O, no clock, no
//! async; the crate's tests need no host.
//!
//! In the order in which a request meets the modules:

mod bond; // the rules of each
pub mod bond_options; // what a bond's `options` may say, by mode
mod bridge;
pub mod bridge_options; // what `custom.bridge_opts` may say
pub mod config; // the sum of the requests so far
pub mod device; // nic, bond, vlan, bridge
pub mod dhcp; // who asks for addresses, and what a lease means
pub mod ethtool_options; // what `custom.ethtool_opts` may say
pub mod graph; // devices together: seen, or wished for
pub mod ip; // addresses and routes
pub mod name; // names of devices and networks
mod nearest;
pub mod netinfo; // one moment of the host
mod nic;
pub mod plan; // the steps from one graph to another
pub mod problem; // every way a request can be wrong
pub mod qos; // shares of what a nic or bond can send
pub mod request; // the engine's JSON, to and fro
pub mod resolver; // who looks names up, and with which servers
pub mod rule; // which packets look up which routing table
pub mod source_routing; // each network answers through its own gateway
pub mod units; // VLAN tag, MTU, MAC, prefix
mod vlan;

pub use nearest::nearest;

//! What a host network is, and what a request makes of it. Pure thought: no I/O, no clock, no
//! async; the crate's tests need no host.
//!
//! In the order in which a request meets the modules:

pub mod problem; // every way a request can be wrong
pub mod name; // names of devices and networks
pub mod units; // VLAN tag, MTU, MAC, prefix
pub mod ip; // addresses and routes
pub mod bond_options; // what a bond's `options` may say, by mode
pub mod bridge_options; // what `custom.bridge_opts` may say
pub mod config; // the sum of the requests so far
pub mod request; // the engine's JSON, to and fro
pub mod netinfo; // one moment of the host
pub mod device; // nic, bond, vlan, bridge
mod bond; // the rules of each
mod bridge;
mod nic;
mod vlan;
pub mod graph; // devices together: seen, or wished for
pub mod plan; // the steps from one graph to another
mod nearest;

pub use nearest::nearest;

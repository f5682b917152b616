//! One declarative request becomes a configured, verified, persisted host network.
//!
//! In the order in which a request meets the modules:

pub mod advice; // what the codes mean, and what to do about a failure
pub mod api; // the verbs
pub mod asked; // a request that nobody has judged yet
pub mod asking; // waiting for leases
pub mod caps; // what the engine is told of the host
pub mod check; // drift: the running configuration held against the host
pub mod client; // the caller's end of the socket
pub mod conf; // vdsm.conf
pub mod connectivity; // did somebody call after the change?
pub mod deadman; // who holds a deadline in our place
pub mod difference; // how two configurations differ
pub mod engine; // one host: its configuration, and one change at a time
pub mod events; // what there is to tell of two moments
pub mod hooks; // the scripts of a site, before and after a change
pub mod host; // eyes and hands
pub mod hub; // who listens, and what waits for him
pub mod keeper; // reactions: late devices, leases, drift
pub mod leases; // the DHCP clients in the picture of the host
pub mod lock; // one daemon for a run directory
pub mod netinfo; // the kernel's word becomes a NetInfo
pub mod older; // addNetwork, editNetwork, delNetwork
pub mod picture; // what a person sees of it: SVG, DOT, Mermaid
pub mod privileges; // what a process may do besides what anybody may
pub mod reports; // what is told of the host: capabilities, statistics, topology
pub mod restore; // the stored configuration back onto the host
pub mod rpc; // JSON-RPC 2.0, shared with the client
pub mod server; // the socket: framing and who may call
pub mod settings; // second looks, for what a look leaves out
pub mod show; // what a person is told of it
pub mod stats; // what went through the host's devices
pub mod top; // and what goes through it
pub mod topology; // the host and its networks, for pictures
pub mod transaction; // from plan to commit or rollback

#[cfg(test)]
#[path = "../tests/fuzz/mod.rs"]
mod fuzz;
#[cfg(test)]
mod fuzzed;
#[cfg(test)]
#[path = "../tests/common/skip.rs"]
mod skip;

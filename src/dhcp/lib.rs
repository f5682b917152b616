//! The host's DHCP clients: one process for all of them, and the daemon's handle on it.
//!
//! A table of contents. The process keeps leases and the leased addresses, nothing else: routes,
//! rules and name servers are planned by the daemon from the lease it is told of. The protocol
//! itself (messages, retransmission) is mozim's.

// Both ends.
mod protocol;
mod types;

// The process.
mod client;
mod connection;
mod devices;
mod files;
mod process;
mod service;
mod v4;
mod v6;
mod wire;

// The daemon.
pub mod foreign;
mod handle;

pub use files::any_wanted;
pub use handle::{Clients, ClientsError, DhcpClients, News, Watch};
pub use process::{ProcessError, run};
pub use types::{Afterwards, Family, Lease, State, StaticRoute, Status, Wanted};

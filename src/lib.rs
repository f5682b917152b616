//! One declarative request becomes a configured, verified, persisted host network.
//!
//! In the order in which a request meets the modules:

pub mod api; // the verbs
pub mod caps; // what the engine is told of the host
pub mod client;
pub mod conf; // vdsm.conf
pub mod connectivity; // did somebody call after the change?
pub mod engine; // one host: its configuration, and one change at a time
pub mod host; // eyes and hands
pub mod netinfo; // the kernel's word becomes a NetInfo
pub mod older; // addNetwork, editNetwork, delNetwork
pub mod restore; // the stored configuration back onto the host
pub mod rpc; // JSON-RPC 2.0, shared with the client
pub mod server; // the socket: framing and who may call
pub mod show; // what a person is told of it
pub mod transaction; // from plan to commit or rollback // the caller's end of the socket

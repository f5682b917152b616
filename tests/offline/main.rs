//! Tests that need no host: the rules, the laws on a host in memory, and the daemon's whole path
//! but for the kernel.

// In a test a panic is the report, and nobody is outside to reach anything.
#![allow(clippy::unwrap_used, unreachable_pub)]

mod check;
#[path = "../common/mod.rs"]
mod common;
mod default_route;
mod dhcp;
mod edits;
mod engine;
mod ethtool;
mod laws;
mod older;
mod qos;
mod refusals;
mod requests;
mod rivals;
mod source_routing;
mod strangers;
mod without_ipv6;
mod world;

//! The promises of the DHCP process, kept with real servers on this kernel: each test has a host and a
//! server in network namespaces of their own.
//!
//! `cargo xtask test` installs what they need and runs them, several at once.

// In a test a panic is the report, and nobody is outside to reach anything.
#![allow(clippy::unwrap_used, unreachable_pub)]

mod foreign;
mod lab;
mod server;
mod v4;
mod v6;

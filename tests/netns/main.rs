//! The promises of the daemon, kept on a real kernel: each test tells one host's story in a
//! network namespace of its own, over the socket, and asks `ip` how it ended.
//!
//! What needs bridges and veth only is in `here`, and runs on the kernel at hand; the rest is in
//! `full`, for a kernel with every kind of link, and in `without_ipv6`, for one that lacks that. How to run them: `cargo xtask test`.

// In a test a panic is the report, and nobody is outside to reach anything.
#![allow(clippy::unwrap_used, unreachable_pub)]

mod beyond;
#[path = "../common/mod.rs"]
mod common;
mod ears;
mod interrupted;
mod lab;
mod look;
mod monitor;
mod resolved;
mod walk;

mod full;
mod here;
mod without_ipv6;

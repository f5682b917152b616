//! Tests that need no host: the rules, the laws on a host in memory, and the daemon's whole path
//! but for the kernel.

#[path = "../common/mod.rs"]
mod common;
mod edits;
mod engine;
mod laws;
mod older;
mod refusals;
mod requests;
mod world;

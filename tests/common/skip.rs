//! How a test says that it cannot do its work here, so that `cargo xtask test` counts it as skipped.
//!
//! Taken in by every package whose tests need a kernel, and free of everything else for that reason.

#![allow(unreachable_pub)] // in some packages it is a private module

use std::fs::OpenOptions;
use std::io::Write;

/// Notes for the summary of `cargo xtask test` that a test did not run.
pub fn skip(test: &str, why: &str) {
    eprintln!("{test} is skipped: {why}");
    if let Some(file) = std::env::var_os("VDSM_SKIP_FILE") {
        let mut notes = OpenOptions::new().create(true).append(true).open(file).unwrap();
        writeln!(notes, "{test}: {}", why.lines().next().unwrap_or("")).unwrap();
    }
}

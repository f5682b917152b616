//! Measures the daemon beside its peers: setupNetworks beside raw netlink messages and `ip -batch`,
//! the live picture beside bare dumps and `ip` (`live`), what storms do to it (`storm`), how long reads
//! take while a large change runs (`load`), a change beside the same without a journal (`journal`), and
//! its DHCP process beside other clients (`dhcp`).
//!
//! Only the way from the command line to the module that does the work is here. The process
//! starts itself again: `stage`, `live-stage`, `load-stage`, `storm-stage` and `journal-stage` are each in a network namespace of
//! their own, `raw` is one step of the candidate of that name. The daemon is asked over its socket,
//! and the floor it is compared with is not built of its code: only `live/inside.rs` and
//! `journal/stage.rs` link against its crates.

mod batch;
mod client;
mod clock;
mod dhcp;
mod goals;
mod host;
mod idler;
mod journal;
mod live;
mod load;
mod message;
mod namespace;
mod netlink;
mod options;
mod ours;
mod raw;
mod report;
mod results;
mod runs;
mod stage;
mod state;
mod storm;
mod workload;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let rest = args.get(1..).unwrap_or_default();
    let outcome = match args.first().map(String::as_str) {
        Some("live") => live::run(rest),
        Some("live-stage") => live::stage::run(rest),
        Some("load") => load::run(rest),
        Some("load-stage") => load::stage::run(rest),
        Some("dhcp") => dhcp::run(rest),
        Some("storm") => storm::run(rest),
        Some("storm-stage") => storm::stage::run(rest),
        Some("journal") => journal::run(rest),
        Some("journal-stage") => journal::stage::run(rest),
        Some("stage") => stage::run(rest),
        Some("raw") => raw::run(rest),
        Some("-h" | "--help" | "help") => {
            println!("{}", options::USAGE);
            return ExitCode::SUCCESS;
        }
        _ => match options::Options::parse(&args) {
            Ok(options) => runs::run(&options),
            Err(error) => Ok(misused(&error)),
        },
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("vdsm-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Says what was not understood, and how it should have been said.
fn misused(error: &str) -> ExitCode {
    eprintln!("vdsm-bench: {error}\n{}", options::USAGE);
    ExitCode::from(2)
}

//! Measures setupNetworks beside its peers: raw netlink messages and `ip -batch`.
//!
//! Only the way from the command line to the module that does the work is here. The process
//! starts itself again: `stage` is one candidate in a network namespace of its own, `raw` one
//! step of the candidate of that name. Nothing here links against the daemon's crates: the
//! daemon is asked over its socket, and the floor it is compared with is not built of its code.

mod batch;
mod clock;
mod goals;
mod message;
mod netlink;
mod options;
mod ours;
mod raw;
mod report;
mod results;
mod runs;
mod stage;
mod state;
mod workload;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match args.first().map(String::as_str) {
        Some("stage") => stage::run(&args[1..]),
        Some("raw") => raw::run(&args[1..]),
        Some("-h" | "--help" | "help") => {
            println!("{}", options::USAGE);
            return ExitCode::SUCCESS;
        }
        _ => match options::Options::parse(&args) {
            Ok(options) => runs::run(&options),
            Err(error) => {
                eprintln!("vdsm-bench: {error}\n{}", options::USAGE);
                return ExitCode::from(2);
            }
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

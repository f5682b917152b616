//! The project's own commands: `cargo xtask try | test | bench | fuzz | uml`.
//!
//! Only the way from the command line to the module that does the work is here.
//! There are no dependencies on purpose: on a fresh machine this compiles in seconds,
//! before anything else is built.

mod bench;
mod cargo;
mod copier;
mod error;
mod fuzz;
mod ground;
mod json;
mod libtest;
mod logs;
mod netns;
mod packages;
mod process;
mod sandbox;
mod test;
mod trial;
mod uml;
mod uml_command;
mod workplace;

use std::ffi::OsString;
use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask try [-t SECONDS] [-- COMMAND ARG...]
    the story of one host in a sandbox, checked; or COMMAND in a host so configured
cargo xtask test [--filter STR] [--no-tidy] [--forbid-skips] [--limit SECONDS]
    tidy, offline tests, tests on this kernel, tests on a kernel with every link kind
cargo xtask bench [ARG...]
    the release build's vdsm-bench in the sandbox
cargo xtask fuzz [requests|calls|configurations|messages|...] [-n EXECUTIONS]
    random bytes for what reads those of others, led by coverage; 10,000,000 for each target
cargo xtask uml [-m MEM] [-t SECONDS] [-w DIR]... [-c CPU] [-k WORD]... [-i] -- COMMAND ARG...
    COMMAND as root in user-mode-linux; what it writes is gone, but under DIR
    -k WORD is for the kernel's command line
    -i reads standard input to its end first; exit 124: limit, 125: UML failed

The environment: VDSM_GROUND=uml|netns chooses the sandbox for try, test and bench.";

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let command = args.next().unwrap_or_default();
    let rest: Vec<OsString> = args.collect();
    let outcome = match command.to_str() {
        Some("try") => trial::run(rest),
        Some("test") => test::run(rest),
        Some("bench") => bench::run(rest),
        Some("fuzz") => fuzz::run(rest),
        Some("uml") => uml_command::run(rest),
        Some("help" | "-h" | "--help") => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

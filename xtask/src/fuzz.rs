//! `cargo xtask fuzz`: the targets of `tests/fuzz`, with coverage, for as long as it takes.
//!
//! What a target is, and what becomes of what is found, is said there.

use std::ffi::OsString;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::cargo;
use crate::error::{Error, Trying};
use crate::libtest::names;
use crate::process::wait;

/// What is asked of each target before a release.
const EXECUTIONS: u64 = 10_000_000;
/// The packages that have a `fuzzed.rs`.
const WITH_TARGETS: [&str; 2] = ["vdsm-net", "vdsm-netlink"];
/// Longer than the slowest target needs for so many.
const LIMIT: Duration = Duration::from_secs(24 * 3600);

/// A counter for each place of the program, as libFuzzer has them; clang documents these options
/// ("SanitizerCoverage"), and rustc hands them on.
const COUNTED: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=3 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters";

/// Builds and runs them, one after the other; the exit code is the tests'.
pub(crate) fn run(args: Vec<OsString>) -> Result<u8, Error> {
    let (target, executions) = wishes(args)?;
    let mut list = tests(&target, &["--list", "--format", "terse"]);
    let listed = list.stdin(Stdio::null()).stderr(Stdio::inherit()).output().trying("start cargo")?;
    if listed.status.success() && names(&String::from_utf8_lossy(&listed.stdout)).is_empty() {
        return Err(Error::Usage(format!("fuzz: there is no {target}")));
    }
    let mut command = tests(&target, &["--test-threads=1", "--nocapture"]);
    command.env("VDSM_FUZZ", executions.to_string());
    let mut child = command.spawn().trying("start cargo")?;
    Ok(wait(&mut child, LIMIT)?.code())
}

/// The targets of that name, built for it.
fn tests(target: &str, options: &[&str]) -> Command {
    // With the target named, what builds with the help of macros and scripts is not counted.
    let machine = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut command = cargo::cargo(&["test", "--lib", "--profile", "fuzz", "--target", &machine]);
    // Only what has the fuzzer in it can be built so.
    command.args(WITH_TARGETS.iter().flat_map(|package| ["-p", package]));
    command.args(["--target-dir", "target/fuzz", target, "--"]).args(options);
    command.env("RUSTFLAGS", COUNTED);
    command
}

fn wishes(args: Vec<OsString>) -> Result<(String, u64), Error> {
    let (mut target, mut executions) = ("fuzzed".to_owned(), EXECUTIONS);
    let mut args = args.iter().map(|arg| arg.to_string_lossy());
    while let Some(arg) = args.next() {
        match &*arg {
            "-n" => {
                let number = args.next().and_then(|text| text.parse().ok());
                executions = number.ok_or_else(|| Error::Usage("fuzz: -n needs a number".into()))?;
            }
            option if option.starts_with('-') => return Err(Error::Usage(format!("fuzz: not understood: {option}"))),
            name => target = format!("fuzzed::{name}"),
        }
    }
    Ok((target, executions))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<(String, u64), String> {
        wishes(line.split_whitespace().map(OsString::from).collect()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_target_and_a_number_may_be_named() {
        assert_eq!(read(""), Ok(("fuzzed".to_owned(), EXECUTIONS)));
        assert_eq!(read("calls -n 7"), Ok(("fuzzed::calls".to_owned(), 7)));
        for (line, told) in [("-n", "-n needs a number"), ("-n x", "-n needs a number"), ("-x", "not understood: -x")] {
            assert_eq!(read(line), Err(format!("fuzz: {told}; see `cargo xtask help`")));
        }
    }
}

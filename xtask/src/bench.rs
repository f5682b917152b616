//! `cargo xtask bench`: the numbers, from the release build, in the sandbox.
//!
//! What is measured is in the package `vdsm-bench`.

use std::ffi::OsString;

use crate::cargo;
use crate::error::Error;
use crate::ground::Ground;
use crate::packages;
use crate::sandbox::Job;
use crate::workplace::Workplace;

/// Builds, and runs vdsm-bench with the arguments as they are.
pub(crate) fn run(mut args: Vec<OsString>) -> Result<u8, Error> {
    if args.first().is_some_and(|first| first == "--") {
        args.remove(0);
    }
    let ground = match args.first().and_then(|first| first.to_str()) {
        // Others' DHCP clients need veth and bridges only, and this machine's memory.
        Some("dhcp") => {
            packages::ensure(&packages::FOR_DHCP)?;
            Ground::Namespace
        }
        // A disk that is one: what a UML flushes, its host need not.
        Some("journal") => Ground::Namespace,
        // On the single CPU of a user-mode Linux readers would wait for the change and for each other.
        Some("load") => Ground::Namespace,
        _ => Ground::find()?,
    };
    let workplace = Workplace::open("bench")?;
    let log = workplace.file("build.json");
    let mut programs = cargo::artifacts(&["build", "--release", "--bins"], &log)?;
    programs.extend(cargo::artifacts(&["build", "--release", "--bins", "-p", "vdsm-bench"], &log)?);
    let paths: Vec<_> = programs.into_iter().filter(|it| it.is_program()).map(|it| it.executable).collect();
    let bin = workplace.programs(&paths)?;
    eprintln!("xtask: measuring on {}", ground.describe());
    let command = [vec![bin.join("vdsm-bench").into()], args].concat();
    Ok(ground.run(&Job::new(command, cargo::root()).env("VDSM_BIN_DIR", bin))?.code())
}

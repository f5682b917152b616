//! Which ground there is to test on.
//!
//! The kernel is asked, not guessed at: in a fresh network name space a link of each
//! kind is tried. If one is missing, user-mode-linux takes its place.

use std::process::{Command, Stdio};

use crate::error::Error;
use crate::process::Ended;
use crate::sandbox::Job;
use crate::{netns, packages, uml};

/// A sandbox in which every kind of link can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ground {
    /// This kernel, in a name space.
    Namespace,
    /// A user-mode-linux.
    Uml,
    /// One whose kernel has no IPv6.
    UmlWithoutIpv6,
}

/// What the configurator makes.
const KINDS: [(&str, &str); 5] = [
    ("veth", "ip link add probe_veth type veth peer name probe_peer"),
    ("bridge", "ip link add probe_bridge type bridge"),
    ("dummy", "ip link add probe_dummy type dummy"),
    ("bond", "ip link add probe_bond type bond"),
    ("vlan", "ip link add link probe_veth name probe_vlan type vlan id 7"),
];

impl Ground {
    /// The ground on this machine, with all it needs installed.
    pub(crate) fn find() -> Result<Self, Error> {
        match std::env::var("VDSM_GROUND").as_deref() {
            Ok("uml") => return Self::uml(),
            Ok("netns") => {}
            Ok(other) => {
                return Err(Error::Usage(format!("VDSM_GROUND is uml or netns, not {other}")));
            }
            Err(_) => {
                packages::ensure(&packages::FOR_NETNS)?;
                if !missing_kinds().is_empty() {
                    return Self::uml();
                }
            }
        }
        packages::ensure(&packages::FOR_NETNS)?;
        netns::refusal().map_or(Ok(Self::Namespace), |why| Err(Error::NoGround(why)))
    }

    /// A kernel without IPv6: only one of our own can be made so.
    pub(crate) fn without_ipv6() -> Result<Self, Error> {
        Self::uml().map(|_| Self::UmlWithoutIpv6)
    }

    fn uml() -> Result<Self, Error> {
        packages::ensure(&packages::FOR_UML)?;
        if uml::is_here() {
            Ok(Self::Uml)
        } else {
            Err(Error::NoGround("user-mode-linux is not as Debian has it: no /usr/lib/uml/modules".into()))
        }
    }

    /// Runs a job there. In UML nothing is read from standard input.
    pub(crate) fn run(self, job: &Job) -> Result<Ended, Error> {
        match self {
            Self::Namespace => netns::run(job),
            Self::Uml | Self::UmlWithoutIpv6 => {
                let mut job = job.clone();
                if self == Self::UmlWithoutIpv6 {
                    job.kernel.push("ipv6.disable=1".into());
                }
                job.cpu = job.cpu.or_else(|| uml::cpus().last().copied());
                uml::run(&job, uml::DEFAULT_MEMORY, b"")
            }
        }
    }

    /// In a sentence about where something ran.
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::Namespace => "this kernel, in a name space",
            Self::Uml => "user-mode-linux",
            Self::UmlWithoutIpv6 => "user-mode-linux without IPv6",
        }
    }
}

/// The kinds of link that this kernel cannot make for us.
pub(crate) fn missing_kinds() -> Vec<&'static str> {
    let script: String = KINDS.iter().map(|(kind, command)| format!("{command} && echo {kind}\n")).collect();
    let output = Command::new("unshare")
        .args(["--net", "sh", "-c", &script])
        .stdin(Stdio::null())
        .output()
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    missing_from(&output)
}

fn missing_from(output: &str) -> Vec<&'static str> {
    KINDS.iter().map(|(kind, _)| *kind).filter(|kind| !output.lines().any(|line| line == *kind)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_that_did_not_come_is_missing() {
        assert_eq!(missing_from("veth\nbridge\n"), ["dummy", "bond", "vlan"]);
        assert_eq!(missing_from("veth\nbridge\ndummy\nbond\nvlan\n"), [""; 0]);
    }
}

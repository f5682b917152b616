//! Programs that must be there: installs the Debian packages of those that are not.
//!
//! Nothing is touched when all are there. Rust itself is cargo's business.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::{Error, Trying};
use crate::process::is_installed;
use crate::workplace::target_directory;

/// A program we call, and the package it is in.
pub(crate) struct Needed {
    program: &'static str,
    package: &'static str,
}

const fn needed(program: &'static str, package: &'static str) -> Needed {
    Needed { program, package }
}

/// What the light sandbox needs, and the tests in either.
pub(crate) const FOR_NETNS: [Needed; 2] = [needed("ip", "iproute2"), needed("unshare", "util-linux")];

/// What the tests of the DHCP process need: servers, and other people's clients.
pub(crate) const FOR_DHCP: [Needed; 6] = [
    needed("ip", "iproute2"),
    needed("nsenter", "util-linux"),
    needed("dnsmasq", "dnsmasq-base"),
    needed("dhclient", "isc-dhcp-client"),
    needed("dhcpcd", "dhcpcd-base"),
    needed("udhcpc", "udhcpc"),
];

/// What UML needs: it loads its modules with kmod.
pub(crate) const FOR_UML: [Needed; 4] = [
    needed("ip", "iproute2"),
    needed("unshare", "util-linux"),
    needed("modprobe", "kmod"),
    needed("linux.uml", "user-mode-linux"),
];

/// What the kernel tests hold our work against: other tools that change a network, or that we serve.
/// A test that misses one is skipped. One line a program, so that it is seen what is added.
pub(crate) const FOR_TESTS: &[Needed] = &[
    needed("ethtool", "ethtool"),
    needed("ovs-vsctl", "openvswitch-switch"),
    needed("teamd", "libteam-utils"),
    needed("dnsmasq", "dnsmasq-base"),
    needed("udhcpc", "udhcpc"),
    needed("dhclient", "isc-dhcp-client"),
];

/// Installs what is missing, or says why that cannot be.
pub(crate) fn ensure(needed: &[Needed]) -> Result<(), Error> {
    let missing: Vec<&str> =
        needed.iter().filter(|need| !is_installed(need.program)).map(|need| need.package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    let sorry = |why: &str| Error::NoGround(format!("needed and not installed: {list}; {why}"));
    if !is_installed("apt-get") {
        return Err(sorry("there is no apt-get here, so please install what corresponds"));
    }
    let _policy = NoServices::declare().map_err(|error| sorry(&error.to_string()))?;
    eprintln!("xtask: installing {list}");
    // Old lists may do, and the network may not: only the install decides.
    let _ = apt_get(&["update"]);
    if !apt_get(&[&["install", "-y", "--no-install-recommends"], missing.as_slice()].concat())? {
        return Err(sorry(&format!("`apt-get install {list}` failed (see above)")));
    }
    Ok(())
}

/// What a systemd-resolved of a test's own needs besides itself; systemd brings its libraries.
const FOR_RESOLVED: [Needed; 2] = [needed("dbus-daemon", "dbus-daemon"), needed("busctl", "systemd")];

/// Where systemd-resolved is: unpacked below `target` and not installed, for its package takes the
/// machine's resolv.conf over.
pub(crate) fn resolved_root() -> Result<PathBuf, Error> {
    Ok(target_directory()?.join("packages/systemd-resolved"))
}

/// Gets it there, if it is not.
pub(crate) fn ensure_resolved() -> Result<(), Error> {
    ensure(&FOR_RESOLVED)?;
    let root = resolved_root()?;
    if root.join("lib/systemd/systemd-resolved").exists() {
        return Ok(());
    }
    let sorry = |what: &str| Error::NoGround(format!("systemd-resolved cannot be had: {what} failed (see above)"));
    let fresh = root.with_file_name(format!("fresh.{}", std::process::id()));
    fs::create_dir_all(&fresh).trying(format_args!("make {}", fresh.display()))?;
    let got = download("systemd-resolved", &fresh, &root, &sorry);
    let _ = fs::remove_dir_all(&fresh);
    got
}

/// Unpacks a package as `root`, by way of `fresh`. It is downloaded into apt's cache, unless it is
/// there from an earlier checkout.
fn download(package: &str, fresh: &Path, root: &Path, sorry: &dyn Fn(&str) -> Error) -> Result<(), Error> {
    let cache = Path::new("/var/cache/apt/archives");
    let cached = || {
        let entries = fs::read_dir(cache).into_iter().flatten().flatten().map(|entry| entry.path());
        let is_it = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.starts_with(&format!("{package}_")) && name.ends_with(".deb")
        };
        entries.filter(is_it).max()
    };
    if cached().is_none() {
        eprintln!("xtask: downloading {package}");
        let get = || apt_get_in(cache, &["download", package]);
        if !(get()? || apt_get(&["update"])? && get()?) {
            return Err(sorry("the download"));
        }
    }
    let archive = cached().ok_or_else(|| sorry("the download"))?;
    let tree = fresh.join("tree");
    let status = Command::new("dpkg-deb").arg("-x").arg(&archive).arg(&tree).status().trying("start dpkg-deb")?;
    // Whole or not at all: another run may do the same.
    if status.success() && (fs::rename(&tree, root).is_ok() || root.exists()) {
        Ok(())
    } else {
        Err(sorry("unpacking"))
    }
}

/// Silent unless it fails; its standard output would mix with a command's.
fn apt_get(args: &[&str]) -> Result<bool, Error> {
    apt_get_in(Path::new("/"), args)
}

fn apt_get_in(directory: &Path, args: &[&str]) -> Result<bool, Error> {
    let output = Command::new("apt-get")
        .args(["-q", "-o", "DPkg::Lock::Timeout=120"])
        .args(args)
        .current_dir(directory)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .output()
        .trying("start apt-get")?;
    if !output.status.success() {
        eprint!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    }
    Ok(output.status.success())
}

const POLICY: &str = "/usr/sbin/policy-rc.d";
const POLICY_TEXT: &str = "#!/bin/sh\n# Written by cargo xtask while it installs; remove it if it stayed.\nexit 101\n";

/// While it lives, no package starts a service. A machine's own policy is left alone.
struct NoServices {
    ours: bool,
}

impl NoServices {
    fn declare() -> Result<Self, Error> {
        let path = Path::new(POLICY);
        // Ours may have stayed from a run that was killed.
        let ours = !path.exists() || fs::read_to_string(path).is_ok_and(|text| text == POLICY_TEXT);
        if ours {
            fs::write(path, POLICY_TEXT)
                .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o755)))
                .trying(format_args!("write {POLICY} (are we root?)"))?;
        }
        Ok(Self { ours })
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.ours {
            // It says itself what to do if it stays.
            let _ = fs::remove_file(POLICY);
        }
    }
}

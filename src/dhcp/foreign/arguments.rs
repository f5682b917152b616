//! The command lines of dhclient, dhcpcd and udhcpc: which devices, which protocols, which pid file.
//!
//! Pure. What is not a client that stays (one that only releases, say) is nothing.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use vdsm_model::name::DeviceName;

use super::{Kind, Serves};
use crate::types::Family;

/// What a command line tells.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Read {
    pub(super) kind: Kind,
    pub(super) serves: Serves,
    pub(super) families: Vec<Family>,
    pub(super) pid_files: Vec<PathBuf>,
}

/// Options of dhclient(8) that take a word.
const DHCLIENT: [&str; 21] = [
    "-p",
    "-e",
    "-cf",
    "-lf",
    "-df",
    "-pf",
    "-sf",
    "-s",
    "-g",
    "-H",
    "-F",
    "-I",
    "-C",
    "-V",
    "-timeout",
    "-R",
    "-address-prefix-len",
    "-D",
    "--dad-wait-time",
    "--prefix-len-hint",
    "--timeout",
];
/// Short options of dhcpcd(8) and udhcpc that take a word.
const DHCPCD: &str = "cefhijlmorstuvyzCFIOQSWXZ";
const UDHCPC: &str = "iprsHhFVxOTtAcP";

pub(super) fn read(argv: &[String]) -> Option<Read> {
    let (first, mut rest) = argv.split_first()?;
    // dhcpcd writes what it does over its arguments: "dhcpcd: eth0 [ip4]".
    let program = first.split_once(": ").map_or(first.as_str(), |(program, _)| program);
    let mut name = Path::new(program).file_name()?.to_str()?;
    if name == "busybox" {
        let (applet, behind) = rest.split_first()?;
        (name, rest) = (applet, behind);
    }
    match name {
        "dhclient" => dhclient(rest),
        "dhcpcd" => dhcpcd(first, rest),
        "udhcpc" | "udhcpc6" => udhcpc(name, rest),
        _ => None,
    }
}

/// The command line for what a dhcpcd does whose title is all that is left of its arguments.
pub(super) fn respelled(read: &Read) -> Vec<OsString> {
    let mut words = vec!["dhcpcd"];
    match read.families[..] {
        [Family::V4] => words.push("-4"),
        [Family::V6] => words.push("-6"),
        _ => {}
    }
    if let Serves::Devices(devices) = &read.serves {
        words.extend(devices.iter().map(DeviceName::as_str));
    }
    words.into_iter().map(OsString::from).collect()
}

/// Whether a udhcpc gives its lease back when it ends.
pub(super) fn releases(argv: &[OsString]) -> bool {
    argv.iter()
        .skip(1)
        .filter_map(|word| word.to_str())
        .any(|word| word == "--release" || (word.starts_with('-') && !word.starts_with("--") && word.contains('R')))
}

fn devices(words: &[&str]) -> Vec<DeviceName> {
    words.iter().filter_map(|word| DeviceName::try_from(*word).ok()).collect()
}

fn dhclient(words: &[String]) -> Option<Read> {
    let (mut named, mut v6, mut pid_file) = (Vec::new(), false, None);
    let mut words = words.iter().map(String::as_str);
    while let Some(word) = words.next() {
        match word {
            // It ends or releases, and ends by itself.
            "-r" | "-x" => return None,
            "-6" => v6 = true,
            "-pf" => pid_file = words.next().map(PathBuf::from),
            _ if DHCLIENT.contains(&word) => drop(words.next()),
            _ if word.starts_with('-') => {}
            _ => named.push(word),
        }
    }
    let usual = if v6 { "/run/dhclient6.pid" } else { "/run/dhclient.pid" };
    let serves = if named.is_empty() { Serves::All } else { Serves::Devices(devices(&named)) };
    Some(Read {
        kind: Kind::Dhclient,
        serves,
        families: vec![if v6 { Family::V6 } else { Family::V4 }],
        pid_files: vec![pid_file.unwrap_or_else(|| usual.into())],
    })
}

fn dhcpcd(first: &str, words: &[String]) -> Option<Read> {
    let (mut named, mut v4, mut v6) = (Vec::new(), true, true);
    if let Some((_, title)) = first.split_once(": ") {
        let title: Vec<&str> = title.split(' ').collect();
        (v4, v6) = (title.contains(&"[ip4]"), title.contains(&"[ip6]"));
        // Its helpers: "[privileged proxy] eth0 [ip4]", "[BPF ARP] eth0 10.0.0.7", "[network proxy]".
        let helper = title[0].starts_with('[') && title[0] != "[manager]";
        if helper || !(v4 || v6) {
            return None;
        }
        named.extend(title.iter().filter(|word| !word.starts_with('[')));
    }
    let mut words = words.iter().map(String::as_str);
    while let Some(word) = words.next() {
        match word {
            "-4" | "--ipv4only" => v6 = false,
            "-6" | "--ipv6only" => v4 = false,
            "-k" | "--release" | "-x" | "--exit" | "-n" | "--rebind" => return None,
            _ if word.starts_with("--") => {}
            _ if word.starts_with('-') => {
                if word.len() == 2 && DHCPCD.contains(&word[1..]) {
                    words.next();
                }
                v6 &= !word.contains('4');
            }
            _ => named.push(word),
        }
    }
    let mut families = Vec::new();
    families.extend(v4.then_some(Family::V4));
    families.extend(v6.then_some(Family::V6));
    let stem = named.first().map(|device| {
        format!(
            "{device}{}",
            if v6 && v4 {
                ""
            } else if v4 {
                "-4"
            } else {
                "-6"
            }
        )
    });
    let pid_file = stem.map_or("/run/dhcpcd/pid".into(), |stem| format!("/run/dhcpcd/{stem}.pid").into());
    let serves = if named.is_empty() { Serves::All } else { Serves::Devices(devices(&named)) };
    Some(Read { kind: Kind::Dhcpcd, serves, families, pid_files: vec![pid_file] })
}

fn udhcpc(name: &str, words: &[String]) -> Option<Read> {
    // As its manual says: eth0 unless another one is named.
    let (mut device, mut pid_files) = ("eth0", Vec::new());
    let mut words = words.iter().map(String::as_str);
    while let Some(word) = words.next() {
        let (option, joined) = match word.strip_prefix("--") {
            Some(long) => match long.split_once('=') {
                Some((option, value)) => (option, Some(value)),
                None => (long, None),
            },
            None => match word.strip_prefix('-') {
                // "-fi eth0" and "-ieth0": the first letter that takes a word ends the letters.
                Some(letters) => match letters.find(|letter| UDHCPC.contains(letter)) {
                    Some(at) => (&letters[at..=at], Some(&letters[at + 1..]).filter(|rest| !rest.is_empty())),
                    None => continue,
                },
                None => continue,
            },
        };
        let takes = option.len() == 1 || matches!(option, "interface" | "pidfile" | "request" | "script" | "hostname");
        if !takes {
            continue;
        }
        let Some(value) = joined.or_else(|| words.next()) else { break };
        match option {
            "i" | "interface" => device = value,
            "p" | "pidfile" => pid_files.push(value.into()),
            _ => {}
        }
    }
    let family = if name == "udhcpc6" { Family::V6 } else { Family::V4 };
    Some(Read { kind: Kind::Udhcpc, serves: Serves::Devices(devices(&[device])), families: vec![family], pid_files })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[track_caller]
    fn tells(line: &str, kind: Kind, serves: &[&str], families: &[Family], pid_file: Option<&str>) {
        let serves = if serves.is_empty() { Serves::All } else { Serves::Devices(devices(serves)) };
        let pid_files = pid_file.into_iter().map(PathBuf::from).collect();
        assert_eq!(read(&words(line)), Some(Read { kind, serves, families: families.to_vec(), pid_files }), "{line}");
    }

    #[test]
    fn dhclients_devices_are_what_is_left() {
        use Family::{V4, V6};
        let (kind, usual) = (Kind::Dhclient, "/run/dhclient.pid");
        tells("/sbin/dhclient -4 -v eth0 eth1", kind, &["eth0", "eth1"], &[V4], Some(usual));
        tells("dhclient -6 -nw -lf /l -pf /p br0", kind, &["br0"], &[V6], Some("/p"));
        tells("dhclient", kind, &[], &[V4], Some(usual));
        tells("dhclient -timeout 5 -e a=b eth0", kind, &["eth0"], &[V4], Some(usual));
        assert_eq!(read(&words("dhclient -r eth0")), None);
    }

    #[test]
    fn dhcpcd_without_a_device_serves_all() {
        use Family::{V4, V6};
        let kind = Kind::Dhcpcd;
        tells("dhcpcd", kind, &[], &[V4, V6], Some("/run/dhcpcd/pid"));
        tells("/usr/sbin/dhcpcd -4 -q eth0", kind, &["eth0"], &[V4], Some("/run/dhcpcd/eth0-4.pid"));
        tells("dhcpcd -6 -f /c eth0", kind, &["eth0"], &[V6], Some("/run/dhcpcd/eth0-6.pid"));
        assert_eq!(read(&words("dhcpcd -k eth0")), None);
        let title = |title: &str| read(&[title.to_owned()]);
        assert_eq!(title("dhcpcd: eth0 [ip4]").unwrap().families, [V4]);
        assert_eq!(title("dhcpcd: eth0 [ip4]").unwrap().serves, Serves::Devices(devices(&["eth0"])));
        assert_eq!(title("dhcpcd: [manager] [ip4] [ip6]").unwrap().serves, Serves::All);
        let spelled = respelled(&title("dhcpcd: eth0 [ip6]").unwrap());
        assert_eq!(spelled, ["dhcpcd", "-6", "eth0"].map(OsString::from));
        assert_eq!(title("dhcpcd: [privileged proxy] eth0 [ip4]"), None);
    }

    #[test]
    fn udhcpc_has_one_device() {
        use Family::{V4, V6};
        let kind = Kind::Udhcpc;
        tells("udhcpc -i eth1 -p /p -R", kind, &["eth1"], &[V4], Some("/p"));
        tells("busybox udhcpc -fi br0", kind, &["br0"], &[V4], None);
        tells("/bin/udhcpc6 --interface=eth2", kind, &["eth2"], &[V6], None);
        tells("udhcpc", kind, &["eth0"], &[V4], None);
        tells("udhcpc -b -s /x -ieth3", kind, &["eth3"], &[V4], None);
        let releasing = |line: &str| releases(&words(line).into_iter().map(OsString::from).collect::<Vec<_>>());
        assert!(releasing("udhcpc -fR -i eth0") && releasing("udhcpc --release"));
        assert!(!releasing("udhcpc -f -i Release0"));
    }

    #[test]
    fn other_programs_are_none_of_ours() {
        for line in ["sshd", "busybox sh", "vim dhclient", "busybox"] {
            assert_eq!(read(&words(line)), None, "{line}");
        }
    }
}

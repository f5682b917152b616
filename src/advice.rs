//! What the codes mean, and what a person can do about a failure: the one table of it.
//!
//! What failed is told by its error; nothing here looks at a host, and nobody decides by these
//! words. The codes are those of the original (vdsm-facts 1.3) and of JSON-RPC 2.0.

use std::error::Error;

use serde_json::{Value, json};
use vdsm_configurators::{ApplyError, RunError};
use vdsm_model::problem::Code;
use vdsm_netlink::{ENOTSUPP, KernelError, errno_name};

use crate::api::NOT_ALLOWED;
use crate::engine::EngineError;
use crate::rpc;
use crate::transaction::{Cause, SetupError};

/// What there is to say about a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The number.
    pub code: i64,
    /// As the original, or JSON-RPC, calls it.
    pub name: &'static str,
    /// What it says.
    pub meaning: &'static str,
    /// When it comes.
    pub when: &'static str,
    /// What to do then.
    pub advice: &'static str,
}

impl Explanation {
    /// For programs.
    pub fn to_json(&self) -> Value {
        json!({
            "code": self.code, "name": self.name, "meaning": self.meaning, "when": self.when, "advice": self.advice
        })
    }
}

/// What there is to say about a code of a verb.
pub const fn explanation(code: Code) -> Explanation {
    let (name, meaning, when, advice) = match code {
        Code::LostConnection => (
            "LOST_CONNECTION",
            "the host gave no sign of life after the change, so it was undone",
            "A request with `connectivityCheck` (the default of setupNetworks) waits `connectivityTimeout` seconds for Host.confirmConnectivity or Host.ping from a member of the group, or for what `connectivity_probes` in vdsm.conf names: gateways, carriers, TCP connections. `connectivity_quorum` says how many are needed; the error names each with its outcome.",
            "Check that the caller still reaches this host over the network it changes, and the switch behind it (VLAN, MTU, LACP); see the way with --plan. Where nobody calls, switch `connectivityCheck` off, or raise `connectivityTimeout`; `ip neigh` and `ip -d link` show what probes saw.",
        ),
        Code::Unexpected => (
            "UNEXPECTED",
            "something failed that is not about the request",
            "The host could not be read, a configuration could not be read or written, what is about to be done could not be written down, or it was not restored since boot what would be lost.",
            "Read the sentence and the daemon's log (journalctl -u vdsm-netd). Look for a full or read-only disk below run_dir and lib_dir; then try again.",
        ),
        Code::BadParams => (
            "BAD_PARAMS",
            "the request is wrong; nothing was touched",
            "A key is unknown or a value illegal, networks cannot share their interface, more than one has the default route, a part is not supported, or what somebody else has set up is in the way. An entry of the history that is not there also has it.",
            "Every problem is named with its key, its value and the rule: correct them all and try again. vdsm-tool setup-networks --plan tells whether anything is left.",
        ),
        Code::BadAddr => (
            "BAD_ADDR",
            "an address, netmask, prefix or gateway is wrong; nothing was touched",
            "An address is none, is there without its prefix, is mixed with DHCP, or two networks have one address and each a gateway of its own.",
            "Correct the address that is named; `ipaddr` needs `netmask` or `prefix`, and a `gateway` needs `ipaddr`.",
        ),
        Code::BadNic => (
            "BAD_NIC",
            "a nic is not there, or is none; nothing was touched",
            "The host has no nic of that name or hides it (`hidden_nics` in vdsm.conf), or an older verb named nics that the network does not have.",
            "Compare with `vdsm-tool show` and `ip link`. A nic that is there and missing from reports is hidden by vdsm.conf; bonds, VLANs and bridges are no nics.",
        ),
        Code::UsedNic => (
            "USED_NIC",
            "a nic is wanted twice; nothing was touched",
            "Two networks or bonds of the result want one nic, or a bond or bridge that is not ours holds it.",
            "Name the nic once, remove its other user in the same request, or release it from the stranger that holds it.",
        ),
        Code::BadBonding => (
            "BAD_BONDING",
            "a bond is wrong; nothing was touched",
            "Its name is not `bond` and a number, it does not exist, or its options do not suit its mode or the driver.",
            "Correct the name or the option that is named; `cat /sys/class/net/BOND/bonding/mode` tells the mode, which decides what other options mean.",
        ),
        Code::BadVlan => (
            "BAD_VLAN",
            "a VLAN is wrong; nothing was touched",
            "The tag is not from 0 to 4094, nothing is below it, the device's name would be too long, or an older verb named another tag than the network's.",
            "Give the network a `nic` or `bonding` for its `vlan`, and a tag in the range. A base device with a name shorter than 11 letters has room for every tag.",
        ),
        Code::BadBridge => (
            "BAD_BRIDGE",
            "a network's name is illegal, or no such network exists; nothing was touched",
            "A bridged network's name must be one that a device can have (at most 15 bytes), and only networks of the running configuration can be removed or edited.",
            "Compare the name with `vdsm-tool show`; a device that is not ours is removed by whoever made it.",
        ),
        Code::UsedBridge => (
            "USED_BRIDGE",
            "a network exists already, or something still stands on it; nothing was touched",
            "Its bridge or VLAN would go while something that is not ours is attached, mostly virtual machines, or addNetwork named a network that exists.",
            "Stop or move what is attached and is named in the sentence (see `vdsm-tool show`), then try again.",
        ),
        Code::FailedIfup => (
            "FAILED_IFUP",
            "the host refused a step, or did not become as wished; it was undone",
            "The kernel, a driver, the DHCP process or the resolver refused a step, the host is not as wished after all steps, or no lease came for a network with `blockingdhcp`.",
            "The error names the step, the device, the command that does the same by hand, and the kernel's words: start with these, and with dmesg for drivers.",
        ),
        Code::UsedBond => (
            "USED_BOND",
            "a bond that is to be removed is in use; nothing was touched",
            "Networks that stay, or devices that are not ours, stand on it.",
            "Remove or move what stands on it, in the same request if it is a network.",
        ),
        Code::Unavailable => (
            "UNAVAILABLE",
            "another change is under way; nothing was touched",
            "One change at a time: a second one is turned away at once, also while scripts run, leases are waited for or a sign of life is.",
            "Try again when it is done. A change that waits for a sign of life ends with Host.confirmConnectivity or its timeout; the daemon's log says what it does.",
        ),
        Code::HookError => (
            "HOOK_ERROR",
            "a script of this site did not let the change begin; nothing was touched",
            "A script in before_network_setup below `hooks_dir` was not content, took longer than `hook_timeout`, or left what is no request.",
            "Read the script's words in the error, and the script that is named; run it by hand with $_hook_json set to a copy of the request.",
        ),
    };
    Explanation { code: code as i64, name, meaning, when, advice }
}

/// Codes that are no verb's: of older versions, of the door, and of JSON-RPC.
const OTHERS: &[Explanation] = &[
    Explanation {
        code: 30,
        name: "FAILED_IFDOWN",
        meaning: "a bridge could not be removed",
        when: "The original's older versions only; this daemon says 29.",
        advice: "See 29.",
    },
    Explanation {
        code: 32,
        name: "OVS_CONNECTION",
        meaning: "Open vSwitch cannot be reached",
        when: "The original only; this daemon has no Open vSwitch, and refuses it with 21.",
        advice: "See 21.",
    },
    Explanation {
        code: NOT_ALLOWED,
        name: "NOT_ALLOWED",
        meaning: "the caller may look, and not change anything",
        when: "A verb that changes the host was called by somebody who is neither root nor in the group of vdsm.conf.",
        advice: "Call it as root, or as a member of the group that `group` in vdsm.conf names; a new membership counts from the next login.",
    },
    Explanation {
        code: rpc::TOO_MANY_CLIENTS,
        name: "TOO_MANY_CLIENTS",
        meaning: "the daemon has as many connections as it takes",
        when: "More than `max_clients` of vdsm.conf, or one user's share of them, are connected.",
        advice: "Look who holds connections (ss -xp), and end what leaks them; or raise `max_clients`.",
    },
    Explanation {
        code: rpc::NO_ROOM,
        name: "NO_ROOM",
        meaning: "the daemon holds as much as it may of lines that are not answered yet; the line was not read",
        when: "The caller's user has sent much at once on many connections, or leaves long lines unfinished; together they may take four times `max_request_bytes`, and one user half of what others leave.",
        advice: "Try again; a line is done with in 30 seconds at most. If it happens again, the daemon's log names the user and process: look what they send.",
    },
    Explanation {
        code: rpc::PARSE_ERROR,
        name: "PARSE_ERROR",
        meaning: "the line is not JSON",
        when: "A client sent something else, or JSON that is spread over several lines.",
        advice: "Send one JSON document a line.",
    },
    Explanation {
        code: rpc::INVALID_REQUEST,
        name: "INVALID_REQUEST",
        meaning: "the JSON is no request of JSON-RPC 2.0",
        when: "A member is missing, unknown or there twice, or the line is longer than `max_request_bytes`.",
        advice: "Compare with JSON-RPC 2.0: jsonrpc, id, method and params, and nothing else.",
    },
    Explanation {
        code: rpc::METHOD_NOT_FOUND,
        name: "METHOD_NOT_FOUND",
        meaning: "there is no such method",
        when: "Its name is misspelt, or tool and daemon are of different versions.",
        advice: "Compare with the table in README.md, and restart vdsm-netd after an upgrade.",
    },
    Explanation {
        code: rpc::INVALID_PARAMS,
        name: "INVALID_PARAMS",
        meaning: "the parameters do not fit the method",
        when: "One is unknown, missing, of the wrong form, or they do not go by name.",
        advice: "Give the parameters that the message names, by name.",
    },
    Explanation {
        code: rpc::INTERNAL_ERROR,
        name: "INTERNAL_ERROR",
        meaning: "the daemon failed in a way it did not expect",
        when: "A bug. A change that was under way is undone before the next one.",
        advice: "Report it with the daemon's log (journalctl -u vdsm-netd); look at the host with vdsm-tool check.",
    },
];

/// Everything that can be explained, in the order of the numbers, JSON-RPC's last.
pub fn all() -> Vec<Explanation> {
    let mut all: Vec<Explanation> = Code::ALL.into_iter().map(explanation).chain(OTHERS.iter().copied()).collect();
    all.sort_by_key(|it| (it.code < 0, it.code));
    all
}

/// What is meant by a number or a name, however it is spelt.
pub fn find(text: &str) -> Option<Explanation> {
    let folded = |name: &str| name.replace(['_', '-'], "").to_ascii_lowercase();
    let number = text.trim().parse::<i64>().ok();
    all().into_iter().find(|it| number == Some(it.code) || folded(it.name) == folded(text.trim()))
}

/// The kernel's word on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    errno: i32,
    /// The text of the extended acknowledgement.
    text: Option<String>,
}

impl Words {
    /// The first of the kernel's words in an error or what caused it.
    fn of(error: &(dyn Error + 'static)) -> Option<Words> {
        let mut at = Some(error);
        while let Some(error) = at {
            if let Some(kernel) = error.downcast_ref::<KernelError>() {
                return Some(Words { errno: kernel.errno, text: kernel.text.clone() });
            }
            let errno = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error);
            if let Some(errno) = errno {
                return Some(Words { errno, text: None });
            }
            at = error.source();
        }
        None
    }

    fn to_json(&self) -> Value {
        json!({ "errno": errno_name(self.errno), "text": self.text })
    }
}

/// What is told of a failure beside its sentence: where a step failed `step`, `device`, `command`
/// and `kernel`, each null where there is none, and in any case `advice`.
pub fn told(error: &EngineError, code: Code) -> Value {
    let general = explanation(code).advice;
    let of_disk = |error| Words::of(error).and_then(|words| for_errno(&words, Place::Disk)).unwrap_or(general);
    let cause = match error {
        EngineError::Setup(SetupError::RolledBack { cause, .. } | SetupError::Stuck { cause, .. }) => cause,
        EngineError::Store(error) => return json!({ "advice": of_disk(error) }),
        _ => return json!({ "advice": general }),
    };
    match cause {
        Cause::Apply(failed) => json!({
            "step": failed.step, "device": failed.device, "command": failed.command,
            "kernel": Words::of(failed).map(|words| words.to_json()),
            "advice": for_step(failed).unwrap_or(general),
        }),
        Cause::Verify { left } => {
            let first = left.steps().first();
            json!({
                "step": first.map(ToString::to_string), "device": first.and_then(|step| step.device()),
                "command": null, "kernel": null, "advice": UNSTEADY,
            })
        }
        Cause::NoLease { .. } => json!({ "advice": LEASELESS }),
        Cause::LostConnection { lost, .. } => json!({ "connectivity": lost.to_json(), "advice": general }),
        Cause::Store(error) => json!({ "advice": of_disk(error) }),
        _ => json!({ "advice": general }),
    }
}

const UNSTEADY: &str = "All commands were taken, and the host is not as wished: somebody else (NetworkManager, systemd-networkd, a script) changes it at the same time, or a driver adjusts what it is told. Look with vdsm-tool monitor while you try again.";
const LEASELESS: &str = "Look whether a DHCP server answers on that network and VLAN (tcpdump -ni DEVICE port 67 or port 547), or raise dhcp_timeout in vdsm.conf; without `blockingdhcp` the change does not wait.";
const DHCP: &str = "Look at the log of vdsm-dhcp (journalctl -u vdsm-dhcp) and whether it can be started; the change needs it for networks with DHCP.";
const FOREIGN: &str = "Another DHCP client serves the device and could not be ended: end it by hand, and keep whoever starts it from doing so again.";
const VANISHED: &str = "The device went away meanwhile: look with `ip link` and dmesg why, and try again.";

fn for_step(failed: &ApplyError) -> Option<&'static str> {
    match &failed.source {
        RunError::NoDevice(_) => Some(VANISHED),
        RunError::Dhcp(_) | RunError::NoDhcp => Some(DHCP),
        RunError::Foreign(_) | RunError::Processes { .. } => Some(FOREIGN),
        RunError::Resolver(_) => Words::of(failed).and_then(|words| for_errno(&words, Place::Disk)),
        _ => Words::of(failed).and_then(|words| for_errno(&words, Place::Network)),
    }
}

/// What an error number is about.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Network,
    Disk,
}

fn for_errno(words: &Words, place: Place) -> Option<&'static str> {
    let table = match place {
        Place::Network => NETWORK,
        Place::Disk => DISK,
    };
    table.iter().find(|(errnos, _)| errnos.contains(&words.errno)).map(|(_, advice)| *advice)
}

const NETWORK: &[(&[i32], &str)] = &[
    (
        &[libc::EPERM, libc::EACCES],
        "The daemon needs CAP_NET_ADMIN in the network's namespace (systemd units and containers can take it away); where it has it, the driver refuses this in the device's present state.",
    ),
    (&[libc::ENODEV, libc::ENXIO], VANISHED),
    (
        &[libc::EEXIST, libc::EBUSY],
        "Something of that name or kind is there already, or holds the device: look with `ip -d link`, `ip addr` and `ip route` who made it, and try again when it is gone.",
    ),
    (
        &[libc::EOPNOTSUPP, ENOTSUPP, libc::EAFNOSUPPORT, libc::EPROTONOSUPPORT],
        "This kernel or driver does not have it: look whether the module (bonding, 8021q, bridge, sch_hfsc) can be loaded and IPv6 is not disabled, or leave that attribute out.",
    ),
    (
        &[libc::EINVAL, libc::ERANGE, libc::EDOM],
        "The kernel does not take a value: its own words say which, if it has any. Compare the command's values with what the device allows (`ip -d link show DEVICE` has minmtu and maxmtu; a gateway must be in a subnet of the network's address).",
    ),
    (
        &[libc::ENETUNREACH, libc::EHOSTUNREACH, libc::ENETDOWN],
        "The gateway is not reached from any address of the device, or the device is down: check `gateway` against `ipaddr` and its prefix, and the cable (`ip link`).",
    ),
    (
        &[libc::ENOENT, libc::ESRCH],
        "What was to be changed is not there any more: somebody else removed it meanwhile. Look with vdsm-tool check, and try again.",
    ),
    (
        &[libc::EADDRINUSE, libc::EADDRNOTAVAIL],
        "The hardware or IP address is taken, or none that the device can have: look for its other user with `ip addr`, and on other hosts of that network.",
    ),
    (
        &[libc::ENOMEM, libc::ENOBUFS, libc::ENOSPC],
        "The kernel has no room for it: free memory, or look for a limit (of a driver's filters, of net.ipv4 and net.ipv6 tables in sysctl, of a container).",
    ),
    (
        &[libc::EIO, libc::ETIMEDOUT],
        "The hardware or its driver does not answer: look at dmesg for the device, and whether its firmware suits the driver.",
    ),
];

const DISK: &[(&[i32], &str)] = &[
    (&[libc::ENOSPC, libc::EDQUOT], "Make room on the disk that is named, and try again; nothing was lost."),
    (
        &[libc::EROFS, libc::EACCES, libc::EPERM],
        "The daemon may not write there: look whether the file system is mounted read-only, at the permissions, and at ReadWritePaths of the systemd unit.",
    ),
    (
        &[libc::EEXIST, libc::ENOTDIR, libc::EISDIR],
        "Something else is where the daemon has its files: move away what is named, and try again.",
    ),
    (&[libc::EIO], "The disk fails: look at dmesg, and keep what is on it."),
];

#[cfg(test)]
mod tests;

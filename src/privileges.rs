//! What a process of ours may do besides what anybody may: the few capabilities it needs
//! (capabilities(7)), and none of the others for it or what it starts, scripts included.

use std::io;

/// A capability, by its number in linux/capability.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Capability {
    /// Gives the socket its group.
    Chown = 0,
    /// Writes into folders that belong to the original's user.
    DacOverride = 1,
    /// Ends other people's DHCP clients, which may have users of their own.
    Kill = 5,
    /// Listens on the ports of DHCP clients, 68 and 546.
    NetBindService = 10,
    /// Changes the network.
    NetAdmin = 12,
    /// Speaks DHCP where there is no address yet, and asks routers.
    NetRaw = 13,
    /// Reads what other people's DHCP clients were started with.
    SysPtrace = 19,
}

/// What the daemon needs, with what its helpers do.
pub const OF_THE_DAEMON: &[Capability] = &[
    Capability::Chown,
    Capability::DacOverride,
    Capability::Kill,
    Capability::NetBindService,
    Capability::NetAdmin,
    Capability::NetRaw,
    Capability::SysPtrace,
];

/// What the process with the DHCP clients needs.
pub const OF_DHCP: &[Capability] =
    &[Capability::DacOverride, Capability::NetBindService, Capability::NetAdmin, Capability::NetRaw];

/// `_LINUX_CAPABILITY_VERSION_3`.
const VERSION: u32 = 0x2008_0522;

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

/// `struct __user_cap_data_struct`; two of them hold 64 capabilities.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Gives up all but these, for this process and all it starts. To be called while it has one thread:
/// the kernel keeps a set for each.
///
/// # Errors
/// What the kernel says. Who has none to begin with loses none.
pub fn keep(kept: &[Capability]) -> io::Result<()> {
    let kept: u64 = kept.iter().fold(0, |mask, one| mask | 1 << *one as u32);
    for number in 0..64 {
        // SAFETY: prctl with numbers only. An unknown number ends the list.
        let has = unsafe { libc::prctl(libc::PR_CAPBSET_READ, number as libc::c_ulong, 0, 0, 0) };
        if has < 0 {
            break;
        }
        if has == 1 && kept & (1 << number) == 0 {
            // SAFETY: as above.
            let done = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number as libc::c_ulong, 0, 0, 0) };
            let error = io::Error::last_os_error();
            // Without CAP_SETPCAP, as in a unit that has taken the others already.
            if done < 0 && error.raw_os_error() != Some(libc::EPERM) {
                return Err(error);
            }
        }
    }
    let (mut header, mut sets) = (Header { version: VERSION, pid: 0 }, [Data::default(); 2]);
    // SAFETY: both structures are as the kernel has them, and live through the calls.
    unsafe {
        if libc::syscall(libc::SYS_capget, &raw mut header, sets.as_mut_ptr()) != 0 {
            return Err(io::Error::last_os_error());
        }
        for (set, mask) in sets.iter_mut().zip([kept as u32, (kept >> 32) as u32]) {
            *set = Data { effective: set.effective & mask, permitted: set.permitted & mask, inheritable: 0 };
        }
        if libc::syscall(libc::SYS_capset, &raw mut header, sets.as_ptr()) != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str) -> u64 {
        // Of this thread alone.
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        u64::from_str_radix(line.trim(), 16).unwrap()
    }

    #[test]
    fn what_is_not_kept_is_gone_for_good() {
        std::thread::spawn(|| {
            let before = ["CapPrm:", "CapEff:", "CapBnd:"].map(set);
            keep(OF_DHCP).unwrap();
            let kept = 1 << 1 | 1 << 10 | 1 << 12 | 1 << 13;
            let after = ["CapPrm:", "CapEff:", "CapBnd:"].map(set);
            assert_eq!(after[0], before[0] & kept);
            assert_eq!(after[1], before[1] & kept);
            // Who may not change the bounding set keeps it.
            assert!(after[2] == before[2] & kept || before[1] & 1 << 8 == 0, "{after:x?}");
            keep(OF_THE_DAEMON).unwrap();
            assert_eq!(["CapPrm:", "CapEff:", "CapBnd:"].map(set), after);
        })
        .join()
        .unwrap();
    }
}

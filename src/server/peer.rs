//! Who calls, and what they may.
//!
//! The kernel tells, and it tells of the moment the client connected: a process
//! that gives up its rights later keeps them on this connection, as it would
//! with an open file. Nothing a client sends is asked about here.

use std::io;
use std::os::fd::AsRawFd;

use tokio::net::UnixStream;

/// A client, as it was when it connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its effective user.
    pub uid: u32,
    /// Its effective group.
    pub gid: u32,
    /// Its process, for the log only: the number may belong to another by now.
    pub pid: i32,
    /// What it may.
    pub access: Access,
}

/// What a client may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anything: it is root, or the user the daemon runs as, or in the daemon's group.
    Change,
    /// Look.
    Read,
}

impl Peer {
    pub(super) fn of(stream: &UnixStream, group: Option<u32>) -> io::Result<Peer> {
        let credentials = stream.peer_cred()?;
        let (uid, gid) = (credentials.uid(), credentials.gid());
        let mut groups = vec![gid];
        if group.is_some_and(|group| group != gid) {
            groups.extend(supplementary_groups(stream)?);
        }
        let own = nix::unistd::geteuid().as_raw();
        let access = Access::granted(uid, own, &groups, group);
        Ok(Peer { uid, gid, pid: credentials.pid().unwrap_or(0), access })
    }
}

impl Access {
    fn granted(uid: u32, own: u32, groups: &[u32], group: Option<u32>) -> Access {
        let trusted = uid == 0 || uid == own || group.is_some_and(|group| groups.contains(&group));
        if trusted { Access::Change } else { Access::Read }
    }
}

/// As `SO_PEERGROUPS`; nix and tokio do not offer it.
fn supplementary_groups(stream: &UnixStream) -> io::Result<Vec<u32>> {
    let mut groups: Vec<libc::gid_t> = vec![0; 64];
    loop {
        let mut bytes = size_of_val(groups.as_slice()) as libc::socklen_t;
        // SAFETY: `groups` has room for `bytes` bytes, and any bytes are valid numbers.
        let done = unsafe {
            libc::getsockopt(
                stream.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                groups.as_mut_ptr().cast(),
                &mut bytes,
            )
        };
        let count = bytes as usize / size_of::<libc::gid_t>();
        if done == 0 {
            groups.truncate(count);
            return Ok(groups);
        }
        let error = io::Error::last_os_error();
        // The kernel says how much room it wants.
        if error.raw_os_error() != Some(libc::ERANGE) || count <= groups.len() {
            return Err(error);
        }
        groups.resize(count, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_change_is_root_the_daemon_itself_and_the_group() {
        let cases = [
            (0, &[0][..], None, Access::Change),
            (990, &[990], None, Access::Change),
            (1000, &[1000, 36], Some(36), Access::Change),
            (1000, &[36], Some(36), Access::Change),
            (1000, &[1000, 10], Some(36), Access::Read),
            (1000, &[0], None, Access::Read),
            (1000, &[], Some(0), Access::Read),
        ];
        for (uid, groups, group, access) in cases {
            assert_eq!(Access::granted(uid, 990, groups, group), access, "{uid} {groups:?} {group:?}");
        }
    }
}

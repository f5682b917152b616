//! Other users at the socket; only root can pretend to be one.

use super::*;

/// Connects as somebody else. The kernel's calls, unlike those of libc, change
/// the one thread that makes them.
fn connect_as(server: &Server, uid: u32, gid: u32, groups: &[u32]) -> Option<Wire> {
    if !nix::unistd::geteuid().is_root() {
        crate::skip::skip(module_path!(), "only root can connect as another user");
        return None;
    }
    let connect = || {
        // SAFETY: `groups` outlives the call, and the thread ends right after.
        let done = unsafe {
            [
                libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()),
                libc::syscall(libc::SYS_setresgid, gid, gid, gid),
                libc::syscall(libc::SYS_setresuid, uid, uid, uid),
            ]
        };
        assert_eq!(done, [0; 3], "{}", io::Error::last_os_error());
        server.connect()
    };
    std::thread::scope(|scope| Some(scope.spawn(connect).join().unwrap()))
}

#[test]
fn root_may_change() {
    let server = Server::start_for(Some(4242), Limits::default());
    let mut wire = server.connect();
    wire.call(1, "whoami");
    let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    wire.hears(1, json!([uid, gid, std::process::id(), "Change"]));
}

#[test]
fn the_group_may_change_and_others_may_read() {
    let server = Server::start_for(Some(4242), Limits::default());
    let many: Vec<u32> = (4200..4300).collect();
    let cases = [
        (1000, &[][..], "Read"),
        (1000, &[0, 4241], "Read"),
        (1000, &[27, 4242], "Change"),
        (4242, &[], "Change"),
        (1000, &many, "Change"),
    ];
    for (gid, groups, access) in cases {
        let Some(mut wire) = connect_as(&server, 1001, gid, groups) else {
            return;
        };
        wire.call(1, "whoami");
        wire.hears(1, json!([1001, gid, std::process::id(), access]));
    }
}

#[test]
fn readers_cannot_shut_out_those_who_change() {
    let limits = Limits { max_clients: 3, max_calls: 2, ..Limits::default() };
    let server = Server::start(limits);
    let mut readers = Vec::new();
    for _ in 0..3 {
        let Some(mut wire) = connect_as(&server, 1001, 1001, &[]) else {
            return;
        };
        wire.call(1, "hold");
        wire.call(2, "hold");
        readers.push(wire);
    }
    server.gates.wait_for(|calls| calls.running == 2);
    connect_as(&server, 1001, 1001, &[]).unwrap().hears_error(Value::Null, -32000, "too many");
    let mut owner = server.connect();
    owner.is_usable();
    owner.call(1, "open");
    owner.hears(1, Value::Null);
    for reader in &mut readers {
        assert_eq!(reader.hear().unwrap()["result"], "held");
        assert_eq!(reader.hear().unwrap()["result"], "held");
    }
    assert_eq!(server.gates.change(|calls| calls.most), 2);
}

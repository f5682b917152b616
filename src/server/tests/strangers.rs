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

#[test]
fn who_fills_the_room_for_lines_with_halves_keeps_no_other_from_his_calls() {
    const LONGEST: usize = 1 << 20;
    let server = Server::start(Limits { max_request_bytes: LONGEST, max_clients: 100, ..Limits::default() });
    // Nearly a whole line each: two are half of the room, and all that one user has.
    let half = "x".repeat(LONGEST - 10);
    let mut held = Vec::new();
    for _ in 0..20 {
        let Some(mut wire) = connect_as(&server, 1001, 1001, &[]) else {
            return;
        };
        wire.stream.write_all(half.as_bytes()).unwrap();
        held.push(wire);
    }
    // The longest line of all.
    let line = |id: usize| {
        let padding =
            "x".repeat(LONGEST - format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"size","params":[""]}}"#).len());
        (format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"size","params":["{padding}"]}}"#), padding.len())
    };
    let others = [server.connect(), connect_as(&server, 1002, 1002, &[]).unwrap()];
    for (id, mut wire) in others.into_iter().enumerate() {
        let (line, size) = line(id);
        wire.say(&line);
        wire.hears(id, size);
    }
    let mut refused = 0;
    for wire in &mut held {
        // A short call is heard from him as well, once the line is at its end.
        wire.say("");
        let heard = wire.hear().unwrap();
        refused += usize::from(heard["error"]["code"] == json!(-32002));
        wire.is_usable();
    }
    assert_eq!(refused, 18);
    let (line, size) = line(7);
    held[0].say(&line);
    held[0].hears(7, size);
}

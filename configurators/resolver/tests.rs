//! The promises of the file variant, with the plug pulled at every operation. systemd-resolved
//! itself is met in `tests/netns`.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::Mutex;

use tempfile::TempDir;
use vdsm_model::resolver::Server;

use super::*;

/// What goes wrong at an operation.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    Never,
    /// Nothing works from there on.
    Crash,
    /// The same, with half a file written.
    CrashHalfway,
    /// The operation fails, and the next ones work.
    Once,
    /// Something is mounted upon the file.
    Mounted,
}

/// The host's disk, until operation number `at`.
#[derive(Debug)]
struct Flaky {
    fault: Fault,
    at: usize,
    log: Mutex<Vec<&'static str>>,
}

impl Flaky {
    fn step(&self, name: &'static str, half: impl FnOnce(), whole: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let mut log = self.log.lock().unwrap();
        let now = log.len();
        log.push(name);
        match self.fault {
            Fault::Crash if now >= self.at => Err(io::Error::other("power is off")),
            Fault::CrashHalfway if now >= self.at => {
                if now == self.at {
                    half();
                }
                Err(io::Error::other("power is off"))
            }
            Fault::Once if now == self.at => Err(io::ErrorKind::StorageFull.into()),
            Fault::Mounted if name == "rename" => Err(io::ErrorKind::ResourceBusy.into()),
            _ => whole(),
        }
    }
}

impl Disk for Flaky {
    fn write(&self, path: &Path, bytes: &[u8], like: Option<&Path>) -> io::Result<()> {
        let half = || fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
        self.step("write", half, || HostDisk.write(path, bytes, like))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step("rename", || (), || HostDisk.rename(from, to))
    }
    fn overwrite(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let half = || fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
        self.step("overwrite", half, || HostDisk.overwrite(path, bytes))
    }
    fn unlink(&self, path: &Path) -> io::Result<()> {
        self.step("unlink", || (), || HostDisk.unlink(path))
    }
    fn mkdir(&self, path: &Path) -> io::Result<()> {
        self.step("mkdir", || (), || HostDisk.mkdir(path))
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.step("sync", || (), || HostDisk.sync_dir(path))
    }
}

const ORIGINAL: &str = "# By hand.\nsearch example.org\nnameserver 192.0.2.1";

/// A host's resolver in a directory of its own.
struct Host {
    dir: TempDir,
}

impl Host {
    fn with(text: Option<&str>) -> Host {
        let host = Host { dir: TempDir::new().unwrap() };
        if let Some(text) = text {
            fs::write(host.path(), text).unwrap();
        }
        host
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("resolv.conf")
    }

    fn text(&self) -> Option<String> {
        fs::read_to_string(self.path()).ok()
    }

    fn over(&self, disk: impl Disk + 'static) -> HostResolver {
        let sound = HostResolver::new(self.path(), self.dir.path().join("lib/former"));
        HostResolver { disk: Arc::new(disk), ..sound }
    }

    fn look(&self) -> Resolver {
        self.over(HostDisk).look(|_| None)
    }

    /// Makes it what it is to be with these servers, or without any.
    fn wish(&self, disk: impl Disk + 'static, servers: &[&str]) -> Result<(), ResolverError> {
        let now = self.look();
        let servers: Vec<Server> = servers.iter().map(|text| text.parse().unwrap()).collect();
        let wish = match servers.is_empty() {
            true => now.released(),
            false => now.with(DeviceName::try_from("red").unwrap(), &servers),
        };
        wish.map_or(Ok(()), |wish| self.over(disk).set(&now, &wish, |_| None))
    }

    fn files(&self) -> Vec<String> {
        let names = |dir: PathBuf| fs::read_dir(dir).into_iter().flatten().map(|entry| entry.unwrap().file_name());
        let all = names(self.dir.path().to_owned()).chain(names(self.dir.path().join("lib")));
        let mut all: Vec<String> = all.map(|name| name.to_string_lossy().into_owned()).collect();
        all.sort();
        all
    }
}

/// The servers of one change after the other; none: they go.
const STORY: [&[&str]; 5] = [&["192.0.2.53"], &["2001:db8::53", "fe80::1%eth0"], &[], &["192.0.2.54"], &[]];

#[test]
fn set_changed_and_removed_it_is_byte_for_byte_what_it_was() {
    for original in [None, Some(""), Some(ORIGINAL), Some("nameserver 192.0.2.1\nnameserver 192.0.2.2\r\n")] {
        let host = Host::with(original);
        let empty = host.files();
        for servers in STORY {
            host.wish(HostDisk, servers).unwrap();
            match servers.is_empty() {
                true => assert_eq!(host.text().as_deref(), original),
                false => assert_eq!(host.look().servers(), *servers),
            }
        }
        assert_eq!(
            host.files().iter().filter(|name| *name != "lib").collect::<Vec<_>>(),
            empty.iter().collect::<Vec<_>>()
        );
    }
}

/// At each operation in turn: the file is the old or the new one, and what was before us comes back
/// by looking and planning, as a daemon that starts anew does.
#[test]
fn from_any_interruption_it_finds_back() {
    for (original, fault) in [None, Some(ORIGINAL)]
        .into_iter()
        .flat_map(|it| [Fault::Crash, Fault::CrashHalfway, Fault::Once].map(|fault| (it, fault)))
    {
        for (change, servers) in STORY.iter().enumerate() {
            let mut hits = 0;
            for at in 0.. {
                let host = Host::with(original);
                STORY[..change].iter().for_each(|servers| host.wish(HostDisk, servers).unwrap());
                let (old, before) = (host.text(), host.look());
                let outcome = host.wish(Flaky { fault, at, log: Mutex::default() }, servers);
                let what = format!("{original:?} {fault:?} at {at} of {servers:?}");
                if outcome.is_ok() {
                    break;
                }
                hits += 1;
                let now = host.look();
                assert!(
                    host.text() == old || now.servers() == *servers || host.text().as_deref() == original,
                    "{what}"
                );
                // A rollback plans from there.
                let prior = before.as_far_as(&now);
                let rolled_back = now.is_as(&prior) || host.over(HostDisk).set(&now, &prior, |_| None).is_ok();
                assert!(rolled_back && host.text() == old && host.look() == before, "{what}: rolled back");
                host.wish(HostDisk, &["192.0.2.77"]).unwrap();
                host.wish(HostDisk, &[]).unwrap();
                assert_eq!(host.text().as_deref(), original, "{what}: in the end");
                assert_eq!(host.look().kept, None, "{what}");
            }
            assert!(hits >= 3, "{hits} operations");
        }
    }
}

#[test]
fn what_was_before_is_on_disk_before_anything_changes() {
    let host = Host::with(Some(ORIGINAL));
    let disk = Arc::new(Flaky { fault: Fault::Never, at: 0, log: Mutex::default() });
    #[derive(Debug)]
    struct Shared(Arc<Flaky>);
    impl Disk for Shared {
        fn write(&self, path: &Path, bytes: &[u8], like: Option<&Path>) -> io::Result<()> {
            self.0.write(path, bytes, like)
        }
        fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
            let kept = to.with_file_name("lib").join("former");
            assert!(to.ends_with("former") || kept.exists(), "{} is written, and nothing is kept", to.display());
            self.0.rename(from, to)
        }
        fn overwrite(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
            self.0.overwrite(path, bytes)
        }
        fn unlink(&self, path: &Path) -> io::Result<()> {
            self.0.unlink(path)
        }
        fn mkdir(&self, path: &Path) -> io::Result<()> {
            self.0.mkdir(path)
        }
        fn sync_dir(&self, path: &Path) -> io::Result<()> {
            self.0.sync_dir(path)
        }
    }
    host.wish(Shared(Arc::clone(&disk)), &["192.0.2.53"]).unwrap();
    host.wish(Shared(Arc::clone(&disk)), &[]).unwrap();
    let order =
        ["mkdir", "write", "rename", "sync", "write", "rename", "sync", "write", "rename", "sync", "unlink", "sync"];
    assert_eq!(*disk.log.lock().unwrap(), order);
}

#[test]
fn mode_and_owner_stay() {
    let host = Host::with(Some(ORIGINAL));
    fs::set_permissions(host.path(), Permissions::from_mode(0o640)).unwrap();
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    if is_root {
        std::os::unix::fs::chown(host.path(), Some(7), Some(8)).unwrap();
    }
    let shown = || fs::metadata(host.path()).map(|meta| (meta.mode() & 0o7777, meta.uid(), meta.gid())).unwrap();
    let before = shown();
    host.wish(HostDisk, &["192.0.2.53"]).unwrap();
    assert_eq!(shown(), before);
    host.wish(HostDisk, &[]).unwrap();
    assert_eq!(shown(), before);
}

#[test]
fn a_file_with_something_mounted_upon_is_written_into() {
    let host = Host::with(Some(ORIGINAL));
    let inode = || fs::metadata(host.path()).unwrap().ino();
    let before = inode();
    let now = host.look();
    let wish = now.with(DeviceName::try_from("red").unwrap(), &["192.0.2.53".parse().unwrap()]).unwrap();
    // What is kept is elsewhere, and is replaced as ever.
    host.over(HostDisk).keep(wish.kept.as_ref()).unwrap();
    let now = Resolver { kept: wish.kept.clone(), ..now };
    host.over(Flaky { fault: Fault::Mounted, at: 0, log: Mutex::default() }).set(&now, &wish, |_| None).unwrap();
    assert_eq!((inode(), host.look().servers()), (before, vec!["192.0.2.53".to_owned()]));
    assert_eq!(host.files(), ["former", "lib", "resolv.conf"]);
}

#[test]
fn a_change_of_somebody_elses_in_between_is_not_lost() {
    let host = Host::with(Some(ORIGINAL));
    let now = host.look();
    let wish = now.with(DeviceName::try_from("red").unwrap(), &["192.0.2.53".parse().unwrap()]).unwrap();
    fs::write(host.path(), "nameserver 9.9.9.9\n").unwrap();
    let error = host.over(HostDisk).set(&now, &wish, |_| None).unwrap_err();
    assert!(matches!(error, ResolverError::Changed { .. }), "{error:?}");
    assert_eq!(host.text().unwrap(), "nameserver 9.9.9.9\n");
    // Nor is a link replaced that somebody else has put there.
    fs::remove_file(host.path()).unwrap();
    symlink("/run/NetworkManager/resolv.conf", host.path()).unwrap();
    host.over(HostDisk).set(&now, &wish, |_| None).unwrap_err();
    assert!(fs::symlink_metadata(host.path()).unwrap().is_symlink());
}

#[track_caller]
fn closed(host: &Host, why: &str) {
    let told = host.look();
    let Manager::Closed { why: found, .. } = &told.manager else { panic!("{told:?}") };
    assert_eq!(found.replace(&format!("{}/", host.dir.path().display()), ""), why);
}

#[test]
fn a_file_that_somebody_generates_is_theirs() {
    for (text, owner) in [
        ("# Generated by NetworkManager\nnameserver 9.9.9.9\n", "NetworkManager"),
        (
            "# Dynamic resolv.conf(5) file for glibc resolver(3) generated by resolvconf(8)\n#     DO NOT EDIT\nnameserver 9.9.9.9\n",
            "resolvconf",
        ),
        (
            "# Generated by dhcpcd from eth0.dhcp\n# /etc/resolv.conf.head can replace this line\nnameserver 9.9.9.9\n",
            "dhcpcd",
        ),
        (
            "\n# x\n# This file is managed by man:systemd-resolved(8). Do not edit.\nnameserver 9.9.9.9\n",
            "systemd-resolved, which the file is only a copy of",
        ),
        ("# Generated by Connection Manager\nnameserver 9.9.9.9\n", "ConnMan"),
        ("; autogenerated by netconfig!\nnameserver 9.9.9.9\n", "netconfig"),
    ] {
        let host = Host::with(Some(text));
        closed(&host, &format!("resolv.conf is generated by {owner}"));
        assert_eq!(host.look().servers(), ["9.9.9.9"], "and reported");
    }
    for text in [
        "# Once it was NetworkManager's.\nnameserver 9.9.9.9\n",
        "nameserver 9.9.9.9\n# Generated by NetworkManager\n",
        "# Generated by Docker Engine.\nnameserver 9.9.9.9\n",
    ] {
        assert_eq!(Host::with(Some(text)).look().closed(), None, "{text}");
    }
}

#[test]
fn a_link_is_whose_it_leads_to() {
    for (target, why) in [
        (
            "/run/NetworkManager/resolv.conf",
            "resolv.conf is a link to /run/NetworkManager/resolv.conf, which is NetworkManager's",
        ),
        ("/run/resolvconf/resolv.conf", "resolv.conf is a link to /run/resolvconf/resolv.conf, which is resolvconf's"),
        ("elsewhere", "resolv.conf is a link to elsewhere"),
    ] {
        let host = Host::with(None);
        symlink(target, host.path()).unwrap();
        closed(&host, why);
    }
    let host = Host::with(None);
    fs::create_dir(host.path()).unwrap();
    closed(&host, "resolv.conf is no file");
    let host = Host::with(None);
    nix::unistd::mkfifo(&host.path(), nix::sys::stat::Mode::S_IRWXU).unwrap();
    closed(&host, "resolv.conf is no file");
    let host = Host::with(None);
    fs::write(host.path(), b"\xff").unwrap();
    closed(&host, "resolv.conf cannot be read: stream did not contain valid UTF-8");
    let host = Host::with(Some(&"# x\n".repeat(20_000)));
    closed(&host, "resolv.conf cannot be read: it is larger than 65536 bytes");
}

#[test]
fn every_link_of_systemd_resolved_is_known() {
    for target in file::RESOLVED.into_iter().chain(["../run/systemd/resolve/stub-resolv.conf"]) {
        let link = Path::new("/etc/resolv.conf");
        assert!(file::RESOLVED.contains(&file::target_of(link, Path::new(target)).to_str().unwrap()), "{target}");
    }
    let host = Host::with(None);
    symlink(file::RESOLVED[0], host.path()).unwrap();
    assert_eq!(file::look(&host.path()), Whose::Resolved);
}

#[test]
fn what_is_kept_and_cannot_be_read_closes_the_resolver() {
    let host = Host::with(Some(ORIGINAL));
    fs::create_dir(host.dir.path().join("lib")).unwrap();
    fs::write(host.dir.path().join("lib/former"), "{ half a fi").unwrap();
    let now = host.look();
    assert!(now.closed().unwrap().starts_with("what it was before cannot be read from "), "{now:?}");
    assert_eq!(now.servers(), ["192.0.2.1"]);
}

#[test]
fn links_are_told_of_servers_first_and_only_of_what_changes() {
    let name = |text: &str| DeviceName::try_from(text).unwrap();
    let dns = |servers: &[&str]| LinkDns {
        servers: servers.iter().map(|addr| addr.parse().unwrap()).collect(),
        default_route: true,
    };
    let from = [(name("a"), dns(&["192.0.2.1"])), (name("same"), dns(&["192.0.2.2"]))].into();
    let from = Resolver { manager: Manager::Resolved { links: from, global: Vec::new() }, kept: None };
    let to = [
        (name("a"), dns(&[])),
        (name("b"), dns(&["192.0.2.1"])),
        (name("same"), dns(&["192.0.2.2"])),
        (name("lost"), dns(&[])),
    ];
    let index = |it: &DeviceName| ["a", "b", "same"].iter().position(|known| *known == it.as_str()).map(|at| at as u32);
    let told = told(&from, to.iter().map(|(name, dns)| (name, dns)), index).unwrap();
    assert!(matches!(&told[..], [Told::Dns(1, it), Told::Revert(0)] if it.servers.len() == 1));
    let missing = [(name("lost"), dns(&["192.0.2.1"]))];
    let error = super::told(&from, missing.iter().map(|(name, dns)| (name, dns)), index).err().unwrap();
    assert_eq!(error.to_string(), "there is no link lost to have name servers");
}

#[test]
fn the_command_of_a_change_is_one_a_shell_understands() {
    let shown = |resolver: &Resolver| {
        struct Shown<'a>(&'a Resolver);
        impl fmt::Display for Shown<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_command(f, self.0)
            }
        }
        Shown(resolver).to_string()
    };
    let file = |text: Option<&str>| Resolver { manager: Manager::File { text: text.map(str::to_owned) }, kept: None };
    assert_eq!(shown(&file(Some("# it's $HOME\n"))), "printf '%s' '# it'\\''s $HOME\n' > /etc/resolv.conf");
    assert_eq!(shown(&file(None)), "rm -f /etc/resolv.conf");
    let links = [("a", &["192.0.2.1", "::1"][..]), ("b", &[])].map(|(name, servers)| {
        let servers = servers.iter().map(|addr| addr.parse().unwrap()).collect();
        (DeviceName::try_from(name).unwrap(), LinkDns { servers, default_route: true })
    });
    let resolved = Resolver { manager: Manager::Resolved { links: links.into(), global: Vec::new() }, kept: None };
    assert_eq!(
        shown(&resolved),
        "resolvectl dns a 192.0.2.1 ::1 && resolvectl default-route a true && resolvectl revert b"
    );
}

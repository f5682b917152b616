//! What survives the process: the wanted clients, their leases, the host's DUID.
//!
//! Every file is whole or the old one, whenever the process ends. A disk may take its time, for which
//! neither clients nor callers wait: what is to survive the machine's end too is synced by a thread of
//! its own, a moment later. A file that cannot be read counts as missing: a lease is then asked for anew, and
//! clients are started by the daemon. When a lease is over is its own business.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use vdsm_model::name::DeviceName;

use crate::types::{Family, Key, Lease, Wanted};

/// An Ethernet address.
pub(crate) type Mac = [u8; 6];

/// The file with the wanted clients.
const WANTED: &str = "wanted.json";

/// Whether a state folder has clients that a process would start.
pub fn any_wanted(folder: &Path) -> bool {
    !wanted_in(folder).is_empty()
}

fn wanted_in(folder: &Path) -> Vec<Wanted> {
    read(&folder.join(WANTED)).unwrap_or_default()
}

/// The state folder.
pub(crate) struct Files {
    folder: PathBuf,
    /// What was written and is to be synced.
    written: Sender<PathBuf>,
}

/// A lease file. Its name has the MAC and the device in it: all VLANs of a nic have its MAC, and a
/// bridge that is put over one of them shall find that one's lease.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    mac: Mac,
    device: DeviceName,
    family: Family,
    lease: Lease,
}

impl Files {
    /// Opens the folder, making it where it is missing, and forgets the leases that are over.
    pub(crate) fn open(folder: &Path) -> io::Result<Files> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder.join("leases"))?;
        let (written, to_sync) = channel();
        thread::Builder::new().name("sync".into()).spawn(move || sync_all(&to_sync))?;
        let files = Files { folder: folder.to_owned(), written };
        for (path, stored) in files.leases("") {
            if stored.lease.is_over() {
                fs::remove_file(path)?;
            }
        }
        Ok(files)
    }

    pub(crate) fn wanted(&self) -> Vec<Wanted> {
        wanted_in(&self.folder)
    }

    pub(crate) fn store_wanted(&self, wanted: &[&Wanted]) -> io::Result<()> {
        self.store(WANTED, &serde_json::to_vec(wanted)?)
    }

    pub(crate) fn store_lease(&self, mac: Mac, (device, family): Key, lease: &Lease) -> io::Result<()> {
        let stored = Stored { mac, device, family, lease: lease.clone() };
        self.store(&lease_name(mac, device, family), &serde_json::to_vec(&stored)?)
    }

    pub(crate) fn forget_lease(&self, mac: Mac, (device, family): Key) -> io::Result<()> {
        match fs::remove_file(self.folder.join(lease_name(mac, device, family))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// The lease of this device with this MAC; or else the latest one of a device with this MAC that
    /// is not `busy` with it any more.
    pub(crate) fn lease(&self, mac: Mac, (device, family): Key, busy: impl Fn(DeviceName) -> bool) -> Option<Lease> {
        let own = read::<Stored>(&self.folder.join(lease_name(mac, device, family)));
        let own = own.filter(|stored| !stored.lease.is_over());
        let others = || {
            // Of hundreds of leases few have this MAC.
            let all = self.leases(&lease_stem(mac, family)).into_iter().map(|(_, stored)| stored);
            all.filter(|it| it.mac == mac && it.family == family && !it.lease.is_over() && !busy(it.device))
                .max_by_key(|it| it.lease.obtained)
        };
        own.or_else(others).map(|stored| stored.lease)
    }

    /// Those whose files' names begin so.
    fn leases(&self, stem: &str) -> Vec<(PathBuf, Stored)> {
        let entries = fs::read_dir(self.folder.join("leases")).into_iter().flatten().flatten();
        let entries = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(stem));
        entries.map(|entry| entry.path()).filter_map(|path| Some((path.clone(), read(&path)?))).collect()
    }

    /// The host's DUID, made once and kept for ever: RFC 8415, section 11.5, of the machine's id, or
    /// of chance where there is none.
    pub(crate) fn duid(&self) -> io::Result<u128> {
        let kept = fs::read_to_string(self.folder.join("duid")).ok();
        if let Some(uuid) = kept.and_then(|text| u128::from_str_radix(text.trim(), 16).ok()) {
            return Ok(uuid);
        }
        let machine = fs::read_to_string("/etc/machine-id").ok();
        let uuid = match machine.and_then(|text| u128::from_str_radix(text.trim(), 16).ok()) {
            Some(id) => id,
            None => {
                let mut bytes = [0; 16];
                File::open("/dev/urandom")?.read_exact(&mut bytes)?;
                u128::from_be_bytes(bytes)
            }
        };
        let path = self.write("duid", format!("{uuid:032x}\n").as_bytes())?;
        // Once sent, it is for ever.
        sync(&path)?;
        sync(&self.folder)?;
        Ok(uuid)
    }

    fn store(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.write(name, bytes)?;
        self.written.send(path).map_err(|_| io::Error::other("the thread that syncs files is gone"))
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
        let path = self.folder.join(name);
        let mut file = tempfile::NamedTempFile::new_in(path.parent().unwrap_or(&self.folder))?;
        file.write_all(bytes)?;
        file.persist(&path).map_err(|error| error.error)?;
        Ok(path)
    }
}

/// Syncs what was written, and each folder once for all that waits, until nobody writes any more.
fn sync_all(written: &Receiver<PathBuf>) {
    while let Ok(first) = written.recv() {
        let paths: BTreeSet<PathBuf> = written.try_iter().chain([first]).collect();
        let folders: BTreeSet<&Path> = paths.iter().filter_map(|path| path.parent()).collect();
        for path in paths.iter().map(PathBuf::as_path).chain(folders) {
            match sync(path) {
                // It was forgotten meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => tracing::error!(%error, ?path, "cannot be synced"),
                Ok(()) => {}
            }
        }
    }
}

fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn lease_name(mac: Mac, device: DeviceName, family: Family) -> String {
    format!("leases/{}{device}.json", lease_stem(mac, family))
}

fn lease_stem(mac: Mac, family: Family) -> String {
    let mac: Vec<String> = mac.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{family}-{}-", mac.concat())
}

fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::warn!(%error, ?path, "cannot be read, and counts as missing");
            }
            return None;
        }
    };
    serde_json::from_slice(&bytes)
        .inspect_err(|error| tracing::warn!(%error, ?path, "makes no sense, and counts as missing"))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = [2, 0, 0, 0, 0, 1];

    fn key(device: &str) -> Key {
        (DeviceName::try_from(device).unwrap(), Family::V4)
    }

    fn lease(last: u8) -> Lease {
        Lease::of([10, 0, 0, last].into(), 24)
    }

    fn found(files: &Files, device: &str, busy: &[&str]) -> Option<Lease> {
        files.lease(MAC, key(device), |name| busy.contains(&name.as_str()))
    }

    #[test]
    fn a_lease_is_found_by_the_device_and_else_by_its_mac() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::open(folder.path()).unwrap();
        files.store_lease(MAC, key("eth0.10"), &lease(10)).unwrap();
        let newer = Lease { obtained: lease(20).obtained + 1, ..lease(20) };
        files.store_lease(MAC, key("eth0.20"), &newer).unwrap();
        assert_eq!(found(&files, "eth0.10", &["eth0.20"]), Some(lease(10)));
        assert_eq!(found(&files, "br10", &["eth0.20"]).unwrap().address, lease(10).address);
        assert_eq!(found(&files, "br10", &[]), Some(newer));
        assert_eq!(found(&files, "br10", &["eth0.10", "eth0.20"]), None);
        assert_eq!(files.lease([2; 6], key("eth0.10"), |_| false), None);
        files.forget_lease(MAC, key("eth0.10")).unwrap();
        files.forget_lease(MAC, key("eth0.10")).unwrap();
        assert_eq!(found(&files, "eth0.10", &["eth0.20"]), None);
    }

    #[test]
    fn a_lease_that_is_over_or_broken_counts_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::open(folder.path()).unwrap();
        let over = Lease { obtained: 1000, ..lease(1) };
        files.store_lease(MAC, key("eth0"), &over).unwrap();
        fs::write(folder.path().join("leases/v4-020000000001-eth1.json"), "{").unwrap();
        assert_eq!(found(&files, "eth0", &[]), None);
        assert_eq!(found(&files, "eth1", &[]), None);
        Files::open(folder.path()).unwrap();
        assert!(!folder.path().join("leases/v4-020000000001-eth0.json").exists());
    }

    #[test]
    fn the_duid_stays() {
        let folder = tempfile::tempdir().unwrap();
        let first = Files::open(folder.path()).unwrap().duid().unwrap();
        assert_eq!(Files::open(folder.path()).unwrap().duid().unwrap(), first);
        fs::write(folder.path().join("duid"), "00000000000000000000000000000007\n").unwrap();
        assert_eq!(Files::open(folder.path()).unwrap().duid().unwrap(), 7);
    }
}

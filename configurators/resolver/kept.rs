//! What was there before us, on disk, so that it comes back after any crash and any boot.
//!
//! One small JSON file, there only while name servers of ours are.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::Path;

use serde::{Deserialize, Serialize};
use vdsm_model::name::DeviceName;
use vdsm_model::resolver::{Kept, LinkDns};

use super::disk::{Disk, put};

/// The file's form.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Stored {
    /// The text of `resolv.conf`; null: it was not there.
    ResolvConf(Option<String>),
    /// systemd-resolved's links, by name.
    Resolved(BTreeMap<String, Link>),
}

#[derive(Serialize, Deserialize)]
struct Link {
    servers: Vec<IpAddr>,
    default_route: bool,
}

/// Reads it; no file means that nothing is kept.
pub(super) fn load(path: &Path) -> io::Result<Option<Kept>> {
    let text = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text?,
    };
    Ok(Some(match serde_json::from_slice(&text)? {
        Stored::ResolvConf(text) => Kept::File(text),
        Stored::Resolved(links) => {
            let links = links.into_iter().map(|(name, Link { servers, default_route })| {
                let name = DeviceName::try_from(name.as_str()).map_err(io::Error::other)?;
                Ok((name, LinkDns { servers, default_route }))
            });
            Kept::Resolved(links.collect::<io::Result<_>>()?)
        }
    }))
}

/// Writes it, or removes it.
pub(super) fn store(disk: &dyn Disk, path: &Path, kept: Option<&Kept>) -> io::Result<()> {
    let stored = kept.map(|kept| match kept {
        Kept::File(text) => Stored::ResolvConf(text.clone()),
        Kept::Resolved(links) => Stored::Resolved(
            links
                .iter()
                .map(|(name, dns)| {
                    (name.to_string(), Link { servers: dns.servers.clone(), default_route: dns.default_route })
                })
                .collect(),
        ),
    });
    let bytes = stored.map(|stored| serde_json::to_vec(&stored)).transpose()?;
    if let (Some(dir), true) = (path.parent(), bytes.is_some()) {
        disk.mkdir(dir)?;
    }
    put(disk, path, bytes.as_deref())
}

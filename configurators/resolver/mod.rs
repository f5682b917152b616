//! The host's name servers, set the way the host has them: through systemd-resolved where that is
//! in charge, else in `/etc/resolv.conf`, and not at all where somebody else is.
//!
//! For every configurator: what it is to become is a value of the model's ([`Resolver`]). Here it
//! is read, and made so.

mod disk; // hands on the file system
mod file; // resolv.conf: whose, and what it says
mod kept; // what was there before us
mod resolved; // systemd-resolved

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use vdsm_model::name::DeviceName;
use vdsm_model::resolver::{Kept, LinkDns, Manager, Resolver};

use disk::{Disk, HostDisk, put};
use file::Whose;
pub use resolved::BusError;
use resolved::Told;

/// Why the resolver could not be made what it was to be.
#[derive(Debug, thiserror::Error)]
pub enum ResolverError {
    /// A file that could not be written.
    #[error("cannot write {path}")]
    Write {
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It has changed since it was looked at.
    #[error("somebody else changes {path} at the same time")]
    Changed {
        /// `resolv.conf`.
        path: PathBuf,
    },
    /// A server on a link that is not there.
    #[error("there is no link {0} to have name servers")]
    NoLink(DeviceName),
    /// systemd-resolved.
    #[error(transparent)]
    Bus(#[from] BusError),
}

/// Where a host's resolver is.
#[derive(Clone, Debug)]
pub struct HostResolver {
    path: PathBuf,
    kept: PathBuf,
    disk: Arc<dyn Disk>,
}

impl HostResolver {
    /// The resolver of `resolv_conf`. What it was before us is kept in the file `kept`, which must
    /// survive a reboot as `resolv_conf` does.
    pub fn new(resolv_conf: impl Into<PathBuf>, kept: impl Into<PathBuf>) -> HostResolver {
        HostResolver { path: resolv_conf.into(), kept: kept.into(), disk: Arc::new(HostDisk) }
    }

    /// The resolver as it is. What cannot be read is closed, and says why. `name_of` knows the links
    /// by their indexes.
    pub fn look(&self, name_of: impl Fn(u32) -> Option<DeviceName>) -> Resolver {
        let closed = |why: String, servers: Vec<String>| Manager::Closed { why, servers };
        let manager = match file::look(&self.path) {
            Whose::Nobodys(text) => Manager::File { text },
            Whose::Others(why, servers) => closed(why, servers),
            Whose::Resolved => match resolved::look(name_of) {
                Ok(Some(known)) => Manager::Resolved { links: known.links, global: known.global },
                Ok(None) => closed(
                    format!("{} is systemd-resolved's, which does not run", self.path.display()),
                    file::servers(&self.path),
                ),
                Err(error) => {
                    let told = std::error::Error::source(&error).map(|source| format!(": {source}"));
                    let why = format!("{error}{}", told.unwrap_or_default());
                    closed(why, file::servers(&self.path))
                }
            },
        };
        match kept::load(&self.kept) {
            Ok(kept) => Resolver { manager, kept },
            Err(error) => {
                let why = format!("what it was before cannot be read from {}: {error}", self.kept.display());
                let servers = Resolver { manager, kept: None }.servers();
                Resolver { manager: closed(why, servers), kept: None }
            }
        }
    }

    /// Makes the resolver what `to` says, if it still is what `from` says. What was there before us
    /// is on disk before anything is changed, and forgotten after it has come back.
    ///
    /// # Errors
    /// As they say. What was done until then is done.
    pub fn set(
        &self,
        from: &Resolver,
        to: &Resolver,
        index_of: impl Fn(&DeviceName) -> Option<u32>,
    ) -> Result<(), ResolverError> {
        let during = during(from.kept.as_ref(), to.kept.as_ref());
        if during != from.kept {
            self.keep(during.as_ref())?;
        }
        match &to.manager {
            Manager::File { text } => self.write(from, text.as_deref())?,
            Manager::Resolved { links, .. } => {
                let told = told(from, links.iter(), index_of)?;
                if !told.is_empty() {
                    resolved::tell(&told)?;
                }
            }
            // Nobody wishes for that.
            Manager::Closed { .. } => {}
        }
        if to.kept != during {
            self.keep(to.kept.as_ref())?;
        }
        Ok(())
    }

    fn keep(&self, kept: Option<&Kept>) -> Result<(), ResolverError> {
        kept::store(&*self.disk, &self.kept, kept)
            .map_err(|source| ResolverError::Write { path: self.kept.clone(), source })
    }

    fn write(&self, from: &Resolver, text: Option<&str>) -> Result<(), ResolverError> {
        let Whose::Nobodys(now) = file::look(&self.path) else {
            return Err(ResolverError::Changed { path: self.path.clone() });
        };
        if now.as_deref() == text {
            return Ok(());
        }
        if !matches!(&from.manager, Manager::File { text } if *text == now) {
            return Err(ResolverError::Changed { path: self.path.clone() });
        }
        put(&*self.disk, &self.path, text.map(str::as_bytes))
            .map_err(|source| ResolverError::Write { path: self.path.clone(), source })
    }
}

/// What has to be known while the one becomes the other: links that lose their servers as well as
/// those that get some.
fn during(from: Option<&Kept>, to: Option<&Kept>) -> Option<Kept> {
    match (from, to) {
        (Some(Kept::Resolved(from)), Some(Kept::Resolved(to))) => {
            Some(Kept::Resolved(from.iter().chain(to).map(|(name, dns)| (*name, dns.clone())).collect()))
        }
        (from, to) => to.or(from).cloned(),
    }
}

/// What systemd-resolved has to be told: of servers first, so that the host is not without any.
fn told<'a>(
    from: &Resolver,
    links: impl Iterator<Item = (&'a DeviceName, &'a LinkDns)>,
    index_of: impl Fn(&DeviceName) -> Option<u32>,
) -> Result<Vec<Told>, ResolverError> {
    let (mut set, mut reverted) = (Vec::new(), Vec::new());
    for (name, dns) in links {
        let now = match &from.manager {
            Manager::Resolved { links, .. } => links.get(name).cloned().unwrap_or_default(),
            _ => LinkDns::default(),
        };
        match index_of(name) {
            _ if now.is_like(dns) => {}
            Some(index) if dns.servers.is_empty() => reverted.push(Told::Revert(index)),
            Some(index) => set.push(Told::Dns(index, dns.clone())),
            // With the link went what was known of it.
            None if dns.servers.is_empty() => {}
            None => return Err(ResolverError::NoLink(*name)),
        }
    }
    set.append(&mut reverted);
    Ok(set)
}

/// What a person would type for it.
pub(crate) fn write_command(f: &mut fmt::Formatter<'_>, to: &Resolver) -> fmt::Result {
    match &to.manager {
        Manager::File { text: Some(text) } => {
            write!(f, "printf '%s' '{}' > /etc/resolv.conf", text.replace('\'', r"'\''"))
        }
        Manager::File { text: None } => f.write_str("rm -f /etc/resolv.conf"),
        Manager::Resolved { links, .. } => {
            let command = |(name, dns): (&DeviceName, &LinkDns)| {
                let servers: Vec<String> = dns.servers.iter().map(ToString::to_string).collect();
                match servers.is_empty() {
                    true => format!("resolvectl revert {name}"),
                    false => format!(
                        "resolvectl dns {name} {} && resolvectl default-route {name} {}",
                        servers.join(" "),
                        dns.default_route
                    ),
                }
            };
            f.write_str(&links.iter().map(command).collect::<Vec<_>>().join(" && "))
        }
        Manager::Closed { .. } => Ok(()),
    }
}

#[cfg(test)]
mod tests;

//! DHCP clients as actions: ours through the process that holds them, other people's by ending them
//! or starting them again. Any configurator whose devices carry addresses may use it.

use std::fmt;
use std::sync::Arc;

use vdsm_dhcp_client::foreign::{self, ForeignError};
use vdsm_dhcp_client::{Afterwards, DhcpClients, Family, Wanted};
use vdsm_model::dhcp::{Clients, Foreign};
use vdsm_model::name::DeviceName;

use crate::RunError;

/// What happens to one client of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientChange {
    /// Ours starts; whether a lease comes is no matter of this action.
    Start(Family),
    /// Ours ends, and its address goes. The server is told nothing: who comes next with this hardware
    /// address, a bridge above, is to get the same one.
    Stop(Family),
    /// Somebody else's ends, without giving its lease back. That it is gone already is no error.
    End(Foreign),
    /// It starts again with its own command line.
    Restart(Foreign),
}

/// As a person would do it.
pub(super) struct Spelled<'a>(pub(super) &'a DeviceName, pub(super) &'a ClientChange);

impl fmt::Display for Spelled<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Spelled(device, change) = self;
        let option = |family: &Family| if *family == Family::V4 { "-4" } else { "-6" };
        match change {
            ClientChange::Start(family) => write!(f, "dhclient {} {device}", option(family)),
            ClientChange::Stop(family) => write!(f, "dhclient {} -x {device}", option(family)),
            ClientChange::End(foreign) => write!(f, "pkill -f '{foreign}'"),
            ClientChange::Restart(foreign) => write!(f, "{foreign}"),
        }
    }
}

/// Those that end come before those that start.
pub(super) fn changes(from: &Clients, to: &Clients) -> Vec<ClientChange> {
    let ended = from.foreign.difference(&to.foreign).cloned().map(ClientChange::End);
    let restarted = to.foreign.difference(&from.foreign).cloned().map(ClientChange::Restart);
    let families = [(Family::V4, from.v4, to.v4), (Family::V6, from.v6, to.v6)];
    let stopped = families.iter().filter(|(_, was, is)| *was && !is).map(|(family, ..)| ClientChange::Stop(*family));
    let started = families.iter().filter(|(_, was, is)| !was && *is).map(|(family, ..)| ClientChange::Start(*family));
    stopped.chain(ended).chain(started).chain(restarted).collect()
}

/// Does it.
pub(super) fn run(
    clients: Option<&Arc<dyn DhcpClients>>,
    device: DeviceName,
    change: &ClientChange,
) -> Result<(), RunError> {
    let ours = || clients.ok_or(RunError::NoDhcp);
    match change {
        ClientChange::Start(family) => Ok(ours()?.start(&Wanted { device, family: *family, hostname: None })?),
        ClientChange::Stop(family) => Ok(ours()?.stop(device, *family, Afterwards::Keep)?),
        ClientChange::End(gone) => {
            let found = foreign::find(device).map_err(|source| RunError::Processes { source })?;
            for it in found.iter().filter(|it| as_model(it) == *gone) {
                match it.stop() {
                    Err(ForeignError::Gone { .. }) | Ok(()) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Ok(())
        }
        ClientChange::Restart(it) => Ok(foreign::start(&it.exe, &it.argv, &it.cwd)?),
    }
}

/// As planning knows it.
pub fn as_model(it: &foreign::Foreign) -> Foreign {
    Foreign { exe: it.exe.clone(), argv: it.argv.clone(), cwd: it.cwd.clone() }
}

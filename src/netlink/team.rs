//! What a team device says of itself and its ports, asked of the kernel's `team` family.
//!
//! rtnetlink tells which link is a team and which are its ports; its mode, its active port and what
//! it knows of its ports stand in options of this family (`linux/if_team.h`,
//! `drivers/net/team/`). Nothing is changed here: a team is its daemon's, teamd.
//!
//! The kernel has the family only while the module `team` is loaded, and gives it other numbers the
//! next time. So its numbers are asked for with each look.

use std::{
    os::fd::{AsFd, BorrowedFd},
    time::Duration,
};

use crate::{
    attrs::{Attrs, find, text, u8, u32},
    generic::{
        Drained, Generic, GenericError, Monitor, Told,
        message::{Message, attribute, attributes, message},
    },
};

pub use crate::generic::Family;

/// `TEAM_GENL_NAME`
const FAMILY: &str = "team";
/// `TEAM_GENL_VERSION`
const VERSION: u8 = 1;
/// `TEAM_GENL_CHANGE_EVENT_MC_GRP_NAME`
const CHANGES: &str = "change_event";

/// `TEAM_CMD_OPTIONS_GET`
const OPTIONS_GET: u8 = 2;
/// `TEAM_CMD_PORT_LIST_GET`
const PORT_LIST_GET: u8 = 3;

/// `TEAM_ATTR_TEAM_IFINDEX`
const TEAM_IFINDEX: u16 = 1;
/// `TEAM_ATTR_LIST_OPTION`
const LIST_OPTION: u16 = 2;
/// `TEAM_ATTR_LIST_PORT`
const LIST_PORT: u16 = 3;

const OPTION_NAME: u16 = 1;
const OPTION_DATA: u16 = 4;
const OPTION_REMOVED: u16 = 5;
const OPTION_PORT_IFINDEX: u16 = 6;

const PORT_IFINDEX: u16 = 1;
const PORT_LINKUP: u16 = 3;
const PORT_SPEED: u16 = 4;
const PORT_REMOVED: u16 = 6;

/// A team as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Team {
    /// The option `mode`: `activebackup`, `loadbalance` and so on; `*NOMODE*` as long as nobody has chosen.
    pub mode: String,
    /// The interface index in the option `activeport`, which only the mode `activebackup` has; never 0.
    pub active: Option<u32>,
    /// Its ports, in the kernel's order.
    pub ports: Vec<Port>,
}

/// A port of a team.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Port {
    /// Its interface index.
    pub index: u32,
    /// The team takes its link as up; by its carrier, unless somebody has given it another opinion
    /// (the options `user_linkup` and `user_linkup_enabled`).
    pub linkup: bool,
    /// In Mbit/s, never 0; none when the link is not up, or the driver does not know.
    pub speed: Option<u32>,
    /// The option `enabled`: it takes part in the team.
    pub enabled: bool,
}

/// Questions to the `team` family.
///
/// The socket belongs to the network namespace of the thread that opened it. After an error the next
/// call opens a new one first, as with [`Ethtool`](crate::ethtool::Ethtool).
#[derive(Debug)]
pub struct Teams(Generic);

impl Teams {
    /// Opens a socket in the network namespace of this thread. The deadline holds for each team.
    ///
    /// # Errors
    /// [`GenericError::Open`]
    pub fn open(deadline: Duration) -> Result<Self, GenericError> {
        Generic::open(deadline).map(Self)
    }

    /// The family with the numbers it has now; none on a kernel that has no team.
    ///
    /// # Errors
    /// Trouble with the socket, and [`GenericError::Family`].
    pub fn family(&mut self) -> Result<Option<Family>, GenericError> {
        self.0.family(FAMILY)
    }

    /// The team of this index; none when there is no such team (`EINVAL`), or we may not ask (`EPERM`:
    /// it takes `CAP_NET_ADMIN`).
    ///
    /// # Errors
    /// Only trouble with the socket.
    pub fn team(&mut self, family: &Family, index: u32) -> Result<Option<Team>, GenericError> {
        let questions = [OPTIONS_GET, PORT_LIST_GET].map(|get| about(get, index));
        let (mut team, mut enabled, mut refused) = (Team::default(), Vec::new(), false);
        self.0.exchange(family.id, questions.into(), &mut |at, answer| match (at, answer) {
            (0, Ok(payload)) => take_options(payload, &mut team, &mut enabled),
            (_, Ok(payload)) => team.ports.extend(ports(payload)),
            (_, Err(refusal)) => {
                tracing::debug!(index, %refusal, "no word about a team");
                refused = true;
            }
        })?;
        for port in &mut team.ports {
            port.enabled = enabled.contains(&port.index);
        }
        Ok((!refused).then_some(team))
    }
}

/// Hears of each change of a team's options and ports. It never blocks.
#[derive(Debug)]
pub struct TeamMonitor(Monitor);

impl TeamMonitor {
    /// A socket in the network namespace of this thread. It hears nothing before [`TeamMonitor::join`].
    ///
    /// # Errors
    /// [`GenericError::Open`]
    pub fn open() -> Result<Self, GenericError> {
        Monitor::open().map(Self)
    }

    /// Listens from now on. To be done before each look at a team, with the family that is asked: a
    /// module that was loaded anew has forgotten its listeners. To do it again costs one system call.
    ///
    /// # Errors
    /// [`GenericError::Join`], and [`GenericError::Malformed`] if the family has no such group.
    pub fn join(&mut self, family: &Family) -> Result<(), GenericError> {
        self.0.join(family, CHANGES)
    }

    /// Takes what is queued, without waiting, and hands the index of each changed team to `each`. One
    /// may come several times.
    ///
    /// # Errors
    /// [`GenericError::Receive`]
    pub fn drain(&mut self, each: &mut dyn FnMut(u32)) -> Result<Drained, GenericError> {
        self.0.drain(told, each)
    }
}

impl AsFd for TeamMonitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn about(command: u8, index: u32) -> Message {
    message(command, VERSION, [attribute(TEAM_IFINDEX, false, index)])
}

/// The nested items of a list; those that are going are left out.
fn items(payload: &[u8], list: u16, removed: u16) -> impl Iterator<Item = Attrs<'_>> {
    let list = find(attributes(payload), list).unwrap_or_default();
    let items = Attrs::new(list).map(|(_, item)| Attrs::new(item));
    items.filter(move |item| find(item.clone(), removed).is_none())
}

/// Reads a part of the answer to `TEAM_CMD_OPTIONS_GET`. `enabled` are the ports that take part.
fn take_options(payload: &[u8], team: &mut Team, enabled: &mut Vec<u32>) {
    for option in items(payload, LIST_OPTION, OPTION_REMOVED) {
        // A switch that is off has no data (`NLA_FLAG`).
        let data = find(option.clone(), OPTION_DATA);
        let port = find(option.clone(), OPTION_PORT_IFINDEX).and_then(u32);
        match (find(option, OPTION_NAME).and_then(text), port) {
            (Some("mode"), None) => team.mode = data.and_then(text).unwrap_or_default().to_owned(),
            (Some("activeport"), None) => team.active = data.and_then(u32).filter(|index| *index != 0),
            (Some("enabled"), Some(port)) => enabled.extend(data.map(|_| port)),
            _ => {}
        }
    }
}

/// Reads a part of the answer to `TEAM_CMD_PORT_LIST_GET`. Whether they are enabled is not told there.
fn ports(payload: &[u8]) -> impl Iterator<Item = Port> {
    let ports = items(payload, LIST_PORT, PORT_REMOVED);
    ports.filter_map(|port| {
        let linkup = find(port.clone(), PORT_LINKUP).is_some();
        // SPEED_UNKNOWN is -1.
        let speed =
            find(port.clone(), PORT_SPEED).and_then(u32).filter(|speed| linkup && ![0, u32::MAX].contains(speed));
        Some(Port { index: find(port, PORT_IFINDEX).and_then(u32)?, linkup, speed, enabled: false })
    })
}

/// Reads a message of the group: which team has changed. It has what was asked for as well, but
/// only the options that changed, so it is asked again.
fn told(payload: &[u8]) -> Told {
    match u8(payload) {
        Some(OPTIONS_GET | PORT_LIST_GET) => {
            find(attributes(payload), TEAM_IFINDEX).and_then(u32).map_or(Told::Unreadable, Told::Of)
        }
        Some(_) => Told::Else,
        None => Told::Unreadable,
    }
}

#[cfg(test)]
#[path = "team/tests.rs"]
pub(crate) mod tests;

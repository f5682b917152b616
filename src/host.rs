//! The host as a transaction meets it: eyes to look with, hands to act with.
//!
//! What they are (the kernel, or the simulated host) is chosen by `engine.rs` or a test.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use vdsm_configurators::iproute2::as_model;
use vdsm_configurators::resolver::HostResolver;
use vdsm_configurators::{Configurator, sim::Sim};
use vdsm_dhcp_client::foreign::{self, Serves};
use vdsm_model::dhcp::Foreign;
use vdsm_model::ethtool_options::{SeenSettings, Tuned};
use vdsm_model::ip::Route;
use vdsm_model::name::DeviceName;
use vdsm_model::netinfo::NetInfo;

use crate::netinfo::{Hold, Live, LookError};

/// Somebody who can say what the host looks like.
pub trait Eyes: Send + Sync {
    /// The host as it is now, with all that has happened before this call.
    fn look(&self) -> Result<NetInfo, LookError>;

    /// The host as far as it is known already; waits for nobody.
    fn glance(&self) -> Result<Arc<NetInfo>, LookError>;

    /// The host as `known`, with some devices looked at anew.
    fn look_at(&self, known: NetInfo, names: &[DeviceName]) -> Result<NetInfo, LookError>;

    /// Tells that so many devices are about to be changed, and will be looked at afterwards.
    fn hold(&self, _steps: usize) -> Option<Hold> {
        None
    }

    /// Everything looked at anew, whatever was thought to be known.
    fn look_hard(&self) -> Result<NetInfo, LookError> {
        self.look()
    }

    /// All routes through these devices, also where there are more than a look tells
    /// ([`SeenLink::many_routes`](vdsm_model::netinfo::SeenLink::many_routes)).
    fn all_routes(&self, names: &[DeviceName]) -> Result<Vec<(DeviceName, Vec<Route>)>, LookError>;

    /// What ethtool says of these groups of these nics; those that are gone are left out.
    fn settings(&self, tuned: &Tuned) -> Result<Vec<(DeviceName, SeenSettings)>, LookError>;

    /// Other people's DHCP clients that serve these devices. One that serves all there are is not
    /// among them: to end it would concern devices that are none of ours.
    fn foreign_clients(&self, names: &[DeviceName]) -> Result<Vec<(DeviceName, BTreeSet<Foreign>)>, LookError>;

    /// Waits until the host is as wished, but no longer than `within`; whether it came to that.
    fn wait_until(&self, within: Duration, is_so: &dyn Fn(&NetInfo) -> bool) -> bool;
}

impl Eyes for Arc<Live> {
    fn look(&self) -> Result<NetInfo, LookError> {
        Ok((*self.settled()?).clone())
    }

    fn glance(&self) -> Result<Arc<NetInfo>, LookError> {
        Ok(self.latest())
    }

    /// What is known anyway is not needed: the picture has it.
    fn look_at(&self, _: NetInfo, names: &[DeviceName]) -> Result<NetInfo, LookError> {
        Ok((*self.refreshed(&names.iter().copied().collect())?).clone())
    }

    fn look_hard(&self) -> Result<NetInfo, LookError> {
        Ok((*self.reread()?).clone())
    }

    fn hold(&self, steps: usize) -> Option<Hold> {
        Some(Live::hold(self, steps))
    }

    fn all_routes(&self, names: &[DeviceName]) -> Result<Vec<(DeviceName, Vec<Route>)>, LookError> {
        Live::all_routes(self, names)
    }

    fn settings(&self, tuned: &Tuned) -> Result<Vec<(DeviceName, SeenSettings)>, LookError> {
        Live::settings(self, tuned)
    }

    fn foreign_clients(&self, names: &[DeviceName]) -> Result<Vec<(DeviceName, BTreeSet<Foreign>)>, LookError> {
        let all = foreign::all().map_err(LookError::Processes)?;
        let serving = |name: &DeviceName| {
            let all = all.iter().filter(|it| it.serves != Serves::All && it.serves.has(*name));
            (*name, all.map(as_model).collect())
        };
        Ok(names.iter().map(serving).filter(|(_, found): &(_, BTreeSet<_>)| !found.is_empty()).collect())
    }

    fn wait_until(&self, within: Duration, is_so: &dyn Fn(&NetInfo) -> bool) -> bool {
        Live::wait_until(self, within, is_so)
    }
}

impl Eyes for Sim {
    fn look(&self) -> Result<NetInfo, LookError> {
        Ok(Sim::look(self))
    }

    fn glance(&self) -> Result<Arc<NetInfo>, LookError> {
        Ok(Arc::new(Sim::look(self)))
    }

    fn look_at(&self, known: NetInfo, names: &[DeviceName]) -> Result<NetInfo, LookError> {
        let now = Sim::look(self);
        let mut known = known;
        known.resolver = Arc::clone(&now.resolver);
        Ok(known.with(names.iter().map(|name| (*name, now.link(name).cloned()))).with_rules_of(&now))
    }

    /// It keeps them all.
    fn all_routes(&self, names: &[DeviceName]) -> Result<Vec<(DeviceName, Vec<Route>)>, LookError> {
        let now = Sim::look(self);
        Ok(names.iter().filter_map(|name| Some((*name, now.link(name)?.routes.clone()))).collect())
    }

    fn settings(&self, tuned: &Tuned) -> Result<Vec<(DeviceName, SeenSettings)>, LookError> {
        Ok(Sim::settings(self, tuned))
    }

    /// A look tells them.
    fn foreign_clients(&self, _: &[DeviceName]) -> Result<Vec<(DeviceName, BTreeSet<Foreign>)>, LookError> {
        Ok(Vec::new())
    }

    /// Nothing happens there by itself.
    fn wait_until(&self, _: Duration, is_so: &dyn Fn(&NetInfo) -> bool) -> bool {
        is_so(&Sim::look(self))
    }
}

/// Eyes that see the host's resolver, too, which the kernel does not know.
#[derive(Debug)]
pub struct WithResolver<E> {
    /// What they see besides.
    pub eyes: E,
    /// Where the resolver is.
    pub resolver: HostResolver,
}

impl<E> WithResolver<E> {
    fn add(&self, mut seen: NetInfo) -> NetInfo {
        seen.resolver = Arc::new(self.resolver.look(|index| seen.name_of(index)));
        seen
    }
}

impl<E: Eyes> Eyes for WithResolver<E> {
    fn look(&self) -> Result<NetInfo, LookError> {
        Ok(self.add(self.eyes.look()?))
    }

    fn glance(&self) -> Result<Arc<NetInfo>, LookError> {
        // A copy shares everything with its original.
        Ok(Arc::new(self.add((*self.eyes.glance()?).clone())))
    }

    fn look_at(&self, known: NetInfo, names: &[DeviceName]) -> Result<NetInfo, LookError> {
        Ok(self.add(self.eyes.look_at(known, names)?))
    }

    fn hold(&self, steps: usize) -> Option<Hold> {
        self.eyes.hold(steps)
    }

    fn look_hard(&self) -> Result<NetInfo, LookError> {
        Ok(self.add(self.eyes.look_hard()?))
    }

    fn all_routes(&self, names: &[DeviceName]) -> Result<Vec<(DeviceName, Vec<Route>)>, LookError> {
        self.eyes.all_routes(names)
    }

    fn settings(&self, tuned: &Tuned) -> Result<Vec<(DeviceName, SeenSettings)>, LookError> {
        self.eyes.settings(tuned)
    }

    fn foreign_clients(&self, names: &[DeviceName]) -> Result<Vec<(DeviceName, BTreeSet<Foreign>)>, LookError> {
        self.eyes.foreign_clients(names)
    }

    fn wait_until(&self, within: Duration, is_so: &dyn Fn(&NetInfo) -> bool) -> bool {
        self.eyes.wait_until(within, is_so)
    }
}

/// Both together.
pub struct Host {
    /// To look with.
    pub eyes: Box<dyn Eyes>,
    /// To act with.
    pub hands: Box<dyn Configurator>,
}

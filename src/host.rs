//! The host as a transaction meets it: eyes to look with, hands to act with.
//!
//! What they are (the kernel, or the simulated host) is chosen by `engine.rs` or a test.

use vdsm_configurators::{Configurator, sim::Sim};
use vdsm_model::name::DeviceName;
use vdsm_model::netinfo::NetInfo;

use crate::netinfo::{LookError, Reader};

/// Somebody who can say what the host looks like.
pub trait Eyes: Send {
    /// The whole host.
    fn look(&mut self) -> Result<NetInfo, LookError>;

    /// The host as `known`, with some devices looked at anew.
    fn look_at(&mut self, known: NetInfo, names: &[DeviceName]) -> Result<NetInfo, LookError>;
}

impl Eyes for Reader {
    fn look(&mut self) -> Result<NetInfo, LookError> {
        Reader::look(self)
    }

    fn look_at(&mut self, known: NetInfo, names: &[DeviceName]) -> Result<NetInfo, LookError> {
        Reader::look_at(self, &known, names)
    }
}

impl Eyes for Sim {
    fn look(&mut self) -> Result<NetInfo, LookError> {
        Ok(Sim::look(self))
    }

    fn look_at(&mut self, known: NetInfo, names: &[DeviceName]) -> Result<NetInfo, LookError> {
        let now = Sim::look(self);
        Ok(known.with(names.iter().map(|name| (*name, now.link(name).cloned()))))
    }
}

/// Both together.
pub struct Host {
    /// To look with.
    pub eyes: Box<dyn Eyes>,
    /// To act with.
    pub hands: Box<dyn Configurator>,
}

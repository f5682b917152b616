//! The host as it is: what the kernel's dumps and events say becomes a [`NetInfo`], again and again.
//!
//! `link.rs`, `details.rs`, `layer3.rs`, `rule.rs` and `shaping.rs` read bytes, `mirror.rs` makes one picture of
//! them, and all of these ask nobody. `reader.rs` asks the kernel, `live.rs` listens to it and keeps
//! the picture true. What a report to the engine shows of all this, and what the desired network
//! makes of it, is not decided here.
//!
//! [`NetInfo`]: vdsm_model::netinfo::NetInfo

mod ageing;
mod belongings;
mod counters;
mod details;
mod dump;
mod estate;
mod layer3;
mod link;
mod live;
mod mirror;
mod news;
mod reader;
mod rule;
mod shaping;
mod teams;

#[cfg(test)]
mod beside_ip;
#[cfg(test)]
mod fuzzed;
#[cfg(test)]
mod kernel_tests;
#[cfg(test)]
mod live_tests;
#[cfg(test)]
mod messages;

pub use counters::{CounterReader, Counters, CountersError};
pub use live::{Hold, Live, Watching};
pub use news::Moment;
pub use reader::{LookError, Reader};

use crate::conf::Settings;

/// Which links networks may use as nics; `vdsm.conf` knows.
///
/// A nic is Ethernet hardware, or any other link that is [let in] although no
/// hardware is behind it, unless it is [hidden]. Bonds, VLANs and bridges are
/// none, whatever they are called.
///
/// [let in]: NicRule::is_fake
/// [hidden]: NicRule::is_hidden
pub trait NicRule: Send + Sync {
    /// Whether a link without hardware (dummy, veth, macvlan ..) of this name
    /// stands in for a nic: `fake_nics`.
    fn is_fake(&self, name: &str) -> bool;
    /// Whether a nic of this name is none of our business: `hidden_nics`.
    fn is_hidden(&self, name: &str) -> bool;
}

impl NicRule for Settings {
    fn is_fake(&self, name: &str) -> bool {
        self.fake_nics.matches(name)
    }

    fn is_hidden(&self, name: &str) -> bool {
        self.hidden_nics.matches(name)
    }
}

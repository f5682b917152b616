//! How acting on the host fails.
//!
//! What is done about it is the transaction's business.

use vdsm_model::name::DeviceName;

/// A step that could not be done. Steps before it are done, but for links that were to go together
/// with its own; steps after it may be done in part: whoever goes on from here looks at the host
/// first.
#[derive(Debug, thiserror::Error)]
#[error("step {} ({step}), by '{command}'", .index + 1)]
pub struct ApplyError {
    /// Which step of the plan, from 0.
    pub index: usize,
    /// The step in words.
    pub step: String,
    /// The device it was about; none where it was about the host.
    pub device: Option<DeviceName>,
    /// The command that would do the same by hand.
    pub command: String,
    /// What the host said.
    #[source]
    pub source: RunError,
}

/// Why one action failed.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The kernel said no.
    #[error("the kernel refused it")]
    Kernel(#[from] vdsm_netlink::KernelError),
    /// The kernel said nothing, or nothing of use.
    #[error("no answer from the kernel")]
    Wire(#[from] vdsm_netlink::WireError),
    /// The ethtool family said nothing, or nothing of use.
    #[error("no answer from the kernel's ethtool")]
    Ethtool(#[source] vdsm_netlink::generic::GenericError),
    /// A device that is gone, or never was.
    #[error("there is no device {0}")]
    NoDevice(DeviceName),
    /// A sysctl that could not be written.
    #[error("cannot write {path}")]
    Sysctl {
        /// Its file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The DHCP clients cannot be reached.
    #[error("the DHCP client")]
    Dhcp(#[from] vdsm_dhcp_client::ClientsError),
    /// Somebody else's DHCP client.
    #[error("somebody else's DHCP client")]
    Foreign(#[from] vdsm_dhcp_client::foreign::ForeignError),
    /// Processes could not be looked at.
    #[error("cannot look for DHCP clients")]
    Processes {
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Whoever made this configurator gave it no DHCP clients.
    #[error("there are no DHCP clients here")]
    NoDhcp,
    /// The host's resolver.
    #[error(transparent)]
    Resolver(#[from] crate::resolver::ResolverError),
    /// Something that no message can say.
    #[error("{0}")]
    Unspeakable(String),
    /// The simulated host said no, as the kernel would.
    #[error("{0}")]
    Simulated(String),
    /// A fault put in by a test.
    #[error("a fault was injected here")]
    Injected,
}

impl RunError {
    /// Whether somebody else made a device while we did: planning anew gets around that.
    pub fn is_collision(&self) -> bool {
        matches!(self, RunError::Kernel(error) if [libc::EEXIST, libc::EBUSY].contains(&error.errno))
    }
}

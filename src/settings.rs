//! Second looks: what a look at the host leaves out, and some requests need.
//!
//! Settings of nics are read by a message for each nic and group, so only those that a request or
//! the configuration names are asked for, and only by those who judge them. Other people's DHCP clients
//! are looked for among all processes, before something is changed and when that is verified.

use std::sync::Arc;

use vdsm_model::config::{NetConfig, Policy};
use vdsm_model::dhcp::SeenClients;
use vdsm_model::ethtool_options::Tuned;
use vdsm_model::graph::{Desired, Scope, tuned};
use vdsm_model::netinfo::{NetInfo, SeenLink};
use vdsm_model::request::Request;

use crate::check::Selection;
use crate::host::Eyes;
use crate::netinfo::LookError;
use crate::transaction::SetupError;

/// Judges a request, with what the nics say of the settings that it names.
///
/// # Errors
/// [`SetupError::Refused`] and [`SetupError::Blind`].
pub fn judged(
    eyes: &dyn Eyes,
    running: &NetConfig,
    request: &Request,
    seen: NetInfo,
    policy: &Policy,
) -> Result<(NetInfo, Desired), SetupError> {
    let desired = Desired::build(running, request, &seen, policy).map_err(SetupError::Refused)?;
    if is_known(&seen, &desired.tuned) {
        return Ok((seen, desired));
    }
    let seen = with_settings(eyes, seen, &desired.tuned).map_err(SetupError::Blind)?;
    let desired = Desired::build(running, request, &seen, policy).map_err(SetupError::Refused)?;
    Ok((seen, desired))
}

fn is_known(seen: &NetInfo, tuned: &Tuned) -> bool {
    tuned.iter().all(|(nic, groups)| {
        let known = seen.link(nic).and_then(|link| link.settings.as_ref());
        known.is_some_and(|known| groups.is_subset(&known.asked))
    })
}

/// The host with these settings of these nics.
///
/// # Errors
/// When there is no way to ask.
pub fn with_settings(eyes: &dyn Eyes, seen: NetInfo, tuned: &Tuned) -> Result<NetInfo, LookError> {
    if tuned.is_empty() {
        return Ok(seen);
    }
    let found = eyes.settings(tuned)?;
    let fresh: Vec<_> = found
        .into_iter()
        .filter_map(|(nic, settings)| {
            Some((nic, Some(SeenLink { settings: Some(Arc::new(settings)), ..seen.link(&nic)?.clone() })))
        })
        .collect();
    Ok(seen.with(fresh))
}

/// The host with what must be known to hold the configuration, or some of it, against it.
///
/// # Errors
/// When there is no way to ask.
pub fn with_all_settings(
    eyes: &dyn Eyes,
    seen: NetInfo,
    running: &NetConfig,
    only: Option<&Selection>,
) -> Result<NetInfo, LookError> {
    let tuned = tuned(running, only.map(|only| (&only.networks, &only.bonds)), &seen);
    with_settings(eyes, seen, &tuned)
}

/// The host with other people's DHCP clients on these devices.
///
/// # Errors
/// When processes cannot be looked at.
pub fn with_foreign_clients(eyes: &dyn Eyes, seen: NetInfo, scope: &Scope) -> Result<NetInfo, LookError> {
    let found = eyes.foreign_clients(&scope.devices().copied().collect::<Vec<_>>())?;
    let fresh: Vec<_> = found
        .into_iter()
        .filter_map(|(name, foreign)| {
            let link = seen.link(&name)?;
            let dhcp = Arc::new(SeenClients { foreign, ..(*link.dhcp).clone() });
            Some((name, Some(SeenLink { dhcp, ..link.clone() })))
        })
        .collect();
    Ok(seen.with(fresh))
}

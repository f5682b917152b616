//! DHCPv6 (RFC 8415) over mozim: one non-temporary address.
//!
//! mozim does not hear a refusal ("NoBinding") and waits on. So a Renew for a lease from before (another
//! process, a carrier that was lost) that is not granted soon is followed by a Solicit, which a server
//! that knows us answers with the same address. The old address stays until there is a new one, or it
//! is over. A lease of ours is renewed until T2 and then asked of any server, as the RFC wants it.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use mozim::{
    DhcpV6Client, DhcpV6Config, DhcpV6Duid, DhcpV6DuidUuid, DhcpV6IaType, DhcpV6Lease, DhcpV6Mode, DhcpV6State,
};
use tokio::time::timeout;

use crate::client::{Client, Trouble};
use crate::devices::Device;
use crate::files::Mac;
use crate::types::{Lease, now};

/// One second until mozim renews, and a few for an answer.
const VERIFY_PATIENCE: Duration = Duration::from_secs(4);
/// mozim's pauses between two Solicits grow to an hour; begun anew they stay below about a minute.
const SOLICIT_PATIENCE: Duration = Duration::from_secs(120);
/// How long any server may take to answer a Rebind.
const REBIND_PATIENCE: Duration = Duration::from_secs(15);
/// Looking for duplicates of the link-local address takes 1 to 2 s.
const LINK_LOCAL_PATIENCE: Duration = Duration::from_secs(10);
/// OPTION_SERVERID of RFC 8415, section 21.3.
const SERVER_ID: u16 = 2;

/// Speaks until something keeps us from it. When the link-local address comes, the device has changed
/// and this is called anew.
pub(crate) async fn serve(client: &Client, device: &Device, mac: Mac) -> Trouble {
    let Some(source) = device.link_local else {
        tokio::time::sleep(LINK_LOCAL_PATIENCE).await;
        return Trouble::NoLinkLocal;
    };
    let Err(trouble) = converse(client, device, mac, source).await;
    trouble
}

async fn converse(client: &Client, device: &Device, mac: Mac, source: Ipv6Addr) -> Result<Infallible, Trouble> {
    let mut known = client.held().map(|held| held.lease).or_else(|| client.stored(mac));
    loop {
        let lease = known.take().filter(|lease| !lease.is_over());
        let iaid = lease.as_ref().map_or_else(|| client.host.board.iaid(client.wanted.key(), mac), |it| it.iaid);
        let mut session = DhcpV6Client::init(config(client, device.index, iaid, source), None).await?;
        let granted = match lease {
            Some(lease) => confirmed(&mut session, &lease).await?,
            None => tokio::select! {
                granted = timeout(SOLICIT_PATIENCE, granted(&mut session)) => match granted {
                    Ok(granted) => Some(granted?),
                    Err(_) => None,
                },
                () = client.expiry() => { client.give_up(); None }
            },
        };
        let Some(granted) = granted else { continue };
        client.bind(device, mac, from_mozim(&granted))?;
        while let Some(granted) = renewed(&mut session).await? {
            client.bind(device, mac, from_mozim(&granted))?;
        }
    }
}

pub(crate) fn config(client: &Client, index: u32, iaid: u32, source: Ipv6Addr) -> DhcpV6Config {
    let mut config = DhcpV6Config::new(client.wanted.device.as_str(), DhcpV6Mode::NonTemporaryAddresses);
    config
        .set_iface_index(index)
        .set_link_local_ip(source)
        .set_iaid(iaid)
        .set_duid(DhcpV6Duid::UUID(DhcpV6DuidUuid::new(client.host.duid)));
    config
}

/// Asks until somebody grants something.
async fn granted(session: &mut DhcpV6Client) -> Result<Box<DhcpV6Lease>, Trouble> {
    loop {
        if let DhcpV6State::Done(lease) = session.run().await? {
            return Ok(lease);
        }
    }
}

/// Asks the server of a lease whether it still stands.
async fn confirmed(session: &mut DhcpV6Client, lease: &Lease) -> Result<Option<Box<DhcpV6Lease>>, Trouble> {
    // A lease whose timers make no sense is asked for anew.
    if session.done(to_mozim(lease)).is_err() {
        return Ok(None);
    }
    let asked = async {
        session.run().await?;
        session.run().await
    };
    Ok(match timeout(VERIFY_PATIENCE, asked).await {
        Ok(Ok(DhcpV6State::Done(lease))) => Some(lease),
        _ => None,
    })
}

/// Waits until it is time, and renews or rebinds; nothing if nobody answered.
async fn renewed(session: &mut DhcpV6Client) -> Result<Option<Box<DhcpV6Lease>>, Trouble> {
    let mut rebinds = false;
    loop {
        let state = match rebinds {
            false => session.run().await?,
            true => match timeout(REBIND_PATIENCE, session.run()).await {
                Ok(state) => state?,
                Err(_) => return Ok(None),
            },
        };
        match state {
            DhcpV6State::Done(lease) => return Ok(Some(lease)),
            DhcpV6State::Rebind => rebinds = true,
            DhcpV6State::Renew => {}
            _ => return Ok(None),
        }
    }
}

/// For a Renew in one second, which is the soonest there is.
pub(crate) fn to_mozim(lease: &Lease) -> DhcpV6Lease {
    let mut given = DhcpV6Lease::default();
    if let IpAddr::V6(address) = lease.address {
        given.address = address;
    }
    given.ia_type = Some(DhcpV6IaType::NonTemporaryAddresses);
    given.iaid = lease.iaid;
    given.srv_duid = DhcpV6Duid::Raw(lease.server_duid.clone());
    given.valid_time_sec = lease.left_of(lease.valid);
    given.preferred_time_sec = lease.left_of(lease.preferred).min(given.valid_time_sec);
    given.t2_sec = lease.left_of(lease.t2).clamp(1, given.valid_time_sec.max(1));
    given.t1_sec = 1;
    given
}

fn from_mozim(granted: &DhcpV6Lease) -> Lease {
    Lease {
        nameservers: granted.dns_srvs.iter().map(|server| IpAddr::V6(*server)).collect(),
        search: granted.domain_list.clone(),
        valid: granted.valid_time_sec,
        preferred: granted.preferred_time_sec,
        t1: granted.t1_sec,
        t2: granted.t2_sec,
        obtained: now(),
        server_duid: server_duid(granted),
        iaid: granted.iaid,
        ..Lease::of(granted.address.into(), 128)
    }
}

/// mozim gives the option whole, with its code and length, whatever its documentation says.
fn server_duid(granted: &DhcpV6Lease) -> Vec<u8> {
    let all = granted.get_option_raw(SERVER_ID).unwrap_or_default();
    let Some(option) = all.first() else { return Vec::new() };
    let length = (option.len() as u16).wrapping_sub(4).to_be_bytes();
    let header = [SERVER_ID.to_be_bytes(), length].concat();
    option.strip_prefix(&header[..]).unwrap_or(option).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stored_lease_is_one_that_mozim_renews() {
        let address: Ipv6Addr = "fd77::5".parse().unwrap();
        let lease = Lease { server_duid: vec![0, 4, 1, 2], iaid: 9, ..Lease::of(address.into(), 128) };
        let given = to_mozim(&lease);
        assert_eq!((given.address, given.iaid, given.t1_sec), (address, 9, 1));
        let mut config = DhcpV6Config::new("eth0", DhcpV6Mode::NonTemporaryAddresses);
        config.set_iface_index(1).set_link_local_ip(address);
        let mut session = DhcpV6Client::init(config, None).await.unwrap();
        session.done(given).unwrap();
    }
}

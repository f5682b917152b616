//! DHCP (RFC 2131) over mozim.
//!
//! Taken from mozim: INIT, SELECTING, RENEWING and INIT-REBOOT. Its RENEWING and REBINDING do not hear
//! a DHCPNAK, so a renewal without an answer is followed at once by INIT-REBOOT, which does: a
//! broadcast that any server may answer, and that is our REBINDING too. The address stays meanwhile.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use mozim::{DhcpV4ClasslessRoute, DhcpV4Client, DhcpV4Config, DhcpV4Lease, DhcpV4State};
use tokio::time::timeout;

use crate::client::{Client, Trouble};
use crate::devices::Device;
use crate::files::Mac;
use crate::types::{Lease, StaticRoute, now};

/// A server that is there answers a renewal in milliseconds.
const RENEW_PATIENCE: Duration = Duration::from_secs(3);
/// Time for two DHCPREQUESTs of INIT-REBOOT, sent 3 to 5 s apart. mozim itself gives up after four of
/// them, 56 s at the earliest: what ends sooner without an ACK was a NAK.
const VERIFY_PATIENCE: Duration = Duration::from_secs(9);
/// mozim would repeat the DHCPREQUEST for ever to a server that offered and then refuses.
const SELECT_PATIENCE: Duration = Duration::from_secs(10);
/// Between two attempts to have a lease confirmed: half of what is left of it, within this.
const PAUSE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(300));

/// How a server stands to a lease that it was asked to confirm.
enum Verdict {
    Granted(Box<DhcpV4Lease>),
    Refused,
    Silence,
}

/// Speaks until something keeps us from it.
pub(crate) async fn serve(client: &Client, device: &Device, mac: Mac) -> Trouble {
    let Err(trouble) = converse(client, device, mac).await;
    trouble
}

async fn converse(client: &Client, device: &Device, mac: Mac) -> Result<std::convert::Infallible, Trouble> {
    loop {
        let known = client.held().map(|held| held.lease).or_else(|| client.stored(mac)).filter(|it| !it.is_over());
        let config = config(client, device.index, mac)?;
        let (mut session, granted) = match known {
            None => {
                let mut session = DhcpV4Client::init(config, None).await?;
                tokio::select! {
                    granted = acquire(&mut session) => match granted? {
                        Some(granted) => (session, granted),
                        None => continue,
                    },
                    () = client.expiry() => { client.give_up(); continue }
                }
            }
            Some(lease) => {
                let mut session = DhcpV4Client::init(config, Some(to_mozim(&lease))).await?;
                let verdict = tokio::select! {
                    verdict = verify(&mut session) => verdict?,
                    () = client.expiry() => { client.give_up(); continue }
                };
                match verdict {
                    Verdict::Granted(granted) => (session, granted),
                    Verdict::Refused => {
                        client.refused(mac);
                        continue;
                    }
                    Verdict::Silence if lease.is_over() => continue,
                    Verdict::Silence => {
                        // RFC 2131, section 3.2: it may be used until it is over.
                        client.bind(device, mac, lease.clone())?;
                        drop(session);
                        let pause = (lease.left() / 2).clamp(PAUSE.0, PAUSE.1);
                        tokio::select! {
                            () = tokio::time::sleep(pause) => {}
                            () = client.expiry() => client.give_up(),
                        }
                        continue;
                    }
                }
            }
        };
        client.bind(device, mac, from_mozim(&granted))?;
        while let Some(granted) = renewed(&mut session).await? {
            client.bind(device, mac, from_mozim(&granted))?;
        }
    }
}

pub(crate) fn config(client: &Client, index: u32, mac: Mac) -> Result<DhcpV4Config, Trouble> {
    let mut config = DhcpV4Config::new(client.wanted.device.as_str());
    config.set_iface_index(index).set_iface_mac_raw(&mac)?.use_mac_as_client_id();
    if let Some(hostname) = &client.wanted.hostname {
        config.set_host_name(hostname);
    }
    Ok(config)
}

/// Asks until somebody grants something; nothing if who offered did not keep to it.
async fn acquire(session: &mut DhcpV4Client) -> Result<Option<Box<DhcpV4Lease>>, Trouble> {
    let mut offered = false;
    loop {
        let state = match offered {
            false => session.run().await?,
            true => match timeout(SELECT_PATIENCE, session.run()).await {
                Ok(state) => state?,
                Err(_) => return Ok(None),
            },
        };
        match state {
            DhcpV4State::Done(lease) => return Ok(Some(lease)),
            state => offered = state == DhcpV4State::Selecting,
        }
    }
}

async fn verify(session: &mut DhcpV4Client) -> Result<Verdict, Trouble> {
    Ok(match timeout(VERIFY_PATIENCE, session.run()).await {
        Err(_) => Verdict::Silence,
        Ok(state) => match state? {
            DhcpV4State::Done(lease) => Verdict::Granted(lease),
            _ => Verdict::Refused,
        },
    })
}

/// Waits until it is time and renews; nothing if there was no answer.
async fn renewed(session: &mut DhcpV4Client) -> Result<Option<Box<DhcpV4Lease>>, Trouble> {
    session.run().await?;
    Ok(match timeout(RENEW_PATIENCE, session.run()).await {
        Ok(Ok(DhcpV4State::Done(lease))) => Some(lease),
        // An address that somebody removed cannot be sent from; INIT-REBOOT needs none.
        _ => None,
    })
}

pub(crate) fn to_mozim(lease: &Lease) -> DhcpV4Lease {
    let mut given = DhcpV4Lease::default();
    if let IpAddr::V4(address) = lease.address {
        given.yiaddr = address;
    }
    given.srv_id = lease.server.unwrap_or(Ipv4Addr::UNSPECIFIED);
    given.siaddr = given.srv_id;
    given.subnet_mask = mask(lease.prefix);
    (given.t1_sec, given.t2_sec, given.lease_time_sec) = (lease.t1, lease.t2, lease.valid);
    given
}

fn mask(prefix: u8) -> Ipv4Addr {
    u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0).into()
}

fn from_mozim(granted: &DhcpV4Lease) -> Lease {
    let (gateway, routes) = routes(granted);
    let prefix = match granted.prefix_length() {
        // A server that sends no mask means the address' class, as routers did before CIDR.
        0 => match granted.yiaddr.octets()[0] {
            0..=127 => 8,
            128..=191 => 16,
            _ => 24,
        },
        length => length,
    };
    Lease {
        prefix,
        server: Some(granted.srv_id).filter(|server| !server.is_unspecified()),
        gateway,
        routes,
        nameservers: granted.dns_srvs.iter().flatten().map(|server| IpAddr::V4(*server)).collect(),
        domain: granted.domain_name.clone().filter(|name| !name.is_empty()),
        search: granted.domain_search.clone().unwrap_or_default(),
        mtu: granted.mtu,
        valid: granted.lease_time_sec,
        preferred: granted.lease_time_sec,
        t1: granted.t1_sec,
        t2: granted.t2_sec,
        obtained: now(),
        ..Lease::of(granted.yiaddr.into(), prefix)
    }
}

/// RFC 3442: where there is option 121, option 3 is not heeded.
fn routes(granted: &DhcpV4Lease) -> (Option<Ipv4Addr>, Vec<StaticRoute>) {
    let Some(routes) = &granted.classless_routes else {
        return (granted.gateways.as_ref().and_then(|all| all.first().copied()), Vec::new());
    };
    let is_default = |route: &&DhcpV4ClasslessRoute| route.prefix_length == 0;
    let gateway = routes.iter().find(is_default).map(|route| route.router);
    let others = routes.iter().filter(|route| !is_default(route) && route.prefix_length <= 32);
    let others = others.map(|route| StaticRoute {
        // Bits beyond the prefix are to be ignored.
        destination: (u32::from(route.destination) & u32::from(mask(route.prefix_length))).into(),
        prefix: route.prefix_length,
        gateway: route.router,
    });
    (gateway, others.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(destination: [u8; 4], prefix_length: u8, router: [u8; 4]) -> DhcpV4ClasslessRoute {
        DhcpV4ClasslessRoute { destination: destination.into(), prefix_length, router: router.into() }
    }

    #[test]
    fn option_121_takes_the_place_of_option_3() {
        let mut granted = DhcpV4Lease::default();
        granted.gateways = Some(vec![[10, 0, 0, 1].into(), [10, 0, 0, 2].into()]);
        assert_eq!(routes(&granted), (Some([10, 0, 0, 1].into()), vec![]));
        granted.classless_routes = Some(vec![route([10, 9, 9, 9], 16, [10, 0, 0, 3])]);
        let to = StaticRoute { destination: [10, 9, 0, 0].into(), prefix: 16, gateway: [10, 0, 0, 3].into() };
        assert_eq!(routes(&granted), (None, vec![to]));
        granted.classless_routes = Some(vec![route([0; 4], 0, [10, 0, 0, 4]), route([10, 9, 0, 0], 16, [10, 0, 0, 3])]);
        assert_eq!(routes(&granted), (Some([10, 0, 0, 4].into()), vec![to]));
    }

    #[test]
    fn a_lease_that_was_stored_is_asked_for_again() {
        let lease = Lease { server: Some([10, 0, 0, 1].into()), ..Lease::of([10, 0, 0, 7].into(), 25) };
        let given = to_mozim(&lease);
        assert_eq!(given.subnet_mask, Ipv4Addr::new(255, 255, 255, 128));
        assert_eq!(Lease { obtained: lease.obtained, ..from_mozim(&given) }, lease);
    }

    #[test]
    fn without_a_mask_the_class_tells_the_prefix() {
        let mut granted = DhcpV4Lease::default();
        for (first, prefix) in [(10, 8), (172, 16), (192, 24)] {
            granted.yiaddr = [first, 1, 2, 3].into();
            assert_eq!(from_mozim(&granted).prefix, prefix);
        }
    }
}

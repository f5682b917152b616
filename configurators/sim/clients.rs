//! DHCP on the simulated host: a client has what a server has for it, at once or never.

use vdsm_dhcp_client::Family;
use vdsm_model::dhcp::{Lease, SeenClient};
use vdsm_model::ip::{Address, More};
use vdsm_model::name::DeviceName;

use super::{Host, Link};
use crate::iproute2::ClientChange;

impl Link {
    fn client(&mut self, family: Family) -> &mut Option<SeenClient> {
        match family {
            Family::V4 => &mut self.clients.v4,
            Family::V6 => &mut self.clients.v6,
        }
    }
}

impl Host {
    pub(super) fn change_clients(&mut self, device: DeviceName, change: &ClientChange) -> Result<(), String> {
        let link = self.links.get_mut(&device).ok_or_else(|| format!("no device {device}"))?;
        match change {
            ClientChange::Start(family) => {
                link.client(*family).get_or_insert_default();
                self.bind(device, *family);
            }
            ClientChange::Stop(family) => {
                let lease = link.client(*family).take().and_then(|client| client.lease);
                if let Some(lease) = lease {
                    self.drop_leased(device, &lease);
                }
            }
            ClientChange::End(foreign) => drop(link.clients.foreign.remove(foreign)),
            ClientChange::Restart(foreign) => drop(link.clients.foreign.insert(foreign.clone())),
        }
        Ok(())
    }

    pub(super) fn offer(&mut self, device: DeviceName, family: Family, lease: Option<Lease>) {
        match lease {
            Some(lease) => drop(self.offers.insert((device, family), lease)),
            None => drop(self.offers.remove(&(device, family))),
        }
        self.bind(device, family);
    }

    /// A client that runs has what is offered, and nothing else.
    fn bind(&mut self, device: DeviceName, family: Family) {
        let offer = self.offers.get(&(device, family)).cloned();
        let Some(client) = self.links.get_mut(&device).and_then(|link| link.client(family).as_mut()) else { return };
        let former = std::mem::replace(&mut client.lease, offer.clone());
        if let Some(former) = former.filter(|it| Some(it.address) != offer.as_ref().map(|it| it.address)) {
            self.drop_leased(device, &former);
        }
        if let (Some(lease), Some(link)) = (offer, self.links.get_mut(&device)) {
            let more = More { lifetime: Some((3600, 3600)), ..More::default() };
            let address = Address { more, ..Address::new(lease.address.addr, lease.address.prefix) };
            if !link.addresses.contains(&address) {
                link.addresses.push(address);
            }
        }
    }

    fn drop_leased(&mut self, device: DeviceName, lease: &Lease) {
        self.del_address(device, Address::new(lease.address.addr, lease.address.prefix));
    }
}

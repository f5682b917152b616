//! The resolver of a host in memory: it becomes what it is told, if it is somebody's to tell.

use std::collections::BTreeMap;
use std::sync::Arc;

use vdsm_model::resolver::{Manager, Resolver};

use super::Host;

impl Host {
    pub(super) fn set_resolver(&mut self, to: &Resolver) -> Result<(), String> {
        let manager = match (&self.resolver.manager, &to.manager) {
            (Manager::File { .. }, Manager::File { .. }) => to.manager.clone(),
            (Manager::Resolved { links, global }, Manager::Resolved { links: told, .. }) => {
                if let Some(unknown) =
                    told.iter().find(|(name, dns)| !dns.servers.is_empty() && !self.links.contains_key(*name))
                {
                    return Err(format!("Link {} not known", unknown.0));
                }
                let all: BTreeMap<_, _> = links.iter().chain(told).map(|(name, dns)| (*name, dns.clone())).collect();
                let links = all.into_iter().filter(|(_, dns)| !dns.servers.is_empty()).collect();
                Manager::Resolved { links, global: global.clone() }
            }
            _ => return Err("the resolver is somebody else's".into()),
        };
        self.resolver = Arc::new(Resolver { manager, kept: to.kept.clone() });
        Ok(())
    }

    /// systemd-resolved forgets a link that is gone.
    pub(super) fn forget_resolver_of_lost_links(&mut self) {
        let mut resolver = Resolver::clone(&self.resolver);
        if let Manager::Resolved { links, .. } = &mut resolver.manager {
            links.retain(|name, _| self.links.contains_key(name));
            self.resolver = Arc::new(resolver);
        }
    }
}

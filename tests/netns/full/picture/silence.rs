//! What the kernel tells nobody, so that no picture of events can have it.

use vdsm_model::bond_options::find;
use vdsm_model::bridge_options::default_of;

use super::facts::{Facts, TREE};

/// Takes out of both what is not told.
pub fn hush(ours: &mut Facts, theirs: &mut Facts) {
    let known = ours.keys().chain(theirs.keys());
    let silent: Vec<_> = known.filter(|(name, property)| is_silent(theirs, name, property)).cloned().collect();
    for key in silent {
        ours.remove(&key);
        theirs.remove(&key);
    }
}

fn is_silent(facts: &Facts, name: &str, property: &str) -> bool {
    let is =
        |property: &str, value: &str| facts.get(&(name.to_owned(), property.to_owned())).is_some_and(|it| it == value);
    match property {
        // drivers/net/tun.c, __tun_chr_ioctl: set after the link has been told of.
        "persist" | "owner" => true,
        // net/core/dev.c, netdev_state_change: of what is down nobody is told.
        "group" | "macvlan mode" => is("up", "false"),
        // drivers/net/bonding/bond_options.c, bond_option_queue_id_set: the bond is told of, not its slave.
        "queue" => true,
        // No event tells of these sysctls; one about something else may bring them.
        "accept_ra" | "autoconf" | "accept_ra_defrtr" => true,
        // net/ipv6/addrconf.c, dev_disable_change: what is told is that a link-local address came or
        // went, and those have only links that run, and no slave.
        "disable_ipv6" => is("running", "false") || is("port of", "bond"),
        // net/core/rtnetlink.c, do_setlink: netdev_state_change once more.
        _ if find(property).is_some() => is("kind", "bond") && is("up", "false"),
        _ if TREE.contains(&property) || default_of(property).is_some() => is("kind", "bridge") && is("up", "false"),
        _ => false,
    }
}

//! Stories with bonds and VLANs, for a kernel that has every kind of link.

mod bond_options;
mod bonds;
mod caps;
mod clock;
mod commands;
mod ethtool;
mod leases;
mod mtu;
mod picture;
mod probes;
mod qos;
mod reactions;
mod restore;
mod rollback;
mod slaves;
mod strangers;
mod vlans;

#[test]
fn the_laws_hold_for_everything() {
    crate::walk::everything(0);
}

#[test]
fn the_laws_hold_for_everything_else() {
    crate::walk::everything(1);
}

#[test]
fn from_every_single_action_it_finds_back() {
    crate::walk::every_action(0);
}

#[test]
fn from_every_single_other_action_it_finds_back() {
    crate::walk::every_action(1);
}

const EVERYTHING: crate::common::random::Kinds = crate::common::random::Kinds { bonds: true, vlans: true };

#[test]
fn whoever_dies_anywhere_everything_is_as_before_or_as_wished() {
    crate::interrupted::die_everywhere(42, 3, "dummy", EVERYTHING);
}

#[test]
fn whoever_else_dies_anywhere_everything_is_as_before_or_as_wished() {
    crate::interrupted::die_everywhere(43, 3, "dummy", EVERYTHING);
}

#[test]
fn whatever_others_do_in_the_middle_everything_is_as_before_or_as_wished() {
    crate::walk::meddling(60..61, 3, 3, "dummy", EVERYTHING);
}

#[test]
fn whatever_vanishes_the_rest_is_as_before_or_as_wished() {
    crate::walk::vanishing(30_000..30_002, 4, 3, "dummy", EVERYTHING);
}

//! Stories with bridges and veth alone: every kernel bears them.

mod addresses;
mod basic;
mod beyond;
mod bridge;
mod daemon;
mod dhcp;
mod drift;
pub mod ethtool;
mod events;
mod history;
mod hooks;
mod killed;
mod late;
mod load;
mod nameservers;
mod probes;
mod refusals;
mod resolved;
mod restore;
mod rivals;
mod rollback;
mod storms;
mod strangers;
pub mod tool;
mod watching;

#[test]
fn the_laws_hold_for_bridges() {
    crate::walk::bridges();
}

#[test]
fn whoever_dies_anywhere_bridges_are_as_before_or_as_wished() {
    let kinds = crate::common::random::Kinds { bonds: false, vlans: false };
    crate::interrupted::die_everywhere(41, 3, "veth", kinds);
}

#[test]
fn whatever_vanishes_bridges_are_as_before_or_as_wished() {
    let kinds = crate::common::random::Kinds { bonds: false, vlans: false };
    crate::walk::vanishing(0..2, 3, 2, "veth", kinds);
}

#[test]
fn whatever_others_do_in_the_middle_bridges_are_as_before_or_as_wished() {
    let kinds = crate::common::random::Kinds { bonds: false, vlans: false };
    crate::walk::meddling(50..51, 3, 2, "veth", kinds);
}

#[test]
fn a_plan_asks_the_kernel_nothing_and_a_change_is_verified_by_one_look() {
    crate::walk::questions("veth", crate::common::random::Kinds { bonds: false, vlans: false });
}

//! How nics and bonds share what they send, as the kernel has it and in the engine's numbers.
//!
//! Zeros that nobody wrote are told as `tc` tells them, and with the default class that of an
//! untagged network which asked for nothing.

use vdsm_model::netinfo::SeenLink;
use vdsm_model::qos::{Curves, tag_of};
use vdsm_model::request::qos::spelled;
use vdsm_model::units::VlanTag;

use super::json::Object;

/// `hostQos` of one class.
pub(super) fn tell(curves: &Curves, keys: &mut Object<'_>) {
    keys.object("hostQos", |keys| {
        keys.object("out", |keys| {
            for (name, curve) in curves.named() {
                if let Some(curve) = curve {
                    keys.object(name, |keys| spelled(name, curve).iter().for_each(|(key, n)| keys.number(key, *n)));
                }
            }
        });
    });
}

/// `qos` of a nic or bond: all its classes, that of untagged frames first, whose `vlan` is -1.
pub(super) fn tell_all(link: &SeenLink, keys: &mut Object<'_>) {
    let Some(shaper) = &link.shaper else { return };
    let mut classes: Vec<(Option<VlanTag>, &Curves)> =
        shaper.classes.iter().filter_map(|(number, class)| Some((tag_of(*number)?, &class.curves))).collect();
    classes.sort_by_key(|(tag, _)| *tag);
    keys.objects("qos", classes, |(tag, curves), keys| {
        tell(curves, keys);
        keys.integer("vlan", tag.map_or(-1, |tag| tag.get().into()));
    });
}

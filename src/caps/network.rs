//! What a network of the running configuration tells.

use serde_json::{Map, Value};
use vdsm_model::config::{NetworkConfig, Switch};
use vdsm_model::name::NetworkName;
use vdsm_model::netinfo::{SeenKind, SeenLink};

use super::host::Host;
use super::json::Object;
use super::part::{Bridge, Part, word};

/// A network whose device exists.
pub(super) struct Network<'a> {
    /// The device with the addresses: the bridge, or what the network stands on.
    top: &'a SeenLink,
    bridge: Option<Bridge<'a>>,
    /// What carries its traffic to the wire: a VLAN, a bond or a nic.
    southbound: Option<&'a SeenLink>,
    switch: Switch,
    qos: &'a Map<String, Value>,
}

impl<'a> Network<'a> {
    /// None when its device is missing.
    pub(super) fn of(host: &Host<'a>, name: &NetworkName, config: &'a NetworkConfig) -> Option<Network<'a>> {
        let below = config.base.and_then(|base| match config.vlan {
            Some(tag) => host.vlan(base.device(), tag),
            None => host.link(&base.device()),
        });
        let (switch, qos) = (config.switch, &config.qos);
        if !config.bridged {
            return below.map(|top| Network { top, bridge: None, southbound: below, switch, qos });
        }
        let bridge = Bridge::of(host.link(&name.bridge().ok()?)?)?;
        let southbound = southbound(host, bridge.link, below);
        Some(Network { top: bridge.link, bridge: Some(bridge), southbound, switch, qos })
    }
}

impl Part for Network<'_> {
    fn device(&self) -> &SeenLink {
        self.top
    }

    fn own(&self, host: &Host<'_>, keys: &mut Object<'_>) {
        keys.truth("bridged", self.bridge.is_some());
        match &self.bridge {
            Some(bridge) => bridge.tell_ports(host, keys),
            None => keys.text("interface", self.top.name),
        }
        keys.text("iface", self.top.name);
        keys.text_or_null("southbound", self.southbound.map(|link| link.name));
        keys.text("switch", word(self.switch));
        if let Some(SeenKind::Vlan { tag, .. }) = self.southbound.map(|link| &link.kind) {
            keys.number("vlanid", tag.get().into());
        }
        if let Some(directions) = map_in(self.qos, "hostQos") {
            keys.object("hostQos", |object| host_qos(directions, object));
        }
        for key in ["qosInbound", "qosOutbound"] {
            if let Some(limits) = map_in(self.qos, key) {
                let given = ["average", "peak", "burst"].into_iter().filter(|name| limits.contains_key(*name));
                keys.object(key, |object| numbers(limits, given, object));
            }
        }
    }
}

/// Of a bridge the configured device if it is a port, else whatever nic, bond or VLAN somebody has
/// put there instead.
fn southbound<'a>(host: &Host<'a>, bridge: &SeenLink, configured: Option<&'a SeenLink>) -> Option<&'a SeenLink> {
    let carries = |link: &&SeenLink| link.nic || matches!(link.kind, SeenKind::Bond { .. } | SeenKind::Vlan { .. });
    let actual = || host.ports(bridge).iter().copied().find(carries);
    configured.filter(|link| link.master == Some(bridge.name)).or_else(actual)
}

/// The curves, as `tc` tells them: with the zeros that nobody wrote.
fn host_qos(directions: &Map<String, Value>, object: &mut Object<'_>) {
    let Some(curves) = map_in(directions, "out") else { return };
    object.object("out", |object| {
        for name in ["ls", "ul", "rt"] {
            if let Some(curve) = map_in(curves, name) {
                object.object(name, |object| numbers(curve, ["d", "m1", "m2"], object));
            }
        }
    });
}

fn map_in<'a>(map: &'a Map<String, Value>, key: &str) -> Option<&'a Map<String, Value>> {
    map.get(key)?.as_object()
}

/// Numbers, which the engine sends as such or as texts; 0 where there is none.
fn numbers(map: &Map<String, Value>, names: impl IntoIterator<Item = &'static str>, object: &mut Object<'_>) {
    let number = |value: &Value| value.as_u64().or_else(|| value.as_str()?.trim().parse().ok());
    for name in names {
        object.number(name, map.get(name).and_then(number).unwrap_or(0));
    }
}

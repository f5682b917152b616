//! What a network of the running configuration tells.

use serde_json::{Map, Value};
use vdsm_model::config::{NetworkConfig, Switch};
use vdsm_model::name::NetworkName;
use vdsm_model::netinfo::{SeenKind, SeenLink};
use vdsm_model::qos::{Curves, class_of};

use super::host::Host;
use super::json::Object;
use super::part::{Bridge, Part, word};
use super::qos;

/// A network whose device exists.
pub(super) struct Network<'a> {
    /// The device with the addresses: the bridge, or what the network stands on.
    top: &'a SeenLink,
    bridge: Option<Bridge<'a>>,
    /// What carries its traffic to the wire: a VLAN, a bond or a nic.
    southbound: Option<&'a SeenLink>,
    switch: Switch,
    limits: &'a Map<String, Value>,
    host_qos: Option<Curves>,
}

impl<'a> Network<'a> {
    /// None when its device is missing.
    pub(super) fn of(host: &Host<'a>, name: &NetworkName, config: &'a NetworkConfig) -> Option<Network<'a>> {
        let below = config.base.and_then(|base| match config.vlan {
            Some(tag) => host.vlan(base.device(), tag),
            None => host.link(&base.device()),
        });
        let (switch, limits) = (config.switch, &config.qos);
        let shaper = config.base.and_then(|base| host.link(&base.device())?.shaper.as_ref());
        let host_qos = shaper.and_then(|shaper| Some(shaper.classes.get(&class_of(config.vlan))?.curves));
        if !config.bridged {
            return below.map(|top| Network { top, bridge: None, southbound: below, switch, limits, host_qos });
        }
        let bridge = Bridge::of(host.link(&name.bridge().ok()?)?)?;
        let southbound = southbound(host, bridge.link, below);
        Some(Network { top: bridge.link, bridge: Some(bridge), southbound, switch, limits, host_qos })
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
        if let Some(curves) = &self.host_qos {
            qos::tell(curves, keys);
        }
        for key in ["qosInbound", "qosOutbound"] {
            if let Some(limits) = map_in(self.limits, key) {
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

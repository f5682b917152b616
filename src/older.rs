//! addNetwork, editNetwork and delNetwork: the verbs of older engines, as requests of today
//! (vdsm-facts 1.2). What they asked for is done by the same transaction.

use serde_json::{Map, Value, json};
use vdsm_model::config::{Base, NetConfig};
use vdsm_model::name::NetworkName;

use crate::asked::Asked;
use crate::rpc::RpcError;

/// Upper-case names of ifcfg files that these verbs take (vdsm-facts 1.1.1).
const ALIASES: &[(&str, &str)] = &[
    ("IPADDR", "ipaddr"),
    ("NETMASK", "netmask"),
    ("PREFIX", "prefix"),
    ("GATEWAY", "gateway"),
    ("BOOTPROTO", "bootproto"),
    ("BONDING_OPTS", "bondingOptions"),
];

/// Keys of `options` that are the request's, not the network's.
const REQUEST_OPTIONS: &[&str] = &["connectivityCheck", "connectivityTimeout", "force"];

/// `addNetwork(bridge, vlan, bond, nics, options)`.
pub fn add(params: &Map<String, Value>, running: &NetConfig) -> Result<Asked, RpcError> {
    let name = text(params, "bridge")?.unwrap_or_default();
    if NetworkName::try_from(name).is_ok_and(|n| running.networks.contains_key(&n)) {
        return Err(RpcError::new(28, format!("network '{name}': it exists already")));
    }
    build(name, params, false)
}

/// `editNetwork(oldBridge, newBridge, vlan, bond, nics, options)`: here the connectivity check is
/// off unless asked for.
pub fn edit(params: &Map<String, Value>, running: &NetConfig) -> Result<Asked, RpcError> {
    let old = text(params, "oldBridge")?.unwrap_or_default().to_owned();
    let new = text(params, "newBridge")?.unwrap_or_default().to_owned();
    if !NetworkName::try_from(old.as_str()).is_ok_and(|n| running.networks.contains_key(&n)) {
        return Err(RpcError::new(27, format!("network '{old}': it cannot be edited, for it does not exist")));
    }
    if old != new && NetworkName::try_from(new.as_str()).is_ok_and(|n| running.networks.contains_key(&n)) {
        return Err(RpcError::new(28, format!("network '{new}': it exists already")));
    }
    let mut translated = build(&new, params, true)?;
    if old != new
        && let Some(networks) = translated.networks.as_object_mut()
    {
        networks.insert(old, json!({ "remove": true }));
    }
    Ok(translated)
}

/// `delNetwork(bridge, vlan, bond, nics, options)`: what is said beyond the name must be true.
pub fn delete(params: &Map<String, Value>, running: &NetConfig) -> Result<Asked, RpcError> {
    let name = text(params, "bridge")?.unwrap_or_default();
    if let Some(net) = NetworkName::try_from(name).ok().and_then(|n| running.networks.get(&n)) {
        let wrong = |code, what: &str, said: &Value| {
            RpcError::new(code, format!("network '{name}': {what} is {said}, but that is not what the network has"))
        };
        if let Some(vlan) = params.get("vlan").filter(|v| !is_nothing(v)) {
            let tag = vlan.as_i64().or_else(|| vlan.as_str().and_then(|s| s.parse().ok()));
            if tag.is_none() || tag != net.vlan.map(|t| i64::from(t.get())) {
                return Err(wrong(26, "vlan", vlan));
            }
        }
        if let Some(bond) = text(params, "bond")?
            && net.base.is_none_or(|b| b != Base::Bond(b.device()) || b.device().as_str() != bond)
        {
            return Err(wrong(25, "bond", &json!(bond)));
        }
        let nics = nics(params)?;
        let has: Vec<&str> = match &net.base {
            Some(Base::Nic(nic)) => vec![nic.as_str()],
            Some(Base::Bond(bond)) => {
                running.bonds.get(bond).map(|b| b.nics.iter().map(|n| n.as_str()).collect()).unwrap_or_default()
            }
            None => Vec::new(),
        };
        let mut said: Vec<&str> = nics.iter().map(String::as_str).collect();
        said.sort_unstable();
        if !said.is_empty() && said != has {
            return Err(wrong(23, "nics", &json!(nics)));
        }
    }
    Ok(Asked {
        networks: json!({ name: { "remove": true } }),
        bondings: json!({}),
        options: request_options(params, false)?,
    })
}

fn build(name: &str, params: &Map<String, Value>, edit: bool) -> Result<Asked, RpcError> {
    let mut net = Map::new();
    let mut bondings = Map::new();
    let mut bonding_options = Value::Null;
    for (key, value) in options(params)? {
        let key = ALIASES.iter().find(|(upper, _)| *upper == key.as_str()).map_or(key.as_str(), |(_, modern)| modern);
        match key {
            "bondingOptions" => bonding_options = value.clone(),
            key if REQUEST_OPTIONS.contains(&key) => {}
            key => drop(net.insert(key.to_owned(), value.clone())),
        }
    }
    if let Some(vlan) = params.get("vlan").filter(|v| !is_nothing(v)) {
        net.insert("vlan".to_owned(), vlan.clone());
    }
    let nics = nics(params)?;
    match (text(params, "bond")?, nics.as_slice()) {
        (Some(bond), slaves) => {
            net.insert("bonding".to_owned(), json!(bond));
            // The bond is implied by the network: without nics it is taken as it is.
            if !slaves.is_empty() {
                let mut attributes = Map::from_iter([("nics".to_owned(), json!(slaves))]);
                if !is_nothing(&bonding_options) {
                    attributes.insert("options".to_owned(), bonding_options);
                }
                bondings.insert(bond.to_owned(), Value::Object(attributes));
            }
        }
        (None, []) => {}
        (None, [nic]) => drop(net.insert("nic".to_owned(), json!(nic))),
        (None, _) => return Err(RpcError::new(25, format!("network '{name}': several nics need a bond"))),
    }
    Ok(Asked {
        networks: json!({ name: net }),
        bondings: Value::Object(bondings),
        options: request_options(params, edit)?,
    })
}

/// These verbs had no connectivity check, but for editNetwork where it was asked for.
fn request_options(params: &Map<String, Value>, edit: bool) -> Result<Value, RpcError> {
    let given = options(params)?;
    let mut out = Map::from_iter([("connectivityCheck".to_owned(), json!(false))]);
    if edit {
        for key in ["connectivityCheck", "connectivityTimeout"] {
            if let Some(value) = given.get(key) {
                out.insert(key.to_owned(), value.clone());
            }
        }
    }
    Ok(Value::Object(out))
}

fn is_nothing(value: &Value) -> bool {
    value.is_null() || value.as_str() == Some("")
}

fn text<'a>(params: &'a Map<String, Value>, key: &str) -> Result<Option<&'a str>, RpcError> {
    match params.get(key).filter(|v| !is_nothing(v)) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(RpcError::new(21, format!("{key} is {other}, but it must be a text"))),
    }
}

fn nics(params: &Map<String, Value>) -> Result<Vec<String>, RpcError> {
    match params.get("nics").filter(|v| !is_nothing(v)) {
        None => Ok(Vec::new()),
        Some(value) => serde_json::from_value(value.clone())
            .map_err(|_| RpcError::new(21, format!("nics is {value}, but it must be a list of texts"))),
    }
}

fn options(params: &Map<String, Value>) -> Result<Map<String, Value>, RpcError> {
    match params.get("options") {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(map)) => Ok(map.clone()),
        Some(other) => Err(RpcError::new(21, format!("options is {other}, but it must be a map"))),
    }
}

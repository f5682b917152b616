//! One bond of a request, or of the disk (vdsm-facts 1.1.2). What its options may be is known to
//! `bond_options.rs`; whether its slaves exist is judged in `graph/`.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::fields::Fields;
use super::network::{device, switch, switch_word};
use crate::bond_options::BondOptions;
use crate::config::{BondConfig, Switch};
use crate::name::DeviceName;
use crate::problem::{Code, Problem, Stage};
use crate::units::Mac;

pub(super) const KNOWN: &[&str] = &["nics", "options", "hwaddr", "switch", "remove"];

/// A bond to be made or changed.
#[derive(Clone, Debug, PartialEq)]
pub struct BondRequest {
    /// Its slaves.
    pub nics: BTreeSet<DeviceName>,
    /// Its options as given and as read; none keeps those the bond has.
    pub options: Option<(String, BondOptions)>,
    /// The address it is to have.
    pub hwaddr: Option<Mac>,
    /// Who switches.
    pub switch: Switch,
}

/// A bond's name: `bond` and a number (vdsm-facts 2.1; `bond0a` and `jamesbond007` are none).
pub(super) fn name(text: &str) -> Option<DeviceName> {
    let number = text.strip_prefix("bond")?;
    let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    DeviceName::try_from(text).ok().filter(|_| digits)
}

/// Reads a bond; the problems found are left in `f`.
pub(super) fn read(bond: DeviceName, f: &mut Fields<'_>) -> BondRequest {
    let mut nics = BTreeSet::new();
    let listed = f.texts("nics").unwrap_or_default();
    if listed.is_empty() && !f.problems.iter().any(|p| matches!(p, Problem::Value { key, .. } if key == "nics")) {
        f.problems.push(Problem::Missing {
            of: f.of.clone(),
            key: "nics",
            because: "and a bond needs at least one",
            code: Code::BadParams,
            stage: Stage::Link,
        });
    }
    for text in listed {
        if let Some(nic) = device(f, "nics", text, Code::BadNic, Stage::Switch)
            && !nics.insert(nic)
        {
            f.problems.push(Problem::UsedNic { nic, users: vec![bond.to_string(), bond.to_string()] });
        }
    }
    let options =
        f.text("options").map(str::trim).filter(|t| !t.is_empty()).map(|text| match BondOptions::parse(text) {
            Ok(options) => (text.to_owned(), options),
            Err(wrong) => {
                f.problems.extend(wrong.into_iter().map(|p| Problem::BondOption { bond, problem: p.to_string() }));
                (text.to_owned(), BondOptions::default())
            }
        });
    let hwaddr = f.text("hwaddr").and_then(|text| {
        let mac = text.parse::<Mac>().ok().filter(|m| m.0[0] & 1 == 0 && m.0 != [0; 6]);
        if mac.is_none() {
            f.wrong("hwaddr", "it must be a unicast MAC address", Code::BadBonding, Stage::Switch);
        }
        mac
    });
    BondRequest { nics, options, hwaddr, switch: switch(f) }
}

/// The canonical form, as the original's files have it.
pub(super) fn write(bond: &BondConfig) -> Value {
    let mut out = Map::new();
    if !bond.options_text.is_empty() {
        out.insert("options".to_owned(), json!(bond.options_text));
    }
    out.insert("nics".to_owned(), json!(bond.nics));
    out.insert("switch".to_owned(), json!(switch_word(bond.switch)));
    if let Some(mac) = bond.hwaddr {
        out.insert("hwaddr".to_owned(), json!(mac.to_string()));
    }
    Value::Object(out)
}

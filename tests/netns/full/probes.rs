//! The probe `carrier` on bonds: a carrier, and with LACP a partner. What holds for all devices is in
//! `here/probes.rs`.

use serde_json::{Value, json};

use crate::beyond::Elsewhere;
use crate::lab::{Lab, Nics::Dummy, story_with};
use crate::look::{Look, assert_same};

/// A network on `bond0`, made of these nics.
fn wish(nics: &[&str], options: &str, seconds: f64) -> Value {
    json!({
        "networks": { "red": { "bonding": "bond0" } },
        "bondings": { "bond0": { "nics": nics, "options": options } },
        "options": { "connectivityTimeout": seconds }
    })
}

#[track_caller]
fn taken_back(lab: &mut Lab, wish: Value, why: &str) {
    let before = Look::now().text(None);
    let error = lab.expect_error(10, wish);
    assert!(error.message.ends_with(&format!("had to: {why}")), "{}", error.message);
    let told = &error.data.unwrap()["connectivity"]["probes"];
    assert_eq!(*told, json!([{ "probe": "carrier", "outcome": "failed", "reason": why }]));
    assert_same(&before, &Look::now().text(None), why);
}

/// Nics of this host whose other ends are elsewhere.
fn cables(lab: &Lab) -> Elsewhere {
    let place = Elsewhere::new();
    for n in [7, 8] {
        lab.ip(&format!("link add veth_{n} type veth peer name peer{n}\nlink set veth_{n} up\n"));
        place.take(&format!("peer{n}"), &format!("link set peer{n} down\n"));
    }
    place
}

#[test]
fn a_bond_with_lacp_needs_a_partner() {
    story_with("connectivity_probes = carrier", Dummy, 2, |lab| {
        // It has a carrier, and nobody is at its other end.
        let alone = wish(&["dummy_0", "dummy_1"], "mode=4 lacp_rate=1 miimon=50", 1.0);
        taken_back(lab, alone, "bond0 has no LACP partner");
        let place = cables(lab);
        place.ip("link add bond0 type bond mode 802.3ad lacp_rate fast miimon 50\nlink set peer7 master bond0\nlink set peer8 master bond0\nlink set bond0 up\n");
        lab.request(wish(&["veth_7", "veth_8"], "mode=4 lacp_rate=1 miimon=50", 120.0)).unwrap();
        let partner = Look::now().info("bond0")["ad_info"]["partner_mac"].clone();
        assert!(partner.is_string() && partner != "00:00:00:00:00:00", "{partner}");
    });
}

#[test]
fn a_bond_has_a_carrier_where_one_of_its_slaves_has() {
    story_with("connectivity_probes = carrier", Dummy, 0, |lab| {
        let place = cables(lab);
        let pair = |seconds| wish(&["veth_7", "veth_8"], "mode=1 miimon=50", seconds);
        taken_back(lab, pair(1.0), "bond0 has no carrier");
        place.ip("link set peer8 up\n");
        lab.request(pair(120.0)).unwrap();
        assert!(Look::now().has_carrier("bond0") && !Look::now().has_carrier("veth_7"));
    });
}

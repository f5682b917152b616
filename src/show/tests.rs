//! Drawings compared with files; `caps.rs` has its own tests of what it reports.

use serde_json::json;

use super::*;

fn caps() -> Value {
    serde_json::from_str(include_str!("../../tests/data/show-caps.json")).unwrap()
}

#[test]
fn a_host_is_drawn_as_in_the_file() {
    let drawn = tree(&caps(), false);
    assert_eq!(drawn, include_str!("../../tests/data/show.txt"), "drawn:\n{drawn}");
}

#[test]
fn the_originals_report_can_be_drawn() {
    let sample: Value = serde_json::from_str(include_str!("../../tests/data/legacy-caps.json")).unwrap();
    let drawn = tree(&sample, false);
    let expected = "\
┌─ mgmt        bridge, mtu 1500, 192.0.2.10/24, 2001:db8::10/64, default via 192.0.2.1
├─ vm10        bridge, vlan 10, mtu 1400
└─ bond1       bond 802.3ad (4), mtu 1500, d6:fe:37:cb:25:a4, lacp_rate=1
   ├─ dummy_1  nic, 92:d6:ea:49:b1:08
   └─ dummy_0  nic, d6:fe:37:cb:25:a4

┌─ st20        vlan 20, mtu 1500, 198.51.100.5/24, gateway 198.51.100.1
└─ dummy_2     nic, mtu 1500, 1e:cb:b0:30:31:3b

name servers: 192.0.2.53
";
    assert_eq!(drawn, expected, "drawn:\n{drawn}");
}

#[test]
fn colour_adds_nothing_but_escape_sequences() {
    let coloured = tree(&caps(), true);
    assert!(coloured.contains("\x1b[1movirtmgmt\x1b[0m"));
    let plain = ["1", "2", "0"].iter().fold(coloured, |text, code| text.replace(&format!("\x1b[{code}m"), ""));
    assert_eq!(plain, tree(&caps(), false));
}

#[test]
fn whatever_the_json_it_is_drawn() {
    for odd in [json!(null), json!([]), json!({}), json!({"networks": [], "nics": 3}), json!({"networks": {}})] {
        assert_eq!(tree(&odd, false), "no networks\n");
    }
    let odd = json!({"networks": {"n": 1, "m": {"southbound": "gone", "ports": "x", "vlanid": "5"}}, "bondings": {"b": null}});
    let expected = "\
┌─ m     vlan \"5\" (gone)
└─ gone  not shown by the host

── n     no nic

in no network
   b     bond
";
    assert_eq!(tree(&odd, false), expected);
}

#[test]
fn digits_count_as_a_number() {
    let mut names = [
        "net10",
        "net2",
        "net02",
        "a",
        "net",
        "n2x10",
        "n2x9",
        "net99999999999999999999999",
        "net100000000000000000000000",
    ];
    names.sort_by_cached_key(|name| (natural(name), *name));
    assert_eq!(
        names,
        [
            "a",
            "n2x9",
            "n2x10",
            "net",
            "net02",
            "net2",
            "net10",
            "net99999999999999999999999",
            "net100000000000000000000000"
        ]
    );
}

//! A value alone: numbers, addresses, texts, and what excludes what within one entry.

use super::*;

// ---- Values.

#[test]
fn a_value_that_breaks_its_rule_is_refused_with_the_originals_code() {
    const MTU: &str = "it must be a number of bytes from 68 to 65535";
    const VLAN: &str = "a VLAN tag is a number from 0 to 4094";
    const TRUTH: &str = "it must be true or false, as a boolean, a text or a number";
    const STP: &str = "a bridge STP value is true, on, yes, false, off or no";
    const TEXT: &str = "it must be a text";
    const MAP: &str = "it must be a map";
    let cases = [
        (json!({ "mtu": 67 }), "mtu", "67", MTU, BadParams, Canonical),
        (json!({ "mtu": 65536 }), "mtu", "65536", MTU, BadParams, Canonical),
        (json!({ "mtu": -1500 }), "mtu", "-1500", MTU, BadParams, Canonical),
        (json!({ "mtu": "big" }), "mtu", "\"big\"", MTU, BadParams, Canonical),
        (json!({ "mtu": 1500.5 }), "mtu", "1500.5", MTU, BadParams, Canonical),
        (json!({ "mtu": true }), "mtu", "true", MTU, BadParams, Canonical),
        (json!({ "mtu": u64::MAX }), "mtu", "18446744073709551615", MTU, BadParams, Canonical),
        (json!({ "vlan": 4095 }), "vlan", "4095", VLAN, BadVlan, Switch),
        (json!({ "vlan": -1 }), "vlan", "-1", VLAN, BadVlan, Switch),
        (json!({ "vlan": "4095" }), "vlan", "\"4095\"", VLAN, BadVlan, Switch),
        (json!({ "vlan": "x" }), "vlan", "\"x\"", VLAN, BadVlan, Canonical),
        (json!({ "vlan": [5] }), "vlan", "[5]", VLAN, BadVlan, Canonical),
        (json!({ "bridged": "yes" }), "bridged", "\"yes\"", TRUTH, BadParams, Canonical),
        (json!({ "defaultRoute": "on" }), "defaultRoute", "\"on\"", TRUTH, BadParams, Canonical),
        (json!({ "dhcpv6": {} }), "dhcpv6", "{}", TRUTH, BadParams, Canonical),
        (json!({ "ipv6autoconf": "foo" }), "ipv6autoconf", "\"foo\"", TRUTH, BadParams, Canonical),
        (json!({ "blockingdhcp": 0.5 }), "blockingdhcp", "0.5", TRUTH, BadParams, Canonical),
        (json!({ "remove": "maybe" }), "remove", "\"maybe\"", TRUTH, BadParams, Canonical),
        (json!({ "stp": "maybe" }), "stp", "\"maybe\"", STP, BadParams, Canonical),
        (json!({ "STP": [] }), "STP", "[]", STP, BadParams, Canonical),
        (
            json!({ "bootproto": "bootp" }),
            "bootproto",
            "\"bootp\"",
            "it must be dhcp, none or static",
            BadParams,
            Canonical,
        ),
        (json!({ "bootproto": 1 }), "bootproto", "1", TEXT, BadParams, Canonical),
        (json!({ "switch": "cisco" }), "switch", "\"cisco\"", "it must be legacy or ovs", BadParams, Sharing),
        (json!({ "nic": ["dummy_0"] }), "nic", "[\"dummy_0\"]", TEXT, BadParams, Canonical),
        (json!({ "nic": "a b" }), "nic", "\"a b\"", "it must be the name of a device: it contains ' '", BadNic, Switch),
        (json!({ "custom": "x" }), "custom", "\"x\"", MAP, BadParams, Canonical),
        (json!({ "custom": { "a": 5 } }), "custom.a", "5", "custom properties are texts", BadParams, Canonical),
        (
            json!({ "custom": { "default_route": "maybe" } }),
            "custom.default_route",
            "\"maybe\"",
            "it must be true or false",
            BadParams,
            Canonical,
        ),
        (json!({ "hostQos": 5 }), "hostQos", "5", MAP, BadParams, Canonical),
        (
            json!({ "nameservers": "192.0.2.53" }),
            "nameservers",
            "\"192.0.2.53\"",
            "it must be a list of texts",
            BadParams,
            Canonical,
        ),
    ];
    for (attributes, key, given, rule, code, stage) in cases {
        rejects_network(attributes, &[value(of_net("n"), key, given, rule, code, stage)]);
    }
}

#[test]
fn an_address_that_is_none_is_refused_with_code_22() {
    const V4: &str = "it must be an IPv4 address";
    const V6: &str = "it must be an IPv6 address, with a prefix length from 0 to 128 or none (64 then)";
    const MASK: &str = "it must be a netmask such as 255.255.255.0";
    const PREFIX: &str = "a prefix is a number from 0 to 32";
    const BITS: &str = "its bits must be contiguous";
    const UNICAST: &str = "it must be a unicast address";
    const SERVER: &str = "a name server is an IPv4 or IPv6 address";
    let with_mask = |addr: &str| json!({ "ipaddr": addr, "netmask": "255.255.255.0" });
    let masked = |mask: &str| json!({ "ipaddr": "192.0.2.10", "netmask": mask });
    let via = |gateway: &str| json!({ "ipaddr": "192.0.2.10", "prefix": 24, "gateway": gateway });
    let prefixed = |prefix: Value| json!({ "ipaddr": "192.0.2.10", "prefix": prefix });
    let six = |addr: &str| json!({ "ipv6addr": addr });
    let server = |server: &str| json!({ "defaultRoute": true, "nameservers": ["192.0.2.53", server] });
    let cases = [
        (with_mask("300.300.300.300"), "ipaddr", "\"300.300.300.300\"", V4, Ip),
        (with_mask("192.0.2"), "ipaddr", "\"192.0.2\"", V4, Ip),
        (with_mask("192.0.2.10/24"), "ipaddr", "\"192.0.2.10/24\"", V4, Ip),
        (with_mask("::1"), "ipaddr", "\"::1\"", V4, Ip),
        (with_mask("224.0.0.1"), "ipaddr", "\"224.0.0.1\"", UNICAST, Ip),
        (with_mask("255.255.255.255"), "ipaddr", "\"255.255.255.255\"", UNICAST, Ip),
        (masked("255.0.255.0"), "netmask", "\"255.0.255.0\"", BITS, Ip),
        (masked("253.0.0.0"), "netmask", "\"253.0.0.0\"", BITS, Ip),
        (masked("256.0.0.0"), "netmask", "\"256.0.0.0\"", MASK, Ip),
        (masked("24"), "netmask", "\"24\"", MASK, Ip),
        (prefixed(json!(33)), "prefix", "33", PREFIX, Canonical),
        (prefixed(json!(-1)), "prefix", "-1", PREFIX, Canonical),
        (prefixed(json!("/24")), "prefix", "\"/24\"", PREFIX, Canonical),
        (via("192.0.2.256"), "gateway", "\"192.0.2.256\"", V4, Ip),
        (via("224.0.0.1"), "gateway", "\"224.0.0.1\"", UNICAST, Ip),
        (six("::abcd::"), "ipv6addr", "\"::abcd::\"", V6, Ip),
        (six("ff:abcde::1"), "ipv6addr", "\"ff:abcde::1\"", V6, Ip),
        (six("fe80::/132"), "ipv6addr", "\"fe80::/132\"", V6, Ip),
        (six("2001:db8::1/129"), "ipv6addr", "\"2001:db8::1/129\"", V6, Ip),
        (six("2001:db8::1/x"), "ipv6addr", "\"2001:db8::1/x\"", V6, Ip),
        (six("ff02::1/64"), "ipv6addr", "\"ff02::1/64\"", V6, Ip),
        (
            json!({ "ipv6addr": "2001:db8::1/64", "ipv6gateway": "192.0.2.1" }),
            "ipv6gateway",
            "\"192.0.2.1\"",
            "it must be an IPv6 address",
            Ip,
        ),
        (json!({ "ipv6addr": "2001:db8::1/64", "ipv6gateway": "ff02::2" }), "ipv6gateway", "\"ff02::2\"", UNICAST, Ip),
        (
            json!({ "ipv6addr": "2001:db8::1/64", "mtu": 1279 }),
            "mtu",
            "1279",
            "IPv6 needs at least 1280 bytes (RFC 8200)",
            Ip,
        ),
        (server("x"), "nameservers", "\"x\"", SERVER, Ip),
        (server("192.0.2.53%eth0"), "nameservers", "\"192.0.2.53%eth0\"", SERVER, Ip),
        (server("fe80::1%"), "nameservers", "\"fe80::1%\"", SERVER, Ip),
    ];
    for (attributes, key, given, rule, stage) in cases {
        rejects_network(attributes, &[value(of_net("n"), key, given, rule, BadAddr, stage)]);
    }
}

#[test]
fn addresses_netmasks_and_prefixes_at_their_limits_are_taken() {
    let world = World::new();
    for attributes in [
        json!({ "ipaddr": "192.0.2.10", "netmask": "254.0.0.0" }),
        json!({ "ipaddr": "192.0.2.10", "prefix": 0 }),
        json!({ "ipaddr": "192.0.2.10", "prefix": "32" }),
        json!({ "ipv6addr": "::1" }),
        json!({ "ipv6addr": "::/0" }),
        json!({ "ipv6addr": "fe80::/16" }),
        json!({ "ipv6addr": "2001:db8::1/128" }),
        json!({ "ipv6addr": "2001:db8::1", "mtu": 1280 }),
        json!({ "mtu": 68 }),
        json!({ "mtu": 65535 }),
        json!({ "vlan": 0 }),
        json!({ "vlan": 4094 }),
    ] {
        accepts(&world, on_nic(attributes), json!({}));
    }
}

#[test]
fn name_servers_belong_to_the_default_route_network() {
    let rule = "name servers may only be defined on the default route network";
    rejects_network(
        json!({ "nameservers": ["192.0.2.53"] }),
        &[value(of_net("n"), "nameservers", "[\"192.0.2.53\"]", rule, BadParams, Ip)],
    );
    accepts(&World::new(), on_nic(json!({ "nameservers": [] })), json!({}));
}

#[test]
fn what_an_address_needs_is_missed_and_what_it_excludes_is_told() {
    let n = || of_net("n");
    let missing = |key, because| Problem::Missing { of: n(), key, because, code: BadAddr, stage: Ip };
    let both = |a, b, code, stage| Problem::Both { of: n(), keys: (a, b), code, stage };
    let no_mask = || missing("netmask", "and so is prefix; an ipaddr needs one of them");
    let no_address = || missing("ipaddr", "but gateway, netmask or prefix is given");
    let cases = [
        (json!({ "ipaddr": "192.0.2.10" }), no_mask()),
        (json!({ "ipaddr": "192.0.2.10", "netmask": "" }), no_mask()),
        (json!({ "ipaddr": "192.0.2.10", "gateway": "192.0.2.1" }), no_mask()),
        (json!({ "gateway": "192.0.2.1" }), no_address()),
        (json!({ "netmask": "255.255.255.0" }), no_address()),
        (json!({ "prefix": 24 }), no_address()),
        (json!({ "bootproto": "dhcp", "gateway": "192.0.2.1" }), no_address()),
        (json!({ "ipv6gateway": "2001:db8::1" }), missing("ipv6addr", "but ipv6gateway is given")),
        (
            json!({ "ipaddr": "192.0.2.10", "prefix": 24, "netmask": "255.255.255.0" }),
            both("prefix", "netmask", BadParams, Canonical),
        ),
        (
            json!({ "ipaddr": "192.0.2.10", "prefix": 24, "bootproto": "dhcp" }),
            both("ipaddr", "bootproto=dhcp", BadAddr, Ip),
        ),
        (json!({ "ipv6addr": "2001:db8::1/64", "ipv6autoconf": true }), both("ipv6addr", "ipv6autoconf", BadAddr, Ip)),
        (json!({ "ipv6addr": "2001:db8::1/64", "dhcpv6": true }), both("ipv6addr", "dhcpv6", BadAddr, Ip)),
    ];
    for (attributes, problem) in cases {
        rejects_network(attributes, &[problem]);
    }
    rejects_network(
        json!({ "ipv6addr": "2001:db8::1/64", "dhcpv6": true, "ipv6autoconf": true }),
        &[both("ipv6addr", "ipv6autoconf", BadAddr, Ip), both("ipv6addr", "dhcpv6", BadAddr, Ip)],
    );
}

#[test]
fn a_request_of_the_wrong_shape_is_refused() {
    let read = |networks: Value, bonds: Value, options: Value| {
        let request = Request::read(&networks, &bonds, &options, UnknownKeys::Refuse);
        World::new().judge(&request, &Sim::with_nics(&["dummy_0"]).look())
    };
    let wrong = |of, key, given: &str, rule| [value(of, key, given, rule, BadParams, Canonical)];
    const MAPS: &str = "it must be a map of names to attributes";
    const SECONDS: &str = "it must be a number of seconds from 0 to 86400";
    const TRUTH: &str = "it must be true or false, as a boolean, a text or a number";
    assert_eq!(read(json!([]), json!({}), json!({})), wrong(Subject::Request, "networks", "[]", MAPS));
    assert_eq!(read(json!({}), json!("x"), json!({})), wrong(Subject::Request, "bondings", "\"x\"", MAPS));
    assert_eq!(read(json!({}), json!({}), json!(5)), wrong(Subject::Request, "options", "5", "they must be a map"));
    assert_eq!(
        read(json!({ "n": 5 }), json!({}), json!({})),
        wrong(of_net("n"), "attributes", "5", "they must be a map")
    );
    assert_eq!(
        read(json!({}), json!({ "bond1": null }), json!({})),
        wrong(of_bond("bond1"), "attributes", "null", "they must be a map")
    );
    for given in [json!("soon"), json!(-1), json!(86401), json!(true)] {
        assert_eq!(
            read(json!({}), json!({}), json!({ "connectivityTimeout": given })),
            wrong(Subject::Options, "connectivityTimeout", &given.to_string(), SECONDS)
        );
    }
    for key in ["connectivityCheck", "commitOnSuccess"] {
        assert_eq!(
            read(json!({}), json!({}), json!({ key: "perhaps" })),
            wrong(Subject::Options, key, "\"perhaps\"", TRUTH)
        );
    }
    assert_eq!(read(json!({}), json!({}), json!({ "reason": "ä".repeat(1024) })), []);
    let long = "ä".repeat(1025);
    assert_eq!(
        read(json!({}), json!({}), json!({ "reason": long })),
        wrong(Subject::Options, "reason", &json!(long).to_string(), "it must be a text of at most 1024 characters")
    );
    assert_eq!(
        read(json!({}), json!({}), json!({ "reason": 7 })),
        wrong(Subject::Options, "reason", "7", "it must be a text")
    );
    assert_eq!(read(Value::Null, Value::Null, Value::Null), []);
}

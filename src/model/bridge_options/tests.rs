//! What `bridge_opts` may say, and what a kernel's bridge is told and shows.

use super::*;

fn parse(text: &str) -> BridgeOptions {
    BridgeOptions::parse(text).unwrap()
}

fn says(text: &str, sentences: &[&str]) {
    let problems = BridgeOptions::parse(text).unwrap_err();
    assert_eq!(problems.iter().map(ToString::to_string).collect::<Vec<_>>(), sentences, "{text}");
}

#[test]
fn all_spellings_of_one_wish_have_one_canonical_form() {
    for (text, canonical) in [
        ("", ""),
        ("multicast_snooping=0 multicast_querier=1", "multicast_querier=1 multicast_snooping=0"),
        ("multicast_querier=2", "multicast_querier=1"),
        ("group_fwd_mask=8", "group_fwd_mask=0x8"),
        ("priority=0x10", "priority=16"),
        ("priority=010", "priority=8"),
        ("vlan_protocol=34984", "vlan_protocol=0x88a8"),
        ("group_addr=01:80:C2:00:00:0f", "group_addr=01:80:c2:00:00:0f"),
        ("hello_time=100 hello_time=200", "hello_time=200"),
        ("multicast_query_interval=1", "multicast_query_interval=100"),
        ("multicast_startup_query_interval=9999999", "multicast_startup_query_interval=8640000"),
        ("no_linklocal_learn=1", "no_linklocal_learn=1"),
        ("stp_state=1 forward_delay=0", "forward_delay=0 stp_state=1"),
    ] {
        assert_eq!(parse(text).canonical(), canonical, "{text}");
        assert_eq!(parse(canonical), parse(text), "{text}");
    }
}

#[test]
fn every_problem_is_told_at_once() {
    says(
        "oops =1 multicast_snoping=0 what=1 bridge_id=1 gc_timer=1 root_port=1 flush=1 hello_time=99",
        &[
            "'oops' is not of the form name=value",
            "'=1' is not of the form name=value",
            "'multicast_snoping' is not a bridge option; did you mean 'multicast_snooping'?",
            "'what' is not a bridge option",
            "bridge option bridge_id cannot be set: it is made of the priority and the MAC address",
            "bridge option gc_timer cannot be set: it tells when a timer will fire",
            "bridge option root_port cannot be set: it tells what STP found",
            "bridge option flush cannot be set: it forgets the learned addresses once, and keeps nothing",
            "bridge option hello_time cannot be '99'; allowed: 100 to 1000 (centiseconds)",
        ],
    );
}

#[test]
fn values_are_taken_in_the_kernels_range() {
    let edges: &[(&str, &[&str], &[&str])] = &[
        ("forward_delay", &["0", "4294967295"], &["4294967296", "-1", "+1", "", "0x", "2s", "08"]),
        ("hello_time", &["100", "1000"], &["99", "1001", "0"]),
        ("max_age", &["600", "4000"], &["599", "4001"]),
        ("priority", &["0", "65535"], &["65536"]),
        ("group_fwd_mask", &["0x0", "8", "0xfff8"], &["1", "2", "4", "0x10000"]),
        ("multicast_router", &["0", "2"], &["3"]),
        ("default_pvid", &["0", "4094"], &["4095"]),
        ("multicast_igmp_version", &["2", "3"], &["1", "4"]),
        ("multicast_mld_version", &["1", "2"], &["0", "3"]),
        ("vlan_stats_per_port", &["0", "1"], &["2"]),
        ("stp_state", &["0", "1"], &["on", "256"]),
        ("vlan_protocol", &["0x8100", "0x88a8"], &["0x9100", "8100"]),
        (
            "group_addr",
            &["01:80:c2:00:00:00", "01:80:c2:00:00:04"],
            &["01:80:c2:00:00:01", "01:80:c2:00:00:10", "02:00:00:00:00:00", "0"],
        ),
    ];
    for (name, good, bad) in edges {
        let row = row(name).unwrap();
        for value in *good {
            assert_eq!(BridgeOptions::parse(&format!("{name}={value}")).err(), None, "{name}={value}");
        }
        for value in *bad {
            let problem =
                BridgeOptionProblem::BadValue { name: row.name, value: (*value).to_owned(), allowed: row.allowed() };
            assert_eq!(BridgeOptions::parse(&format!("{name}={value}")), Err(vec![problem]), "{name}={value}");
        }
    }
}

#[test]
fn what_is_encoded_is_what_a_dump_gives_back() {
    for row in settable() {
        let value = if row.range.1 == 255 { 1 } else { row.range.0.max(8) & row.range.1 };
        let (attribute, bytes) = encode(row.name, value).unwrap();
        let read = BridgeOptions::from_kernel([(attribute, &*bytes)].into_iter());
        assert_eq!(read.get(row.name), Some(value), "{}", row.name);
    }
    assert_eq!(encode("vlan_protocol", 0x88a8), Some((8, vec![0x88, 0xa8])));
    assert_eq!(encode("group_addr", 0x0180_c200_000f), Some((20, vec![1, 0x80, 0xc2, 0, 0, 15])));
    assert_eq!(encode("no_linklocal_learn", 1).unwrap().1, [1u32.to_ne_bytes(), 1u32.to_ne_bytes()].concat());
    assert_eq!(encode("bridge_id", 1), None);
}

#[test]
fn the_default_is_what_the_kernel_takes() {
    for row in settable() {
        let text = format!("{}={}", row.name, Shown::new(row.kind, row.default));
        assert_eq!(parse(&text).get(row.name), default_of(row.name), "{text}");
    }
    assert_eq!(default_of("forward_delay"), Some(1500));
    assert_eq!(default_of("gc_timer"), None);
}

#[test]
fn a_tick_more_or_less_makes_no_difference() {
    assert!(same("ageing_time", 30000, 29999));
    assert!(!same("ageing_time", 30000, 29998));
    assert!(!same("hash_max", 4096, 4095));
    assert!(same("hash_elasticity", 4, 16));
    assert!(same("stp_state", 1, 2));
}

/// `name=value` of each change.
fn road(seen: &str, wanted: &str) -> String {
    let changes = parse(wanted).changes_from(&parse(seen));
    changes.iter().map(|change| format!("{}={}", change.name, change.value)).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_forward_delay_is_set_while_stp_is_off() {
    assert_eq!(road("stp_state=1 forward_delay=200", "stp_state=0 forward_delay=0"), "stp_state=0 forward_delay=0");
    assert_eq!(road("stp_state=0 forward_delay=0", "stp_state=1 forward_delay=0"), "forward_delay=200 stp_state=1");
    assert_eq!(road("stp_state=1 forward_delay=200", "stp_state=1 forward_delay=0"), "");
    assert_eq!(road("stp_state=1 forward_delay=200", "forward_delay=0"), "");
    assert_eq!(road("stp_state=0 forward_delay=1500", "forward_delay=0"), "forward_delay=0");
    assert_eq!(
        road("stp_state=0 hash_max=4096", "multicast_snooping=0 hash_max=512"),
        "multicast_snooping=0 hash_max=512"
    );
}

#[test]
fn what_was_named_before_returns_to_the_default() {
    let mut options = parse("stp_state=0");
    options.reset(&parse("priority=7 multicast_querier=1"));
    options.extend(&parse("priority=9"));
    assert_eq!(options.canonical(), "multicast_querier=0 priority=9 stp_state=0");
}

#[test]
fn the_report_has_the_keys_and_formats_of_the_sample() {
    let id = [0x80, 0, 0xd6, 0xfe, 0x37, 0xcb, 0x25, 0xa4];
    let mut dump: Vec<(u16, Vec<u8>)> = settable().map(|row| (row.attribute, row.kind.encode(row.default))).collect();
    dump.extend(ROWS.iter().filter(|row| row.fixed.is_some()).map(|row| (row.attribute, vec![0; 8])));
    dump.extend([
        (10, id.to_vec()),
        (11, id.to_vec()),
        (1, vec![0; 4]),
        (19, 29225u64.to_ne_bytes().to_vec()),
        (40, vec![]),
    ]);
    let report = report(dump.iter().map(|(number, bytes)| (*number, &**bytes)));
    let report: Vec<String> = report.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    let sample = "ageing_time=30000 bridge_id=8000.d6fe37cb25a4 default_pvid=1 forward_delay=0 gc_timer=29225 \
        group_addr=01:80:c2:00:00:00 group_fwd_mask=0x0 hash_elasticity=16 hash_max=4096 hello_time=200 hello_timer=0 \
        max_age=2000 multicast_igmp_version=2 multicast_last_member_count=2 multicast_last_member_interval=100 \
        multicast_membership_interval=26000 multicast_mld_version=1 multicast_querier=0 multicast_querier_interval=25500 \
        multicast_query_interval=12500 multicast_query_response_interval=1000 multicast_query_use_ifaddr=0 \
        multicast_router=1 multicast_snooping=1 multicast_startup_query_count=2 multicast_startup_query_interval=3125 \
        multicast_stats_enabled=0 nf_call_arptables=0 nf_call_ip6tables=0 nf_call_iptables=0 no_linklocal_learn=0 \
        priority=32768 root_id=8000.d6fe37cb25a4 root_path_cost=0 root_port=0 stp_state=0 tcn_timer=0 topology_change=0 \
        topology_change_detected=0 topology_change_timer=0 vlan_filtering=0 vlan_protocol=0x8100 vlan_stats_enabled=0 \
        vlan_stats_per_port=0";
    assert_eq!(report.join(" "), sample);
}

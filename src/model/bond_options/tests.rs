//! The rules one by one; then the roads between any two sets of options, on a toy kernel that
//! knows what the real one refuses, undoes and hides.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> BondOptions {
    BondOptions::parse(text).unwrap()
}

fn rejects(text: &str, problems: &[BondOptionProblem]) {
    assert_eq!(BondOptions::parse(text).unwrap_err(), problems, "{text}");
}

fn says(text: &str, sentence: &str) {
    let problems = BondOptions::parse(text).unwrap_err();
    assert_eq!(problems.iter().map(ToString::to_string).collect::<Vec<_>>(), [sentence], "{text}");
}

#[test]
fn all_spellings_of_one_wish_have_one_canonical_form() {
    for (text, canonical) in [
        ("", "mode=0"),
        ("   \t ", "mode=0"),
        ("mode=4 miimon=100", "mode=4"),
        ("miimon=100 mode=802.3ad", "mode=4"),
        ("miimon=100", "mode=0 miimon=100"),
        ("lacp_rate=fast mode=4 xmit_hash_policy=layer2+3", "mode=4 lacp_rate=1 xmit_hash_policy=2"),
        ("custom=a:b,c:d=e mode=1 primary=eth0", "mode=1 primary=eth0 custom=a:b,c:d=e"),
        ("mode=1 num_unsol_na=5", "mode=1 num_grat_arp=5"),
        ("mode=1 miimon=100 miimon=200", "mode=1 miimon=200"),
        (
            "mode=1 arp_interval=1000 arp_ip_target=+10.0.0.2,10.0.0.1",
            "mode=1 arp_interval=1000 arp_ip_target=10.0.0.2,10.0.0.1",
        ),
        ("mode=1 ns_ip6_target=2001:DB8::1", "mode=1 ns_ip6_target=2001:db8::1"),
        ("mode=4 ad_actor_system=02:00:00:00:00:0A", "mode=4 ad_actor_system=02:00:00:00:00:0a"),
        ("mode=04 miimon=0100", "mode=4"),
        ("mode=1 miimon=off resend_igmp=maxval num_grat_arp=default", "mode=1 resend_igmp=255"),
        ("mode=1 primary=", "mode=1"),
        // The kernel takes these although they do nothing.
        ("mode=1 arp_interval=1000", "mode=1 arp_interval=1000"),
        ("mode=1 arp_validate=all", "mode=1 arp_validate=3"),
        ("mode=4 arp_ip_target=10.0.0.1 fail_over_mac=1", "mode=4 arp_ip_target=10.0.0.1 fail_over_mac=1"),
        // Here is nothing to be sent, so nothing that could be refused.
        ("mode=1 updelay=0 downdelay=0", "mode=1"),
        ("mode=1 miimon=100 arp_interval=0", "mode=1 miimon=100"),
        ("mode=1 miimon=0 arp_interval=100", "mode=1 arp_interval=100"),
        ("mode=4 updelay=250", "mode=4 updelay=250"),
        ("mode=6 tlb_dynamic_lb=0", "mode=6 tlb_dynamic_lb=0"),
    ] {
        assert_eq!(parse(text).canonical(), canonical, "{text}");
        assert_eq!(parse(canonical).canonical(), canonical, "{text}");
    }
}

#[test]
fn every_problem_is_told_at_once() {
    rejects(
        "mode=1 oops miion=100 lacp_rate=1 xmit_hash_policy=layer9 updelay=200",
        &[
            BondOptionProblem::Unparsable { text: "oops".to_owned() },
            BondOptionProblem::Unknown { name: "miion".to_owned(), nearest: Some("miimon") },
            BondOptionProblem::NotInMode { name: "lacp_rate", mode: BondMode::ActiveBackup },
            BondOptionProblem::BadValue {
                name: "xmit_hash_policy",
                value: "layer9".to_owned(),
                allowed: "layer2 (0), layer3+4 (1), layer2+3 (2), encap2+3 (3), encap3+4 (4), vlan+srcmac (5)"
                    .to_owned(),
            },
            BondOptionProblem::DelayWithoutMiimon { name: "updelay", value: 200 },
        ],
    );
}

#[test]
fn a_bad_mode_is_the_only_problem_of_options_that_depend_on_it() {
    let allowed = "balance-rr (0), active-backup (1), balance-xor (2), broadcast (3), 802.3ad (4), balance-tlb (5), balance-alb (6)";
    let bad_mode = |value: &str| BondOptionProblem::BadValue {
        name: "mode",
        value: value.to_owned(),
        allowed: allowed.to_owned(),
    };
    rejects("mode=9 lacp_rate=1 updelay=3", &[bad_mode("9")]);
    rejects("mode=", &[bad_mode("")]);
    rejects("mode=lacp", &[bad_mode("lacp")]);
    rejects("mode=802.3AD", &[bad_mode("802.3AD")]);
    rejects("mode=+4", &[bad_mode("+4")]);
}

#[test]
fn problems_are_sentences() {
    says("wrong_name_here=1", "'wrong_name_here' is not a valid bonding option");
    says("mimon=1", "'mimon' is not a valid bonding option; did you mean 'miimon'?");
    says("=1", "Error parsing bonding options: '=1' is not of the form name=value");
    says("mode=1 lacp_rate=0", "'lacp_rate' is not a valid bonding option in mode active-backup (1)");
    says("miimon=-1", "bonding option miimon cannot be '-1'; allowed: 0 to 2147483647");
    says("mode=4 lacp_rate=FAST", "bonding option lacp_rate cannot be 'FAST'; allowed: slow (0), fast (1)");
    says("mode=1 updelay=100", "bonding option updelay=100 needs MII monitoring: miimon is 0");
    says("mode=4 miimon=0 downdelay=100", "bonding option downdelay=100 needs MII monitoring: miimon is 0");
    says(
        "mode=1 miimon=100 arp_interval=1000",
        "bonding options miimon=100 and arp_interval=1000 exclude each other: a bond is monitored either by MII or by ARP",
    );
    says(
        "mode=1 miimon=100 arp_validate=1",
        "bonding options miimon=100 and arp_validate=1 exclude each other: a bond is monitored either by MII or by ARP",
    );
}

#[test]
fn an_option_works_in_the_modes_in_which_the_kernel_takes_it() {
    let options = [
        ("arp_interval=1", "0123"),
        ("arp_validate=1", "0123"),
        ("arp_missed_max=3", "0123"),
        ("primary=eth0", "156"),
        ("packets_per_slave=4", "0"),
        ("tlb_dynamic_lb=0", "56"),
        ("lacp_rate=1", "4"),
        ("lacp_active=0", "4"),
        ("ad_actor_sys_prio=1", "4"),
        ("ad_user_port_key=1", "4"),
        ("ad_actor_system=02:00:00:00:00:01", "4"),
        ("coupled_control=0", "4"),
        ("broadcast_neighbor=1", "4"),
        ("ad_select=1", "0123456"),
        ("xmit_hash_policy=1", "0123456"),
        ("primary_reselect=1", "0123456"),
        ("fail_over_mac=1", "0123456"),
        ("min_links=1", "0123456"),
        ("lp_interval=2", "0123456"),
        ("arp_ip_target=10.0.0.1", "0123456"),
        ("ns_ip6_target=2001:db8::1", "0123456"),
        ("arp_all_targets=1", "0123456"),
    ];
    for (option, modes) in options {
        for mode in BondMode::ALL {
            let works = BondOptions::parse(&format!("mode={} {option}", mode.number()));
            if modes.contains(&mode.number().to_string()) {
                assert_eq!(works.err(), None, "{option} in {mode}");
            } else {
                let name = find(option.split_once('=').unwrap().0).unwrap().name;
                assert_eq!(works, Err(vec![BondOptionProblem::NotInMode { name, mode }]));
            }
        }
    }
}

#[test]
fn numbers_are_taken_in_the_kernels_range() {
    let edges: &[(&str, &[&str], &[&str])] = &[
        ("mode=1 miimon", &["0", "1", "2147483647"], &["2147483648", "", "1e3", "0x10", "+1", " "]),
        ("mode=1 miimon=1 peer_notif_delay", &["300000"], &["300001"]),
        ("mode=1 use_carrier", &["0", "on"], &["2", "yes"]),
        ("mode=1 arp_validate", &["6"], &["7"]),
        ("mode=1 primary_reselect", &["2", "failure"], &["3"]),
        ("mode=1 fail_over_mac", &["2", "follow"], &["3"]),
        ("mode=1 xmit_hash_policy", &["5"], &["6"]),
        ("mode=1 resend_igmp", &["255"], &["256"]),
        ("mode=1 num_grat_arp", &["0", "255"], &["256"]),
        ("mode=1 lp_interval", &["1", "minval"], &["0"]),
        ("mode=0 packets_per_slave", &["0", "65535"], &["65536"]),
        ("mode=4 ad_actor_sys_prio", &["1", "65535"], &["0", "65536"]),
        ("mode=4 ad_user_port_key", &["0", "1023"], &["1024"]),
        ("mode=1 arp_missed_max", &["1", "255"], &["0", "256"]),
        ("mode=4 ad_select", &["count"], &["3"]),
        (
            "mode=1 arp_ip_target",
            &["224.0.0.1", "127.0.0.1"],
            &["0.0.0.0", "255.255.255.255", "10.0.0.1,10.0.0.1", "10.0.0", "a", "10.0.0.1,"],
        ),
        ("mode=1 ns_ip6_target", &["fe80::1"], &["::", "::1", "ff02::1", "2001:db8::1,2001:db8::1"]),
        (
            "mode=4 ad_actor_system",
            &["00:00:00:00:00:00"],
            &["01:00:5e:00:00:01", "02:00:00:00:00", "02:00:00:00:00:0", "02:00:00:00:00:00:00"],
        ),
        ("mode=1 primary", &["a23456789012345", "eth0.7"], &["a234567890123456", "a/b", ".", "a:b"]),
    ];
    for (option, good, bad) in edges {
        let name = option.rsplit(' ').next().unwrap();
        for value in *good {
            assert_eq!(BondOptions::parse(&format!("{option}={value}")).err(), None, "{option}={value}");
        }
        for value in bad.iter().map(|value| value.trim()) {
            let option_row = find(name).unwrap();
            let problem = BondOptionProblem::BadValue {
                name: option_row.name,
                value: value.to_owned(),
                allowed: option_row.allowed(),
            };
            rejects(&format!("{option}={value}"), &[problem]);
        }
    }
    let many = |n: u8| (1..=n).map(|i| format!("10.0.0.{i}")).collect::<Vec<_>>().join(",");
    parse(&format!("arp_ip_target={}", many(16)));
    assert!(matches!(
        &BondOptions::parse(&format!("arp_ip_target={}", many(17))).unwrap_err()[..],
        [BondOptionProblem::BadValue { name: "arp_ip_target", .. }]
    ));
}

#[test]
fn defaults_depend_on_the_mode() {
    for mode in BondMode::ALL {
        let miimon = if mode.number() >= 4 { 100 } else { 0 };
        let bond = BondOptions::defaults_of(mode);
        assert_eq!(bond.get("miimon"), Some(OptionValue::Number(miimon)));
        assert_eq!(bond.canonical(), format!("mode={}", mode.number()));
    }
    assert_eq!(BondOptions::default().get("nonsense"), None);
    assert_eq!(parse("mode=4 miimon=0").canonical(), "mode=4 miimon=0");
}

#[test]
fn the_report_is_like_the_sample() {
    let own = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    assert_eq!(
        parse("lacp_rate=fast mode=4 miimon=100 custom=x:y").report(),
        own(&[("mode", "4"), ("lacp_rate", "1")])
    );
    assert_eq!(BondOptions::default().report(), own(&[("mode", "0")]));
}

#[test]
fn the_kernels_rounding_makes_no_difference() {
    assert!(parse("mode=4 updelay=250").same(&parse("mode=4 updelay=200")));
    assert!(parse("mode=4 updelay=99 custom=x:y").same(&parse("mode=4")));
    assert!(!parse("mode=4 updelay=100").same(&parse("mode=4")));
    assert!(parse("arp_ip_target=10.0.0.1,10.0.0.2").same(&parse("arp_ip_target=10.0.0.2,10.0.0.1")));
    assert!(!parse("mode=1").same(&parse("mode=2")));
    assert!(parse("mode=4 updelay=250").changes(&parse("mode=4 updelay=299")).is_empty());
}

#[test]
fn a_dump_is_read_without_what_the_mode_has_no_use_for() {
    let dump: &[(u16, &[u8])] = &[
        (1, &[1]),
        (3, &100u32.to_ne_bytes()),
        (4, &200u32.to_ne_bytes()),
        (8 | 0x8000, &[8, 0, 0, 0, 10, 0, 0, 1, 8, 0, 1, 0, 10, 0, 0, 2]),
        (9, &3u32.to_ne_bytes()),
        (11, &7u32.to_ne_bytes()),
        (16, &[1]),
        (18, &[1]),
        (21, &[1]),
        (99, &[]),
    ];
    let name = |index: u32| (index == 7).then(|| "eth7".to_owned());
    let bond = BondOptions::from_kernel(dump.iter().copied(), name);
    assert_eq!(bond.canonical(), "mode=1 arp_ip_target=10.0.0.1,10.0.0.2 miimon=100 primary=eth7 updelay=200");
}

/// `name=value` of each change, and what all of them need.
fn road(from: &str, to: &str) -> (String, Needs) {
    let changes = parse(from).changes(&parse(to));
    let words: Vec<_> = changes.iter().map(|change| format!("{}={}", change.attribute.name, change.value)).collect();
    (words.join(" "), OptionChange::needs_of(&changes))
}

#[test]
fn changes_come_in_the_order_the_kernel_wants() {
    for (from, to, changes, needs) in [
        ("mode=4", "mode=4 lacp_rate=1", "lacp_rate=1", Needs::Down),
        ("mode=4 lacp_rate=1 xmit_hash_policy=2", "mode=4", "xmit_hash_policy=0 lacp_rate=0", Needs::Down),
        (
            "mode=1 miimon=100",
            "mode=1 miimon=200 updelay=400",
            "miimon=200 updelay=400 downdelay=0 peer_notif_delay=0",
            Needs::Nothing,
        ),
        // The delays count rounds of miimon, so they change with it.
        ("mode=1 miimon=100 updelay=200", "mode=1 miimon=50 updelay=100", "miimon=50", Needs::Nothing),
        ("mode=1 miimon=100 updelay=200", "mode=1 miimon=50 updelay=200", "miimon=50 updelay=200", Needs::Nothing),
        ("mode=1 miimon=100 updelay=200", "mode=1", "updelay=0 miimon=0", Needs::Nothing),
        (
            "mode=1 miimon=100 downdelay=200",
            "mode=1 arp_interval=1000 arp_ip_target=10.0.0.1",
            "downdelay=0 arp_ip_target=10.0.0.1 arp_validate=0 arp_interval=1000",
            Needs::Nothing,
        ),
        (
            "mode=1 arp_interval=1000 arp_ip_target=10.0.0.1 arp_validate=3",
            "mode=1 miimon=100",
            "miimon=100 arp_ip_target= updelay=0 downdelay=0 peer_notif_delay=0",
            Needs::Nothing,
        ),
        ("mode=1 arp_interval=1000 arp_ip_target=10.0.0.1", "mode=1", "arp_interval=0 arp_ip_target=", Needs::Nothing),
        ("mode=1 fail_over_mac=1", "mode=1", "fail_over_mac=0", Needs::NoSlaves),
        ("mode=1 fail_over_mac=1", "mode=1 ad_select=1", "fail_over_mac=0 ad_select=1", Needs::DownAndNoSlaves),
        ("mode=1 primary=eth0", "mode=1", "primary=", Needs::Nothing),
        (
            "mode=1 miimon=100 primary=eth0",
            "mode=4 lacp_rate=1",
            "mode=4 lacp_active=1 lacp_rate=1 ad_actor_sys_prio=65535 ad_user_port_key=0 coupled_control=1 broadcast_neighbor=0",
            Needs::DownAndNoSlaves,
        ),
        ("mode=4 updelay=200", "mode=2", "mode=2 updelay=0 miimon=0 arp_missed_max=2", Needs::DownAndNoSlaves),
        ("mode=5 tlb_dynamic_lb=0", "mode=6", "mode=6", Needs::DownAndNoSlaves),
        ("mode=5 tlb_dynamic_lb=0", "mode=6 tlb_dynamic_lb=0", "mode=6 tlb_dynamic_lb=0", Needs::DownAndNoSlaves),
    ] {
        let (got, got_needs) = road(from, to);
        // A miimon that was off hides delays, so all three are set with it.
        assert_eq!((&*got, got_needs), (&*fix(from, changes), needs), "{from} -> {to}");
    }
}

/// From a miimon that is on, the delays are known.
fn fix(from: &str, changes: &str) -> String {
    if from == "mode=1 miimon=100" {
        changes.replace(" downdelay=0 peer_notif_delay=0", "")
    } else {
        changes.to_owned()
    }
}

/// What the real bonding driver does with an attribute, as measured.
#[derive(Default)]
struct ToyKernel {
    mode: BondMode,
    numbers: BTreeMap<&'static str, u32>,
    rounds: BTreeMap<&'static str, u32>,
    lists: BTreeMap<&'static str, Vec<u8>>,
    primary: String,
}

impl ToyKernel {
    fn create(attributes: &[Attribute]) -> ToyKernel {
        let mut kernel = ToyKernel::default();
        let rank = |attribute: &Attribute| BOND_OPTIONS.iter().position(|option| option.name == attribute.name);
        let mut sorted = attributes.to_vec();
        sorted.sort_by_key(rank);
        for attribute in &sorted {
            kernel.apply(attribute);
        }
        kernel
    }

    fn number(&self, name: &'static str) -> u32 {
        self.numbers.get(name).copied().unwrap_or_else(|| find(name).unwrap().default_number(BondMode::BalanceRr))
    }

    fn apply(&mut self, attribute: &Attribute) {
        let bytes = match &attribute.payload {
            Payload::Bytes(bytes) => bytes.clone(),
            Payload::Device(name) => {
                self.primary.clone_from(name);
                return;
            }
        };
        if attribute.name == "mode" {
            self.mode = BondMode::from_number(u32::from(bytes[0])).unwrap();
            self.numbers.insert("arp_validate", 0);
            if self.mode.monitors_by_mii_only() {
                self.numbers.insert("arp_interval", 0);
                if self.number("miimon") == 0 {
                    self.numbers.insert("miimon", 100);
                }
            }
            if self.mode == BondMode::BalanceAlb {
                self.numbers.insert("tlb_dynamic_lb", 1);
            }
            return;
        }
        let option = find(attribute.name).unwrap();
        assert_eq!(option.attribute, attribute.number);
        assert!(option.works_in(self.mode), "EACCES {} in {}", option.name, self.mode);
        match change::decode(option, &bytes, |_| Some(String::new())).unwrap() {
            OptionValue::Number(value) if is_delay(option) => {
                assert!(self.number("miimon") > 0, "EPERM {}", option.name);
                self.rounds.insert(option.name, value / self.number("miimon"));
            }
            OptionValue::Number(value) => {
                assert!((option.range.0..=option.range.1).contains(&value), "EINVAL {}={value}", option.name);
                self.numbers.insert(option.name, value);
                if option.name == "miimon" && value > 0 && self.number("arp_interval") > 0 {
                    self.numbers.insert("arp_interval", 0);
                    self.numbers.insert("arp_validate", 0);
                }
                if option.name == "arp_interval" && value > 0 {
                    self.numbers.insert("miimon", 0);
                }
            }
            OptionValue::Device(_) => self.primary.clear(),
            _ => drop(self.lists.insert(option.name, bytes)),
        }
    }

    fn dump(&self) -> BondOptions {
        let mut dump = vec![(MODE_ATTRIBUTE, vec![self.mode.number()])];
        for option in BOND_OPTIONS {
            let number = if is_delay(option) {
                self.rounds.get(option.name).copied().unwrap_or(0) * self.number("miimon")
            } else {
                self.number(option.name)
            };
            let bytes = match option.kind {
                ValueKind::U8 => vec![u8::try_from(number).unwrap()],
                ValueKind::U16 => u16::try_from(number).unwrap().to_ne_bytes().to_vec(),
                ValueKind::U32 => number.to_ne_bytes().to_vec(),
                ValueKind::Device if self.primary.is_empty() => continue,
                ValueKind::Device => self.primary[3..].parse::<u32>().unwrap().to_ne_bytes().to_vec(),
                _ => match self.lists.get(option.name) {
                    Some(bytes) => bytes.clone(),
                    None => continue,
                },
            };
            if option.dumped != Dumped::InLacp || self.mode == BondMode::Lacp {
                dump.push((option.attribute, bytes));
            }
        }
        BondOptions::from_kernel(dump.iter().map(|(number, bytes)| (*number, &**bytes)), |index| {
            Some(format!("eth{index}"))
        })
    }
}

/// Any option string that the rules let pass.
fn any_options() -> impl Strategy<Value = BondOptions> {
    let words = prop::collection::vec((0..BOND_OPTIONS.len(), any::<u32>()), 0..8);
    (0u8..7, words).prop_map(|(mode, words)| {
        let mut text = format!("mode={mode}");
        let mut options = parse(&text);
        for (row, seed) in words {
            let option = &BOND_OPTIONS[row];
            let (low, high) = option.range;
            let value = match option.kind {
                ValueKind::Device => format!("eth{}", seed % 3),
                ValueKind::Ips4 => format!("10.0.0.{},10.0.1.{}", seed % 3, seed % 2),
                ValueKind::Ips6 => format!("2001:db8::{}", seed % 3 + 1),
                ValueKind::Mac => format!("02:00:00:00:00:0{}", seed % 3),
                _ => (low + seed % (high.min(500) - low.min(500) + 1)).to_string(),
            };
            let longer = format!("{text} {}={value}", option.name);
            if let Ok(parsed) = BondOptions::parse(&longer) {
                (text, options) = (longer, parsed);
            }
        }
        options
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn the_canonical_form_says_it_all(bond in any_options()) {
        prop_assert_eq!(&parse(&bond.canonical()), &bond);
    }

    #[test]
    fn a_bond_is_created_as_asked(bond in any_options()) {
        let made = ToyKernel::create(&bond.attributes()).dump();
        prop_assert!(made.same(&bond), "{} became {}", bond.canonical(), made.canonical());
    }

    #[test]
    fn every_road_arrives_and_the_second_time_there_is_none(all in prop::collection::vec(any_options(), 2..5)) {
        let mut kernel = ToyKernel::create(&all[0].attributes());
        for goal in &all[1..] {
            let seen = kernel.dump();
            for change in seen.changes(goal) {
                kernel.apply(&change.attribute);
            }
            let made = kernel.dump();
            prop_assert!(made.same(goal), "{} -> {} became {}", seen.canonical(), goal.canonical(), made.canonical());
            prop_assert!(made.changes(goal).is_empty());
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in ".{0,60}") {
        let _ = BondOptions::parse(&text);
    }
}

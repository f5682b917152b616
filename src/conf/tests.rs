//! What vdsm.conf may say, and what is said of what it may not.

use super::*;
use tempfile::TempDir;
use vdsm_model::name::NetworkName;

const EXAMPLE: &str = include_str!("../../vdsm.conf.example");

/// A directory with `vdsm.conf` and drop-ins, read as one named with `--config`.
fn load(main: &str, drop_ins: &[(&str, &str)]) -> (TempDir, Result<Settings, ConfError>) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("vdsm.conf");
    fs::write(&path, main).expect("written");
    fs::create_dir(dir.path().join("vdsm.conf.d")).expect("made");
    for (name, text) in drop_ins {
        fs::write(dir.path().join("vdsm.conf.d").join(name), text).expect("written");
    }
    let settings = Settings::load(&path, Absent::IsAnError);
    (dir, settings)
}

fn vars(lines: &str) -> Settings {
    load(&format!("[vars]\n{lines}\n"), &[]).1.expect("sound")
}

fn refusal(lines: &str) -> Vec<String> {
    let (dir, settings) = load(&format!("[vars]\n{lines}\n"), &[]);
    let place = format!("{}: ", dir.path().join("vdsm.conf").display());
    let problems = settings.expect_err("refused").problems;
    problems.iter().map(|p| p.to_string().replace(&place, "")).collect()
}

#[test]
fn the_example_says_the_defaults_and_names_every_key() {
    let (_dir, settings) = load(EXAMPLE, &[]);
    assert_eq!(settings.expect("sound"), Settings::default());
    let named = |key| EXAMPLE.lines().filter(|l| l.split('=').next().map(str::trim) == Some(key)).count();
    for key in KEYS {
        assert_eq!(named(key), 1, "{key}");
    }
    let keys = EXAMPLE.lines().filter(|l| !l.starts_with('#') && l.contains('=')).count();
    assert_eq!(keys, KEYS.len());
}

#[test]
fn every_key_is_known_to_both() {
    for key in KEYS {
        assert!(Settings::default().set(key, "").is_some(), "{key}");
    }
    assert!(Settings::default().set("hidden_nic", "").is_none());
}

#[test]
fn each_key_sets_its_own_field() {
    let settings = vars(
        "run_dir = /r\nlib_dir=/l\nsocket = /s\ngroup = wheel\nunknown_keys = warn\nnetwork_combination = relaxed\n\
         bond_foreign_addresses = replace\ndrift = heal\nmanagement_network = mgmt\nconnectivity_probes = gateway,tcp:192.0.2.5:22\nconnectivity_quorum = 1\nfake_nics = a\nhidden_nics = b\nhidden_bonds = c\nhidden_vlans = d, e\n\
         hooks_dir = /h\nhook_timeout = 3600\ndhcp_timeout = 3\nresolv_conf = /e\nnetlink_timeout = 1\nhistory_entries = 0\nmax_request_bytes = 4096\nmax_clients = 65536\nnet_configurator = iproute2\nnet_persistence = unified",
    );
    let wanted = Settings {
        run_dir: "/r".into(),
        lib_dir: "/l".into(),
        socket: "/s".into(),
        group: "wheel".into(),
        network_combination: NetworkCombination::Relaxed,
        bond_foreign_addresses: BondForeignAddresses::Replace,
        drift: Drift::Heal,
        management_network: Some(NetworkName::try_from("mgmt").unwrap()),
        connectivity_probes: vec![Probe::Gateway, Probe::Tcp(([192, 0, 2, 5], 22).into())],
        connectivity_quorum: Quorum::AtLeast(1),
        fake_nics: Patterns::from("a"),
        hidden_nics: Patterns::from("b"),
        hidden_bonds: Patterns::from("c"),
        hidden_vlans: Patterns::from("d,e"),
        hooks_dir: Some("/h".into()),
        hook_timeout: Duration::from_secs(3600),
        dhcp_timeout: Duration::from_secs(3),
        resolv_conf: "/e".into(),
        netlink_timeout: Duration::from_secs(1),
        history_entries: 0,
        max_request_bytes: 4096,
        max_clients: 65536,
        ..Settings::default()
    };
    assert_eq!(settings, wanted);
}

#[test]
fn a_missing_file_is_fine_unless_it_was_asked_for() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("vdsm.conf");
    assert_eq!(Settings::load(&path, Absent::MeansDefaults).expect("defaults"), Settings::default());
    let refused = Settings::load(&path, Absent::IsAnError).expect_err("named");
    assert!(matches!(&refused.problems[..], [ConfProblem::Unreadable { file, .. }] if *file == path));
    fs::create_dir(dir.path().join("vdsm.conf.d")).expect("made");
    fs::write(dir.path().join("vdsm.conf.d/a.conf"), "[vars]\ngroup = a").expect("written");
    assert_eq!(Settings::load(&path, Absent::MeansDefaults).expect("drop-in").group, "a");
}

#[test]
fn the_last_drop_in_wins() {
    let (_dir, settings) = load(
        "[vars]\ngroup = main\nmax_clients = none\nrun_dir = /main",
        &[
            ("50.conf", "[vars]\ngroup = fifty\nmax_clients = 5"),
            ("60.conf", "[vars]\ngroup = sixty"),
            ("70.conf.rpmsave", "[vars]\ngroup = saved"),
            (".80.conf", "[vars]\ngroup = hidden"),
        ],
    );
    let settings = settings.expect("sound");
    assert_eq!((settings.group.as_str(), settings.max_clients), ("sixty", 5));
    assert_eq!(settings.run_dir, Path::new("/main"));
}

#[test]
fn all_problems_are_told_at_once_with_their_rules() {
    let told = refusal(
        "net_configurator = ifcfg\nnet_persistence = ifcfg\nrun_dir = here\nnetlink_timeout = 0\nmax_clients = many\nlib_dir\nunknown_keys = maybe",
    );
    let wanted = [
        "`lib_dir = `: needs a `=` and a value",
        "`max_clients = many`: must be a whole number from 1 to 65536",
        "`net_configurator = ifcfg`: must be iproute2; this build has no configurator `ifcfg`",
        "`net_persistence = ifcfg`: must be unified; networks are no longer kept as ifcfg files, only below lib_dir",
        "`netlink_timeout = 0`: must be a whole number from 1 to 3600",
        "`run_dir = here`: must be an absolute path",
        "`unknown_keys = maybe`: must be warn or refuse",
    ];
    assert_eq!(told, wanted);
    assert_eq!(refusal("net_configurator = iproute"), ["`net_configurator = iproute`: must be iproute2"]);
    assert_eq!(refusal("hooks_dir = hooks"), ["`hooks_dir = hooks`: must be an absolute path, or nothing"]);
    assert_eq!(vars("hooks_dir =").hooks_dir, None);
    let long = format!("/{}", "s".repeat(107));
    assert_eq!(
        refusal(&format!("socket = {long}")),
        [format!("`socket = {long}`: must be an absolute path of at most 107 bytes")]
    );
    assert_eq!(
        refusal("history_entries = 10001"),
        ["`history_entries = 10001`: must be a whole number from 0 to 10000"]
    );
    assert_eq!(vars("history_entries = 10000").history_entries, 10_000);
    assert_eq!(refusal("group = a b"), ["`group = a b`: must be the name of one group"]);
}

#[test]
fn a_file_of_another_form_is_named_with_the_others() {
    let (dir, settings) = load("[vars]\nmax_clients = 0", &[("x.conf", "[vars\n"), ("y.conf", "= 3\n")]);
    let told = settings.expect_err("refused").to_string().replace(dir.path().to_str().expect("UTF-8"), "");
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), 3, "{told}");
    assert!(lines[0].starts_with("/vdsm.conf.d/x.conf: "), "{told}");
    assert!(lines[1].starts_with("/vdsm.conf.d/y.conf: "), "{told}");
    assert!(lines[2].starts_with("/vdsm.conf: `max_clients = 0`"), "{told}");
}

#[test]
fn a_slip_is_pointed_out_and_vdsms_own_keys_are_not() {
    let (dir, settings) = load(
        "early = 1\n[vars]\nhiden_nics = x\nssl = true\nnic_model = rtl8139,pv\nethtool_opts.em1 = -K\nenable_lldp\n[mom]\nx = y\n[var]\nz = 1",
        &[],
    );
    let unknown = settings.expect("sound").unknown;
    let told = unknown.join("\n").replace(&format!("{}: ", dir.path().join("vdsm.conf").display()), "");
    let wanted = "keys above the line `[vars]` are ignored\n\
                  section [var] is ignored; did you mean [vars]?\n\
                  unknown key `hiden_nics`; did you mean `hidden_nics`?\n\
                  unknown key `ssl`";
    assert_eq!(told, wanted);
}

#[test]
fn patterns_match_as_fnmatch_does() {
    for (list, name, matches) in [
        ("", "", false),
        ("", "eth0", false),
        ("dummy_*,veth_*", "dummy_0", true),
        ("dummy_*,veth_*", "veth_", true),
        ("dummy_*,veth_*", "dummy0", false),
        (" w* , usb* ,,", "usb0", true),
        ("eth?", "eth10", false),
        ("eth?", "eth1", true),
        ("*", "", true),
        ("a*b*c", "aXbYbZc", true),
        ("a*b*c", "aXbYbZ", false),
        ("eth[0-35]", "eth2", true),
        ("eth[0-35]", "eth5", true),
        ("eth[0-35]", "eth4", false),
        ("eth[!0-3]", "eth4", true),
        ("eth[!0-3]", "eth0", false),
        ("eth[!0-3]", "eth", false),
        ("[]x]", "]", true),
        ("[!]x]", "]", false),
        ("[!]x]", "y", true),
        ("[a-]", "-", true),
        ("[z-a]", "m", false),
        ("[^a]", "^", true),
        ("[^a]", "b", false),
        ("eth[0", "eth[0", true),
        ("eth[", "eth[", true),
        ("[!", "[!", true),
        ("[]", "[]", true),
        ("Eth0", "eth0", false),
        ("?", "ü", true),
        ("bond0.10", "bond0x10", false),
    ] {
        assert_eq!(Patterns::from(list).matches(name), matches, "{list} on {name}");
    }
}

#[test]
fn no_pattern_takes_forever() {
    let pattern = Patterns::from(format!("{}b", "a*".repeat(2000)).as_str());
    assert!(!pattern.matches(&"a".repeat(4000)));
}

#[test]
fn probes_are_named_once_each_with_numeric_addresses() {
    let probes = |value: &str| vars(&format!("connectivity_probes = {value}")).connectivity_probes;
    let all = [
        Probe::Call,
        Probe::Gateway,
        Probe::Carrier,
        Probe::Tcp("192.0.2.5:22".parse().unwrap()),
        Probe::Tcp("[2001:db8::1]:443".parse().unwrap()),
    ];
    assert_eq!(probes("call,gateway , carrier, tcp:192.0.2.5:22, tcp:[2001:db8::1]:443"), all);
    let spelled: Vec<String> = all.iter().map(Probe::to_string).collect();
    assert_eq!(probes(&spelled.join(", ")), all);
    // The same host by another spelling.
    assert_eq!(probes("tcp:[::ffff:192.0.2.5]:22"), all[3..4]);
    let rule = "must be a list of call, gateway, carrier and tcp:ADDRESS:PORT";
    for (value, why) in [
        ("", format!("{rule}; `` is none of them")),
        ("call,", format!("{rule}; `` is none of them")),
        ("call gateway", format!("{rule}; `call gateway` is none of them")),
        ("ping", format!("{rule}; `ping` is none of them")),
        ("gateway, call, gateway", "names `gateway` twice".to_owned()),
        ("tcp:192.0.2.5:22, tcp:[::ffff:192.0.2.5]:22", "names `tcp:192.0.2.5:22` twice".to_owned()),
        ("tcp:127.0.0.1:22", format!("{rule}; `tcp:127.0.0.1:22` is no address of another host")),
        ("tcp:[::]:22", format!("{rule}; `tcp:[::]:22` is no address of another host")),
        ("tcp:255.255.255.255:22", format!("{rule}; `tcp:255.255.255.255:22` is no address of another host")),
        ("tcp:192.0.2.5:0", format!("{rule}; `tcp:192.0.2.5:0` has no port from 1 to 65535")),
        (
            "tcp:[fe80::1]:22",
            format!("{rule}; `tcp:[fe80::1]:22` is a link-local address, which says nothing without its link"),
        ),
    ] {
        assert_eq!(
            refusal(&format!("connectivity_probes = {value}")),
            [format!("`connectivity_probes = {value}`: {why}")]
        );
    }
    for value in ["tcp:example.org:22", "tcp:192.0.2.5", "tcp:2001:db8::1:22", "tcp:192.0.2.5:65536", "tcp:"] {
        let told = refusal(&format!("connectivity_probes = {value}"));
        assert!(told[0].ends_with("has no numeric address and port, as tcp:192.0.2.5:22 or tcp:[2001:db8::1]:22"));
    }
}

#[test]
fn no_more_probes_can_be_wanted_than_there_are() {
    let both = |probes: &str, quorum: &str| format!("connectivity_probes = {probes}\nconnectivity_quorum = {quorum}");
    for (quorum, wanted) in [("all", Quorum::All), ("majority", Quorum::Majority), ("2", Quorum::AtLeast(2))] {
        assert_eq!(vars(&both("call, carrier", quorum)).connectivity_quorum, wanted);
    }
    for quorum in ["0", "some", "", "-1"] {
        assert_eq!(
            refusal(&both("call, carrier", quorum)),
            [format!(
                "`connectivity_quorum = {quorum}`: must be all, majority, or a whole number from 1 to the number of connectivity_probes"
            )]
        );
    }
    let rule = |number: usize| format!("must not be more than the number of connectivity_probes, which is {number}");
    assert_eq!(refusal(&both("call, carrier", "3")), [format!("`connectivity_quorum = 3`: {}", rule(2))]);
    assert_eq!(refusal("connectivity_quorum = 2"), [format!("`connectivity_quorum = 2`: {}", rule(1))]);
    // What is wrong with one of them alone is said alone.
    assert_eq!(refusal(&both("ping", "3")).len(), 1);
}

#[test]
fn the_quorum_counts_those_that_apply() {
    let law = |quorum: Quorum| [0, 1, 2, 3, 4].map(|applying| quorum.of(applying));
    assert_eq!(law(Quorum::All), [0, 1, 2, 3, 4]);
    assert_eq!(law(Quorum::Majority), [0, 1, 2, 2, 3]);
    assert_eq!(law(Quorum::AtLeast(1)), [0, 1, 1, 1, 1]);
    assert_eq!(law(Quorum::AtLeast(3)), [0, 1, 2, 3, 3]);
}

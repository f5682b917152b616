//! What ethtool(8) takes is taken, what it does not is told, all at once.

use super::*;
use crate::name::DeviceName;

fn name(text: &str) -> DeviceName {
    DeviceName::try_from(text).unwrap()
}

/// What is asked of `em2`, sorted, as ethtool would show it.
fn asked(text: &str) -> Vec<String> {
    let options = EthtoolOptions::parse(text).unwrap_or_else(|problems| panic!("{text}: {problems:?}"));
    options.of(name("em2")).into_iter().map(|(key, wish)| format!("{key} {}", key.shown(wish.value))).collect()
}

#[track_caller]
fn refuses(text: &str, expected: &[&str]) {
    let problems = EthtoolOptions::parse(text).unwrap_err();
    assert_eq!(problems.iter().map(ToString::to_string).collect::<Vec<_>>(), expected, "{text}");
}

#[test]
fn the_example_of_the_original_is_understood() {
    let text = "--offload em2 rx on --coalesce * rx-usecs 14 --coalesce em1 sample-interval 3";
    assert_eq!(asked(text), ["-K rx-checksum on", "-C rx-usecs 14"]);
    let options = EthtoolOptions::parse(text).unwrap();
    assert_eq!(options.devices().collect::<Vec<_>>(), [name("em2"), name("em1")]);
    assert_eq!(options.without(|device| *device == name("em2")).of(name("em2")).len(), 1);
}

#[test]
fn each_command_has_its_spellings() {
    for (spellings, rest, expected) in [
        (&["-K", "--features", "--offload"][..], "rx-gro off", "-K rx-gro off"),
        (&["-C", "--coalesce"], "adaptive-rx on", "-C adaptive-rx on"),
        (&["-G", "--set-ring"], "rx 0x100", "-G rx 256"),
        (&["-L", "--set-channels"], "combined 4", "-L combined 4"),
        (&["-A", "--pause"], "autoneg off", "-A autoneg off"),
        (&["-s", "--change"], "autoneg on", "-s autoneg on"),
    ] {
        for spelling in spellings {
            assert_eq!(asked(&format!(" {spelling}  *   {rest} ")), [expected], "{spelling}");
        }
    }
    assert_eq!(
        asked("-s em2 speed 1000 duplex full autoneg off"),
        ["-s autoneg off", "-s speed 1000", "-s duplex full"]
    );
    assert!(EthtoolOptions::parse("").unwrap().is_empty());
}

#[test]
fn ethtools_own_names_stand_for_the_kernels() {
    for (alias, features) in [
        ("rx", &["rx-checksum"][..]),
        (
            "tx",
            &[
                "tx-checksum-ipv4",
                "tx-checksum-ip-generic",
                "tx-checksum-ipv6",
                "tx-checksum-fcoe-crc",
                "tx-checksum-sctp",
            ],
        ),
        ("sg", &["tx-scatter-gather", "tx-scatter-gather-fraglist"]),
        (
            "tso",
            &[
                "tx-tcp-segmentation",
                "tx-tcp-ecn-segmentation",
                "tx-tcp-mangleid-segmentation",
                "tx-tcp6-segmentation",
                "tx-tcp-accecn-segmentation",
            ],
        ),
        ("ufo", &["tx-udp-fragmentation"]),
        ("gso", &["tx-generic-segmentation"]),
        ("gro", &["rx-gro"]),
        ("lro", &["rx-lro"]),
        ("rxvlan", &["rx-vlan-hw-parse"]),
        ("txvlan", &["tx-vlan-hw-insert"]),
        ("ntuple", &["rx-ntuple-filter"]),
        ("rxhash", &["rx-hashing"]),
        (
            "tcp-segmentation-offload",
            &[
                "tx-tcp-segmentation",
                "tx-tcp-ecn-segmentation",
                "tx-tcp-mangleid-segmentation",
                "tx-tcp6-segmentation",
                "tx-tcp-accecn-segmentation",
            ],
        ),
    ] {
        let expected: Vec<String> = features.iter().map(|feature| format!("-K {feature} off")).collect();
        assert_eq!(asked(&format!("-K * {alias} off")), expected, "{alias}");
    }
}

#[test]
fn everything_wrong_is_told_at_once() {
    refuses(
        "--ofload em2 rx on -K em2 gor on tx maybe lro -C * rx-usec 3 rx-usecs -1 -G",
        &[
            "'--ofload' is no option of ethtool; did you mean '--offload'?",
            "'gor' is no setting of '-K'; did you mean 'gro'?",
            "'-K tx' cannot be 'maybe'; it is on or off",
            "'-K lro' cannot be ''; it is on or off",
            "'rx-usec' is no setting of '-C'; did you mean 'rx-usecs'?",
            "'-C rx-usecs' cannot be '-1'; it is a number from 0 to 4294967295",
            "'-G' is followed by no device",
        ],
    );
    refuses(
        "em2 rx on --set-eee em2 eee off -s em2 wol g -s em2 speed 0",
        &[
            "'em2' is no option of ethtool",
            "ethtool's '--set-eee' cannot be had here; what can is -K (--offload, --features), -s (--change), -L (--set-channels), -G (--set-ring), -C (--coalesce) and -A (--pause)",
            "'-s wol' cannot be had here: nobody could give back what was there before",
            "'-s speed' cannot be '0'; it is a number of Mbit/s",
        ],
    );
    refuses(
        "-L em2 -L em2 rx 4294967296",
        &["'-L em2' sets nothing", "'-L rx' cannot be '4294967296'; it is a number from 0 to 4294967295"],
    );
    assert!(matches!(EthtoolOptions::parse("-K a/b rx on").unwrap_err()[..], [EthtoolOptionProblem::BadDevice { .. }]));
}

#[test]
fn speed_and_duplex_are_set_or_negotiated() {
    for text in ["-s em2 speed 100", "-s em2 autoneg on duplex full", "-s em2 duplex half"] {
        refuses(text, &["'-s' with speed or duplex needs 'autoneg off': a nic that negotiates has them from its peer"]);
    }
}

#[test]
fn a_setting_has_one_value_on_each_device() {
    refuses("-K em2 gro on -K em2 gro off", &["'-K rx-gro' of em2 is asked to be both on and off"]);
    refuses("-G * rx 5 -G em2 rx 6", &["'-G rx' of em2 is asked to be both 5 and 6"]);
    refuses("-K * tso on tx-tcp6-segmentation off", &["'-K tx-tcp6-segmentation' of * is asked to be both on and off"]);
    assert_eq!(asked("-G em1 rx 5 -G em2 rx 6 -G em2 rx 6"), ["-G rx 6"]);
}

#[test]
fn each_setting_is_found_by_its_name_and_by_its_attribute() {
    let mut all = BTreeSet::new();
    for group in Group::ALL {
        for row in table::rows().filter(|row| row.group == group) {
            let key = Key::new(group, row.name).unwrap();
            assert!(all.insert(key) && (key.group(), key.name()) == (group, row.name), "{key} stands twice");
            if group != Group::Features {
                assert_eq!(Key::of_attribute(group, row.attribute), Some(key));
            }
        }
    }
    assert_eq!(all.len(), table::rows().count());
}

fn wishes(text: &str) -> BTreeMap<Key, Wish> {
    EthtoolOptions::parse(text).unwrap().of(name("em2"))
}

#[test]
fn what_a_nic_cannot_do_is_told_by_name() {
    let key = |group, name| Key::new(group, name).unwrap();
    let tso = ["tx-tcp-segmentation", "tx-tcp6-segmentation"].map(|name| key(Group::Features, name));
    let seen = SeenSettings {
        values: Key::features()
            .map(|key| (key, u32::from(tso.contains(&key) || key.name() == "highdma")))
            .chain([(key(Group::Rings, "rx"), 256)])
            .collect(),
        changeable: tso.into(),
        refused: [(Group::Pause, "Operation not supported (EOPNOTSUPP)".to_owned())].into(),
        asked: Group::ALL.into(),
    };
    // Of several features what can be changed is; of what cannot, being as wished already will do.
    assert_eq!(seen.possible(&wishes("-K * tso off")).unwrap(), tso.map(|key| (key, 0)).into());
    assert_eq!(seen.possible(&wishes("-K * lro off highdma on")).unwrap(), Settings::new());
    let problems =
        seen.possible(&wishes("-K * lro on rx-vlan-filter on sg on highdma off -A * rx on tx on -G * tx 3 rx 4"));
    assert_eq!(
        problems.unwrap_err(),
        [
            "its driver does not let -K scatter-gather be changed to on",
            "its driver does not let -K highdma be changed to off",
            "its driver does not let -K rx-vlan-filter be changed to on",
            "its driver does not let -K large-receive-offload be changed to on",
            "its driver has no -G tx",
            "its driver has no '-A': Operation not supported (EOPNOTSUPP)",
        ]
    );
}

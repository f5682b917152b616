//! What two bonds agree on by themselves: LACP's partner and aggregators, and the active slave.
//!
//! The other bond lives in another namespace, back to back over veth pairs.

use serde_json::Value;

use super::facts::{Facts, ours};
use super::stage::{agrees, listen, said, said_alike, staged, until};
use super::tools::theirs;
use crate::look::ip;

/// The other bond's namespace.
struct Other;

impl Other {
    fn found() -> Other {
        said("ip netns add other");
        Other
    }

    fn ip(&self, line: &str) {
        let output =
            std::process::Command::new("ip").args(["-n", "other"]).args(line.split_whitespace()).output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn mac(&self) -> String {
        let shown: Value = serde_json::from_str(&said("ip -n other -j link show dev bond0")).unwrap();
        shown[0]["address"].as_str().unwrap().to_owned()
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        said("ip netns del other");
    }
}

/// Two bonds with two slaves each: `bond0` on either side, `d0` and `d1` here, `e0` and `e1` there.
fn back_to_back(options: &str) -> Other {
    let other = Other::found();
    for n in 0..2 {
        ip(&format!("link add d{n} type veth peer name e{n} netns other"));
    }
    ip(&format!(
        "link add bond0 type bond {options}\nlink set d0 master bond0\nlink set d1 master bond0\nlink set bond0 up\n"
    ));
    other.ip(&format!("link add bond0 type bond {options}"));
    for line in ["link set e0 master bond0", "link set e1 master bond0", "link set bond0 up"] {
        other.ip(line);
    }
    other
}

fn get<'f>(facts: &'f Facts, name: &str, property: &str) -> &'f str {
    facts.get(&(name.to_owned(), property.to_owned())).map_or("", String::as_str)
}

const OF_BONDS: [&str; 9] =
    ["lacp", "active slave", "aggregator", "actor", "partner", "slave state", "mii", "mac", "failures"];

/// What the picture and the tools have to say of the bond, once both say the same and it is `so`.
fn settles(live: &vdsm_net::netinfo::Live, when: &str, so: impl Fn(&Facts) -> bool) {
    let of_bond = |name: &str| matches!(name, "bond0" | "d0" | "d1");
    until(when, || {
        let (theirs, ours) = (theirs(&of_bond), ours(&live.settled().unwrap(), &of_bond));
        let [ours, theirs] = [ours, theirs].map(|mut facts| {
            facts.retain(|(_, property), _| OF_BONDS.contains(&property.as_str()));
            facts
        });
        said_alike(&ours, &theirs)?;
        if so(&theirs) { Ok(()) } else { Err(format!("it has not come so far: {theirs:?}")) }
    });
}

#[test]
fn what_lacp_agrees_on_is_seen() {
    staged(&["ip"], || {
        let (live, _watching) = listen(None);
        let other = back_to_back("mode 802.3ad miimon 50 lacp_rate fast");
        let with = |mac: String| move |it: &Facts| get(it, "bond0", "lacp").ends_with(&mac);
        // Both collect and distribute: IEEE 802.1AX 6.4.2.3.
        let carries = |it: &Facts, slave: &str| {
            ["actor", "partner"]
                .iter()
                .all(|side| get(it, slave, side).parse().is_ok_and(|bits: u8| bits & 0x3c == 0x3c))
        };
        let partner = with(other.mac());
        settles(&live, "both slaves carry", |it| partner(it) && carries(it, "d0") && carries(it, "d1"));
        other.ip("link set e0 down");
        settles(&live, "one slave is down", |it| partner(it) && get(it, "d0", "mii") == "DOWN" && carries(it, "d1"));
        other.ip("link set e0 up");
        settles(&live, "it is back", |it| partner(it) && carries(it, "d0") && carries(it, "d1"));
        // Its own address alone would not change what it says of itself.
        other.ip("link set bond0 type bond ad_actor_system 02:00:00:00:77:77");
        let partner = with("02:00:00:00:77:77".to_owned());
        settles(&live, "the partner is another", |it| partner(it) && carries(it, "d0") && carries(it, "d1"));
        other.ip("link set e1 nomaster");
        settles(&live, "the partner's slave went", |it| partner(it) && carries(it, "d0") && !carries(it, "d1"));
        other.ip("link del bond0");
        settles(&live, "the partner is no more", |it| !partner(it));
        assert_eq!(live.readings(), 1);
        agrees(&live, "all else");
    });
}

#[test]
fn the_active_slave_is_seen() {
    staged(&["ip"], || {
        let (live, _watching) = listen(None);
        let other = back_to_back("mode active-backup miimon 50");
        let active = |name: &'static str| move |it: &Facts| get(it, "bond0", "active slave") == name;
        settles(&live, "one is active", active("d0"));
        other.ip("link set e0 down");
        settles(&live, "the other took over", active("d1"));
        other.ip("link set e0 up");
        other.ip("link set e1 down");
        settles(&live, "and back", active("d0"));
        other.ip("link set e0 down");
        settles(&live, "none is left", active(""));
        other.ip("link set e1 up");
        settles(&live, "one came", active("d1"));
        ip("link set bond0 type bond primary d0");
        other.ip("link set e0 up");
        settles(&live, "the primary is preferred", active("d0"));
        ip("link set bond0 type bond active_slave d1\nlink set d0 nomaster\n");
        settles(&live, "by hand", active("d1"));
        assert_eq!(live.readings(), 1);
    });
}

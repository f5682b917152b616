//! Teams, held against what `teamnl` and the daemon that runs them say.

use std::time::Duration;

use serde_json::Value;
use vdsm_model::name::DeviceName;
use vdsm_model::netinfo::{Driver, NetInfo, Port};
use vdsm_net::netinfo::Live;

use super::stage::{Team, agrees, agrees_wholly, listen, said, staged, until};
use crate::look::ip;

/// The other ends of what will be ports.
const HOST: &str = "link add d7 type veth peer name p7
link add d8 type veth peer name p8
link set p7 up
link set p8 up
";

fn name(text: &str) -> DeviceName {
    DeviceName::try_from(text).unwrap()
}

/// Mode and active port, and of each port whether its link is up, and its speed.
type Told = (Option<String>, Option<String>, Vec<(String, bool, u64)>);

fn ours(host: &NetInfo, team: &str) -> Option<Told> {
    let Driver::Team(told) = &host.link(&name(team))?.details.driver else { return None };
    let ports = host.ports_of(name(team)).filter_map(|link| match &link.details.port {
        Some(Port::Team(port)) => Some((link.name.to_string(), port.linkup, port.speed.unwrap_or(0).into())),
        _ => None,
    });
    Some((told.mode.clone(), told.active.map(|port| port.to_string()), ports.collect()))
}

/// What the daemon says, from its own hearing.
fn daemons(team: &str) -> Option<Told> {
    let state: Value = serde_json::from_str(&said(&format!("teamdctl {team} state dump"))).ok()?;
    let text = |value: &Value| value.as_str().filter(|it| !it.is_empty()).map(str::to_owned);
    let ports = state["ports"].as_object().into_iter().flatten().map(|(port, it)| {
        let link = &it["link"];
        (port.clone(), link["up"] == true, link["speed"].as_u64().unwrap_or_default())
    });
    let mut ports: Vec<_> = ports.collect();
    ports.sort();
    Some((text(&state["setup"]["kernel_team_mode_name"]), text(&state["runner"]["active_port"]), ports))
}

/// All three agree, and it is as expected: which port is active, and how many there are.
#[track_caller]
fn is(live: &Live, active: Option<&str>, ports: usize, when: &str) {
    until(when, || {
        let (ours, daemons) = (ours(&live.settled().unwrap(), "tm0"), daemons("tm0"));
        let (Some(ours), Some(daemons)) = (ours, daemons) else { return Err("there is no team".to_owned()) };
        let is_so = ours.1.as_deref() == active && ours.2.len() == ports && ours.0.as_deref() == Some("activebackup");
        if ours == daemons && is_so { Ok(()) } else { Err(format!("ours {ours:?}\nthe daemon's {daemons:?}")) }
    });
    agrees(live, when);
}

fn teamdctl(words: &str) {
    // The daemon answers once it has heard of the port.
    until(words, || match said(&format!("teamdctl tm0 {words}")) {
        _ if daemons("tm0").and_then(|told| told.1).is_some_and(|port| words.ends_with(&port)) => Ok(()),
        said => Err(said),
    });
}

#[test]
fn a_team_is_followed_by_events_alone() {
    staged(&["teamd", "teamnl", "teamdctl"], || {
        ip(HOST);
        // The first team of this kernel may come later than who listens.
        let (live, _watching) = listen(None);
        let team = Team::start("tm0");
        ip("link set d7 master tm0\nlink set tm0 up\n");
        is(&live, Some("d7"), 1, "the first port is the active one");
        ip("link set d8 master tm0\n");
        is(&live, Some("d7"), 2, "a second one waits");
        teamdctl("state item set runner.active_port d8");
        is(&live, Some("d8"), 2, "somebody wants the other one");
        ip("link set p8 down\n");
        is(&live, Some("d7"), 2, "its cable is out");
        ip("link set p8 up\n");
        is(&live, Some("d7"), 2, "and in again");
        ip("link set d7 nomaster\n");
        is(&live, Some("d8"), 1, "the active port is taken out");
        ip("link del d8\n");
        is(&live, None, 0, "the last one is gone");
        drop(team);
        ip("link del tm0\nlink add tm0 type team\n");
        // It takes no other mode while it has ports.
        assert_eq!(said("teamnl tm0 setoption mode roundrobin"), "");
        ip("link set d7 down\nlink set d7 master tm0\n");
        agrees(&live, "another team of that name, without a daemon");
        let (mode, active, ports) = ours(&live.settled().unwrap(), "tm0").unwrap();
        assert_eq!((mode.as_deref(), active, ports.len()), (Some("roundrobin"), None, 1));
        assert_eq!(live.readings(), 1, "nothing was lost, and nothing read anew");
        agrees_wholly(&live, "read anew");
    });
}

#[test]
fn the_listening_thread_hears_a_team_without_being_asked() {
    staged(&["teamd", "teamnl", "teamdctl"], || {
        ip(HOST);
        let (live, _watching) = listen(None);
        let _team = Team::start("tm0");
        ip("link set d7 master tm0\nlink set d8 master tm0\nlink set tm0 up\n");
        let long = Duration::from_secs(20);
        let active = |host: &NetInfo| ours(host, "tm0").and_then(|told| told.1);
        assert!(live.wait_until(long, &|host| active(host).is_some()), "a team came");
        let other = if active(&live.latest()).as_deref() == Some("d7") { "d8" } else { "d7" };
        // Only the daemon and the kernel speak of it: no link changes.
        assert_eq!(said(&format!("teamnl tm0 setoption activeport {}", index(&live, other))), "");
        assert!(live.wait_until(long, &|host| active(host).as_deref() == Some(other)), "another port is active");
    });
}

fn index(live: &Live, link: &str) -> u32 {
    live.latest().link(&name(link)).unwrap().index
}

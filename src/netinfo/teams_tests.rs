//! What of teams' answers comes into the picture, and when they are wanted. What a kernel really says
//! is in `tests/netns/full/picture/`.

use vdsm_model::netinfo::{NetInfo, Port};
use vdsm_netlink::team;

use super::super::NicRule;
use super::super::messages::{attribute, kind, link, number, text};
use super::super::mirror::{Mirror, Wants};
use super::*;

struct Rule;

impl NicRule for Rule {
    fn is_fake(&self, _: &str) -> bool {
        false
    }

    fn is_hidden(&self, _: &str) -> bool {
        false
    }
}

fn name(text: &str) -> DeviceName {
    DeviceName::try_from(text).unwrap()
}

fn team(name: &str) -> Vec<u8> {
    link(9, name, &[kind("team", &[])])
}

fn port(index: u32, name: &str) -> Vec<u8> {
    link(index, name, &[number(libc::IFLA_MASTER, 9), attribute(libc::IFLA_LINKINFO, &text(4, "team"))])
}

fn take(mirror: &mut Mirror, events: &[Vec<u8>]) {
    events.iter().for_each(|payload| mirror.take(libc::RTM_NEWLINK, 0, payload, &Rule));
}

fn told(index: u32, enabled: bool) -> team::Port {
    team::Port { index, linkup: true, speed: Some(1000), enabled }
}

fn answer(active: Option<u32>, ports: &[team::Port]) -> Team {
    Team { mode: "activebackup".to_owned(), active, ports: ports.to_vec() }
}

/// A team with two ports, the first of them active.
fn mirror() -> Mirror {
    let mut mirror = Mirror::new();
    take(&mut mirror, &[team("tm0"), port(5, "a"), port(6, "b")]);
    mirror.take_wants();
    mirror.learn_team(9, answer(Some(5), &[told(5, true), told(6, false)]));
    mirror
}

fn team_of(host: &NetInfo, team: &str) -> (Option<String>, Option<DeviceName>) {
    match &host.link(&name(team)).unwrap().details.driver {
        Driver::Team(team) => (team.mode.clone(), team.active),
        other => panic!("{other:?}"),
    }
}

fn port_of(host: &NetInfo, port: &str) -> Option<TeamPort> {
    match &host.link(&name(port)).unwrap().details.port {
        Some(Port::Team(port)) => Some(*port),
        _ => None,
    }
}

fn mode(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn a_team_and_its_ports_have_what_was_answered_whatever_else_is_told_of_them() {
    let mut mirror = mirror();
    for _ in 0..2 {
        let (host, _) = mirror.compose();
        assert_eq!(team_of(&host, "tm0"), (mode("activebackup"), Some(name("a"))));
        assert_eq!(port_of(&host, "a"), Some(TeamPort { linkup: true, speed: Some(1000), enabled: true }));
        assert_eq!(port_of(&host, "b"), Some(TeamPort { linkup: true, speed: Some(1000), enabled: false }));
        take(&mut mirror, &[team("tm0"), port(5, "a"), port(6, "b")]);
    }
}

#[test]
fn a_team_is_asked_when_it_comes_and_not_for_each_event_of_its_link() {
    let mut mirror = Mirror::new();
    take(&mut mirror, &[port(5, "a"), team("tm0")]);
    assert_eq!(mirror.take_wants().teams, [9].into());
    take(&mut mirror, &[team("tm0"), team("other")]);
    assert_eq!(mirror.take_wants().teams, [].into());
    // Another one in its place.
    mirror.learn_team(9, answer(Some(5), &[told(5, true)]));
    mirror.take(libc::RTM_DELLINK, 0, &team("other"), &Rule);
    take(&mut mirror, &[team("tm0")]);
    assert_eq!(mirror.take_wants().teams, [9].into());
    assert_eq!(team_of(&mirror.compose().0, "tm0"), (None, None), "it has not been asked yet");
    assert_eq!(mirror.teams().collect::<Vec<_>>(), [9]);
}

#[test]
fn only_what_an_answer_changes_is_put_together_anew() {
    let mut mirror = mirror();
    mirror.compose();
    mirror.learn_team(9, answer(Some(5), &[told(5, true), told(6, false)]));
    assert!(!mirror.is_stale());
    // The one that is no port any more differs, too.
    mirror.learn_team(9, answer(Some(5), &[told(5, true)]));
    assert_eq!(mirror.compose().1, [name("a"), name("b"), name("tm0")].into());
    mirror.learn_team(5, answer(None, &[]));
    mirror.learn_team(77, answer(None, &[]));
    assert!(!mirror.is_stale(), "of what is no team nothing is learned");
}

#[test]
fn the_active_port_is_named_as_it_is_called_and_goes_with_its_link() {
    let mut mirror = mirror();
    mirror.compose();
    take(&mut mirror, &[port(5, "renamed")]);
    let (host, links) = mirror.compose();
    assert_eq!(team_of(&host, "tm0").1, Some(name("renamed")));
    assert!(links.contains(&name("tm0")), "{links:?}");
    mirror.take(libc::RTM_DELLINK, 0, &port(5, "renamed"), &Rule);
    assert_eq!(team_of(&mirror.compose().0, "tm0").1, None);
}

#[test]
fn a_link_that_is_no_port_any_more_has_nothing_of_the_team() {
    let mut mirror = mirror();
    take(&mut mirror, &[link(5, "a", &[])]);
    assert_eq!(port_of(&mirror.compose().0, "a"), None);
}

#[test]
fn a_team_without_a_mode_has_none() {
    let mut mirror = mirror();
    for none in ["*NOMODE*", ""] {
        mirror.learn_team(9, Team { mode: none.to_owned(), ..Team::default() });
        assert_eq!(team_of(&mirror.compose().0, "tm0"), (None, None));
    }
}

#[test]
fn a_whole_look_keeps_what_teams_said_until_they_are_asked_again() {
    let former = mirror();
    let mut next = Mirror::new();
    take(&mut next, &[team("tm0"), port(5, "a")]);
    next.keep_untold(&former);
    assert_eq!(team_of(&next.compose().0, "tm0"), (mode("activebackup"), Some(name("a"))));
    // An index that somebody else has now.
    let mut other = Mirror::new();
    take(&mut other, &[link(9, "tm0", &[])]);
    other.keep_untold(&former);
    take(&mut other, &[team("tm0")]);
    assert_eq!(team_of(&other.compose().0, "tm0"), (None, None));
}

#[test]
fn a_team_that_has_told_of_a_change_since_is_to_be_asked_again() {
    let mut mirror = mirror();
    assert!(!mirror.wants_team(9));
    mirror.want(Wants { teams: [9].into(), ..Wants::default() });
    assert!(mirror.wants_team(9) && mirror.is_wanting());
    assert_eq!(mirror.take_wants(), Wants { teams: [9].into(), ..Wants::default() });
}

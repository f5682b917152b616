//! What a resolver makes of servers, and that it finds back.

use proptest::prelude::*;

use super::*;

fn server(text: &str) -> Server {
    text.parse().unwrap()
}

fn servers(texts: &[&str]) -> Vec<Server> {
    texts.iter().map(|text| server(text)).collect()
}

fn dev(name: &str) -> DeviceName {
    DeviceName::try_from(name).unwrap()
}

fn file(text: Option<&str>) -> Resolver {
    Resolver { manager: Manager::File { text: text.map(str::to_owned) }, kept: None }
}

fn text(resolver: &Resolver) -> Option<&str> {
    match &resolver.manager {
        Manager::File { text } => text.as_deref(),
        other => panic!("{other:?}"),
    }
}

fn resolved(links: &[(&str, &[&str], bool)]) -> Resolver {
    let link = |(name, servers, default_route): &(&str, &[&str], bool)| {
        let servers = servers.iter().map(|addr| addr.parse().unwrap()).collect();
        (dev(name), LinkDns { servers, default_route: *default_route })
    };
    let links = links.iter().map(link).collect();
    Resolver { manager: Manager::Resolved { links, global: Vec::new() }, kept: None }
}

/// The host after a wish was done.
fn done(now: &Resolver, wish: &Resolver) -> Resolver {
    let manager = match (&now.manager, &wish.manager) {
        (Manager::Resolved { links, global }, Manager::Resolved { links: told, .. }) => {
            let mut links: BTreeMap<_, _> = links.clone().into_iter().chain(told.clone()).collect();
            links.retain(|_, dns| !dns.servers.is_empty());
            Manager::Resolved { links, global: global.clone() }
        }
        (_, wished) => wished.clone(),
    };
    Resolver { manager, kept: wish.kept.clone() }
}

#[test]
fn a_server_is_an_address_and_a_link_local_one_may_have_a_link() {
    for text in ["192.0.2.53", "2001:db8::53", "fe80::1%eth0"] {
        assert_eq!(server(text).to_string(), text);
    }
    assert_eq!(server("2001:DB8:0::53").to_string(), "2001:db8::53");
    for text in ["", "x", "192.0.2.53%eth0", "fe80::1%", "fe80::1%a/b", "192.0.2.53 "] {
        assert_eq!(text.parse::<Server>(), Err(NoServer), "{text}");
    }
}

#[test]
fn a_file_is_read_as_the_c_library_reads_it() {
    let text = "# nameserver 9.9.9.9\n nameserver 9.9.9.9\nnameserver\nnameserver\t192.0.2.53 # of mgmt\nsearch a\nnameservers 9.9.9.9\r\nnameserver fe80::1%eth0\r\n";
    assert_eq!(servers_in(text), ["192.0.2.53", "fe80::1%eth0"]);
}

#[test]
fn only_the_servers_of_a_file_change() {
    let now = file(Some("# By hand.\nsearch a\r\nnameserver 9.9.9.9\noptions x\nnameserver 8.8.8.8"));
    let wish = now.with(dev("red"), &servers(&["192.0.2.53", "fe80::1%eth0"])).unwrap();
    assert_eq!(
        text(&wish).unwrap(),
        "# By hand.\nsearch a\r\nnameserver 192.0.2.53\nnameserver fe80::1%eth0\noptions x\n"
    );
    let bare = file(Some("search a")).with(dev("red"), &servers(&["192.0.2.53"])).unwrap();
    assert_eq!(text(&bare).unwrap(), "search a\nnameserver 192.0.2.53\n");
    let none = file(None).with(dev("red"), &servers(&["192.0.2.53"])).unwrap();
    assert_eq!(text(&none).unwrap(), "nameserver 192.0.2.53\n");
    assert_eq!(none.kept, Some(Kept::File(None)));
}

#[test]
fn a_file_that_says_so_already_is_left_as_it_is() {
    let now = file(Some("nameserver  2001:DB8::53  # theirs\n"));
    let wish = now.with(dev("red"), &servers(&["2001:db8::53"])).unwrap();
    assert_eq!((&wish, wish.released()), (&now, None));
}

#[test]
fn lines_that_somebody_adds_meanwhile_stay_when_the_servers_go() {
    let ours = file(Some("nameserver 9.9.9.9\n")).with(dev("red"), &servers(&["192.0.2.53"])).unwrap();
    let edited = format!("{}search added\n", text(&ours).unwrap());
    let ours = Resolver { manager: Manager::File { text: Some(edited) }, ..ours };
    assert_eq!(ours.released().unwrap(), file(Some("nameserver 9.9.9.9\nsearch added\n")));
    // And what somebody has removed is as it was.
    let gone = Resolver { manager: Manager::File { text: None }, ..ours };
    assert_eq!(gone.released().unwrap(), file(Some("nameserver 9.9.9.9\n")));
}

#[test]
fn servers_move_from_link_to_link_and_those_that_were_there_come_back() {
    let before = resolved(&[("eth9", &["9.9.9.9"], true), ("blue", &["8.8.8.8"], false)]);
    let red = before.with(dev("red"), &servers(&["192.0.2.53", "fe80::1%eth0"])).unwrap();
    let at_red = done(&before, &red);
    assert_eq!(at_red.servers(), ["fe80::1%eth0", "192.0.2.53"]);
    let blue = at_red.with(dev("blue"), &servers(&["192.0.2.54"])).unwrap();
    let at_blue = done(&at_red, &blue);
    let expected = resolved(&[("eth9", &["9.9.9.9"], true), ("blue", &["192.0.2.54"], true)]);
    assert_eq!((&at_blue.manager, at_blue.servers()), (&expected.manager, vec!["192.0.2.54".to_owned()]));
    let after = done(&at_blue, &at_blue.released().unwrap());
    assert_eq!(after, before);
    // A rollback wishes for what was, in what was touched.
    assert_eq!(done(&at_blue, &at_red.as_far_as(&blue)), at_red);
}

#[test]
fn a_stranger_on_another_link_is_no_deviation() {
    let before = resolved(&[]);
    let wish = before.with(dev("red"), &servers(&["192.0.2.53"])).unwrap();
    let mut now = done(&before, &wish);
    assert!(now.is_as(&wish));
    if let Manager::Resolved { links, .. } = &mut now.manager {
        links.insert(dev("eth9"), LinkDns { servers: vec!["9.9.9.9".parse().unwrap()], default_route: true });
    }
    assert!(now.is_as(&wish));
    if let Manager::Resolved { links, .. } = &mut now.manager {
        links.remove(&dev("red"));
    }
    assert!(!now.is_as(&wish));
}

#[test]
fn what_another_manager_kept_is_forgotten() {
    let old = Some(Kept::Resolved(BTreeMap::from([(dev("red"), LinkDns::default())])));
    let now = Resolver { kept: old, ..file(Some("nameserver 9.9.9.9\n")) };
    assert_eq!(now.released(), Some(file(Some("nameserver 9.9.9.9\n"))));
    let wish = now.with(dev("red"), &servers(&["192.0.2.53"])).unwrap();
    assert_eq!(wish.kept, Some(Kept::File(Some("nameserver 9.9.9.9\n".to_owned()))));
    let now = Resolver { kept: Some(Kept::File(None)), ..resolved(&[("eth9", &["9.9.9.9"], true)]) };
    assert!(done(&now, &now.released().unwrap()) == resolved(&[("eth9", &["9.9.9.9"], true)]));
}

#[test]
fn one_that_is_somebody_elses_is_not_touched() {
    let manager = Manager::Closed { why: "it is theirs".to_owned(), servers: vec!["9.9.9.9".to_owned()] };
    let now = Resolver { manager, kept: Some(Kept::File(None)) };
    assert_eq!((now.with(dev("red"), &servers(&["192.0.2.53"])), now.released()), (None, None));
    assert_eq!((now.servers(), now.closed()), (vec!["9.9.9.9".to_owned()], Some("it is theirs")));
}

proptest! {
    #[test]
    fn however_often_servers_are_set_the_file_finds_back(
        before in proptest::option::of("(nameserver [0-9]\\.9\\.9\\.9\n|search a\r?\n|# x|nameserver\n|\n){0,6}(nameserver 8\\.8\\.8\\.8)?"),
        lists in proptest::collection::vec(proptest::sample::subsequence(vec!["192.0.2.1", "2001:db8::1", "fe80::1%e"], 1..3), 1..4),
    ) {
        let first = file(before.as_deref());
        let mut now = first.clone();
        for list in &lists {
            let prior = now.clone();
            let wish = now.with(dev("red"), &servers(list)).unwrap();
            now = done(&now, &wish);
            prop_assert_eq!(now.servers(), list.clone());
            prop_assert!(now.with(dev("red"), &servers(list)).unwrap() == now, "a second time changes nothing");
            prop_assert!(done(&now, &prior.as_far_as(&wish)) == prior, "a rollback");
        }
        prop_assert_eq!(done(&now, &now.released().unwrap()), first);
    }
}

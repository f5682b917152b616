//! Other people's clients: found, ended without a release, started again.

use std::process::Command;

use vdsm_dhcp_client::Family;
use vdsm_dhcp_client::foreign::{self, ForeignError, Kind, Serves, all, find};

use crate::lab::{Lab, addresses, has, name, quiet, skip, story, wait};

/// Starts the program, and checks all that is promised of it.
fn is_handled(lab: &mut Lab, kind: Kind, line: &str) {
    lab.serve(100, &[]);
    let words: Vec<String> =
        line.replace("DIR", &lab.path("").display().to_string()).split(' ').map(Into::into).collect();
    let mut child = quiet(Command::new(&words[0]).args(&words[1..])).spawn().unwrap();
    let granted = || addresses("n0").first().map(|(address, _)| *address);
    let one = || find(name("n0")).unwrap().into_iter().next();
    let runs = |lab: &Lab| wait("the client", || (lab.logged("DHCPACK") > 0).then(one)?);
    let first = runs(lab);
    assert_eq!((first.kind, &first.families[..]), (kind, &[Family::V4][..]));
    assert_eq!(first.serves, Serves::Devices(vec![name("n0")]));
    assert!(first.exe.is_absolute());
    assert_eq!(find(name("n1")).unwrap(), []);
    if kind != Kind::Udhcpc && kind != Kind::Dhclient {
        wait("its address", granted);
    }
    first.stop().unwrap();
    child.wait().unwrap();
    // What it had just forked is no client, and goes by itself.
    wait("the end", || all().unwrap().is_empty().then_some(()));
    assert!(matches!(first.stop(), Err(ForeignError::Gone { .. })));
    assert_eq!(lab.logged("DHCPRELEASE"), 0);
    assert!(first.pid_files.iter().all(|file| !file.exists()), "{:?}", first.pid_files);
    foreign::start(&first.exe, &first.argv, &first.cwd).unwrap();
    let again = wait("the client again", one);
    assert_eq!((&again.argv, &again.serves, &again.families), (&first.argv, &first.serves, &first.families));
    again.stop().unwrap();
    assert_eq!(lab.logged("DHCPRELEASE"), 0);
}

fn told(test: &'static str, program: &'static str, kind: Kind, line: &'static str) {
    if !has(program) {
        return skip(test, &format!("there is no {program}"));
    }
    story(test, move |lab| is_handled(lab, kind, line));
}

#[test]
fn dhclient_is_handled() {
    let line = "dhclient -4 -d -sf /bin/true -cf /dev/null -lf DIR/leases -pf DIR/pid n0";
    told("foreign::dhclient_is_handled", "dhclient", Kind::Dhclient, line);
}

#[test]
fn dhcpcd_is_handled_with_its_helpers() {
    told(
        "foreign::dhcpcd_is_handled_with_its_helpers",
        "dhcpcd",
        Kind::Dhcpcd,
        "dhcpcd -4 -q -f /dev/null -c /bin/true n0",
    );
}

#[test]
fn a_udhcpc_that_would_release_does_not() {
    let line = "udhcpc -f -R -s /bin/true -p DIR/pid -i n0";
    told("foreign::a_udhcpc_that_would_release_does_not", "udhcpc", Kind::Udhcpc, line);
}

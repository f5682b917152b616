//! Behind which device somebody is.

use vdsm_model::ip::Fate;
use vdsm_model::units::Prefixed;

use super::*;

fn to(prefix: &str, metric: u32, table: u32) -> Route {
    let ip: Prefixed<IpAddr> = ip(prefix).ip;
    Route { to: ip, gateway: None, table, metric, ..Route::default_via(ip.addr) }
}

fn device(text: &str, addresses: &[&str], routes: &[Route], made_routes: &[Route]) -> SeenLink {
    SeenLink {
        addresses: addresses.iter().map(|it| ip(it)).collect(),
        routes: routes.to_vec(),
        made_routes: made_routes.to_vec(),
        ..link(text, SeenKind::Nic)
    }
}

#[test]
fn a_client_is_behind_the_device_with_the_longest_way_to_him() {
    let host = NetInfo::new(
        [
            device("lo", &["127.0.0.1/8", "::1/128"], &[], &[]),
            device("mgmt", &["192.0.2.10/24"], &[to("0.0.0.0/0", 0, MAIN_TABLE)], &[to("192.0.2.0/24", 0, MAIN_TABLE)]),
            device("slow", &[], &[to("0.0.0.0/0", 100, MAIN_TABLE), to("10.0.0.0/8", 5, MAIN_TABLE)], &[]),
            device("fast", &[], &[to("10.0.0.0/8", 1, MAIN_TABLE), to("10.9.0.0/16", 0, 77)], &[]),
            device("narrow", &[], &[to("10.9.9.0/24", 9, MAIN_TABLE)], &[]),
            device(
                "six",
                &["2001:db8::1/64"],
                &[],
                &[to("::/0", 1024, MAIN_TABLE), to("2001:db8::/64", 256, MAIN_TABLE)],
            ),
        ],
        true,
    );
    for (client, iface) in [
        ("192.0.2.77", "mgmt"),
        ("198.51.100.1", "mgmt"),
        ("10.1.1.1", "fast"),
        ("10.9.1.1", "fast"),
        ("10.9.9.1", "narrow"),
        ("2001:db8::77", "six"),
        ("2001:db8:7::1", "six"),
        // The host itself.
        ("192.0.2.10", "mgmt"),
        ("127.0.0.1", "lo"),
        ("127.1.2.3", "lo"),
        ("::1", "lo"),
        // On which of the links he is, his address does not say.
        ("fe80::77", ""),
    ] {
        let about = About { last_client: Some(client.parse().unwrap()), ..About::default() };
        let report = told(&host, &NetConfig::default(), &about);
        assert_eq!((&report["lastClient"], &report["lastClientIface"]), (&json!(client), &json!(iface)));
    }
}

#[test]
fn without_a_client_or_a_way_to_him_there_is_no_device() {
    let host = NetInfo::new([device("mgmt", &["192.0.2.10/24"], &[], &[to("192.0.2.0/24", 0, MAIN_TABLE)])], true);
    for (client, told_as, iface) in [
        (None, "", ""),
        (Some("10.0.0.1"), "10.0.0.1", ""),
        (Some("2001:db8::1"), "2001:db8::1", ""),
        // A socket for both families.
        (Some("::ffff:192.0.2.77"), "192.0.2.77", "mgmt"),
    ] {
        let about = About { last_client: client.map(|client| client.parse().unwrap()), ..About::default() };
        let report = told(&host, &NetConfig::default(), &about);
        assert_eq!((&report["lastClient"], &report["lastClientIface"]), (&json!(told_as), &json!(iface)));
    }
}

#[test]
fn nobody_is_behind_what_leads_nowhere() {
    let turned_away = Route { fate: Fate::Unreachable, ..to("10.9.0.0/16", 0, MAIN_TABLE) };
    let mgmt = device("mgmt", &[], &[to("0.0.0.0/0", 0, MAIN_TABLE)], &[]);
    let host = NetInfo::new([mgmt, device("lo", &[], &[turned_away], &[])], true);
    let towards = |client: &str| towards(&host, client.parse().unwrap()).map(|it| it.to_string());
    assert_eq!((towards("10.9.0.1"), towards("10.8.0.1").as_deref()), (None, Some("mgmt")));
}

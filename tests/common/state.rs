//! The state of a host as text, for "exactly as before": everything that a rollback must bring
//! back. Interface indexes and the addresses of devices made anew are not.

use std::fmt::Write;

use vdsm_model::netinfo::{NetInfo, SeenKind};

pub fn text(seen: &NetInfo) -> String {
    let mut out = String::new();
    for link in seen.links() {
        let kind = match &link.kind {
            SeenKind::Bond { options, .. } => format!("bond {}", options.canonical()),
            SeenKind::Vlan { tag, device } => format!("vlan {tag} on {device:?}"),
            // A spanning tree that changes shortens the ageing time for a while, also when it has been
            // switched off meanwhile (net/bridge/br_stp.c).
            SeenKind::Bridge { options, .. } => {
                let all = options.canonical();
                let steady: Vec<&str> = all.split(' ').filter(|it| !it.starts_with("ageing_time=")).collect();
                format!("bridge {}", steady.join(" "))
            }
            other => other.word().to_owned(),
        };
        let own = link.permanent_mac.or(link.mac).filter(|_| link.nic).map(|m| m.to_string()).unwrap_or_default();
        let _ = write!(out, "{} {kind} mtu {} {} {own}", link.name, link.mtu, if link.up { "up" } else { "down" });
        let _ = write!(
            out,
            " master {:?} ipv6 {:?} {:?} group {}",
            link.master,
            link.ipv6_disabled.map(|d| !d),
            link.adverts,
            link.group
        );
        for address in &link.addresses {
            let _ = write!(out, " {address} brd {:?}", address.broadcast);
        }
        let mut routes: Vec<String> = link.routes.iter().map(|r| format!("{r} proto {}", r.protocol)).collect();
        routes.sort();
        let shaper = link.shaper.as_ref().map(|it| format!("{:?}", it.classes)).unwrap_or_default();
        let _ = writeln!(out, " {routes:?} {shaper}");
    }
    for rule in seen.rules() {
        let _ = writeln!(out, "rule {rule} proto {}", rule.protocol);
    }
    let _ = writeln!(out, "resolver {:?}", seen.resolver);
    out
}

/// The lines that differ, for a failing test's reader.
pub fn difference(before: &str, after: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let gone = old.iter().filter(|l| !new.contains(l)).map(|l| format!("- {l}"));
    let come = new.iter().filter(|l| !old.contains(l)).map(|l| format!("+ {l}"));
    gone.chain(come).collect::<Vec<_>>().join("\n")
}

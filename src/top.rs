//! What goes through the host's networks at this moment: one screen of `vdsm-tool top`, from two
//! answers of `Host.getStats` and one of `Host.getTopology`.
//!
//! Only the screen. When to ask, when to draw again and what keys do is the caller's.

mod meter; // counters become rates
mod table; // columns that fit

use serde_json::{Map, Value};

use crate::show::json::clean;
use crate::show::natural;
use crate::show::topology::{Agreement, Kind, Light, Link, Network, Topology};
use meter::{Traffic, bits, number, packets};
use table::{Cell, Column, Side, cut, fit};

/// What is known at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The answer of `Host.getStats` before; none on the first screen, which then has no rates.
    pub previous: Option<&'a Value>,
    /// The answer of `Host.getStats`.
    pub current: &'a Value,
    /// The answer of `Host.getTopology`.
    pub topology: &'a Value,
}

/// Where a frame is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    /// Lines, at least 4 to be of use.
    pub rows: usize,
    /// Characters in a line, from 20; with 92 everything is shown.
    pub columns: usize,
    /// Whether colours are wanted. Nothing is lost without them.
    pub colour: bool,
}

impl Frame<'_> {
    /// One screen: at most `rows` lines of at most `columns` characters, without a newline at the
    /// end. Any JSON will do, and what is not understood is left out.
    ///
    /// Networks come first, then nics and bonds, each part with the busiest on top. A network's
    /// traffic is that of its VLAN, or of its nic or bond if it has no tag; a bridge's own counters
    /// know nothing of what its machines say to the outside.
    pub fn drawn(&self, screen: Screen) -> String {
        let host = Topology::read(self.topology);
        let networks = sorted(host.networks.iter().map(|network| self.network(network, &host)).collect());
        let devices = sorted(self.devices(&host));
        let rows = screen.rows;
        // A line for the title, and two for the heads.
        let room = rows.saturating_sub(3);
        // Two lines are one device and how many there are besides.
        let least = (room / 3).max(2).min(room);
        let below = devices.len().min(least.max(room.saturating_sub(networks.len())));
        let longest = networks.iter().chain(&devices).map(|row| row.name.chars().count()).max().unwrap_or(0);
        let mut lines = vec![self.title(&host, screen.columns)];
        lines.extend(part("NETWORK", &networks, room - below, longest, screen));
        lines.extend(part("NIC, BOND", &devices, below, longest, screen));
        lines.truncate(rows);
        lines.join("\n")
    }

    fn title(&self, host: &Topology, room: usize) -> String {
        let nics = || host.links.iter().filter(|link| is_nic(link) && host.is_shown(link));
        let (mut rx, mut tx) = (0.0, 0.0);
        for link in nics() {
            if let Traffic::Rates { rx: more_rx, tx: more_tx, .. } = self.traffic(&link.name) {
                (rx, tx) = (rx + more_rx, tx + more_tx);
            }
        }
        let traffic = match self.previous {
            Some(_) => format!("rx {}, tx {}", bits(rx), bits(tx)),
            None => "measuring".to_owned(),
        };
        let odd = host.networks.iter().filter(|network| network.agreement != Agreement::Agrees).count();
        let odd = if odd == 0 { String::new() } else { format!(", {odd} not as configured") };
        cut(&format!("{} networks{odd}; {} nics: {traffic}", host.networks.len(), nics().count()), room)
    }

    fn network(&self, network: &Network, host: &Topology) -> Row {
        let top = network.top.as_deref().unwrap_or(&network.name);
        let vlan = || host.ports(top).find(|port| port.kind == Kind::Vlan).map(|port| port.name.as_str());
        let base = network.base.as_deref();
        let carriers = match (network.bridged, network.vlan) {
            (true, Some(_)) => [vlan(), Some(top)],
            (true, None) => [base, Some(top)],
            (false, _) => [Some(top), None],
        };
        let carrier = carriers.into_iter().flatten().find(|name| entry(self.current, name).is_some());
        let found = host.link(top);
        let bottom = base.and_then(|base| host.link(base));
        let state = match network.agreement {
            Agreement::Agrees => found.map_or(Light::Unknown, |top| top.light).word(),
            odd => odd.mark(),
        };
        Row {
            name: network.name.clone(),
            state: state.to_owned(),
            words: bottom.and_then(Link::speed_words).unwrap_or_default(),
            speed: bottom.and_then(|bottom| bottom.speed),
            half_duplex: bottom.and_then(|bottom| bottom.half_duplex) == Some(true),
            traffic: carrier.map_or(Traffic::Unknown, |carrier| self.traffic(carrier)),
        }
    }

    /// Nics and bonds, and whatever has counters and is not in the topology.
    fn devices(&self, host: &Topology) -> Vec<Row> {
        let is_device = |link: &&Link| (is_nic(link) || link.kind == Kind::Bond) && host.is_shown(link);
        let known = host.links.iter().filter(is_device).map(|link| Row {
            name: link.name.clone(),
            state: link.light.word().to_owned(),
            words: link.speed_words().unwrap_or_default(),
            speed: link.speed,
            half_duplex: link.half_duplex == Some(true),
            traffic: self.traffic(&link.name),
        });
        let counted = self.current.get("network").and_then(Value::as_object).into_iter().flat_map(Map::iter);
        let unknown = counted.filter(|(name, _)| host.link(&clean(name)).is_none()).map(|(name, stats)| {
            let speed = stats.get("speed").and_then(number).filter(|speed| *speed > 0);
            let text = |key| stats.get(key).and_then(Value::as_str).map(clean).unwrap_or_default();
            let half_duplex = Some(text("duplex") == "half");
            let link = Link { speed, half_duplex, ..Link::default() };
            Row {
                name: clean(name),
                state: text("state"),
                words: link.speed_words().unwrap_or_default(),
                speed,
                half_duplex: half_duplex == Some(true),
                traffic: self.traffic(name),
            }
        });
        known.chain(unknown).collect()
    }

    fn traffic(&self, name: &str) -> Traffic {
        let before = self.previous.and_then(|previous| entry(previous, name));
        Traffic::between(before, entry(self.current, name), self.previous.is_none())
    }
}

fn entry<'v>(stats: &'v Value, name: &str) -> Option<&'v Value> {
    stats.get("network")?.get(name)
}

fn is_nic(link: &Link) -> bool {
    link.nic || link.kind == Kind::Nic
}

/// A line of the table, before it is cut to size.
struct Row {
    name: String,
    state: String,
    /// The speed as people say it.
    words: String,
    /// In Mbit/s.
    speed: Option<u64>,
    half_duplex: bool,
    traffic: Traffic,
}

/// The busiest first, and those without traffic in natural order.
fn sorted(mut rows: Vec<Row>) -> Vec<Row> {
    natural::sort(&mut rows, |row| &row.name);
    let total = |row: &Row| row.traffic.total().unwrap_or(-1.0);
    rows.sort_by(|a, b| total(b).total_cmp(&total(a)));
    rows
}

/// A head and at most so many lines; the last one tells how many there is no room for.
fn part(head: &'static str, rows: &[Row], room: usize, longest: usize, screen: Screen) -> Vec<String> {
    let columns = columns(head, longest.max(head.len()));
    let fit = fit(&columns, 8, screen.columns);
    let heads: Vec<Cell> =
        columns.iter().map(|column| Cell { text: column.head.to_owned(), colour: "\x1b[1m" }).collect();
    let shown = if rows.len() > room { room.saturating_sub(1) } else { rows.len() };
    let cells = rows[..shown].iter().map(Row::cells);
    let lines = [heads].into_iter().chain(cells).map(|cells| fit.line(&columns, &cells, screen.columns, screen.colour));
    let more =
        (shown < rows.len() && room > 0).then(|| cut(&format!("… and {} more", rows.len() - shown), screen.columns));
    lines.chain(more).collect()
}

/// As wide as the longest thing they say.
fn columns(head: &'static str, name: usize) -> Vec<Column> {
    let column = |head, width, side, dispensable| Column { head, width, side, dispensable };
    vec![
        column(head, name, Side::Left, 0),
        column("STATE", 11, Side::Left, 3),
        column("SPEED", 9, Side::Right, 4),
        column("RX", 11, Side::Right, 0),
        column("TX", 11, Side::Right, 0),
        column("USE", 4, Side::Right, 2),
        column("", BAR, Side::Left, 6),
        column("DROPS", 5, Side::Right, 5),
        column("ERRORS", 6, Side::Right, 5),
    ]
}

/// Characters of a bar.
const BAR: usize = 10;

impl Row {
    fn cells(&self) -> Vec<Cell> {
        let plain = |text: String| Cell { text, colour: "" };
        let lit = |text: String, colour| Cell { text, colour };
        let state = match self.state.as_str() {
            "up" => "\x1b[32m",
            "! missing" => "\x1b[31m",
            "" => "",
            _ => "\x1b[33m",
        };
        let [rx, tx, drops, errors] = match self.traffic {
            Traffic::Rates { rx, tx, drops, errors } => [bits(rx), bits(tx), packets(drops), packets(errors)],
            Traffic::New => ["new", "new", "", ""].map(str::to_owned),
            Traffic::Waiting => ["…", "…", "", ""].map(str::to_owned),
            Traffic::Unknown => ["-", "-", "", ""].map(str::to_owned),
        };
        let alarming = |count: &str| if matches!(count, "0" | "") { "" } else { "\x1b[31m" };
        let (alarm_drops, alarm_errors) = (alarming(&drops), alarming(&errors));
        let [used, bar] = self.used();
        vec![
            plain(self.name.clone()),
            lit(self.state.clone(), state),
            plain(self.words.clone()),
            plain(rx),
            plain(tx),
            used,
            bar,
            lit(drops, alarm_drops),
            lit(errors, alarm_errors),
        ]
    }

    /// How much of the line is in use, in percent and as a bar.
    fn used(&self) -> [Cell; 2] {
        let Some(share) = self.traffic.utilisation(self.speed, self.half_duplex) else { return Default::default() };
        let colour = match share {
            ..0.6 => "\x1b[32m",
            0.6..0.9 => "\x1b[33m",
            _ => "\x1b[31m",
        };
        // What is in use at all is seen, and only a full line has a full bar.
        let full = (share.clamp(0.0, 1.0) * BAR as f64).floor() as usize;
        let full = if share > 0.0 { full.max(1) } else { 0 };
        let bar = "█".repeat(full) + &"░".repeat(BAR - full);
        let percent = match (share * 100.0).round() {
            percent if percent > 999.0 => ">999".to_owned(),
            percent => format!("{percent}%"),
        };
        [Cell { text: percent, colour }, Cell { text: bar, colour }]
    }
}

#[cfg(test)]
mod tests;

//! A scene with its places as an SVG document.
//!
//! Plain SVG 1.1 with a few styles, so that browsers, office programs and `rsvg-convert` agree on
//! it. Its own light background makes it readable on dark pages too. Where things go is decided in
//! `layout`.

use std::fmt::Write;

use super::block::{LIGHT, LINE_HEIGHT, LINE_SIZE, NAME_SIZE, PADDING, has_light};
use super::layout::{Layout, Rect};
use super::route::Line;
use super::scene::{Node, Scene, Standing, WireState};
use super::width::{self, Weight, fitted};

const MARGIN: i32 = 24;
/// For the title and the legend.
const HEAD: i32 = 76;
/// The legend needs so much.
const NARROWEST: i32 = 910;
const TITLE_SIZE: u32 = 17;
/// Below the head, if the host has remarks.
const REMARK_HEIGHT: i32 = 16;

pub(super) fn drawn(scene: &Scene) -> String {
    let layout = Layout::of(scene);
    let width = layout.width.max(NARROWEST - 2 * MARGIN) + 2 * MARGIN;
    let top = HEAD + REMARK_HEIGHT * i32::try_from(scene.remarks.len()).unwrap_or(0);
    let height = top + layout.height + MARGIN;
    let mut out = String::new();
    let _ = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" class=\"vdsm\" role=\"img\" aria-labelledby=\"vdsm-title vdsm-desc\">\n\
         <title id=\"vdsm-title\">{}</title>\n<desc id=\"vdsm-desc\">{}</desc>\n<style>{STYLE}</style>\n\
         <rect class=\"page\" width=\"{width}\" height=\"{height}\"/>\n",
        escaped(&scene.title),
        escaped(&described(scene)),
    );
    head(scene, width, &mut out);
    let _ = writeln!(out, "<g transform=\"translate({MARGIN} {top})\">");
    wires(&layout.lines, &mut out);
    for (node, rect) in scene.nodes.iter().zip(&layout.boxes) {
        boxed(node, *rect, &mut out);
    }
    out.push_str("</g>\n</svg>\n");
    out
}

/// Only for what is in the picture, should somebody paste it into a page.
const STYLE: &str = "
.vdsm text{font-family:'DejaVu Sans',Verdana,'Segoe UI',Roboto,Helvetica,Arial,sans-serif;font-size:10px;fill:#3d4a57}
.vdsm .page{fill:#fbfbf8}
.vdsm .title{font-size:17px;font-weight:bold;fill:#1d2731}
.vdsm .name{font-size:12px;font-weight:bold}
.vdsm .box,.vdsm .key{stroke-width:1.2}
.vdsm .nic rect{fill:#e1f2e3;stroke:#3f8a4d}.vdsm .nic text{fill:#14301a}
.vdsm .bond rect{fill:#dcf1f0;stroke:#23807c}.vdsm .bond text{fill:#0c2f2d}
.vdsm .vlan rect{fill:#ece8fb;stroke:#6b57b8}.vdsm .vlan text{fill:#251a4d}
.vdsm .bridge rect,.vdsm .network rect{fill:#dcebfb;stroke:#2f6fb3}.vdsm .bridge text,.vdsm .network text{fill:#0d2a47}
.vdsm .ports rect{fill:#fbf6df;stroke:#9b8632}.vdsm .ports text{fill:#3b3310}
.vdsm .drifted rect{fill:#ffe3bf;stroke:#c96a00;stroke-width:2}.vdsm .drifted text{fill:#4a2700}
.vdsm .missing rect{fill:#fff;stroke:#c62828;stroke-width:1.6;stroke-dasharray:5 3}.vdsm .missing text{fill:#a31515}
.vdsm .foreign rect{fill:#ececec;stroke:#9a9a9a}.vdsm .foreign text{fill:#555}
.vdsm .wire{fill:none;stroke:#3d4a57;stroke-width:1.6;stroke-linejoin:round}
.vdsm .wire.standby{stroke-dasharray:2 3}
.vdsm .wire.missing{stroke:#c62828;stroke-dasharray:5 3}
.vdsm .wire.foreign{stroke:#a5a5a5;stroke-width:1.3}
.vdsm .up{fill:#2e9e44}.vdsm .off{fill:#fff;stroke:#c62828;stroke-width:2}
";

/// For those who hear the picture.
fn described(scene: &Scene) -> String {
    let mut text =
        "Network devices of a host: nics at the bottom, above them bonds, VLANs, bridges and networks.".to_owned();
    for (standing, word) in [(Standing::Drifted, "Drifted"), (Standing::Missing, "Missing")] {
        let names: Vec<&str> =
            scene.nodes.iter().filter(|node| node.standing == standing).map(|node| node.name.as_str()).collect();
        if !names.is_empty() {
            let _ = write!(text, " {word}: {}.", crate::show::words::a_few(names.into_iter(), 20));
        }
    }
    text
}

/// The title, what colours mean, and remarks.
fn head(scene: &Scene, width: i32, out: &mut String) {
    let room = u32::try_from(width - 2 * MARGIN).unwrap_or(0);
    let title = fitted(&scene.title, TITLE_SIZE, Weight::Bold, room);
    let _ = writeln!(out, "<text class=\"title\" x=\"{MARGIN}\" y=\"34\">{}</text>", escaped(&title));
    let mut x = MARGIN;
    let boxes = ["nic", "bond", "vlan", "bridge, network", "VM ports", "drifted", "missing", "not ours"];
    let classes = ["nic", "bond", "vlan", "network", "ports", "drifted", "missing", "foreign"];
    for (class, word) in classes.iter().zip(boxes) {
        let _ = writeln!(
            out,
            "<g class=\"{class}\"><rect class=\"key\" x=\"{x}\" y=\"47\" width=\"18\" height=\"12\" rx=\"3\"/></g>\
             <text x=\"{}\" y=\"57\">{word}</text>",
            x + 23,
        );
        x += 23 + length(word) + 14;
    }
    for (class, word) in [("", "wired"), (" standby", "standby"), (" missing", "not wired")] {
        let _ = writeln!(
            out,
            "<path class=\"wire{class}\" d=\"M{x} 53h24\"/><text x=\"{}\" y=\"57\">{word}</text>",
            x + 29,
        );
        x += 29 + length(word) + 14;
    }
    for (at, remark) in (1..).zip(&scene.remarks) {
        let y = HEAD - MARGIN + 4 + at * REMARK_HEIGHT + 8;
        let text = escaped(&fitted(remark, LINE_SIZE, Weight::Regular, room));
        let _ = writeln!(out, "<text x=\"{MARGIN}\" y=\"{y}\">{text}</text>");
    }
}

fn length(text: &str) -> i32 {
    i32::try_from(width::of(text, LINE_SIZE, Weight::Regular)).unwrap_or(i32::MAX)
}

/// One path for all wires of a kind, the good ones last, so that they are seen where ways are shared.
fn wires(lines: &[Line], out: &mut String) {
    let kinds = [
        (WireState::Foreign, " foreign"),
        (WireState::Missing, " missing"),
        (WireState::Standby, " standby"),
        (WireState::Laid, ""),
    ];
    for (state, class) in kinds {
        let mut path = String::new();
        for line in lines.iter().filter(|line| line.state == state) {
            draw(&line.corners, &mut path);
        }
        if !path.is_empty() {
            let _ = writeln!(out, "<path class=\"wire{class}\" d=\"{path}\"/>");
        }
    }
}

/// Every second step is along the page, and those that lead nowhere are left out.
fn draw(corners: &[(i32, i32)], path: &mut String) {
    let mut last = None;
    for &(x, y) in corners {
        let _ = match last {
            None => write!(path, "M{x} {y}"),
            Some((old, _)) if old != x => write!(path, "H{x}"),
            Some((_, old)) if old != y => write!(path, "V{y}"),
            Some(_) => Ok(()),
        };
        last = Some((x, y));
    }
}

fn boxed(node: &Node, rect: Rect, out: &mut String) {
    let Rect { x, y, width, height } = rect;
    let class = match node.standing {
        Standing::Ours => node.layer.word(),
        standing => standing.word(),
    };
    let details: Vec<&str> = [&node.name].into_iter().chain(&node.details).map(String::as_str).collect();
    let _ = write!(
        out,
        "<g class=\"{class}\"><title>{}</title><rect class=\"box\" x=\"{x}\" y=\"{y}\" width=\"{width}\" \
         height=\"{height}\" rx=\"4\"/>",
        escaped(&details.join("\n")),
    );
    let light = if has_light(node) { LIGHT } else { 0 };
    let room = |taken: i32| u32::try_from(width - 2 * PADDING - taken).unwrap_or(0);
    let baseline = y + PADDING / 2 + 12;
    if has_light(node) {
        let class = if node.light.is_dark() { "off" } else { "up" };
        let _ = write!(out, "<circle class=\"{class}\" cx=\"{}\" cy=\"{}\" r=\"4\"/>", x + PADDING + 4, baseline - 4);
    }
    let name = fitted(&node.name, NAME_SIZE, Weight::Bold, room(light));
    let _ =
        write!(out, "<text class=\"name\" x=\"{}\" y=\"{baseline}\">{}</text>", x + PADDING + light, escaped(&name));
    for (line, y) in node.lines.iter().zip((1..).map(|at| baseline + 1 + at * LINE_HEIGHT)) {
        let text = fitted(line, LINE_SIZE, Weight::Regular, room(0));
        let _ = write!(out, "<text x=\"{}\" y=\"{y}\">{}</text>", x + PADDING, escaped(&text));
    }
    out.push_str("</g>\n");
}

/// What XML may not hold at all was taken out at the door (`show::json::clean`).
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}

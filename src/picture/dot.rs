//! A scene in the language of graphviz (<https://graphviz.org/doc/info/lang.html>).
//!
//! Only layers and colours are said; places are graphviz's own business.

use std::fmt::Write;

use super::scene::{Layer, Node, Scene, Standing, WireState};

pub(super) fn written(scene: &Scene) -> String {
    let mut out = String::from("digraph networks {\n");
    out.push_str(
        "  graph [rankdir=BT, bgcolor=\"#ffffff\", labelloc=t, fontname=\"sans-serif\", ranksep=0.6, nodesep=0.2",
    );
    let _ = writeln!(out, ", label={}];", quoted(&titled(scene)));
    out.push_str(
        "  node [shape=box, style=\"rounded,filled\", fontname=\"sans-serif\", fontsize=11, margin=\"0.1,0.05\"];\n",
    );
    out.push_str("  edge [dir=none, color=\"#3d4a57\"];\n");
    for layer in Layer::ALL {
        let within: Vec<(usize, &Node)> =
            scene.nodes.iter().enumerate().filter(|(_, node)| node.layer == layer).collect();
        if within.is_empty() {
            continue;
        }
        // A rank is for those that do not stand on one another.
        let level = |at: usize| scene.nodes[at].layer == layer;
        let flat = !scene.wires.iter().any(|wire| level(wire.from) && level(wire.to));
        let _ = writeln!(out, "  {{ // {}", layer.word());
        if flat {
            out.push_str("    rank=same;\n");
        }
        for (at, node) in within {
            let _ = writeln!(out, "    n{at} [{}];", attributes(node));
        }
        out.push_str("  }\n");
    }
    for wire in &scene.wires {
        let style = match wire.state {
            WireState::Laid => "",
            WireState::Standby => " [style=dashed]",
            WireState::Missing => " [style=dashed, color=\"#c62828\"]",
            WireState::Foreign => " [color=\"#9a9a9a\"]",
        };
        let _ = writeln!(out, "  n{} -> n{}{style};", wire.from, wire.to);
    }
    out.push_str("}\n");
    out
}

fn titled(scene: &Scene) -> String {
    [&scene.title].into_iter().chain(&scene.remarks).map(String::as_str).collect::<Vec<_>>().join("\n")
}

fn attributes(node: &Node) -> String {
    let [fill, line, text] = match (node.standing, node.layer) {
        (Standing::Drifted, _) => ["#ffe3bf", "#c96a00", "#4a2700"],
        (Standing::Missing, _) => ["#ffffff", "#c62828", "#a31515"],
        (Standing::Foreign, _) => ["#ececec", "#9a9a9a", "#555555"],
        (Standing::Ours, Layer::Nic) => ["#e1f2e3", "#3f8a4d", "#14301a"],
        (Standing::Ours, Layer::Bond) => ["#dcf1f0", "#23807c", "#0c2f2d"],
        (Standing::Ours, Layer::Vlan) => ["#ece8fb", "#6b57b8", "#251a4d"],
        (Standing::Ours, Layer::Bridge | Layer::Network) => ["#dcebfb", "#2f6fb3", "#0d2a47"],
        (Standing::Ours, Layer::Ports) => ["#fbf6df", "#9b8632", "#3b3310"],
    };
    let dashed = if node.standing == Standing::Missing { ", style=\"rounded,filled,dashed\"" } else { "" };
    let label: Vec<&str> = [&node.name].into_iter().chain(&node.lines).map(String::as_str).collect();
    format!(
        "label={}, tooltip={}, fillcolor=\"{fill}\", color=\"{line}\", fontcolor=\"{text}\"{dashed}",
        quoted(&label.join("\n")),
        quoted(&node.details.join("\n")),
    )
}

/// Labels and tooltips are `escString`s: a backslash begins an escape in them.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            // Entities of HTML are resolved even in plain labels.
            '&' => out.push_str("&amp;"),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

//! A scene as a flowchart of Mermaid (<https://mermaid.js.org/syntax/flowchart.html>).
//!
//! Boxes have numbers for names, so no device can be called like a word of the language.

use std::fmt::Write;

use super::scene::{Node, Scene, Standing, WireState};

pub(super) fn written(scene: &Scene) -> String {
    let mut out = String::from("flowchart BT\n");
    for (at, node) in scene.nodes.iter().enumerate() {
        let _ = writeln!(out, "  n{at}[\"{}\"]:::{}", label(node), class(node));
    }
    // Styles go to wires by their number.
    let mut styles: [(WireState, &str, Vec<String>); 3] = [
        (WireState::Missing, "stroke:#c62828,stroke-dasharray:4 3", Vec::new()),
        (WireState::Foreign, "stroke:#9a9a9a", Vec::new()),
        (WireState::Standby, "stroke-dasharray:2 3", Vec::new()),
    ];
    for (at, wire) in scene.wires.iter().enumerate() {
        let _ = writeln!(out, "  n{} --- n{}", wire.from, wire.to);
        let style = styles.iter_mut().find(|(state, ..)| *state == wire.state);
        style.into_iter().for_each(|(.., numbers)| numbers.push(at.to_string()));
    }
    for (_, style, numbers) in styles.iter().filter(|(.., numbers)| !numbers.is_empty()) {
        let _ = writeln!(out, "  linkStyle {} {style}", numbers.join(","));
    }
    for line in [&scene.title].into_iter().chain(&scene.remarks) {
        let _ = writeln!(out, "  %% {}", line.replace(['{', '}'], " "));
    }
    out.push_str(CLASSES);
    out
}

const CLASSES: &str = "  \
  classDef nic fill:#e1f2e3,stroke:#3f8a4d,color:#14301a
  classDef bond fill:#dcf1f0,stroke:#23807c,color:#0c2f2d
  classDef vlan fill:#ece8fb,stroke:#6b57b8,color:#251a4d
  classDef bridge fill:#dcebfb,stroke:#2f6fb3,color:#0d2a47
  classDef network fill:#dcebfb,stroke:#2f6fb3,color:#0d2a47
  classDef ports fill:#fbf6df,stroke:#9b8632,color:#3b3310
  classDef drifted fill:#ffe3bf,stroke:#c96a00,color:#4a2700
  classDef missing fill:#ffffff,stroke:#c62828,color:#a31515,stroke-dasharray:4 3
  classDef foreign fill:#ececec,stroke:#9a9a9a,color:#555555
";

fn class(node: &Node) -> &'static str {
    match node.standing {
        Standing::Ours => node.layer.word(),
        standing => standing.word(),
    }
}

fn label(node: &Node) -> String {
    [&node.name].into_iter().chain(&node.lines).map(|line| escaped(line)).collect::<Vec<_>>().join("<br/>")
}

/// Mermaid's own entities have a `#` for the `&`. A backquote would make the label Markdown, and
/// `%%{` a directive wherever it stands. In what looks like a style, Mermaid takes the semicolon
/// off the last entity after a colon (`encodeEntities` in its `utils.ts`), so there is no colon then.
fn escaped(text: &str) -> String {
    let stylish = text.contains("style") || text.contains("classDef");
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '"' | '#' | '&' | '<' | '>' | '`' | '%' | ';' | '\\' | '{' | '}' | '[' | ']' => {
                let _ = write!(out, "#{};", c as u32);
            }
            ':' if stylish => out.push_str("#58;"),
            c => out.push(c),
        }
    }
    out
}

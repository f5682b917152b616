//! What holds for the picture of any host: it can be read, nothing is hidden, nothing is left out.

use proptest::prelude::*;
use serde_json::Value;

use crate::show::any::{self, many};

use super::layout::{Layout, Rect};
use super::*;

/// Boxes as a reader of the SVG finds them.
fn boxes(svg: &str) -> Vec<Rect> {
    let document = roxmltree::Document::parse(svg).unwrap_or_else(|e| panic!("{e}: {svg}"));
    let number = |node: roxmltree::Node, key: &str| node.attribute(key).unwrap().parse().unwrap();
    let boxes = document.descendants().filter(|node| node.attribute("class") == Some("box"));
    boxes
        .map(|node| Rect {
            x: number(node, "x"),
            y: number(node, "y"),
            width: number(node, "width"),
            height: number(node, "height"),
        })
        .collect()
}

fn overlap(a: &Rect, b: &Rect) -> bool {
    a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height
}

/// Whether a straight way goes through a box, and not merely along its border.
fn crosses(from: (i32, i32), to: (i32, i32), rect: &Rect) -> bool {
    let way = |a: i32, b: i32, start: i32, length: i32| a.min(b) < start + length && a.max(b) > start;
    way(from.0, to.0, rect.x, rect.width) && way(from.1, to.1, rect.y, rect.height)
}

/// Statements of the subset of DOT that is written here, or the line that is none.
fn dot_is_sound(text: &str) -> Result<(), String> {
    let mut depth = 0_i32;
    for line in text.lines() {
        let bare = without_strings(line).ok_or_else(|| line.to_owned())?;
        let bare = bare.split("//").next().unwrap_or_default().trim();
        depth += bare.matches('{').count() as i32 - bare.matches('}').count() as i32;
        let sound = bare.ends_with([';', '{', '}']) && bare.matches('[').count() == bare.matches(']').count();
        if !sound || depth < 0 {
            return Err(line.to_owned());
        }
    }
    if depth == 0 { Ok(()) } else { Err("not closed".to_owned()) }
}

/// Strings become `""`; nothing if one is not closed on its line.
fn without_strings(line: &str) -> Option<String> {
    let (mut out, mut inside, mut escaped) = (String::new(), false, false);
    for c in line.chars() {
        match (inside, c) {
            (true, _) if escaped => escaped = false,
            (true, '\\') => escaped = true,
            (_, '"') => {
                inside = !inside;
                out.push('"');
            }
            (true, _) => {}
            (false, c) => out.push(c),
        }
    }
    (!inside).then_some(out)
}

/// The same for Mermaid: a head, boxes, wires between boxes, styles and comments.
fn mermaid_is_sound(text: &str) -> Result<(), String> {
    let mut lines = text.lines();
    let is_id = |id: &str| id.strip_prefix('n').is_some_and(|digits| digits.parse::<usize>().is_ok());
    let is_box = |line: &str| {
        let parts = line.split_once("[\"").and_then(|(id, rest)| Some((id, rest.rsplit_once("\"]:::")?)));
        let Some((id, (label, class))) = parts else { return false };
        let label = label.replace("<br/>", "");
        is_id(id)
            && !label.contains(['"', '<', '>', '[', ']', '{', '}', '`', '%'])
            && class.chars().all(char::is_alphabetic)
    };
    let is_wire = |line: &str| line.split_once(" --- ").is_some_and(|(from, to)| is_id(from) && is_id(to));
    if lines.next() != Some("flowchart BT") {
        return Err("no head".to_owned());
    }
    let other = |line: &str| {
        ["%% ", "linkStyle ", "classDef "].iter().any(|word| line.starts_with(word)) && !line.contains("%%{")
    };
    match lines.map(str::trim).find(|line| !(is_box(line) || is_wire(line) || other(line))) {
        Some(line) => Err(line.to_owned()),
        None => Ok(()),
    }
}

/// Lists the other way round: the kernel promises no order.
fn reversed(host: &Value) -> Value {
    let mut host = host.clone();
    for key in ["links", "networks", "bonds"] {
        host[key].as_array_mut().unwrap().reverse();
    }
    host
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn any_answer_becomes_a_sound_picture(answer in any::answer()) {
        let svg = svg(&answer);
        let boxes = boxes(&svg);
        for (at, one) in boxes.iter().enumerate() {
            prop_assert!(boxes[..at].iter().all(|other| !overlap(one, other)), "{svg}");
        }
        prop_assert_eq!(dot_is_sound(&dot(&answer)), Ok(()));
        prop_assert_eq!(mermaid_is_sound(&mermaid(&answer)), Ok(()));
    }

    #[test]
    fn every_name_is_in_every_picture(host in any::host()) {
        let pictures = [svg(&host), dot(&host), mermaid(&host)];
        for name in any::names(&host) {
            prop_assert!(pictures.iter().all(|picture| picture.contains(&name)), "{}", name);
        }
    }

    #[test]
    fn nothing_hides_anything(host in any::host()) {
        let layout = Layout::of(&scene(&host));
        for (at, one) in layout.boxes.iter().enumerate() {
            prop_assert!(layout.boxes[..at].iter().all(|other| !overlap(one, other)), "{:?}", one);
            prop_assert!(one.x >= 0 && one.y >= 0 && one.x + one.width <= layout.width && one.y + one.height <= layout.height);
        }
        for line in &layout.lines {
            for step in line.corners.windows(2) {
                prop_assert!(step[0].0 == step[1].0 || step[0].1 == step[1].1, "{:?}", line);
                let hidden = layout.boxes.iter().find(|rect| crosses(step[0], step[1], rect));
                prop_assert_eq!(hidden, None, "{:?}", line);
                prop_assert!(step[0].0 >= 0 && step[0].1 >= 0);
            }
        }
    }

    #[test]
    fn a_picture_depends_on_the_host_alone(host in any::host()) {
        let other = reversed(&host);
        prop_assert_eq!(svg(&host), svg(&other));
        prop_assert_eq!(dot(&host), dot(&other));
        prop_assert_eq!(mermaid(&host), mermaid(&other));
    }
}

#[test]
fn a_large_host_has_a_picture_of_moderate_size() {
    for (networks, drifted) in [(60, 0), (500, 200), (4000, 200), (4000, 4000)] {
        let host = many(networks, drifted);
        for picture in [svg(&host), dot(&host), mermaid(&host)] {
            assert!(picture.len() < 1_000_000, "{} bytes for {networks} networks", picture.len());
        }
        let layout = Layout::of(&scene(&host));
        assert!(layout.width <= layout::FULL_WIDTH && layout.height < 6000, "{} x {}", layout.width, layout.height);
    }
}

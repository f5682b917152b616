//! The towers that hang together, in rows: who is in which row, and where in it.
//!
//! A block knows places from its own left edge; heights of rows become places when `layout` puts
//! it on a shelf. The ways of its wires are found in `route`.

use std::collections::HashMap;

use crate::show::topology::Light;

use super::layout::FULL_WIDTH;
use super::order;
use super::route::{End, Line, Routes};
use super::scene::{Layer, Node, Scene, Wire};
use super::tower::{Group, Towers};
use super::width::{self, Weight};

pub(super) struct Block {
    pub(super) towers: Vec<Placed>,
    pub(super) width: i32,
    /// From the bottom up.
    rows: Vec<Row>,
    routes: Routes,
}

pub(super) struct Placed {
    /// Its place in `Towers::towers`.
    pub(super) tower: usize,
    pub(super) row: usize,
    pub(super) x: i32,
    pub(super) width: i32,
    /// The height of each floor, from the bottom up.
    pub(super) floors: Vec<i32>,
}

struct Row {
    level: usize,
    /// Of its highest tower.
    height: i32,
}

/// Sizes of text and of what is around it, shared with `svg`, which draws it.
pub(super) const NAME_SIZE: u32 = 12;
pub(super) const LINE_SIZE: u32 = 10;
pub(super) const PADDING: i32 = 9;
pub(super) const LINE_HEIGHT: i32 = 13;
/// What a light needs beside the name.
pub(super) const LIGHT: i32 = 14;
const NAME_HEIGHT: i32 = 15;

const NARROWEST: i32 = 84;
const WIDEST: i32 = 210;
const GAP: i32 = 14;

/// Rows of up to so many towers are not wrapped for the sake of a better shape.
const SHORT_ROW: usize = 6;

impl Block {
    pub(super) fn of(scene: &Scene, towers: &Towers, group: Group) -> Block {
        let levels: Vec<usize> = group.towers.iter().map(|&tower| towers.towers[tower].level).collect();
        let order = order::of(&levels, &group.wires);
        let floors = |tower: usize| towers.towers[tower].floors.iter().map(|&node| &scene.nodes[node]);
        let mut placed: Vec<Placed> = group
            .towers
            .iter()
            .map(|&tower| Placed {
                tower,
                row: 0,
                x: 0,
                width: floors(tower).map(room).max().unwrap_or(NARROWEST),
                floors: floors(tower).map(height).collect(),
            })
            .collect();
        let mut rows = Vec::new();
        let mut lines = Vec::new();
        for (level, towers) in order.iter().enumerate().filter(|(_, towers)| !towers.is_empty()) {
            let width = towers.iter().map(|&tower| placed[tower].width).max().unwrap_or(NARROWEST);
            // One reads from the top.
            for part in towers.chunks(columns(towers.len(), width)).rev() {
                let height = part.iter().map(|&tower| placed[tower].floors.iter().sum()).max().unwrap_or(0);
                for &tower in part {
                    (placed[tower].row, placed[tower].width) = (rows.len(), width);
                }
                rows.push(Row { level, height });
                lines.push(part.to_vec());
            }
        }
        let inner = spread(&rows, &lines, &group.wires, &mut placed);
        let ends: Vec<End> = placed.iter().map(|it| End { row: it.row, x: it.x, width: it.width }).collect();
        let routes = Routes::found(&ends, &group.wires, rows.len());
        placed.iter_mut().for_each(|it| it.x += routes.gutter);
        Block { towers: placed, width: inner + routes.gutter, rows, routes }
    }

    /// The height of each row with the wires below it, by level.
    pub(super) fn levels(&self) -> Vec<(usize, i32)> {
        let mut levels: Vec<(usize, i32)> = Vec::new();
        for (row, channel) in self.rows.iter().zip(&self.routes.channels) {
            match levels.last_mut() {
                Some((level, height)) if *level == row.level => *height += row.height + channel,
                _ => levels.push((row.level, row.height + channel)),
            }
        }
        levels
    }

    /// Where each row stands, given the heights of all levels of the shelf and its bottom.
    pub(super) fn grounds(&self, bands: &[i32], bottom: i32) -> Vec<i32> {
        let mut level = usize::MAX;
        let mut y = 0;
        let rows = self.rows.iter().zip(&self.routes.channels);
        let ground = |(row, channel): (&Row, &i32)| {
            if row.level != level {
                level = row.level;
                y = bottom - bands[..level].iter().sum::<i32>();
            }
            let ground = y - channel;
            y = ground - row.height;
            ground
        };
        rows.map(ground).collect()
    }

    /// The wires of a block that stands at `left` and on these grounds.
    pub(super) fn lines(&self, left: i32, grounds: &[i32]) -> Vec<Line> {
        let tops: Vec<i32> = self.towers.iter().map(|it| grounds[it.row] - it.floors.iter().sum::<i32>()).collect();
        self.routes.lines(left, grounds, &tops)
    }
}

/// How many towers go in one row.
fn columns(count: usize, width: i32) -> usize {
    // Towers are about as high as wide, and screens a bit wider than high.
    let shapely = ((count as f64) * 1.3).sqrt().ceil() as usize;
    let most = usize::try_from((FULL_WIDTH + GAP) / (width + GAP)).unwrap_or(1);
    let columns = shapely.max(SHORT_ROW).min(most).max(1);
    // As full in the last row as in the others.
    count.div_ceil(count.div_ceil(columns))
}

/// Gives towers their places along their rows, near what they are wired to; says how wide it is.
fn spread(rows: &[Row], lines: &[Vec<usize>], wires: &[Wire], placed: &mut [Placed]) -> i32 {
    let step = |row: &[usize], placed: &[Placed]| row.first().map_or(0, |&tower| placed[tower].width + GAP);
    let widths: Vec<i32> = lines.iter().map(|row| step(row, placed) * pixels(row.len()) - GAP).collect();
    let inner = widths.iter().copied().max().unwrap_or(0);
    let mut levels: HashMap<usize, (usize, i32)> = HashMap::new();
    for (row, width) in rows.iter().zip(&widths) {
        let (count, widest) = levels.entry(row.level).or_default();
        (*count, *widest) = (*count + 1, *width.max(widest));
    }
    let mut neighbours = vec![Vec::new(); placed.len()];
    for wire in wires {
        neighbours[wire.from].push(wire.to);
        neighbours[wire.to].push(wire.from);
    }
    // The widest row has no choice; from there others follow, downwards and upwards.
    let widest = widths.iter().position(|&width| width == inner).unwrap_or(0);
    let mut known = vec![false; placed.len()];
    for at in (0..=widest).rev().chain(widest + 1..lines.len()) {
        let step = step(&lines[at], placed);
        let wish = |&tower: &usize| {
            let near = || neighbours[tower].iter().filter(|&&it| known[it]).map(|&it| &placed[it]);
            let sum: i64 = near().map(|it| i64::from(it.x + it.width / 2)).sum();
            let middle = sum.checked_div(near().count() as i64)?;
            Some(i32::try_from(middle).unwrap_or(0) - (step - GAP) / 2)
        };
        let places = match levels.get(&rows[at].level) {
            // A wrapped level is a grid.
            Some(&(count, widest)) if count > 1 => {
                (0..lines[at].len()).map(|column| (inner - widest) / 2 + pixels(column) * step).collect()
            }
            _ => settled(&lines[at].iter().map(wish).collect::<Vec<_>>(), step, inner - widths[at]),
        };
        for (&tower, x) in lines[at].iter().zip(places) {
            placed[tower].x = x;
            known[tower] = true;
        }
    }
    inner
}

/// Places near the wished ones, in this order, at least a step apart, with so much room to spare.
fn settled(wishes: &[Option<i32>], step: i32, slack: i32) -> Vec<i32> {
    let least = |at: usize| pixels(at) * step;
    let bounded = |at: usize| wishes[at].map_or(least(at) + slack / 2, |it| it.clamp(least(at), least(at) + slack));
    let mut from_left: Vec<i32> = (0..wishes.len()).map(bounded).collect();
    let mut from_right = from_left.clone();
    for at in 1..wishes.len() {
        from_left[at] = from_left[at].max(from_left[at - 1] + step);
    }
    for at in (1..wishes.len()).rev() {
        from_right[at - 1] = from_right[at - 1].min(from_right[at] - step);
    }
    // Both keep the distance, so what is between them does.
    from_left.iter().zip(from_right).map(|(left, right)| (left + right) / 2).collect()
}

/// The width that a box needs for its texts, within reason.
fn room(node: &Node) -> i32 {
    let light = if has_light(node) { LIGHT } else { 0 };
    let name = pixels(width::of(&node.name, NAME_SIZE, Weight::Bold) as usize) + light;
    let lines = node.lines.iter().map(|line| pixels(width::of(line, LINE_SIZE, Weight::Regular) as usize));
    let text = lines.chain([name]).max().unwrap_or(0);
    text.saturating_add(2 * PADDING).clamp(NARROWEST, WIDEST)
}

/// Nics and bonds show a light, as their sockets do.
pub(super) fn has_light(node: &Node) -> bool {
    matches!(node.layer, Layer::Nic | Layer::Bond) && !matches!(node.light, Light::Unknown)
}

/// The height of a box: its name and its lines.
fn height(node: &Node) -> i32 {
    PADDING + NAME_HEIGHT + pixels(node.lines.len()) * LINE_HEIGHT
}

fn pixels(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

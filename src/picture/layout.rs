//! Boxes get their places: towers in rows by level, rows wrapped, groups side by side on shelves.
//!
//! After Sugiyama: layers first, then an order within each with few crossings, by barycentres, then
//! places near what one is wired to. What hangs together is a block with rows of its own, and blocks
//! fill shelves from left to right, so that pictures stay as wide as a screen. Ways of wires are
//! found in `route`. All sizes are in pixels; every step is linear but for sorting.

use super::block::Block;
use super::route::Line;
use super::scene::Scene;
use super::tower::Towers;

/// Where all goes.
#[derive(Debug, Default)]
pub(super) struct Layout {
    pub(super) width: i32,
    pub(super) height: i32,
    /// One for each box of the scene.
    pub(super) boxes: Vec<Rect>,
    pub(super) lines: Vec<Line>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rect {
    pub(super) x: i32,
    pub(super) y: i32,
    pub(super) width: i32,
    pub(super) height: i32,
}

/// The width of a wide picture; only a single box may stick out.
pub(super) const FULL_WIDTH: i32 = 1560;

const BLOCK_GAP: i32 = 34;
const SHELF_GAP: i32 = 44;

impl Layout {
    pub(super) fn of(scene: &Scene) -> Layout {
        let towers = Towers::built(scene);
        let mut layout = Layout { boxes: vec![Rect::default(); scene.nodes.len()], ..Layout::default() };
        let blocks: Vec<Block> =
            towers.groups(scene).into_iter().map(|group| Block::of(scene, &towers, group)).collect();
        let mut left = &blocks[..];
        while !left.is_empty() {
            let (shelf, rest) = left.split_at(fitting(left));
            layout.put(shelf, &towers);
            left = rest;
        }
        layout
    }

    /// Puts blocks side by side below what is there, each level of theirs on one line.
    fn put(&mut self, shelf: &[Block], towers: &Towers) {
        let mut bands: Vec<i32> = Vec::new();
        for row in shelf.iter().flat_map(Block::levels) {
            bands.resize(bands.len().max(row.0 + 1), 0);
            bands[row.0] = bands[row.0].max(row.1);
        }
        let top = if self.height > 0 { self.height + SHELF_GAP } else { 0 };
        self.height = top + bands.iter().sum::<i32>();
        let mut left = 0;
        for block in shelf {
            let grounds = block.grounds(&bands, self.height);
            for placed in &block.towers {
                let mut y = grounds[placed.row];
                for (&node, height) in towers.towers[placed.tower].floors.iter().zip(&placed.floors) {
                    y -= height;
                    self.boxes[node] = Rect { x: left + placed.x, y, width: placed.width, height: *height };
                }
            }
            self.lines.extend(block.lines(left, &grounds));
            left += block.width + BLOCK_GAP;
        }
        self.width = self.width.max(left - BLOCK_GAP);
    }
}

/// How many of these blocks go on one shelf.
fn fitting(blocks: &[Block]) -> usize {
    let mut width = 0;
    let fits = |block: &&Block| {
        width += block.width + BLOCK_GAP;
        width - BLOCK_GAP <= FULL_WIDTH
    };
    blocks.iter().take_while(fits).count().max(1)
}

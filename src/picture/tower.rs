//! Boxes that stand on one another: a VLAN, the network upon it and the ports of its machines are
//! one tower, which needs no wires inside.
//!
//! Fifty networks are fifty towers instead of a hundred and fifty boxes. Towers know on which level
//! they are and which hang together; where they go is decided in `layout`.

use super::scene::{Layer, Scene, Standing, Wire, WireState};

#[derive(Debug, Default)]
pub(super) struct Towers {
    pub(super) towers: Vec<Tower>,
    /// Between towers, always from a lower level to a higher one, each pair once.
    pub(super) wires: Vec<Wire>,
}

#[derive(Debug)]
pub(super) struct Tower {
    /// Places in `Scene::nodes`, from the bottom up.
    pub(super) floors: Vec<usize>,
    /// Nics are on level 0, bonds on 1, all else above what it stands on, on 2 at least.
    pub(super) level: usize,
}

impl Towers {
    pub(super) fn built(scene: &Scene) -> Towers {
        let above = stacked(scene);
        let mut is_upper = vec![false; scene.nodes.len()];
        above.iter().flatten().for_each(|&upper| is_upper[upper] = true);
        let mut home = vec![0; scene.nodes.len()];
        let mut towers = Vec::new();
        // A stack only ever goes to a higher layer, so it has a bottom and no rings.
        for bottom in (0..scene.nodes.len()).filter(|&node| !is_upper[node]) {
            let floors: Vec<usize> = std::iter::successors(Some(bottom), |&node| above[node]).collect();
            floors.iter().for_each(|&node| home[node] = towers.len());
            towers.push(Tower { floors, level: 0 });
        }
        let between = |wire: &Wire| Wire { from: home[wire.from], to: home[wire.to], state: wire.state };
        let wires = scene.wires.iter().map(between).filter(|wire| wire.from != wire.to).collect();
        let mut all = Towers { towers, wires };
        all.rise(scene);
        all
    }

    /// Gives each tower its level. A ring, which no kernel makes, is cut open.
    fn rise(&mut self, scene: &Scene) {
        for tower in &mut self.towers {
            tower.level = match scene.nodes[tower.floors[0]].layer {
                Layer::Nic => 0,
                Layer::Bond => 1,
                _ => 2,
            };
        }
        let mut above = vec![Vec::new(); self.towers.len()];
        let mut waiting = vec![0; self.towers.len()];
        for wire in &self.wires {
            above[wire.from].push(wire.to);
            waiting[wire.to] += 1;
        }
        let mut ready: Vec<usize> = (0..self.towers.len()).filter(|&tower| waiting[tower] == 0).collect();
        while let Some(lower) = ready.pop() {
            for &upper in &above[lower] {
                self.towers[upper].level = self.towers[upper].level.max(self.towers[lower].level + 1);
                waiting[upper] -= 1;
                if waiting[upper] == 0 {
                    ready.push(upper);
                }
            }
        }
        let towers = &self.towers;
        self.wires.retain(|wire| towers[wire.from].level < towers[wire.to].level);
    }

    /// Towers that hang together. The groups are in the order of the scene; those of strangers
    /// alone come last.
    pub(super) fn groups(&self, scene: &Scene) -> Vec<Group> {
        let mut leader: Vec<usize> = (0..self.towers.len()).collect();
        for wire in &self.wires {
            let (a, b) = (find(&mut leader, wire.from), find(&mut leader, wire.to));
            leader[a.max(b)] = a.min(b);
        }
        let mut groups: Vec<Group> = vec![Group::default(); self.towers.len()];
        let mut places = vec![0; self.towers.len()];
        // Towers are in the order of their networks, which come first in the scene.
        let mut order: Vec<usize> = (0..self.towers.len()).collect();
        order.sort_by_key(|&tower| self.towers[tower].floors.iter().min().copied());
        for tower in order {
            let group = &mut groups[find(&mut leader, tower)];
            places[tower] = group.towers.len();
            group.towers.push(tower);
        }
        for wire in &self.wires {
            let (from, to) = (places[wire.from], places[wire.to]);
            groups[find(&mut leader, wire.from)].wires.push(Wire { from, to, state: wire.state });
        }
        groups.retain(|group| !group.towers.is_empty());
        groups.sort_by_cached_key(|group| {
            let nodes = || group.towers.iter().flat_map(|&tower| &self.towers[tower].floors);
            let foreign = nodes().all(|&node| scene.nodes[node].standing == Standing::Foreign);
            (foreign, nodes().min().copied())
        });
        groups
    }
}

/// Towers that hang together.
#[derive(Clone, Debug, Default)]
pub(super) struct Group {
    /// Places in `Towers::towers`.
    pub(super) towers: Vec<usize>,
    /// Between places in `towers` here.
    pub(super) wires: Vec<Wire>,
}

/// For each box the one that stands directly on it.
fn stacked(scene: &Scene) -> Vec<Option<usize>> {
    let mut carries = vec![0; scene.nodes.len()];
    let mut stands = vec![0; scene.nodes.len()];
    for wire in &scene.wires {
        carries[wire.from] += 1;
        stands[wire.to] += 1;
    }
    let mut above = vec![None; scene.nodes.len()];
    for wire in &scene.wires {
        let [lower, upper] = [wire.from, wire.to].map(|end| &scene.nodes[end]);
        let alone = carries[wire.from] == 1 && stands[wire.to] == 1;
        let upwards = Layer::Vlan <= lower.layer && lower.layer < upper.layer;
        // Two devices that are there and not wired must not look as if they were.
        let apart = wire.state == WireState::Missing
            && lower.standing != Standing::Missing
            && upper.standing != Standing::Missing;
        if alone && upwards && !apart {
            above[wire.from] = Some(wire.to);
        }
    }
    above
}

/// The first of those that hang together, with shorter ways for the next who asks.
fn find(leader: &mut [usize], tower: usize) -> usize {
    let mut at = tower;
    while leader[at] != at {
        leader[at] = leader[leader[at]];
        at = leader[at];
    }
    at
}

//! Wires get their ways: up, along below the row they go to, and up again.
//!
//! Wires from one box, or to one box, run together like a bus. Below each row there is a channel in
//! which every bus has a track of its own, and left of the block there is a gutter for those that
//! pass rows by. So no wire is ever hidden by a box.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::scene::{Wire, WireState};

/// A tower, as far as wires care.
pub(super) struct End {
    pub(super) row: usize,
    pub(super) x: i32,
    pub(super) width: i32,
}

/// Ways in a block, before its rows have their places.
pub(super) struct Routes {
    ways: Vec<Way>,
    /// The height of the channel below each row.
    pub(super) channels: Vec<i32>,
    /// The width of the room for wires at the left.
    pub(super) gutter: i32,
}

struct Way {
    wire: Wire,
    /// Where it leaves and where it arrives, as `x` from the block's boxes.
    ends: (i32, i32),
    rows: (usize, usize),
    /// Its track in the channel above its origin, and in the one below its goal.
    tracks: (i32, i32),
    /// Its place in the gutter, if there are rows between.
    trunk: Option<i32>,
}

/// A way on the picture, corner by corner.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Line {
    pub(super) state: WireState,
    pub(super) corners: Vec<(i32, i32)>,
}

const TRACK: i32 = 7;
/// Between the last track and the boxes, above and below.
const CLEARANCE: i32 = 11;
/// Between wires that arrive at one box.
const BESIDE: i32 = 6;
/// Between rows without wires.
const ROW_GAP: i32 = 16;
/// More tracks than these would be a wall; then wires share them.
const MOST_TRACKS: usize = 24;

/// Wires that run together: those from one box, or those to one box.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Bus {
    From(usize),
    To(usize),
}

impl Routes {
    /// Ways for wires between these ends, which go from lower rows to higher ones.
    pub(super) fn found(ends: &[End], wires: &[Wire], rows: usize) -> Routes {
        let buses = buses(ends.len(), wires);
        let arrivals = arrivals(ends, wires, &buses);
        let origin = |wire: &Wire| middle(&ends[wire.from]);
        let passes = |wire: &Wire| ends[wire.to].row > ends[wire.from].row + 1;

        // Room in the gutter first, as all that passes there begins or ends left of everything.
        let mut trunks = Spans::default();
        for (wire, bus) in wires.iter().zip(&buses).filter(|(wire, _)| passes(wire)) {
            let reach = |row: usize| i32::try_from(row).unwrap_or(i32::MAX);
            trunks.cover(*bus, reach(ends[wire.from].row + 1), reach(ends[wire.to].row));
        }
        let (trunks, count) = trunks.tracks();
        let gutter = if count == 0 { 0 } else { count * TRACK + CLEARANCE };

        let mut channels: Vec<Spans> = Vec::new();
        channels.resize_with(rows, Spans::default);
        for ((wire, bus), arrival) in wires.iter().zip(&buses).zip(&arrivals) {
            let (low, high) = (ends[wire.from].row + 1, ends[wire.to].row);
            match passes(wire) {
                true => {
                    channels[low].cover(*bus, -gutter, origin(wire));
                    channels[high].cover(*bus, -gutter, *arrival);
                }
                false => channels[high].cover(*bus, origin(wire).min(*arrival), origin(wire).max(*arrival)),
            }
        }
        let channels: Vec<_> = channels.into_iter().map(Spans::tracks).collect();
        let track = |row: usize, bus: &Bus| channels[row].0.get(bus).copied().unwrap_or(0);
        let way = |((wire, bus), arrival): ((&Wire, &Bus), &i32)| Way {
            wire: *wire,
            ends: (origin(wire), *arrival),
            rows: (ends[wire.from].row, ends[wire.to].row),
            tracks: (track(ends[wire.from].row + 1, bus), track(ends[wire.to].row, bus)),
            trunk: trunks.get(bus).copied().filter(|_| passes(wire)),
        };
        let ways = wires.iter().zip(&buses).zip(&arrivals).map(way).collect();
        let height = |(row, (_, count)): (usize, &(HashMap<Bus, i32>, i32))| match (row, count) {
            (0, _) => 0,
            (_, 0) => ROW_GAP,
            _ => (count - 1) * TRACK + 2 * CLEARANCE,
        };
        Routes { ways, channels: channels.iter().enumerate().map(height).collect(), gutter }
    }

    /// The ways of a block at `left` whose rows stand on `grounds` and whose ends have these tops.
    pub(super) fn lines(&self, left: i32, grounds: &[i32], tops: &[i32]) -> Vec<Line> {
        let line = |way: &Way| {
            let [start, end] = [way.ends.0, way.ends.1].map(|x| left + self.gutter + x);
            let level = |row: usize, track: i32| grounds[row] + CLEARANCE + track * TRACK;
            let arrive = level(way.rows.1, way.tracks.1);
            let mut corners = vec![(start, tops[way.wire.from])];
            match way.trunk {
                Some(trunk) => {
                    let leave = level(way.rows.0 + 1, way.tracks.0);
                    let x = left + self.gutter - CLEARANCE - trunk * TRACK;
                    corners.extend([(start, leave), (x, leave), (x, arrive)]);
                }
                None => corners.push((start, arrive)),
            }
            corners.extend([(end, arrive), (end, grounds[way.rows.1])]);
            Line { state: way.wire.state, corners }
        };
        self.ways.iter().map(line).collect()
    }
}

fn buses(ends: usize, wires: &[Wire]) -> Vec<Bus> {
    let (mut leaving, mut arriving) = (vec![0; ends], vec![0; ends]);
    for wire in wires {
        leaving[wire.from] += 1;
        arriving[wire.to] += 1;
    }
    let together = |wire: &Wire| leaving[wire.from] == 1 && arriving[wire.to] > 1;
    wires.iter().map(|wire| if together(wire) { Bus::To(wire.to) } else { Bus::From(wire.from) }).collect()
}

/// Where each wire arrives: in the middle, or side by side with those of other buses; and beside
/// what leaves the row below in the same place, which would look like one wire with it.
fn arrivals(ends: &[End], wires: &[Wire], buses: &[Bus]) -> Vec<i32> {
    let leaving: HashMap<(usize, i32), Bus> =
        wires.iter().zip(buses).map(|(wire, bus)| ((ends[wire.from].row, middle(&ends[wire.from])), *bus)).collect();
    // From the left come those that start at the left.
    let mut arriving: Vec<BTreeSet<(i32, Bus)>> = vec![BTreeSet::new(); ends.len()];
    for (wire, bus) in wires.iter().zip(buses) {
        arriving[wire.to].insert((ends[wire.from].x, *bus));
    }
    let places: Vec<HashMap<Bus, i32>> =
        ends.iter().zip(&arriving).map(|(end, arriving)| side_by_side(end, arriving, &leaving)).collect();
    let place = |(wire, bus): (&Wire, &Bus)| places[wire.to].get(bus).copied().unwrap_or(middle(&ends[wire.to]));
    wires.iter().zip(buses).map(place).collect()
}

fn side_by_side(end: &End, arriving: &BTreeSet<(i32, Bus)>, leaving: &HashMap<(usize, i32), Bus>) -> HashMap<Bus, i32> {
    let mut order: Vec<Bus> = Vec::new();
    let mut known = HashSet::new();
    order.extend(arriving.iter().map(|(_, bus)| *bus).filter(|bus| known.insert(*bus)));
    let count = i32::try_from(order.len()).unwrap_or(i32::MAX);
    let share = (end.width / count.saturating_add(1)).min(3 * BESIDE);
    let mut places: HashMap<Bus, i32> = HashMap::new();
    for (at, bus) in (0..).zip(order) {
        let wish = middle(end) + (2 * at - (count - 1)) * share / 2;
        let meets = |x: i32| {
            let below = |x| end.row.checked_sub(1).and_then(|row| leaving.get(&(row, x)));
            (x - BESIDE / 2..=x + BESIDE / 2).any(|x| below(x).is_some_and(|other| *other != bus))
                || places.values().any(|other| (other - x).abs() < BESIDE)
        };
        let inside = |x: &i32| (end.x + BESIDE..=end.x + end.width - BESIDE).contains(x);
        let mut nearby = [0, 1, -1, 2, -2].into_iter().map(|step| wish + step * BESIDE).filter(inside);
        let free = nearby.find(|x| !meets(*x));
        places.insert(bus, free.unwrap_or(wish));
    }
    places
}

fn middle(end: &End) -> i32 {
    end.x + end.width / 2
}

/// How far each bus reaches along a channel.
#[derive(Default)]
struct Spans {
    spans: BTreeMap<Bus, (i32, i32)>,
}

impl Spans {
    fn cover(&mut self, bus: Bus, from: i32, to: i32) {
        let (start, end) = self.spans.entry(bus).or_insert((from, to));
        (*start, *end) = ((*start).min(from), (*end).max(to));
    }

    /// A track for each bus, so that no two on a track meet, and how many tracks that takes.
    fn tracks(self) -> (HashMap<Bus, i32>, i32) {
        let mut spans: Vec<_> = self.spans.into_iter().map(|(bus, (from, to))| (from, to, bus)).collect();
        spans.sort_unstable();
        let mut ends: Vec<i32> = Vec::new();
        let mut tracks = HashMap::new();
        for (at, (from, to, bus)) in spans.into_iter().enumerate() {
            let free = ends.iter().position(|&end| end < from);
            let track = match free {
                Some(track) => track,
                None if ends.len() < MOST_TRACKS => {
                    ends.push(to);
                    ends.len() - 1
                }
                None => at % MOST_TRACKS,
            };
            ends[track] = ends[track].max(to);
            tracks.insert(bus, i32::try_from(track).unwrap_or(0));
        }
        (tracks, i32::try_from(ends.len()).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn end(row: usize, x: i32) -> End {
        End { row, x, width: 100 }
    }

    fn wire(from: usize, to: usize) -> Wire {
        Wire { from, to, state: WireState::Laid }
    }

    #[test]
    fn wires_to_neighbours_run_as_one_bus_without_a_gutter() {
        let ends = [end(0, 100), end(1, 0), end(1, 200)];
        let routes = Routes::found(&ends, &[wire(0, 1), wire(0, 2)], 2);
        assert_eq!((routes.gutter, &routes.channels[..]), (0, &[0, 2 * CLEARANCE][..]));
        let lines = routes.lines(10, &[300, 200], &[250, 150, 150]);
        assert_eq!(lines[0].corners, [(160, 250), (160, 211), (60, 211), (60, 200)]);
        assert_eq!(lines[1].corners, [(160, 250), (160, 211), (260, 211), (260, 200)]);
    }

    #[test]
    fn a_wire_past_a_row_goes_round_it() {
        let ends = [end(0, 0), end(1, 0), end(2, 0)];
        let routes = Routes::found(&ends, &[wire(0, 1), wire(0, 2)], 3);
        assert_eq!(routes.gutter, TRACK + CLEARANCE);
        let lines = routes.lines(0, &[300, 200, 100], &[250, 150, 50]);
        assert!(lines[1].corners.iter().any(|&(x, _)| x < routes.gutter), "{lines:?}");
    }

    #[test]
    fn a_track_is_free_again_where_its_last_bus_ends() {
        let mut spans = Spans::default();
        for (bus, from, to) in [(0, 0, 10), (1, 20, 30), (2, 25, 40), (3, 31, 50)] {
            spans.cover(Bus::From(bus), from, to);
        }
        let (tracks, count) = spans.tracks();
        assert_eq!(([0, 1, 2, 3].map(|bus| tracks[&Bus::From(bus)]), count), ([0, 0, 1, 0], 2));
    }

    #[test]
    fn buses_that_would_meet_have_tracks_of_their_own() {
        // Two boxes wired to the same two above.
        let ends = [end(0, 0), end(0, 200), end(1, 0), end(1, 200)];
        let routes = Routes::found(&ends, &[wire(0, 2), wire(0, 3), wire(1, 2), wire(1, 3)], 2);
        let lines = routes.lines(0, &[300, 200], &[250, 250, 150, 150]);
        assert_ne!(lines[0].corners[1].1, lines[2].corners[1].1);
        // And they arrive side by side.
        assert_ne!(lines[0].corners[3].0, lines[2].corners[3].0);
    }

    /// Whether two straight ways share more than a point.
    fn overlap(a: &[(i32, i32)], b: &[(i32, i32)]) -> bool {
        let shared = |a: [i32; 2], b: [i32; 2]| a[0].max(a[1]).min(b[0].max(b[1])) - a[0].min(a[1]).max(b[0].min(b[1]));
        let [x, y] = [shared([a[0].0, a[1].0], [b[0].0, b[1].0]), shared([a[0].1, a[1].1], [b[0].1, b[1].1])];
        (x == 0 && y > 0) || (y == 0 && x > 0)
    }

    proptest! {
        #[test]
        fn different_buses_never_run_in_the_same_place(
            rows in proptest::collection::vec(1..4usize, 2..6),
            wired in proptest::collection::vec((0..30usize, 0..30usize), 0..12),
        ) {
            // Columns stand exactly above one another, the hardest case.
            let ends: Vec<End> = (0..rows.len())
                .flat_map(|row| (0..rows[row]).map(move |column| (row, column)))
                .map(|(row, column)| end(row, pixels(column) * 120))
                .collect();
            let mut wires: Vec<Wire> = wired
                .iter()
                .map(|(from, to)| wire(from % ends.len(), to % ends.len()))
                .filter(|wire| ends[wire.from].row < ends[wire.to].row)
                .collect();
            wires.sort_by_key(|wire| (wire.from, wire.to));
            wires.dedup();
            let buses = buses(ends.len(), &wires);
            let routes = Routes::found(&ends, &wires, rows.len());
            let grounds: Vec<i32> = (0..rows.len()).map(|row| 10_000 - pixels(row) * 1000).collect();
            let tops: Vec<i32> = ends.iter().map(|end| grounds[end.row] - 100).collect();
            let lines = routes.lines(0, &grounds, &tops);
            for (at, line) in lines.iter().enumerate() {
                for (other, other_line) in lines.iter().enumerate().filter(|(other, _)| buses[*other] != buses[at]) {
                    let ways = || line.corners.windows(2);
                    let meets = other_line.corners.windows(2).any(|there| ways().any(|here| overlap(here, there)));
                    prop_assert!(!meets, "{:?} and {:?}: {:?} {:?}", wires[at], wires[other], line, other_line);
                }
            }
        }
    }

    fn pixels(count: usize) -> i32 {
        i32::try_from(count).unwrap()
    }
}

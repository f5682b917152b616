//! The order of towers within their levels: such that wires cross seldom.
//!
//! The usual sweeps by barycentres: each tower goes where the middle of its neighbours is. Exact
//! minima are for those who have time. Places in pixels are found in `block`.

use super::scene::Wire;

/// The towers of each level from left to right, given by their places in `levels`; wires are between
/// such places. Where wires do not care, the given order stays.
pub(super) fn of(levels: &[usize], wires: &[Wire]) -> Vec<Vec<usize>> {
    let height = levels.iter().map(|level| level + 1).max().unwrap_or(0);
    let mut rows = vec![Vec::new(); height];
    levels.iter().enumerate().for_each(|(tower, &level)| rows[level].push(tower));
    let mut below = vec![Vec::new(); levels.len()];
    let mut above = vec![Vec::new(); levels.len()];
    for wire in wires {
        below[wire.to].push(wire.from);
        above[wire.from].push(wire.to);
    }
    // Places within a level count from 0 to 1, so that long and short levels compare.
    let mut places = vec![0.5; levels.len()];
    rows.iter().for_each(|row| spread(row, &mut places));
    // The last sweep is upwards: networks then follow what they stand on.
    for _ in 0..2 {
        rows.iter_mut().rev().for_each(|row| sweep(row, &above, &mut places));
        rows.iter_mut().for_each(|row| sweep(row, &below, &mut places));
    }
    rows
}

fn sweep(row: &mut [usize], neighbours: &[Vec<usize>], places: &mut [f64]) {
    let middle = |tower: usize| match neighbours[tower].len() {
        0 => places[tower],
        count => neighbours[tower].iter().map(|&it| places[it]).sum::<f64>() / count as f64,
    };
    let mut keyed: Vec<(f64, usize)> = row.iter().map(|&tower| (middle(tower), tower)).collect();
    keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
    row.iter_mut().zip(keyed).for_each(|(place, (_, tower))| *place = tower);
    spread(row, places);
}

fn spread(row: &[usize], places: &mut [f64]) {
    let last = row.len().saturating_sub(1).max(1) as f64;
    for (at, &tower) in row.iter().enumerate() {
        places[tower] = if row.len() == 1 { 0.5 } else { at as f64 / last };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::scene::WireState;

    fn wires(ends: &[(usize, usize)]) -> Vec<Wire> {
        ends.iter().map(|&(from, to)| Wire { from, to, state: WireState::Laid }).collect()
    }

    #[test]
    fn what_wires_do_not_care_for_keeps_its_order() {
        assert_eq!(of(&[2, 2, 2, 0], &wires(&[(3, 0), (3, 1), (3, 2)])), [vec![3], vec![], vec![0, 1, 2]]);
        assert!(of(&[], &[]).is_empty());
    }

    #[test]
    fn crossed_wires_are_uncrossed() {
        // Three nics below three bonds in the opposite order, and one thing upon all bonds.
        let crossed = [(0, 5), (1, 4), (2, 3), (3, 6), (4, 6), (5, 6)];
        let rows = of(&[0, 0, 0, 1, 1, 1, 2], &wires(&crossed));
        let place = |tower: usize| rows.iter().find_map(|row| row.iter().position(|&it| it == tower)).unwrap();
        let pairs = crossed[..3].iter().flat_map(|a| crossed[..3].iter().map(move |b| (a, b)));
        let crossings = pairs.filter(|(a, b)| place(a.0) < place(b.0) && place(a.1) > place(b.1)).count();
        assert_eq!(crossings, 0, "{rows:?}");
    }
}

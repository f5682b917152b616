//! Columns that fit the screen: what matters least goes first.
//!
//! Nothing here knows what the columns mean. Widths are counted in characters.

/// One column of a table.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) head: &'static str,
    pub(super) width: usize,
    pub(super) side: Side,
    /// The column with the highest number goes first when there is no room; those with 0 stay.
    pub(super) dispensable: u8,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Side {
    Left,
    Right,
}

/// A cell with the escape sequence of its colour, empty for none.
#[derive(Clone, Debug, Default)]
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) colour: &'static str,
}

/// Whether a column is on the screen, for each; the first column takes what the others leave.
pub(super) struct Fit {
    pub(super) shown: Vec<bool>,
    pub(super) first: usize,
}

/// The first column gets from `least` to its own width.
pub(super) fn fit(columns: &[Column], least: usize, room: usize) -> Fit {
    let mut shown = vec![true; columns.len()];
    let others = |shown: &[bool]| {
        columns
            .iter()
            .zip(shown)
            .skip(1)
            .filter(|(_, shown)| **shown)
            .map(|(column, _)| column.width + 1)
            .sum::<usize>()
    };
    while others(&shown) + least > room {
        let candidates = (1..columns.len()).filter(|&at| shown[at] && columns[at].dispensable > 0);
        let Some(least) = candidates.max_by_key(|&at| columns[at].dispensable) else { break };
        shown[least] = false;
    }
    let first = columns.first().map_or(0, |first| first.width).min(room.saturating_sub(others(&shown)));
    Fit { shown, first }
}

impl Fit {
    /// A line of cells, one for each column, never longer than `room`.
    pub(super) fn line(&self, columns: &[Column], cells: &[Cell], room: usize, colour: bool) -> String {
        let (mut out, mut used) = (String::new(), 0);
        for (at, (column, cell)) in columns.iter().zip(cells).enumerate().filter(|(at, _)| self.shown[*at]) {
            let gap = usize::from(at > 0);
            let width = if at == 0 { self.first } else { column.width };
            let width = width.min(room.saturating_sub(used + gap));
            if width == 0 {
                continue;
            }
            out.push_str(&" ".repeat(gap));
            used += gap + width;
            let text = cut(&cell.text, width);
            let blank = " ".repeat(width - text.chars().count());
            let [before, after] = if column.side == Side::Left { ["", &blank] } else { [&blank, ""] };
            out.push_str(before);
            match colour && !cell.colour.is_empty() && !text.is_empty() {
                true => out.extend([cell.colour, &text, "\x1b[0m"]),
                false => out.push_str(&text),
            }
            out.push_str(after);
        }
        out.truncate(out.trim_end_matches(' ').len());
        out
    }
}

/// With an ellipsis for what does not fit.
pub(super) fn cut(text: &str, width: usize) -> String {
    match text.chars().count() <= width {
        true => text.to_owned(),
        false => text.chars().take(width.saturating_sub(1)).chain((width > 0).then_some('…')).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> Vec<Column> {
        let column = |head, width, dispensable| Column { head, width, side: Side::Right, dispensable };
        vec![
            Column { side: Side::Left, ..column("NAME", 10, 0) },
            column("A", 4, 2),
            column("B", 6, 1),
            column("C", 3, 0),
        ]
    }

    fn line(room: usize) -> String {
        let cells = ["a-long-name", "1", "2", "3"].map(|text| Cell { text: text.to_owned(), colour: "\x1b[31m" });
        fit(&columns(), 5, room).line(&columns(), &cells, room, false)
    }

    #[test]
    fn the_least_important_column_goes_first_and_the_name_shrinks() {
        assert_eq!(line(40), "a-long-na…    1      2   3");
        assert_eq!(line(22), "a-lon…    1      2   3");
        assert_eq!(line(20), "a-long-n…      2   3");
        assert_eq!(line(15), "a-long-na…   3");
        assert_eq!(line(7), "a-…   3");
        assert_eq!(line(2), " 3");
        assert_eq!(line(0), "");
    }

    #[test]
    fn colours_are_around_words_and_take_no_room() {
        let cells = [Cell::default(), Cell { text: "1".to_owned(), colour: "\x1b[31m" }];
        let fit = fit(&columns()[..2], 2, 20);
        assert_eq!(fit.line(&columns()[..2], &cells, 20, true), "              \x1b[31m1\x1b[0m");
    }
}

//! The order people expect: `net2` before `net10`. Nothing else is compared here.

/// A key to sort by in which digits count as a number, of any length: the words before each
/// number, with the number's digits and how many there are.
fn natural(name: &str) -> Vec<(&str, usize, &str)> {
    let (mut rest, mut key) = (name, Vec::new());
    while !rest.is_empty() {
        let (word, after) = rest.split_at(rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len()));
        let (digits, after) = after.split_at(after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len()));
        let digits = digits.trim_start_matches('0');
        key.push((word, digits.len(), digits));
        rest = after;
    }
    key
}

/// Sorts by name, naturally; names that differ in leading zeros alone go by their letters.
pub(crate) fn sort<T>(items: &mut Vec<T>, name: impl Fn(&T) -> &str) {
    let mut places: Vec<usize> = (0..items.len()).collect();
    places.sort_by_cached_key(|&at| (natural(name(&items[at])), name(&items[at])));
    let mut taken: Vec<Option<T>> = items.drain(..).map(Some).collect();
    items.extend(places.into_iter().filter_map(|at| taken[at].take()));
}

#[cfg(test)]
mod tests {
    use super::sort;

    #[test]
    fn digits_count_as_a_number() {
        let sorted = [
            "a",
            "n2x9",
            "n2x10",
            "net",
            "net02",
            "net2",
            "net10",
            "net99999999999999999999999",
            "net100000000000000000000000",
        ];
        let mut names: Vec<&str> = sorted.into_iter().rev().collect();
        sort(&mut names, |name| name);
        assert_eq!(names, sorted);
    }
}

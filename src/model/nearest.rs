//! "Did you mean ...?"
//!
//! Finds the known word a mistyped one was meant to be. What is done with the
//! answer is not decided here; it is only ever advice to a person.

/// The known word nearest to `word`, the first of several, if it is near enough: as many as a
/// third of the letters of `word`, and one at least, may be wrong, missing, too many, or have
/// changed places with their neighbour.
///
/// Bounded work: a word much longer than all known ones is not even looked at.
pub fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let word = &word.to_lowercase();
    let length = word.chars().count();
    let most = (length / 3).max(1);
    known
        .iter()
        .filter(|candidate| candidate.chars().count().abs_diff(length) <= most)
        .map(|candidate| (distance(word, &candidate.to_lowercase()), *candidate))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The Damerau-Levenshtein distance, where no letter is moved twice (optimal string alignment).
fn distance(from: &str, to: &str) -> usize {
    let from: Vec<char> = from.chars().collect();
    let to: Vec<char> = to.chars().collect();
    let mut before_last = vec![0; to.len() + 1];
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut row = vec![i + 1; to.len() + 1];
        for (j, b) in to.iter().enumerate() {
            let replaced = last[j] + usize::from(a != b);
            row[j + 1] = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == to[j - 1] && from[i - 1] == *b {
                row[j + 1] = row[j + 1].min(before_last[j - 1] + 1);
            }
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_each_kind_counts_once() {
        for (from, to, steps) in [
            ("nic", "nic", 0),
            ("nik", "nic", 1),
            ("ni", "nic", 1),
            ("nicc", "nic", 1),
            ("nci", "nic", 1),
            ("", "nic", 3),
            ("nic", "", 3),
            ("vlna_idd", "vlan_id", 2),
            ("ca", "abc", 3),
            ("größe", "grösse", 2),
        ] {
            assert_eq!(distance(from, to), steps, "{from} to {to}");
            assert_eq!(distance(to, from), steps, "{to} to {from}");
        }
    }

    #[test]
    fn the_nearest_word_is_found_unless_it_is_far() {
        let known = ["bridged", "bonding", "bootproto", "nic", "mtu", "mode"];
        for (word, meant) in [
            ("brigded", Some("bridged")),
            ("bondign", Some("bonding")),
            ("boot_proto", Some("bootproto")),
            ("mut", Some("mtu")),
            ("modes", Some("mode")),
            ("nic", Some("nic")),
            ("vlan", None),
            ("xyz", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, &known), meant, "{word}");
        }
        assert_eq!(nearest("mox", &["mob", "moc"]), Some("mob"), "the first of equals");
        assert_eq!(nearest(&"x".repeat(1 << 20), &known), None);
    }
}

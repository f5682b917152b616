//! How long a text will be on the screen, without a font at hand.
//!
//! As in DejaVu Sans, which is wider than what browsers take for `sans-serif` elsewhere; so a text
//! that fits here fits there.

/// In pixels, for a font of `size` pixels.
pub(super) fn of(text: &str, size: u32, weight: Weight) -> u32 {
    let hundredths: u32 = text.chars().fold(0, |sum, c| sum.saturating_add(hundredths(c)));
    let factor = if weight == Weight::Bold { 112 } else { 100 };
    (u64::from(hundredths) * u64::from(size) * factor).div_ceil(10_000).min(u64::from(u32::MAX)) as u32
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Weight {
    Regular,
    Bold,
}

/// As much of a text as fits, with an ellipsis for what does not.
pub(super) fn fitted(text: &str, size: u32, weight: Weight, room: u32) -> String {
    // Nothing is narrower than a twentieth of the size, so the rest need not be measured.
    let mut kept: String = text.chars().take(room as usize).collect();
    if kept.len() == text.len() && of(text, size, weight) <= room {
        return kept;
    }
    while !kept.is_empty() && of(&kept, size, weight) + of("…", size, weight) > room {
        kept.pop();
    }
    kept + "…"
}

/// Of the font's size.
fn hundredths(c: char) -> u32 {
    match c {
        'i' | 'j' | 'l' | '|' | '\'' => 30,
        ' ' | '.' | ',' | ':' | ';' | '!' | '/' | 'f' | 't' | 'r' | 'I' | '(' | ')' | '·' => 40,
        'm' | 'w' | 'M' | 'W' | '@' | '%' | '…' | '+' => 98,
        'A'..='Z' => 72,
        '\0'..='\u{24f}' => 64,
        // Scripts of far-away places have wide letters.
        _ => 100,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_whole_and_what_does_not_says_so() {
        assert_eq!(fitted("eth0", 12, Weight::Bold, 100), "eth0");
        let cut = fitted("a-network-with-a-long-name", 12, Weight::Bold, 100);
        assert!(cut.ends_with('…') && cut.starts_with("a-netw"), "{cut}");
        assert!(of(&cut, 12, Weight::Bold) <= 100);
        assert_eq!(fitted("", 12, Weight::Bold, 0), "");
        assert_eq!(fitted("abc", 12, Weight::Bold, 0), "…");
    }
}

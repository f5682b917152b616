//! What a bridge says of its options in getCapabilities: each as its file in sysfs shows it.
//!
//! The options themselves are a table in the parent. A host has thousands of bridges, and forty-four
//! options of each are most of a report: so nothing is allocated here.

use std::fmt;
use std::sync::LazyLock;

use super::{Kind, ROWS, Row, TYPE_MASK};

/// The value of one option, to be shown as sysfs does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    kind: Kind,
    value: u64,
}

impl Shown {
    pub(super) fn new(kind: Kind, value: u64) -> Shown {
        Shown { kind, value }
    }

    /// The number, where nothing but its decimal digits is shown.
    pub fn decimal(self) -> Option<u64> {
        (!matches!(self.kind, Kind::Mask | Kind::Protocol | Kind::Mac | Kind::Id)).then_some(self.value)
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.kind, self.value.to_be_bytes()) {
            (Kind::Mask, _) => write!(f, "{:#x}", self.value),
            (Kind::Protocol, _) => write!(f, "{:#06x}", self.value),
            (Kind::Mac, [.., a, b, c, d, e, g]) => write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}"),
            (Kind::Id, _) => write!(f, "{:04x}.{:012x}", self.value >> 48, self.value & 0xffff_ffff_ffff),
            _ => self.value.fmt(f),
        }
    }
}

/// The numbers of the attributes in [`ROWS`] end before this.
const NUMBERS: usize = 64;

static BY_NAME: LazyLock<Vec<&'static Row>> = LazyLock::new(|| {
    let mut rows: Vec<&Row> = ROWS.iter().collect();
    rows.sort_unstable_by_key(|row| row.name);
    rows
});

/// The `opts` of a bridge in getCapabilities: every option, by name, as far as the dump has it.
/// `flush` is not there: it is a trigger.
pub fn report<'a>(attributes: impl Iterator<Item = (u16, &'a [u8])>) -> impl Iterator<Item = (&'static str, Shown)> {
    let mut told: [Option<&[u8]>; NUMBERS] = [None; NUMBERS];
    for (kind, bytes) in attributes {
        if let Some(place) = told.get_mut(usize::from(kind & TYPE_MASK)) {
            *place = Some(bytes);
        }
    }
    BY_NAME.iter().filter_map(move |row| {
        let bytes = (*told.get(usize::from(row.attribute))?)?;
        Some((row.name, Shown::new(row.kind, row.kind.decode(bytes)?)))
    })
}

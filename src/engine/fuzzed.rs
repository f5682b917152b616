//! A journal that somebody else wrote, or that was torn; see `tests/fuzz`.

use std::fmt::Write;

use vdsm_persistence::{Place, Unfinished};

use super::account::Account;
use super::journal::Head;
use crate::fuzz::{Target, fuzz};

/// What was done, what may have been and what was not begun are all steps of a leg, and each is one of these.
fn journal(bytes: &[u8]) {
    let Some(left) = Unfinished::of(bytes, Place::Run) else { return };
    let _ = serde_json::from_value::<Head>(left.head.clone());
    let account = Account::of(&left);
    for leg in &account.legs {
        let parts = [&leg.done, &leg.uncertain, &leg.untouched()];
        let mut steps: Vec<usize> = parts.iter().flat_map(|numbers| numbers.iter()).collect();
        steps.sort_unstable();
        assert!(steps.into_iter().eq(0..leg.steps.len()));
    }
    let mut text = String::new();
    write!(text, "{account} {:?}", account.uncertain()).unwrap();
}

#[test]
fn journals() {
    const WORDS: &[&[u8]] = &[
        b"\n",
        b"{\"leg\":\"planned\"}\n",
        b"{\"leg\":\"anew\",\"plan\":[\"a\",\"b\"]}\n",
        b"{\"leg\":\"back\",\"plan\":[]}\n",
        b"{\"leg\":\"recovery\"}\n",
        b"{\"begun\":\"1-3\"}\n",
        b"{\"done\":\"1,3-4\"}\n",
        b"{\"failed\":2}\n",
        b"-",
        b",",
        b"18446744073709551615",
        b"0",
        b"{\"verdict\":\"committed\"}\n",
        b"{\"verdict\":\"abandoned\"}\n",
        b"\"plan\":[",
    ];
    fuzz(&Target { name: "journal", words: WORDS, longest: 4096, run: journal });
}

//! What answers to our questions may hold: acknowledgements with all that goes with them, and the messages of
//! generic netlink. Links, addresses and routes are `netinfo`'s.

use crate::ack::{acknowledged, finished};
use crate::frame::Frames;
use crate::fuzz::{Target, fuzz};
use crate::generic::Family;
use crate::{ethtool, team};

/// A datagram; what was asked is its first message, or nothing.
fn answers(bytes: &[u8]) {
    let first = Frames::new(bytes).next().and_then(Result::ok).map(|frame| 16 + frame.payload.len());
    for frame in Frames::new(bytes).map_while(Result::ok) {
        for request in [&[][..], &bytes[..first.unwrap_or_default()]] {
            for answer in [acknowledged(&frame, request), finished(&frame, request)] {
                if let Ok(Err(error)) = answer {
                    assert!(error.errno > 0, "an error has a number");
                    drop(error.to_string());
                }
            }
        }
        if let Some(family) = Family::read(frame.payload) {
            let _ = family.group("monitor");
        }
        ethtool::read_all(frame.payload);
        team::tests::read_all(frame.payload);
    }
}

#[test]
fn answers_to_questions() {
    // Headers of lengths and types that are common, and names.
    const WORDS: &[&[u8]] = &[
        b"monitor\0",
        b"mode\0",
        b"activeport\0",
        b"enabled\0",
        b"activebackup\0",
        b"tx-checksum-ip-generic\0",
        &[20, 0, 0, 0, 2, 0, 0, 3],
        &[36, 0, 0, 0, 2, 0, 0, 2],
        &[20, 0, 0, 0, 3, 0, 2, 0],
        &[36, 0, 0, 0, 20, 0, 2, 0],
        &[0xea, 0xff, 0xff, 0xff],
        &[8, 0, 1, 0],
        &[8, 0, 2, 0],
        &[8, 0, 3, 0],
        &[6, 0, 1, 0],
        &[5, 0, 2, 0],
        &[4, 0, 2, 0x80],
        &[12, 0, 1, 0x80],
        &[16, 0, 3, 0x80],
        &[24, 0, 2, 0x80],
        &[32, 0, 7, 0x80],
        &[1, 1, 0, 0],
        &[2, 1, 0, 0],
        &[0x7f, 0xff, 0xff, 0xff],
    ];
    fuzz(&Target { name: "answers", words: WORDS, longest: 1024, run: answers });
}

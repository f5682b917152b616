//! The messages of one datagram.
//!
//! Cuts a datagram at the message headers. What the messages say is read in
//! `ack.rs` and by the callers of a dump.

use netlink_packet_core::NLM_F_DUMP_INTR;

use crate::{
    attrs::{aligned, u16, u32},
    error::WireError,
};

/// Length of `nlmsghdr`.
pub(crate) const HEADER: usize = 16;

/// One message, its header read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    pub(crate) seq: u32,
    pub(crate) payload: &'a [u8],
}

impl Frame<'_> {
    /// The table changed while it was dumped.
    pub(crate) fn interrupted(&self) -> bool {
        self.flags & NLM_F_DUMP_INTR != 0
    }
}

/// Walks the messages; a message that does not fit is an error, and the last item.
pub(crate) struct Frames<'a> {
    rest: &'a [u8],
}

impl<'a> Frames<'a> {
    pub(crate) fn new(datagram: &'a [u8]) -> Self {
        Self { rest: datagram }
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<Frame<'a>, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let Some((frame, rest)) = split(self.rest) else {
            self.rest = &[];
            return Some(Err(WireError::Malformed));
        };
        self.rest = rest;
        Some(Ok(frame))
    }
}

fn split(bytes: &[u8]) -> Option<(Frame<'_>, &[u8])> {
    let length = usize::try_from(u32(bytes)?).ok()?;
    let frame = Frame {
        kind: u16(bytes.get(4..)?)?,
        flags: u16(bytes.get(6..)?)?,
        seq: u32(bytes.get(8..)?)?,
        payload: bytes.get(HEADER..length)?,
    };
    Some((frame, bytes.get(aligned(length)..).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_message_longer_than_the_datagram_is_malformed() {
        let mut datagram = vec![0; 20];
        datagram[0] = 24;
        assert!(matches!(Frames::new(&datagram).next(), Some(Err(WireError::Malformed))));
        datagram[0] = 20;
        let frames: Vec<_> = Frames::new(&datagram).map(|frame| frame.unwrap().payload.len()).collect();
        assert_eq!(frames, [4]);
    }

    proptest! {
        #[test]
        fn no_datagram_makes_the_walk_panic(datagram in prop::collection::vec(any::<u8>(), 0..200)) {
            for frame in Frames::new(&datagram).flatten() {
                prop_assert!(frame.payload.len() + HEADER <= datagram.len());
            }
        }
    }
}

//! Reading acknowledgements.
//!
//! Turns `NLMSG_ERROR` and `NLMSG_DONE` into "carried out" or a `KernelError`,
//! with the extended acknowledgement's text and the attribute it points at.
//! Nothing is received here.

use netlink_packet_core::{NLM_F_ACK_TLVS, NLM_F_CAPPED};

use crate::{
    attrs::{self, Attrs, aligned},
    error::{KernelError, WireError},
    frame::{Frame, HEADER},
};

const NLMSGERR_ATTR_MSG: u16 = 1;
const NLMSGERR_ATTR_OFFS: u16 = 2;
const NLMSGERR_ATTR_MISS_TYPE: u16 = 5;

/// Length of the error number that both kinds of answer begin with.
const CODE: usize = 4;

/// Reads `NLMSG_ERROR`, which is also the good news when its number is zero.
///
/// `request` are the bytes we sent, header included.
pub(crate) fn acknowledged(frame: &Frame<'_>, request: &[u8]) -> Result<Result<(), KernelError>, WireError> {
    // Behind the number comes the header of our request, and its payload unless the answer is capped.
    let echoed = if frame.flags & NLM_F_CAPPED != 0 {
        HEADER
    } else {
        let length = attrs::u32(frame.payload.get(CODE..).unwrap_or_default()).unwrap_or_default();
        usize::try_from(length).unwrap_or(usize::MAX).clamp(HEADER, HEADER.max(frame.payload.len()))
    };
    read(frame, CODE + aligned(echoed), request)
}

/// Reads `NLMSG_DONE`. A negative number there is how a dump fails midway.
pub(crate) fn finished(frame: &Frame<'_>, request: &[u8]) -> Result<Result<(), KernelError>, WireError> {
    // The kernel may leave the number out.
    if frame.payload.is_empty() {
        return Ok(Ok(()));
    }
    read(frame, CODE, request)
}

fn read(frame: &Frame<'_>, tlvs_at: usize, request: &[u8]) -> Result<Result<(), KernelError>, WireError> {
    let code = attrs::i32(frame.payload).ok_or(WireError::Malformed)?;
    let mut error = KernelError { errno: code.saturating_neg(), text: None, attribute: None, missing: None };
    if frame.flags & NLM_F_ACK_TLVS != 0 {
        for (kind, value) in Attrs::after(frame.payload, tlvs_at) {
            match kind {
                NLMSGERR_ATTR_MSG => error.text = Some(String::from_utf8_lossy(attrs::text_bytes(value)).into_owned()),
                NLMSGERR_ATTR_OFFS => error.attribute = attrs::u32(value).and_then(|offset| at_fault(request, offset)),
                NLMSGERR_ATTR_MISS_TYPE => error.missing = attrs::u32(value).and_then(|kind| u16::try_from(kind).ok()),
                _ => {}
            }
        }
    }
    // A dump may end with a positive number, which is a length and no error.
    if code < 0 {
        return Ok(Err(error));
    }
    if let Some(text) = error.text {
        tracing::debug!(text, "the kernel carried out a request with a remark");
    }
    Ok(Ok(()))
}

/// The attribute the kernel points at, by an offset from the beginning of our message.
fn at_fault(request: &[u8], offset: u32) -> Option<u16> {
    let kind = attrs::u16(request.get(4..)?)?;
    let start = HEADER + family_header(kind)?;
    attrs::covering(request.get(start..)?, usize::try_from(offset).ok()?.checked_sub(start)?)
}

/// Length of the fixed header before the attributes (`linux/rtnetlink.h` and its neighbours).
fn family_header(kind: u16) -> Option<usize> {
    // Each family has four message types: new, delete, get, set.
    match kind & !3 {
        // link and its alternative names (ifinfomsg), neighbour discovery options (nduseroptmsg)
        16 | 108 | 68 => Some(16),
        // address, multicast and anycast address, mdb, nexthop and its buckets, bridge VLAN, tunnel
        20 | 56 | 60 | 84 | 104 | 112 | 116 | 120 => Some(8),
        // route, neighbour, rule, prefix, address label, statistics
        24 | 28 | 32 | 52 | 72 | 92 => Some(12),
        // qdisc, class, filter, chain (tcmsg)
        36 | 40 | 44 | 100 => Some(20),
        // action, neighbour table, DCB, netconf, namespace id
        48 | 64 | 76 | 80 | 88 => Some(4),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netlink_packet_core::NLMSG_ERROR;
    use proptest::prelude::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::from(u16::try_from(4 + value.len()).unwrap().to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(aligned(bytes.len()), 0);
        bytes
    }

    fn message(kind: u16, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::from(u32::try_from(HEADER + payload.len()).unwrap().to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 10]);
        bytes.extend(payload);
        bytes
    }

    /// `RTM_NEWLINK` with `IFLA_MTU` and `IFLA_LINKINFO { INFO_KIND, INFO_DATA { IFLA_BOND_MODE } }`;
    /// the alias at its end has an odd length.
    fn newlink() -> Vec<u8> {
        let info = [attribute(1, b"bond\0"), attribute(2 | 0x8000, &attribute(1, &[9]))].concat();
        let mut body = [vec![0; 16], attribute(4, &[0; 4]), attribute(18, &info), attribute(20, b"alias")].concat();
        body.truncate(body.len() - 3);
        message(16, &body)
    }

    /// An answer as the kernel builds it: number, our header or our whole message, attributes.
    fn answer(errno: i32, echo: &[u8], tlvs: &[Vec<u8>]) -> Vec<u8> {
        let mut payload = Vec::from((-errno).to_ne_bytes());
        payload.extend(echo);
        payload.resize(aligned(payload.len()), 0);
        payload.extend(tlvs.concat());
        payload
    }

    fn frame(flags: u16, payload: &[u8]) -> Frame<'_> {
        Frame { kind: NLMSG_ERROR, flags, seq: 1, payload }
    }

    #[test]
    fn text_and_attribute_are_found_in_capped_and_in_whole_answers() {
        let request = newlink();
        // nlmsghdr 16 + ifinfomsg 16 + IFLA_MTU 8 + headers of LINKINFO 4 + INFO_KIND 12 + INFO_DATA's header 4
        let tlvs = [attribute(1, b"the mode is wrong\0"), attribute(2, &60_u32.to_ne_bytes())];
        let expected = KernelError {
            errno: libc::EINVAL,
            text: Some("the mode is wrong".into()),
            attribute: Some(1),
            missing: None,
        };
        for (flags, echo) in [(NLM_F_CAPPED, &request[..HEADER]), (0, &request[..])] {
            let payload = answer(libc::EINVAL, echo, &tlvs);
            let seen = acknowledged(&frame(flags | NLM_F_ACK_TLVS, &payload), &request).unwrap();
            assert_eq!(seen, Err(expected.clone()));
        }
    }

    #[test]
    fn each_level_of_nesting_is_named() {
        let request = newlink();
        for (offset, kind) in [(32_u32, 4), (40, 18), (44, 1), (56, 2), (60, 1), (68, 20)] {
            assert_eq!(at_fault(&request, offset), Some(kind), "offset {offset}");
        }
        for nowhere in [0, 16, 31, 4000, u32::MAX] {
            assert_eq!(at_fault(&request, nowhere), None, "offset {nowhere}");
        }
    }

    #[test]
    fn a_missing_attribute_is_named() {
        let request = newlink();
        let payload = answer(libc::EINVAL, &request[..HEADER], &[attribute(5, &2_u32.to_ne_bytes())]);
        let seen = acknowledged(&frame(NLM_F_CAPPED | NLM_F_ACK_TLVS, &payload), &request).unwrap();
        assert_eq!(seen, Err(KernelError { errno: libc::EINVAL, text: None, attribute: None, missing: Some(2) }));
    }

    #[test]
    fn an_echoed_request_is_not_taken_for_an_extended_acknowledgement() {
        let request = message(16, &[vec![0; 16], attribute(1, b"no text\0")].concat());
        let payload = answer(libc::EEXIST, &request, &[]);
        let seen = acknowledged(&frame(0, &payload), &request).unwrap();
        assert_eq!(seen, Err(KernelError { errno: libc::EEXIST, text: None, attribute: None, missing: None }));
    }

    #[test]
    fn zero_is_good_news_even_with_a_remark() {
        let payload = answer(0, &newlink()[..HEADER], &[attribute(1, b"by the way\0")]);
        assert_eq!(acknowledged(&frame(NLM_F_CAPPED | NLM_F_ACK_TLVS, &payload), &newlink()).unwrap(), Ok(()));
    }

    #[test]
    fn a_dump_that_fails_says_so_in_its_end() {
        let payload = answer(libc::ENODEV, &[], &[attribute(1, b"no such device\0")]);
        let seen = finished(&frame(NLM_F_ACK_TLVS, &payload), &[]).unwrap().unwrap_err();
        assert_eq!((seen.errno, seen.text.as_deref()), (libc::ENODEV, Some("no such device")));
        assert_eq!(finished(&frame(0, &[]), &[]).unwrap(), Ok(()));
        assert_eq!(finished(&frame(0, &36_i32.to_ne_bytes()), &[]).unwrap(), Ok(()));
    }

    #[test]
    fn an_answer_without_a_number_is_malformed() {
        assert!(matches!(acknowledged(&frame(0, &[1, 2]), &[]), Err(WireError::Malformed)));
    }

    proptest! {
        #[test]
        fn no_answer_makes_the_reader_panic(
            payload in prop::collection::vec(any::<u8>(), 0..200),
            request in prop::collection::vec(any::<u8>(), 0..200),
            flags in any::<u16>(),
            offset in any::<u32>(),
        ) {
            let _ = acknowledged(&frame(flags, &payload), &request);
            let _ = finished(&frame(flags, &payload), &request);
            let _ = at_fault(&request, offset);
        }

        /// As above, but with extended acknowledgements which are well-formed from outside.
        #[test]
        fn no_extended_acknowledgement_makes_the_reader_panic(
            text in prop::collection::vec(any::<u8>(), 0..40),
            offset in 0..120_u32,
            kinds in prop::collection::vec(0..8_u16, 0..4),
            kind in 16..124_u16,
        ) {
            let mut request = newlink();
            request[4..6].copy_from_slice(&kind.to_ne_bytes());
            let mut tlvs = vec![attribute(2, &offset.to_ne_bytes())];
            tlvs.extend(kinds.into_iter().map(|kind| attribute(kind, &text)));
            let payload = answer(libc::EINVAL, &request[..HEADER], &tlvs);
            let seen = acknowledged(&frame(NLM_F_CAPPED | NLM_F_ACK_TLVS, &payload), &request).unwrap();
            prop_assert_eq!(seen.unwrap_err().errno, libc::EINVAL);
        }
    }
}

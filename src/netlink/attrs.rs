//! Walking netlink attributes without copying them.
//!
//! This is the hot path of every dump: nothing here allocates, and nothing here
//! panics, whatever the bytes say. What an attribute's number means is the
//! caller's knowledge. Attributes are not written here.

use std::ffi::CStr;

/// Length of an attribute's header: two bytes of length, two of type.
const HEADER: usize = 4;

/// The two uppermost bits of the type are `NLA_F_NESTED` and `NLA_F_NET_BYTEORDER`.
const TYPE_MASK: u16 = 0x3fff;

/// The attributes which lie in `bytes`, as (type, value).
///
/// The flag bits are taken off the type. A value may itself be a sequence of
/// attributes: pass it to [`Attrs::new`] again. A length which does not fit
/// what is left ends the walk.
#[derive(Debug, Clone)]
pub struct Attrs<'a> {
    rest: &'a [u8],
}

impl<'a> Attrs<'a> {
    /// Attributes from the first byte on.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Attributes behind a fixed header, such as the 16 bytes of `ifinfomsg`.
    #[must_use]
    pub fn after(bytes: &'a [u8], header: usize) -> Self {
        Self { rest: bytes.get(header..).unwrap_or_default() }
    }
}

impl<'a> Iterator for Attrs<'a> {
    type Item = (u16, &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let length = usize::from(u16(self.rest)?);
        let kind = u16(self.rest.get(2..)?)? & TYPE_MASK;
        let Some(value) = self.rest.get(HEADER..length) else {
            self.rest = &[];
            return None;
        };
        // The padding behind the last attribute may be missing.
        self.rest = self.rest.get(aligned(length)..).unwrap_or_default();
        Some((kind, value))
    }
}

/// The value of the first attribute of this type.
#[must_use]
pub fn find(attrs: Attrs<'_>, kind: u16) -> Option<&[u8]> {
    attrs.into_iter().find_map(|(seen, value)| (seen == kind).then_some(value))
}

/// The first byte.
#[inline]
#[must_use]
pub fn u8(value: &[u8]) -> Option<u8> {
    value.first().copied()
}

/// The first two bytes in the host's order.
#[inline]
#[must_use]
pub fn u16(value: &[u8]) -> Option<u16> {
    value.first_chunk().copied().map(u16::from_ne_bytes)
}

/// The first four bytes in the host's order.
#[inline]
#[must_use]
pub fn u32(value: &[u8]) -> Option<u32> {
    value.first_chunk().copied().map(u32::from_ne_bytes)
}

/// The first four bytes in the host's order, with a sign.
#[inline]
#[must_use]
pub fn i32(value: &[u8]) -> Option<i32> {
    value.first_chunk().copied().map(i32::from_ne_bytes)
}

/// The first eight bytes in the host's order.
#[inline]
#[must_use]
pub fn u64(value: &[u8]) -> Option<u64> {
    value.first_chunk().copied().map(u64::from_ne_bytes)
}

/// The first two bytes in the network's order, as `IFLA_VLAN_PROTOCOL` has them.
#[inline]
#[must_use]
pub fn be16(value: &[u8]) -> Option<u16> {
    value.first_chunk().copied().map(u16::from_be_bytes)
}

/// The first four bytes in the network's order.
#[inline]
#[must_use]
pub fn be32(value: &[u8]) -> Option<u32> {
    value.first_chunk().copied().map(u32::from_be_bytes)
}

/// The bytes before the first zero, or all of them: a link alias carries no zero.
#[inline]
#[must_use]
pub fn text_bytes(value: &[u8]) -> &[u8] {
    CStr::from_bytes_until_nul(value).map_or(value, CStr::to_bytes)
}

/// The text before the first zero, if it is UTF-8.
#[inline]
#[must_use]
pub fn text(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(text_bytes(value)).ok()
}

/// The type of the innermost attribute of `bytes` that covers `offset`.
///
/// The kernel points at the first byte of an attribute's header. Builders do
/// not always set `NLA_F_NESTED`, so the walk descends wherever the value reads
/// as attributes up to that offset.
pub(crate) fn covering(bytes: &[u8], offset: usize) -> Option<u16> {
    let (mut bytes, mut offset) = (bytes, offset);
    let mut found = None;
    loop {
        let mut walk = Attrs::new(bytes);
        let mut start = 0;
        let (kind, value) = loop {
            let Some(attribute) = walk.next() else {
                return found;
            };
            let end = bytes.len() - walk.rest.len();
            if offset < end {
                break attribute;
            }
            start = end;
        };
        found = Some(kind);
        match offset.checked_sub(start + HEADER) {
            Some(inside) if inside < value.len() => (bytes, offset) = (value, inside),
            _ => return found,
        }
    }
}

/// Rounded up to netlink's four bytes.
pub(crate) const fn aligned(length: usize) -> usize {
    length.next_multiple_of(4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::from(u16::try_from(HEADER + value.len()).unwrap().to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(aligned(bytes.len()), 0);
        bytes
    }

    #[test]
    fn attributes_come_in_order_without_their_flag_bits() {
        let mut bytes = attribute(3, b"br0\0");
        bytes.extend(attribute(18 | 0x8000, &attribute(1, b"bridge")));
        bytes.extend(attribute(5 | 0x4000, &[0x81, 0, 0, 7]));
        let seen: Vec<_> = Attrs::new(&bytes).collect();
        assert_eq!(seen.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), [3, 18, 5]);
        assert_eq!(text(seen[0].1), Some("br0"));
        assert_eq!(Attrs::new(seen[1].1).next(), Some((1, &b"bridge"[..])));
        assert_eq!((be16(seen[2].1), be32(seen[2].1)), (Some(0x8100), Some(0x8100_0007)));
        assert_eq!(find(Attrs::new(&bytes), 5), Some(&[0x81, 0, 0, 7][..]));
        assert_eq!(find(Attrs::new(&bytes), 6), None);
    }

    #[test]
    fn a_length_that_lies_ends_the_walk() {
        for length in [0_u16, 3, 9, u16::MAX] {
            let mut bytes = attribute(1, &[1, 2, 3, 4]);
            bytes.extend(length.to_ne_bytes());
            bytes.extend([2, 0, 0, 0, 0, 0]);
            assert_eq!(Attrs::new(&bytes).count(), 1, "length {length}");
        }
    }

    #[test]
    fn a_missing_last_padding_is_no_harm() {
        let mut bytes = attribute(1, b"abc");
        bytes.truncate(7);
        assert_eq!(Attrs::new(&bytes).next(), Some((1, &b"abc"[..])));
    }

    #[test]
    fn short_values_are_none() {
        assert_eq!((u8(&[]), u16(&[1]), u32(&[1; 3])), (None, None, None));
        assert_eq!((i32(&[1; 3]), u64(&[1; 7]), be16(&[1]), be32(&[1; 3])), (None, None, None, None));
        assert_eq!(Attrs::after(&[0; 3], 16).next(), None);
        assert_eq!(text(b"no zero"), Some("no zero"));
        assert_eq!(text(&[0xff, 0]), None);
    }

    #[test]
    fn the_innermost_attribute_is_named() {
        // IFLA_MTU, then IFLA_LINKINFO { INFO_KIND, INFO_DATA { 1, 9 } }
        let data = [attribute(1, &[0; 4]), attribute(9, &[0; 4])].concat();
        let info = [attribute(1, b"bond\0"), attribute(2, &data)].concat();
        let bytes = [attribute(4, &[0; 4]), attribute(18, &info)].concat();
        assert_eq!(covering(&bytes, 0), Some(4));
        assert_eq!(covering(&bytes, 8), Some(18));
        assert_eq!(covering(&bytes, 12), Some(1));
        assert_eq!(covering(&bytes, 24), Some(2));
        assert_eq!(covering(&bytes, 28), Some(1));
        assert_eq!(covering(&bytes, 36), Some(9));
        assert_eq!(covering(&bytes, bytes.len()), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_walk_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), offset in 0..400_usize) {
            let mut left = bytes.len();
            for (kind, value) in Attrs::new(&bytes) {
                prop_assert!(kind <= TYPE_MASK);
                prop_assert!(value.len() + HEADER <= left);
                left -= value.len() + HEADER;
                let _ = (u64(value), text(value), Attrs::new(value).count());
            }
            let _ = covering(&bytes, offset);
        }
    }
}

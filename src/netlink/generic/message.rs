//! Messages and attributes of generic netlink, of whatever family.
//!
//! Spelled with neli's builders, read with [`Attrs`]. Nothing is sent or received here.

use neli::{
    ToBytes,
    genl::{AttrTypeBuilder, Genlmsghdr, GenlmsghdrBuilder, Nlattr, NlattrBuilder},
    types::{Buffer, GenlBuffer},
};

use crate::attrs::Attrs;

/// A question or an answer of generic netlink.
pub(crate) type Message = Genlmsghdr<u8, u16>;
pub(crate) type Attribute = Nlattr<u16, Buffer>;

/// Length of `genlmsghdr`: command, version, two bytes of nothing.
const GENERIC_HEADER: usize = 4;

/// A message with these attributes.
pub(crate) fn message(command: u8, version: u8, attributes: impl IntoIterator<Item = Attribute>) -> Message {
    let attributes = GenlBuffer::from_iter(attributes);
    let built = GenlmsghdrBuilder::default().cmd(command).version(version).attrs(attributes).build();
    built.expect("command and version are given")
}

/// One attribute; the kernel wants to be told if others are nested in it.
pub(crate) fn attribute(kind: u16, nested: bool, value: impl ToBytes + neli::Size) -> Attribute {
    let kind = AttrTypeBuilder::default().nla_type(kind).nla_nested(nested).build().expect("the type is given");
    let built = NlattrBuilder::default().nla_type(kind).nla_payload(value).build();
    built.expect("type and value are given, and writing to memory does not fail")
}

/// The attributes of a generic netlink message, behind its header.
pub(crate) fn attributes(payload: &[u8]) -> Attrs<'_> {
    Attrs::after(payload, GENERIC_HEADER)
}

//! The kernel's messages, made by hand for the tests. Nothing is checked here.

pub(super) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::from(u16::try_from(4 + value.len()).unwrap().to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

pub(super) fn number(kind: u16, value: u32) -> Vec<u8> {
    attribute(kind, &value.to_ne_bytes())
}

pub(super) fn text(kind: u16, value: &str) -> Vec<u8> {
    attribute(kind, &[value.as_bytes(), &[0]].concat())
}

/// An `RTM_NEWLINK` of an Ethernet link that is up.
pub(super) fn link(index: u32, name: &str, more: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 1, 0];
    bytes.extend(index.to_ne_bytes());
    bytes.extend(0x1_0001_u32.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend(text(libc::IFLA_IFNAME, name));
    bytes.extend(number(libc::IFLA_MTU, 1500));
    bytes.extend(attribute(libc::IFLA_ADDRESS, &[2, 0, 0, 0, 0, 7]));
    bytes.extend(more.concat());
    bytes
}

pub(super) fn kind(kind: &str, data: &[Vec<u8>]) -> Vec<u8> {
    let data = attribute(libc::IFLA_INFO_DATA | 0x8000, &data.concat());
    let info = [text(libc::IFLA_INFO_KIND, kind), data].concat();
    attribute(libc::IFLA_LINKINFO, &info)
}

pub(super) fn route_message(header: [u8; 8], flags: u32, attributes: &[Vec<u8>]) -> Vec<u8> {
    [&header[..], &flags.to_ne_bytes(), &attributes.concat()].concat()
}

//! A request, encoded once.
//!
//! Turns a typed message into bytes. The sequence number is left open; the wire
//! fills it in each time the request is sent. Requests without an
//! acknowledgement cannot be written: nobody would learn of their failure.

use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkSerializable};
use netlink_packet_route::RouteNetlinkMessage;

use crate::{attrs::aligned, frame::HEADER};

/// An encoded request; it can be sent any number of times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    bytes: Vec<u8>,
}

impl Request {
    /// Encodes the message. `NLM_F_REQUEST` and `NLM_F_ACK` are always added to the flags.
    #[must_use]
    pub fn new(message: RouteNetlinkMessage, flags: u16) -> Self {
        Self::encode(&message, flags | NLM_F_REQUEST | NLM_F_ACK)
    }

    /// The bytes as they are sent, with a sequence number of zero.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn dump(message: &RouteNetlinkMessage) -> Self {
        Self::encode(message, NLM_F_REQUEST | NLM_F_DUMP)
    }

    pub(crate) fn get(message: &RouteNetlinkMessage) -> Self {
        Self::encode(message, NLM_F_REQUEST | NLM_F_ACK)
    }

    fn encode(message: &RouteNetlinkMessage, flags: u16) -> Self {
        let length = HEADER + NetlinkSerializable::buffer_len(message);
        let mut bytes = vec![0; length];
        // A message of 4 GiB cannot be built in memory we have; the kernel would refuse it anyway.
        bytes[..4].copy_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_ne_bytes());
        bytes[4..6].copy_from_slice(&NetlinkSerializable::message_type(message).to_ne_bytes());
        bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        message.serialize(&mut bytes[HEADER..]);
        Self { bytes }
    }

    /// What the request takes in a datagram.
    pub(crate) fn room(&self) -> usize {
        aligned(self.bytes.len())
    }

    /// Appends the request to a datagram.
    pub(crate) fn pack(&self, seq: u32, datagram: &mut Vec<u8>) {
        let start = datagram.len();
        datagram.extend_from_slice(&self.bytes);
        datagram[start + 8..start + 12].copy_from_slice(&seq.to_ne_bytes());
        datagram.resize(start + self.room(), 0);
    }
}

#[cfg(test)]
impl Request {
    /// The same request without an acknowledgement, to make the kernel keep silent.
    pub(crate) fn silenced(mut self) -> Self {
        self.bytes[6..8].copy_from_slice(&NLM_F_REQUEST.to_ne_bytes());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netlink_packet_core::NLM_F_CREATE;
    use rtnetlink::LinkDummy;

    #[test]
    fn every_request_asks_for_an_acknowledgement() {
        let request = Request::new(RouteNetlinkMessage::NewLink(LinkDummy::new("d0").build()), NLM_F_CREATE);
        let mut datagram = vec![1, 2, 3, 4];
        request.pack(0x0102_0304, &mut datagram);
        let sent = &datagram[4..];
        assert_eq!(sent.len(), request.room());
        assert_eq!(sent[..4], u32::try_from(request.as_bytes().len()).unwrap().to_ne_bytes());
        assert_eq!(sent[4..6], libc::RTM_NEWLINK.to_ne_bytes());
        assert_eq!(sent[6..8], (NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE).to_ne_bytes());
        assert_eq!(sent[8..12], 0x0102_0304_u32.to_ne_bytes());
    }
}

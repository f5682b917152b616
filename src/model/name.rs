//! The names of devices and networks: text that has become a type.
//!
//! What a name refers to is not known here; see `graph.rs`.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use crate::units::VlanTag;

/// A link's name as the kernel takes it: 1 to 15 bytes (`IFNAMSIZ` counts the final zero), no
/// `/`, `:` or white space, not `.` or `..` (`dev_valid_name` in net/core/dev.c).
///
/// `%` is refused as well: `dev_alloc_name` would take it for a template and make another name of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceName([u8; 16]);

impl DeviceName {
    /// Sorts before every name; no link is called so.
    pub(crate) const LOWEST: DeviceName = DeviceName([0; 16]);

    /// The name as text.
    pub fn as_str(&self) -> &str {
        let end = self.0.iter().position(|b| *b == 0).unwrap_or(self.0.len());
        std::str::from_utf8(&self.0[..end]).unwrap_or("?")
    }

    /// The default name of a VLAN device, `BASE.TAG`; an error when that is longer than 15 bytes.
    pub fn of_vlan(base: &DeviceName, tag: u16) -> Result<DeviceName, NameError> {
        let digits = tag.checked_ilog10().unwrap_or(0) as usize + 1;
        let length = base.as_str().len() + 1 + digits;
        if length > 15 {
            return Err(NameError::TooLong { length });
        }
        let mut name = *base;
        let mut rest = tag;
        for place in (length - digits..length).rev() {
            name.0[place] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        name.0[length - digits - 1] = b'.';
        Ok(name)
    }

    /// What this is the name of where it is `BASE.TAG`; whether there is such a device is not asked.
    pub fn as_vlan(&self) -> Option<(DeviceName, VlanTag)> {
        let (base, tag) = self.as_str().rsplit_once('.')?;
        let (base, tag) = (DeviceName::try_from(base).ok()?, VlanTag::new(tag.parse().ok()?)?);
        (DeviceName::of_vlan(&base, tag.get()).as_ref() == Ok(self)).then_some((base, tag))
    }

    /// The order in which slaves join a bond: `eth2` before `eth10`, as initscripts sort them, so
    /// that a bond gets the same MAC address whoever made it (vdsm-facts 3.5).
    pub fn natural_cmp(&self, other: &DeviceName) -> Ordering {
        fn key(name: &str) -> (&str, u64, &str) {
            let start = name.find(|c: char| c.is_ascii_digit()).unwrap_or(name.len());
            let rest = &name[start..];
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            (&name[..start], rest[..end].parse().unwrap_or(0), &rest[end..])
        }
        key(self.as_str()).cmp(&key(other.as_str())).then_with(|| self.cmp(other))
    }
}

impl TryFrom<&str> for DeviceName {
    type Error = NameError;

    fn try_from(text: &str) -> Result<DeviceName, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > 15 {
            return Err(NameError::TooLong { length: text.len() });
        }
        if text == "." || text == ".." {
            return Err(NameError::Dots);
        }
        if let Some(bad) = text.chars().find(|c| matches!(c, '/' | ':' | '%') || c.is_whitespace() || c.is_control()) {
            return Err(NameError::Character { bad });
        }
        let mut bytes = [0; 16];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Ok(DeviceName(bytes))
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// Names are texts in JSON, and as strict there.
macro_rules! as_text {
    ($($name:ident),*) => {$(
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<$name, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
                $name::try_from(&*text).map_err(serde::de::Error::custom)
            }
        }
    )*};
}

as_text!(DeviceName, NetworkName);

/// A logical network's name: a file name on disk, and a bridge's name when the network is bridged.
/// Copies share their text.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NetworkName(Arc<str>);

impl NetworkName {
    /// Sorts before every name; no network is called so.
    pub(crate) fn lowest() -> NetworkName {
        NetworkName("".into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as that of a bridge: 1 to 15 bytes, no `:`, `.` or white space, no leading `-`
    /// (the original's rule for bridged networks, vdsm-facts 2.2).
    pub fn bridge(&self) -> Result<DeviceName, NameError> {
        if self.0.starts_with('-') {
            return Err(NameError::LeadingDash);
        }
        // Their sysctl directories are everybody's (net/ipv4/devinet.c).
        if matches!(self.as_str(), "all" | "default") {
            return Err(NameError::Reserved);
        }
        if self.0.contains('.') {
            return Err(NameError::Character { bad: '.' });
        }
        DeviceName::try_from(self.as_str())
    }
}

impl TryFrom<&str> for NetworkName {
    type Error = NameError;

    fn try_from(text: &str) -> Result<NetworkName, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > 255 {
            return Err(NameError::TooLong { length: text.len() });
        }
        if text == "." || text == ".." {
            return Err(NameError::Dots);
        }
        match text.chars().find(|c| *c == '/' || c.is_control()) {
            Some(bad) => Err(NameError::Character { bad }),
            None => Ok(NetworkName(text.into())),
        }
    }
}

impl fmt::Display for NetworkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for NetworkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Why a text is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing at all.
    #[error("it is empty")]
    Empty,
    /// More bytes than the kernel or the file system takes.
    #[error("it is {length} bytes long")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// `.` and `..` are directories.
    #[error("it is a directory")]
    Dots,
    /// The kernel has another use for it.
    #[error("the kernel keeps it for itself")]
    Reserved,
    /// A bridge's name would be read as an option.
    #[error("it begins with '-'")]
    LeadingDash,
    /// A character that is not allowed.
    #[error("it contains {bad:?}")]
    Character {
        /// The first such character.
        bad: char,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bridge_name_follows_the_originals_rule() {
        let bridge = |text: &str| NetworkName::try_from(text).and_then(|n| n.bridge().map(|_| ()));
        assert_eq!(bridge("ovirtmgmt"), Ok(()));
        assert_eq!(bridge("aaaaaaaaaaaaaaa"), Ok(()));
        assert_eq!(bridge("aaaaaaaaaaaaaaaa"), Err(NameError::TooLong { length: 16 }));
        for (name, bad) in [("a b", ' '), ("a\tb", '\t'), ("a.b", '.'), ("a:b", ':'), ("a%d", '%')] {
            assert_eq!(bridge(name), Err(NameError::Character { bad }), "{name:?}");
        }
        assert_eq!(bridge("-abc"), Err(NameError::LeadingDash));
        assert_eq!(bridge(""), Err(NameError::Empty));
        assert_eq!(bridge(".."), Err(NameError::Dots));
    }

    #[test]
    fn a_network_without_a_bridge_is_freer_but_stays_a_file_name() {
        assert!(NetworkName::try_from("storage.net with spaces").is_ok());
        assert_eq!(NetworkName::try_from("../x"), Err(NameError::Character { bad: '/' }));
        assert_eq!(NetworkName::try_from("a\0b"), Err(NameError::Character { bad: '\0' }));
    }

    #[test]
    fn a_vlan_is_called_after_its_base_and_tag() {
        let vlan =
            |base: &str, tag| DeviceName::of_vlan(&DeviceName::try_from(base).unwrap(), tag).map(|n| n.to_string());
        assert_eq!(vlan("bond0", 0), Ok("bond0.0".to_owned()));
        assert_eq!(vlan("eth1", 4094), Ok("eth1.4094".to_owned()));
        assert_eq!(vlan("enp0s31f6u", 1000), Ok("enp0s31f6u.1000".to_owned()));
        assert_eq!(vlan("enp0s31f6u1", 1000), Err(NameError::TooLong { length: 16 }));
    }

    #[test]
    fn a_vlans_name_says_its_base_and_tag_if_it_is_spelled_so() {
        let read = |name: &str| {
            let name = DeviceName::try_from(name).unwrap();
            name.as_vlan().map(|(base, tag)| (base.to_string(), tag.get()))
        };
        assert_eq!(read("bond0.0"), Some(("bond0".to_owned(), 0)));
        assert_eq!(read("eth0.7.4094"), Some(("eth0.7".to_owned(), 4094)));
        for other in ["eth0", "eth0.", ".5", "eth0.05", "eth0.+5", "eth0.4095", "eth0.x"] {
            assert_eq!(read(other), None, "{other}");
        }
    }

    #[test]
    fn slaves_join_in_natural_order() {
        let name = |t: &str| DeviceName::try_from(t).unwrap();
        let mut slaves = [name("p2"), name("p10"), name("p1"), name("eth0")];
        slaves.sort_by(DeviceName::natural_cmp);
        assert_eq!(slaves.map(|s| s.to_string()), ["eth0", "p1", "p2", "p10"]);
    }
}

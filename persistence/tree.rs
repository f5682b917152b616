//! A configuration in memory, and as the bytes of its files.
//!
//! Text to value and back; no file is opened here.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::ser::{PrettyFormatter, Serializer};

use crate::error::StoreError;

/// One JSON object a network and a bond, as the disk holds them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Tree {
    /// The networks by name.
    pub nets: BTreeMap<String, Value>,
    /// The bonds by name.
    pub bonds: BTreeMap<String, Value>,
}

/// A folder within a configuration's directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Folder {
    Nets,
    Bonds,
    /// Virtual functions as VDSM from 4.20 on writes them; not ours to understand, so carried along.
    Devices,
    /// The same of VDSM 4.14 to 4.19.
    VirtualFunctions,
}

impl Folder {
    pub(crate) const ALL: [Folder; 4] = [Folder::Nets, Folder::Bonds, Folder::Devices, Folder::VirtualFunctions];
    pub(crate) const FOREIGN: [Folder; 2] = [Folder::Devices, Folder::VirtualFunctions];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Folder::Nets => "nets",
            Folder::Bonds => "bonds",
            Folder::Devices => "devices",
            Folder::VirtualFunctions => "virtual_functions",
        }
    }
}

/// The folders of a configuration and the bytes of each file in them.
pub(crate) type Files = BTreeMap<Folder, BTreeMap<OsString, Vec<u8>>>;

impl Tree {
    /// The files this configuration is written as. Both folders are there, empty or not.
    pub(crate) fn files(&self) -> Result<Files, StoreError> {
        let folder = |entities: &BTreeMap<String, Value>| {
            entities
                .iter()
                .map(|(name, value)| Ok((file_name(name)?, encode(name, value)?)))
                .collect::<Result<BTreeMap<_, _>, StoreError>>()
        };
        Ok(Files::from([(Folder::Nets, folder(&self.nets)?), (Folder::Bonds, folder(&self.bonds)?)]))
    }

    /// Takes one file in, or says why it cannot.
    pub(crate) fn take(&mut self, folder: Folder, name: &OsStr, bytes: &[u8]) -> Result<(), String> {
        let entities = match folder {
            Folder::Nets => &mut self.nets,
            Folder::Bonds => &mut self.bonds,
            Folder::Devices | Folder::VirtualFunctions => return Ok(()),
        };
        let name = name.to_str().ok_or("its name is not UTF-8")?;
        let value: Value = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
        if !value.is_object() {
            return Err("is not a JSON object".into());
        }
        entities.insert(name.to_owned(), value);
        Ok(())
    }
}

pub(crate) fn file_name(name: &str) -> Result<OsString, StoreError> {
    let rule = match name {
        "" => "it is empty",
        "." | ".." => "it means a directory",
        _ if name.contains('/') => "it holds a `/`",
        _ if name.contains('\0') => "it holds a NUL",
        _ if name.len() > 255 => "it is longer than 255 bytes",
        _ => return Ok(name.into()),
    };
    Err(StoreError::Name { name: name.to_owned(), rule })
}

/// As Python's `json.dump(value, indent=4)`: four spaces, no final newline, nothing but ASCII.
pub(crate) fn encode(name: &str, value: &Value) -> Result<Vec<u8>, StoreError> {
    if !value.is_object() {
        return Err(StoreError::NotAnObject { name: name.to_owned() });
    }
    let mut text = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut text, PrettyFormatter::with_indent(b"    "));
    value
        .serialize(&mut serializer)
        .map_err(|e| StoreError::Write { path: name.into(), source: io::Error::from(e) })?;
    Ok(ascii(&String::from_utf8_lossy(&text)).into_bytes())
}

/// Outside of strings JSON is ASCII already, so every other character may become its `\u` escape.
fn ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii() && c != '\x7f' {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn text(value: Value) -> String {
        String::from_utf8(encode("x", &value).expect("an object")).expect("ASCII")
    }

    #[test]
    fn a_file_reads_as_python_would_have_written_it() {
        let value = json!({"nics": ["ens3", "ens4"], "mtu": 1500, "stp": false, "nameservers": [], "qos": {}, "x": null, "f": 1.5});
        let python = "{\n    \"nics\": [\n        \"ens3\",\n        \"ens4\"\n    ],\n    \"mtu\": 1500,\n    \"stp\": false,\n    \
                      \"nameservers\": [],\n    \"qos\": {},\n    \"x\": null,\n    \"f\": 1.5\n}";
        assert_eq!(text(value), python);
    }

    #[test]
    fn letters_beyond_ascii_are_escaped_as_python_does() {
        let value = json!({"ä\u{7f}": "😀\n\u{1}"});
        assert_eq!(text(value.clone()), "{\n    \"\\u00e4\\u007f\": \"\\ud83d\\ude00\\n\\u0001\"\n}");
        assert_eq!(serde_json::from_str::<Value>(&text(value.clone())).expect("JSON"), value);
    }

    #[test]
    fn what_is_no_file_name_is_refused() {
        for name in ["", ".", "..", "a/b", "/", "a\0b", &"x".repeat(256)] {
            let tree = Tree { nets: [(name.to_owned(), json!({}))].into(), ..Tree::default() };
            let refused = tree.files();
            assert!(matches!(&refused, Err(StoreError::Name { name: n, .. }) if n == name), "{refused:?}");
        }
        for name in ["...", ".hidden", "a b", "ü", &"x".repeat(255)] {
            assert!(file_name(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn an_entity_is_an_object() {
        let tree = Tree { bonds: [("bond0".to_owned(), json!([]))].into(), ..Tree::default() };
        assert!(matches!(tree.files(), Err(StoreError::NotAnObject { name }) if name == "bond0"));
    }
}

//! JSON objects, written straight into bytes.
//!
//! A report has a hundred thousand values, and most of them are numbers and addresses dressed as
//! texts: each writes itself, without a `serde_json::Value` or a `String` in between. Nothing is
//! read here, and only what reports are made of can be written.

use std::fmt::Display;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};

use vdsm_model::bridge_options::Shown;
use vdsm_model::ip::Address;
use vdsm_model::name::DeviceName;
use vdsm_model::units::Mac;

/// An object that is being written. Keys are our own words, but for those of [`Object::entry`].
pub(crate) struct Object<'b> {
    bytes: &'b mut Vec<u8>,
}

impl Object<'_> {
    /// A document that is one object, on one line. `room` is how many bytes it will about have.
    pub(crate) fn document(room: usize, fill: impl FnOnce(&mut Object<'_>)) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(room);
        Object::within(&mut bytes, fill);
        bytes
    }

    fn within(bytes: &mut Vec<u8>, fill: impl FnOnce(&mut Object<'_>)) {
        bytes.push(b'{');
        fill(&mut Object { bytes });
        bytes.push(b'}');
    }

    pub(crate) fn text(&mut self, key: &str, value: impl Text) {
        self.key(key);
        quoted(self.bytes, value);
    }

    pub(crate) fn number(&mut self, key: &str, value: u64) {
        self.key(key);
        decimal(self.bytes, value);
    }

    /// A number, or `null`.
    pub(crate) fn number_or_null(&mut self, key: &str, value: Option<u64>) {
        match value {
            Some(value) => self.number(key, value),
            None => self.null(key),
        }
    }

    /// A number that shows that it may have a fraction. It must be finite.
    pub(crate) fn fraction(&mut self, key: &str, value: f64) {
        self.key(key);
        written(self.bytes, format_args!("{value:?}"));
    }

    pub(crate) fn truth(&mut self, key: &str, value: bool) {
        self.key(key);
        self.bytes.extend_from_slice(if value { b"true" } else { b"false" });
    }

    /// A text, or `null`.
    pub(crate) fn text_or_null(&mut self, key: &str, value: Option<impl Text>) {
        match value {
            Some(value) => self.text(key, value),
            None => self.null(key),
        }
    }

    fn null(&mut self, key: &str) {
        self.key(key);
        self.bytes.extend_from_slice(b"null");
    }

    pub(crate) fn texts(&mut self, key: &str, values: impl IntoIterator<Item = impl Text>) {
        self.key(key);
        self.bytes.push(b'[');
        for (place, value) in values.into_iter().enumerate() {
            if place > 0 {
                self.bytes.push(b',');
            }
            quoted(self.bytes, value);
        }
        self.bytes.push(b']');
    }

    pub(crate) fn object(&mut self, key: &str, fill: impl FnOnce(&mut Object<'_>)) {
        self.key(key);
        Object::within(self.bytes, fill);
    }

    /// A whole number that may be negative.
    pub(crate) fn integer(&mut self, key: &str, value: i64) {
        self.key(key);
        written(self.bytes, format_args!("{value}"));
    }

    /// A list with an object for each item.
    pub(crate) fn objects<T>(
        &mut self,
        key: &str,
        items: impl IntoIterator<Item = T>,
        fill: impl Fn(T, &mut Object<'_>),
    ) {
        self.key(key);
        self.bytes.push(b'[');
        for (place, item) in items.into_iter().enumerate() {
            if place > 0 {
                self.bytes.push(b',');
            }
            Object::within(self.bytes, |object| fill(item, object));
        }
        self.bytes.push(b']');
    }

    /// An object under a name that somebody else chose.
    pub(crate) fn entry(&mut self, name: &str, fill: impl FnOnce(&mut Object<'_>)) {
        self.comma();
        quoted(self.bytes, name);
        self.bytes.push(b':');
        Object::within(self.bytes, fill);
    }

    #[inline]
    fn key(&mut self, key: &str) {
        debug_assert!(is_plain(key), "{key} is no word of ours");
        self.comma();
        self.bytes.push(b'"');
        self.bytes.extend_from_slice(key.as_bytes());
        self.bytes.extend_from_slice(b"\":");
    }

    #[inline]
    fn comma(&mut self) {
        // No value ends like this.
        if self.bytes.last() != Some(&b'{') {
            self.bytes.push(b',');
        }
    }
}

/// What can stand between quotation marks.
pub(crate) trait Text {
    /// Writes what stands there, escaped where it must be.
    fn write(&self, bytes: &mut Vec<u8>);
}

#[inline]
fn quoted(bytes: &mut Vec<u8>, value: impl Text) {
    bytes.push(b'"');
    value.write(bytes);
    bytes.push(b'"');
}

impl Text for &str {
    fn write(&self, bytes: &mut Vec<u8>) {
        if is_plain(self) {
            return bytes.extend_from_slice(self.as_bytes());
        }
        for byte in self.bytes() {
            match byte {
                b'"' | b'\\' => bytes.extend_from_slice(&[b'\\', byte]),
                0..0x20 => written(bytes, format_args!("\\u{byte:04x}")),
                _ => bytes.push(byte),
            }
        }
    }
}

/// Whether nothing of it must be escaped (RFC 8259, section 7).
fn is_plain(text: &str) -> bool {
    !text.bytes().any(|byte| matches!(byte, b'"' | b'\\' | 0..0x20))
}

impl Text for DeviceName {
    fn write(&self, bytes: &mut Vec<u8>) {
        self.as_str().write(bytes);
    }
}

/// Nothing is an empty text.
impl<T: Text> Text for Option<T> {
    fn write(&self, bytes: &mut Vec<u8>) {
        if let Some(value) = self {
            value.write(bytes);
        }
    }
}

/// In decimal digits.
impl Text for u64 {
    fn write(&self, bytes: &mut Vec<u8>) {
        decimal(bytes, *self);
    }
}

impl Text for Shown {
    fn write(&self, bytes: &mut Vec<u8>) {
        match self.decimal() {
            Some(number) => decimal(bytes, number),
            None => written(bytes, self),
        }
    }
}

impl Text for Mac {
    fn write(&self, bytes: &mut Vec<u8>) {
        for (place, byte) in self.0.iter().enumerate() {
            if place > 0 {
                bytes.push(b':');
            }
            bytes.extend([byte >> 4, byte & 15].map(|digit| b"0123456789abcdef"[usize::from(digit)]));
        }
    }
}

impl Text for IpAddr {
    fn write(&self, bytes: &mut Vec<u8>) {
        written(bytes, self);
    }
}

impl Text for Ipv4Addr {
    fn write(&self, bytes: &mut Vec<u8>) {
        written(bytes, self);
    }
}

/// With its prefix.
impl Text for &Address {
    fn write(&self, bytes: &mut Vec<u8>) {
        written(bytes, self);
    }
}

fn written(bytes: &mut Vec<u8>, value: impl Display) {
    // A vector takes everything.
    let _ = write!(bytes, "{value}");
}

/// As `Display` would; the formatter takes ten times as long.
fn decimal(bytes: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return bytes.extend_from_slice(&digits[start..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn read(bytes: &[u8]) -> Value {
        serde_json::from_slice(bytes).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(bytes)))
    }

    #[test]
    fn an_object_is_what_was_put_in() {
        let bytes = Object::document(0, |all| {
            all.text("none", None::<u64>);
            all.text("mac", Mac([0, 0x1f, 0xf1, 9, 0xab, 0xff]));
            all.text("ip", IpAddr::from([192, 0, 2, 1]));
            all.object("empty", |_| {});
            all.object("two", |two| {
                two.number("a", 0);
                two.truth("b", true);
            });
            all.text_or_null("null", None::<&str>);
            all.text_or_null("text", Some("x"));
            all.number_or_null("nothing", None);
            all.number_or_null("something", Some(7));
            all.texts("nobody", [""; 0]);
            all.texts("three", ["a", "b", "{"]);
            all.truth("end", false);
            all.fraction("time", 1_795_168_758.0);
        });
        let expected = json!({
            "none": "", "mac": "00:1f:f1:09:ab:ff", "ip": "192.0.2.1", "empty": {}, "two": { "a": 0, "b": true },
            "null": null, "text": "x", "nothing": null, "something": 7, "nobody": [], "three": ["a", "b", "{"], "end": false, "time": 1_795_168_758.0,
        });
        assert_eq!(read(&bytes), expected);
        assert!(!bytes.contains(&b'\n') && !bytes.contains(&b' '), "it is compact");
        assert!(String::from_utf8(bytes).unwrap().ends_with("\"time\":1795168758.0}"));
    }

    proptest! {
        #[test]
        fn any_text_and_any_number_come_back(name in ".*", text in ".*", number: u64) {
            let bytes = Object::document(0, |all| all.entry(&name, |keys| {
                keys.text("text", text.as_str());
                keys.number("number", number);
                keys.text("digits", number);
            }));
            let value = read(&bytes);
            let keys = &value[&name];
            prop_assert_eq!(&keys["text"], &json!(text));
            prop_assert_eq!(&keys["number"], &json!(number));
            prop_assert_eq!(&keys["digits"], &json!(number.to_string()));
        }
    }
}

//! JSON text becomes a `serde_json::Value`, and nothing gets lost on the way.
//!
//! `serde_json` keeps the last of two equal keys and says nothing; in a request
//! that describes a host's networks that is one network silently forgotten.
//! Here the first one stays and the second is reported. What a document means
//! is not known here.

use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_json::map::Entry;
use serde_json::{Map, Value};

use super::shortened;

/// The values one document may hold, each array, object and leaf counted.
///
/// A two-byte `[]` takes some seventy bytes in memory, so a limit on the text
/// alone would not be one. This is room for about eight thousand networks.
pub const MAX_VALUES: usize = 1 << 17;

/// A document, and where it named a key twice.
#[derive(Debug, PartialEq)]
pub struct Parsed {
    /// The document, its keys in the order they were written.
    pub value: Value,
    /// The first duplicate found. Whoever ignores it works with the first of the two.
    pub duplicate: Option<Duplicate>,
}

/// A key that an object has twice.
#[derive(Debug, PartialEq)]
pub struct Duplicate {
    /// The way from the document's root to the key, itself the last.
    pub path: Vec<String>,
}

impl fmt::Display for Duplicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((key, parents)) = self.path.split_last() else {
            return Ok(());
        };
        write!(f, "duplicate key {:?}", shortened(key))?;
        if !parents.is_empty() {
            write!(f, " in {:?}", shortened(&parents.join(".")))?;
        }
        Ok(())
    }
}

/// Why a text is no document.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// It is not JSON, or is nested deeper than 128.
    #[error("this is not JSON: {0}")]
    Syntax(serde_json::Error),
    /// It holds more than [`MAX_VALUES`].
    #[error("the document holds more than {MAX_VALUES} values")]
    TooManyValues,
}

/// Reads one document and nothing after it.
pub fn parse(text: &[u8]) -> Result<Parsed, ParseError> {
    let mut found = Found { duplicate: None, left: MAX_VALUES };
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = Strict(&mut found).deserialize(&mut deserializer);
    let value = value.and_then(|value| deserializer.end().map(|()| value));
    let value = value.map_err(|error| match error.classify() {
        // The visitor below takes every type there is, so `Data` can only be its own refusal.
        Category::Data => ParseError::TooManyValues,
        _ => ParseError::Syntax(error),
    })?;
    let duplicate = found.duplicate.map(|mut path| {
        path.reverse();
        Duplicate { path }
    });
    Ok(Parsed { value, duplicate })
}

struct Found {
    /// Innermost name first: each object adds its own as we come back up.
    duplicate: Option<Vec<String>>,
    left: usize,
}

struct Strict<'a>(&'a mut Found);

impl Strict<'_> {
    /// The seed for a value inside this one.
    fn inner(&mut self) -> Strict<'_> {
        Strict(self.0)
    }

    /// A duplicate just found below `name` gets to know where it is.
    fn name_place(&mut self, before: bool, name: impl FnOnce() -> String) {
        if !before && let Some(path) = &mut self.0.duplicate {
            path.push(name());
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.0.left = self.0.left.checked_sub(1).ok_or_else(|| D::Error::custom("too many"))?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, it: bool) -> Result<Value, E> {
        Ok(it.into())
    }

    fn visit_i64<E>(self, it: i64) -> Result<Value, E> {
        Ok(it.into())
    }

    fn visit_u64<E>(self, it: u64) -> Result<Value, E> {
        Ok(it.into())
    }

    fn visit_f64<E>(self, it: f64) -> Result<Value, E> {
        Ok(it.into())
    }

    fn visit_str<E>(self, it: &str) -> Result<Value, E> {
        Ok(it.into())
    }

    fn visit_string<E>(self, it: String) -> Result<Value, E> {
        Ok(it.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        loop {
            let before = self.0.duplicate.is_some();
            let Some(value) = seq.next_element_seed(self.inner())? else {
                break;
            };
            self.name_place(before, || array.len().to_string());
            array.push(value);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let before = self.0.duplicate.is_some();
            let value = map.next_value_seed(self.inner())?;
            self.name_place(before, || key.clone());
            match object.entry(key) {
                Entry::Vacant(place) => {
                    place.insert(value);
                }
                Entry::Occupied(place) => {
                    let twice = || vec![place.key().clone()];
                    self.0.duplicate.get_or_insert_with(twice);
                }
            }
        }
        Ok(Value::Object(object))
    }
}

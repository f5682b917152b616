//! A file becomes a request: YAML or JSON, no key in it twice, none unknown unless allowed.
//!
//! Whether the values make sense is not asked here: the daemon knows the host, and tells all
//! problems at once.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::path::Path;

use serde_json::{Map, Value, json};
use vdsm_model::problem::{Problem, Subject};
use vdsm_model::request::{Request, UnknownKeys};
use vdsm_net::rpc;

/// What a file asks for, as the daemon's methods take it.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Document {
    /// Networks by name.
    networks: Value,
    /// Bonds by name.
    bondings: Value,
    /// How to go about it.
    options: Value,
}

/// Why a file brings no request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputError {
    /// It cannot be read.
    #[error("cannot read {file}")]
    Unreadable { file: String, source: io::Error },
    /// It is of another form.
    #[error("{file}: {reason}")]
    Form { file: String, reason: String },
    /// It has keys nobody knows.
    #[error("{file}: unknown keys")]
    UnknownKeys { file: String, problems: Vec<Problem> },
}

/// The nets a person would name themselves have a minute.
const PATIENCE: u64 = 60;

/// Whose word it is that the host can still be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Confirmation {
    /// The file says whether somebody has to confirm; if it does not, nobody has to.
    AsTheFileSays,
    /// The person at the terminal.
    Person,
}

impl Document {
    /// Reads a file, or standard input for `-`.
    pub(crate) fn load(path: &Path) -> Result<Document, InputError> {
        let (file, bytes) = match path.as_os_str() == "-" {
            true => {
                let mut bytes = Vec::new();
                let read = io::stdin().lock().read_to_end(&mut bytes);
                ("standard input".to_owned(), read.map(|_| bytes))
            }
            false => (path.display().to_string(), std::fs::read(path)),
        };
        let text = bytes.and_then(|bytes| String::from_utf8(bytes).map_err(io::Error::other));
        match text {
            Ok(text) => Document::read(&text, Language::of(path, &text), &file),
            Err(source) => Err(InputError::Unreadable { file, source }),
        }
    }

    fn read(text: &str, language: Language, file: &str) -> Result<Document, InputError> {
        let form = |reason| InputError::Form { file: file.to_owned(), reason };
        let value = match language {
            Language::Json => json_value(text).map_err(form)?,
            Language::Yaml => yaml_value(text).map_err(form)?,
        };
        let Value::Object(mut map) = value else {
            return Err(form(format!("it must be a map with {}", PARTS.join(", "))));
        };
        let [networks, bondings, options] = PARTS.map(|part| map.remove(part).unwrap_or_default());
        // They are not the engine's but the file's form, so nothing allows unknown ones.
        let problems: Vec<Problem> = map.keys().map(|key| strange(key)).collect();
        if !problems.is_empty() {
            return Err(InputError::UnknownKeys { file: file.to_owned(), problems });
        }
        Ok(Document { networks, bondings, options })
    }

    /// Refuses keys nobody knows, all of them at once.
    pub(crate) fn without_unknown_keys(self, file: &Path) -> Result<Document, InputError> {
        let read = Request::read(&self.networks, &self.bondings, &self.options, UnknownKeys::Refuse);
        let problems: Vec<Problem> = read.problems.into_iter().filter(|p| matches!(p, Problem::UnknownKey { .. })).collect();
        match problems.is_empty() {
            true => Ok(self),
            false => Err(InputError::UnknownKeys { file: file.display().to_string(), problems }),
        }
    }

    /// The parameters of the call.
    pub(crate) fn into_params(self, confirmation: Confirmation) -> Value {
        let Document { networks, bondings, options } = self;
        let mut options = if options.is_null() { json!({}) } else { options };
        // What is no map is for the daemon to refuse.
        if let Some(options) = options.as_object_mut() {
            // The engine's rule: null and an empty text are as good as nothing.
            let names = |options: &Map<String, Value>, key| options.get(key).is_some_and(|v| !v.is_null() && v != "");
            match confirmation {
                // Unlike the engine a person calls nothing afterwards.
                Confirmation::AsTheFileSays if !names(options, "connectivityCheck") => {
                    options.insert("connectivityCheck".to_owned(), json!(false));
                }
                Confirmation::AsTheFileSays => {}
                Confirmation::Person => {
                    options.insert("connectivityCheck".to_owned(), json!(true));
                    if !names(options, "connectivityTimeout") {
                        options.insert("connectivityTimeout".to_owned(), json!(PATIENCE));
                    }
                }
            }
        }
        json!({ "networks": networks, "bondings": bondings, "options": options })
    }
}

const PARTS: [&str; 3] = ["networks", "bondings", "options"];

fn strange(key: &str) -> Problem {
    let nearest = vdsm_model::nearest(key, &PARTS).map(str::to_owned);
    Problem::UnknownKey { of: Subject::Request, key: key.to_owned(), nearest }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Language {
    Json,
    Yaml,
}

impl Language {
    /// By the name where it tells, else by the first letter.
    fn of(path: &Path, text: &str) -> Language {
        match path.extension().and_then(OsStr::to_str) {
            Some("json") => Language::Json,
            Some("yaml" | "yml") => Language::Yaml,
            _ if text.trim_start().starts_with('{') => Language::Json,
            _ => Language::Yaml,
        }
    }
}

fn json_value(text: &str) -> Result<Value, String> {
    let parsed = rpc::parse(text.as_bytes()).map_err(|error| error.to_string())?;
    match parsed.duplicate {
        Some(twice) => Err(twice.to_string()),
        None => Ok(parsed.value),
    }
}

fn yaml_value(text: &str) -> Result<Value, String> {
    let options = serde_saphyr::options! {
        duplicate_keys: serde_saphyr::options::DuplicateKeyPolicy::Error,
        // As in YAML 1.2: `STP: no` is a text, which is what the engine sends.
        strict_booleans: true,
        // Whoever writes one wants something that we would not do.
        reject_unsupported_tags: true,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| format!("this is not YAML: {error}"))
}

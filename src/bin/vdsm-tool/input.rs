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
#[derive(Debug, PartialEq)]
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

/// Seconds a person has to find the Enter key; the engine's 4 are for a program.
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
        let problems: Vec<Problem> =
            read.problems.into_iter().filter(|p| matches!(p, Problem::UnknownKey { .. })).collect();
        match problems.is_empty() {
            true => Ok(self),
            false => Err(InputError::UnknownKeys { file: file.display().to_string(), problems }),
        }
    }

    /// With why, whatever the file says.
    pub(crate) fn with_reason(mut self, reason: &str) -> Document {
        if self.options.is_null() {
            self.options = json!({});
        }
        if let Some(options) = self.options.as_object_mut() {
            options.insert("reason".to_owned(), json!(reason));
        }
        self
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
                    // No probe of vdsm.conf answers in his place.
                    options.insert("connectivityCall".to_owned(), json!(true));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, language: Language) -> Result<Document, InputError> {
        Document::read(text, language, "f")
    }

    fn sound(text: &str, language: Language) -> Value {
        read(text, language).expect(text).into_params(Confirmation::AsTheFileSays)
    }

    fn refusal(text: &str, language: Language) -> String {
        match read(text, language).and_then(|document| document.without_unknown_keys(Path::new("f"))) {
            Err(InputError::UnknownKeys { problems, .. }) => {
                problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
            }
            Err(error) => error.to_string(),
            Ok(document) => panic!("{document:?}"),
        }
    }

    const YAML: &str = "\
networks:
  red: {nic: eth0, vlan: 0xa, STP: no, bridged: true, ipaddr: 192.0.2.7, netmask: 255.255.255.0, ipv6addr: 2001:db8::1/64}
  10:
    bonding: bond0
    nameservers: [192.0.2.1, ::1]
    remove: \"true\"
bondings:
  bond0:
    nics: [eth1, eth2]
    options: mode=4 miimon=100
    hwaddr: 52:54:00:12:34:56
options:
";

    #[test]
    fn yaml_and_json_say_the_same() {
        let json = json!({
            "networks": {
                "red": {
                    "nic": "eth0", "vlan": 10, "STP": "no", "bridged": true,
                    "ipaddr": "192.0.2.7", "netmask": "255.255.255.0", "ipv6addr": "2001:db8::1/64",
                },
                "10": {"bonding": "bond0", "nameservers": ["192.0.2.1", "::1"], "remove": "true"},
            },
            "bondings": {"bond0": {"nics": ["eth1", "eth2"], "options": "mode=4 miimon=100", "hwaddr": "52:54:00:12:34:56"}},
            "options": null,
        });
        let params = sound(YAML, Language::Yaml);
        assert_eq!(params, sound(&json.to_string(), Language::Json));
        assert_eq!(params["networks"], json["networks"]);
        assert_eq!(params["bondings"], json["bondings"]);
        assert_eq!(sound(&json.to_string(), Language::Yaml), params, "YAML holds JSON");
        // Eight or ten? A fraction is neither, and the daemon refuses it.
        let octal = sound("networks: {red: {vlan: 010}}", Language::Yaml);
        assert_eq!(octal["networks"]["red"]["vlan"].as_i64(), None);
    }

    #[test]
    fn the_name_tells_the_language_or_else_the_first_letter() {
        for (path, text, language) in [
            ("-", " \n{}", Language::Json),
            ("-", "networks: {}", Language::Yaml),
            ("wish", "{", Language::Json),
            ("wish.yaml", "{}", Language::Yaml),
            ("wish.yml", "{}", Language::Yaml),
            ("wish.json", "networks: {}", Language::Json),
            ("wish.txt", "", Language::Yaml),
        ] {
            assert_eq!(Language::of(Path::new(path), text), language, "{path} {text:?}");
        }
    }

    #[test]
    fn nobody_has_to_confirm_unless_the_file_says_so() {
        for (options, check) in [
            ("", json!(false)),
            ("options: {}", json!(false)),
            ("options: {connectivityCheck: }", json!(false)),
            ("options: {connectivityCheck: \"\"}", json!(false)),
            ("options: {connectivityCheck: true}", json!(true)),
            ("options: {connectivityCheck: \"true\"}", json!("true")),
            ("options: {connectivityCheck: 0}", json!(0)),
        ] {
            let params = sound(&format!("networks: {{}}\n{options}"), Language::Yaml);
            assert_eq!(params["options"]["connectivityCheck"], check, "{options}");
        }
        let odd = sound("options: [1]", Language::Yaml);
        assert_eq!(odd["options"], json!([1]), "for the daemon to refuse");
    }

    #[test]
    fn a_person_who_wants_to_confirm_is_waited_for() {
        for (options, timeout) in
            [("{connectivityCheck: false, commitOnSuccess: true}", json!(60)), ("{connectivityTimeout: 9}", json!(9))]
        {
            let document = read(&format!("options: {options}"), Language::Yaml).unwrap();
            let params = document.into_params(Confirmation::Person);
            assert_eq!(params["options"]["connectivityCheck"], json!(true), "{options}");
            assert_eq!(params["options"]["connectivityCall"], json!(true), "{options}: no probe speaks for him");
            assert_eq!(params["options"]["connectivityTimeout"], timeout, "{options}");
        }
    }

    #[test]
    fn a_key_twice_is_refused() {
        let json = r#"{"networks": {"red": {"nic": "a"}, "red": {"nic": "b"}}}"#;
        assert_eq!(refusal(json, Language::Json), r#"f: duplicate key "red" in "networks""#);
        for yaml in [json, "networks:\n  red: {nic: a}\n  red: {nic: b}\n", "networks: {}\nnetworks: {}\n"] {
            let told = refusal(yaml, Language::Yaml);
            assert!(told.contains("duplicate"), "{told}");
        }
    }

    #[test]
    fn unknown_keys_are_refused_all_at_once() {
        let told = refusal(
            "networks: {red: {nci: eth0, vlan: 1}, blue: {remove: true, xyzzy: 1}}\nbondings: {bond0: {nics: [a], optoins: x}}\noptions: {commitOnSucess: 1}",
            Language::Yaml,
        );
        let wanted = [
            "network 'blue': the key 'xyzzy' is unknown",
            "network 'red': the key 'nci' is unknown; the nearest known key is 'nic'",
            "bond 'bond0': the key 'optoins' is unknown; the nearest known key is 'options'",
            "options: the key 'commitOnSucess' is unknown; the nearest known key is 'commitOnSuccess'",
        ];
        let (mut told, mut wanted) = (told.lines().collect::<Vec<_>>(), wanted.to_vec());
        told.sort();
        wanted.sort();
        assert_eq!(told, wanted);
    }

    #[test]
    fn other_problems_are_the_daemons() {
        let document = read("networks: {red: {nic: 7, vlan: 99999}}", Language::Yaml).unwrap();
        document.without_unknown_keys(Path::new("f")).expect("nothing unknown");
    }

    #[test]
    fn a_misspelt_part_is_no_empty_one() {
        let told = refusal("network: {}\nbonds: {}", Language::Yaml);
        let wanted = [
            "request: the key 'network' is unknown; the nearest known key is 'networks'",
            "request: the key 'bonds' is unknown",
        ];
        assert_eq!(told.lines().collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for (text, language, wanted) in [
            ("", Language::Yaml, "f: it must be a map with networks, bondings, options"),
            ("# nothing\n", Language::Yaml, "f: it must be a map with"),
            ("just words", Language::Yaml, "f: it must be a map with"),
            ("[]", Language::Json, "f: it must be a map with"),
            ("", Language::Json, "f: this is not JSON: EOF"),
            ("{} {}", Language::Json, "f: this is not JSON: trailing characters"),
            ("networks: {", Language::Yaml, "f: this is not YAML"),
            ("networks: {}\n---\nnetworks: {}\n", Language::Yaml, "f: this is not YAML"),
            ("networks: {red: {vlan: !tag 1}}", Language::Yaml, "f: this is not YAML"),
            ("networks: {red: {mtu: .nan}}", Language::Yaml, "f: this is not YAML"),
        ] {
            let told = refusal(text, language);
            assert!(told.starts_with(wanted), "{text:?}: {told}");
        }
    }

    #[test]
    fn a_file_that_grows_without_end_when_read_is_refused() {
        let doublings: String = (1..30).map(|i| format!("  a{i}: &a{i} [*a{0}, *a{0}]\n", i - 1)).collect();
        let told = refusal(&format!("networks:\n  a0: &a0 [x]\n{doublings}"), Language::Yaml);
        assert!(told.starts_with("f: this is not YAML"), "{told}");
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("wish");
        let told = |path: &Path| Document::load(path).expect_err("unreadable").to_string();
        assert_eq!(told(&path), format!("cannot read {}", path.display()));
        std::fs::write(&path, b"\xff").unwrap();
        assert_eq!(told(&path), format!("cannot read {}", path.display()));
        std::fs::write(&path, "options: {}").unwrap();
        Document::load(&path).expect("sound");
    }
}

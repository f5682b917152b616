//! What we have cargo do, and what it says it built.
//!
//! Nothing built is run here.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::error::{Error, Trying};
use crate::json::Value;
use crate::process::{Ended, Stream, mortal, output, wait};
use crate::sandbox::DEFAULT_LIMIT;

/// A program that cargo built.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Artifact {
    /// The name of the target, as in Cargo.toml.
    pub(crate) name: String,
    /// The directory of the package it is in.
    pub(crate) package: PathBuf,
    pub(crate) executable: PathBuf,
    /// What kind of target.
    kind: String,
    /// Built with the test harness.
    harness: bool,
}

impl Artifact {
    /// A test executable, of whatever target.
    pub(crate) fn is_test(&self) -> bool {
        self.harness
    }

    /// The integration test of that name.
    pub(crate) fn is_integration_test(&self, name: &str) -> bool {
        self.harness && self.kind == "test" && self.name == name
    }

    /// An ordinary program.
    pub(crate) fn is_program(&self) -> bool {
        !self.harness && self.kind == "bin"
    }
}

/// The repository.
pub(crate) fn root() -> PathBuf {
    // cargo sets it for us at run time too, so that a moved tree is found.
    let ours = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| OsString::from(env!("CARGO_MANIFEST_DIR")));
    let ours = PathBuf::from(ours);
    ours.parent().map_or(ours.clone(), Path::to_path_buf)
}

/// The cargo we were started by, in the repository.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut command = mortal(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(root());
    command
}

/// Runs cargo and gives the programs it speaks of; what it says to people goes to them.
/// `log` is for its machine's words.
pub(crate) fn artifacts(args: &[&str], log: &Path) -> Result<Vec<Artifact>, Error> {
    let mut command = cargo(args);
    command.arg("--message-format=json-render-diagnostics");
    command.stdout(Stream::File(log.to_path_buf()).stdio()?).stdin(Stdio::null());
    let mut child = command.spawn().trying("start cargo")?;
    if wait(&mut child, BUILD_LIMIT)? != Ended::With(0) {
        return Err(Error::Failed(format!("`cargo {}` failed", args.join(" "))));
    }
    let text = std::fs::read_to_string(log).trying(format_args!("read {}", log.display()))?;
    Ok(text.lines().filter_map(artifact).collect())
}

// A first build fetches and compiles everything.
const BUILD_LIMIT: Duration = Duration::from_secs(DEFAULT_LIMIT.as_secs() * 2);

/// The program that a line of cargo's JSON tells of, if it does.
fn artifact(line: &str) -> Option<Artifact> {
    let message = Value::parse(line)?;
    let package = Path::new(message.at(&["manifest_path"]).as_str()?).parent()?;
    Some(Artifact {
        name: message.at(&["target", "name"]).as_str()?.to_owned(),
        package: package.to_path_buf(),
        executable: message.at(&["executable"]).as_str()?.into(),
        kind: message.at(&["target", "kind"]).items().first()?.as_str()?.to_owned(),
        harness: message.at(&["profile", "test"]) == &Value::Bool(true),
    })
}

/// Adds what `cargo NAME` needs, where rustup can.
pub(crate) fn ensure_component(name: &str, component: &str) {
    if output(&mut cargo(&[name, "--version"])).is_none() {
        // If this fails then the step itself fails too, and says what is missing.
        let _ = output(Command::new("rustup").args(["component", "add", component]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_executable_is_told_from_a_program() {
        let line = |kind: &str, test: bool, executable: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","manifest_path":"/r/bench/Cargo.toml","target":{{"kind":["{kind}"],
                "name":"netns"}},"profile":{{"test":{test}}},"executable":{executable}}}"#
            )
        };
        let test = artifact(&line("test", true, r#""/t/netns-1""#)).unwrap();
        assert!(test.is_test() && test.is_integration_test("netns") && !test.is_program());
        assert_eq!(test.package, Path::new("/r/bench"));
        let program = artifact(&line("bin", false, r#""/t/netns""#)).unwrap();
        assert!(program.is_program() && !program.is_test());
        let unit = artifact(&line("bin", true, r#""/t/netns-2""#)).unwrap();
        assert!(unit.is_test() && !unit.is_integration_test("netns"));
        assert_eq!(artifact(&line("lib", false, "null")), None);
        assert_eq!(artifact("Compiling"), None);
    }
}

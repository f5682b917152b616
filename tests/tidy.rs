//! House rules that a compiler does not know: every file says what it is for, fits in one sitting,
//! and nothing points upwards.

#![allow(clippy::unwrap_used)] // in a test a panic is the report

use std::fs;
use std::path::{Path, PathBuf};

fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut dirs: Vec<PathBuf> =
        ["src", "configurators", "persistence", "tests", "xtask", "bench"].iter().map(|d| root.join(d)).collect();
    let mut found = Vec::new();
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()) {
            if entry.is_dir() {
                dirs.push(entry);
            } else if entry.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&entry).unwrap();
                found.push((entry.strip_prefix(root).unwrap().to_owned(), text));
            }
        }
    }
    assert!(found.len() > 50, "the sources were not found");
    found
}

#[test]
fn every_file_opens_with_what_it_is_for() {
    let silent: Vec<_> =
        sources().into_iter().filter(|(_, text)| !text.starts_with("//!")).map(|(path, _)| path).collect();
    assert!(silent.is_empty(), "{silent:?}");
}

#[test]
fn no_file_is_too_long_for_one_sitting() {
    let long: Vec<_> = sources()
        .into_iter()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > 600)
        .collect();
    assert!(long.is_empty(), "{long:?}");
}

#[test]
fn nothing_points_upwards() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let forbidden: &[&str] = match path.to_str().unwrap() {
            p if p.starts_with("src/model/") => &[
                "std::fs",
                "std::net::Tcp",
                "std::process",
                "std::time::Instant",
                "tokio",
                "vdsm_netlink",
                "vdsm_net::",
            ],
            p if p.starts_with("src/netlink/") => &["vdsm_model", "vdsm_net::", "vdsm_configurators"],
            p if p.starts_with("configurators/") => &["vdsm_net::", "vdsm_persistence"],
            p if p.starts_with("persistence/") => &["vdsm_net::", "vdsm_configurators", "vdsm_netlink"],
            p if p.starts_with("src/server") || p == "src/rpc.rs" => {
                &["vdsm_model", "vdsm_configurators", "vdsm_netlink"]
            }
            _ => &[],
        };
        wrong.extend(
            forbidden.iter().filter(|word| text.contains(**word)).map(|word| format!("{}: {word}", path.display())),
        );
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_configuration_of_the_engine_is_spelled_in_one_folder() {
    // One key of each kind; the verbs of older engines have words of their own.
    let words = ["\"bridged\"", "\"defaultRoute\"", "\"ipaddr\""];
    let home = |p: &Path| {
        [
            "src/model/request",
            "src/caps",
            "src/show",
            "src/picture",
            "src/topology.rs",
            "src/older.rs",
            "tests",
            "bench",
            "xtask",
            "src/bin",
            "src/model/nearest.rs",
            "src/rpc",
            "src/server",
            "src/fuzzed.rs",
        ]
        .iter()
        .any(|d| p.to_str().unwrap().starts_with(d))
    };
    let strays: Vec<_> = sources()
        .into_iter()
        .filter(|(p, text)| !home(p) && words.iter().any(|w| text.contains(w)))
        .map(|(p, _)| p)
        .collect();
    assert!(strays.is_empty(), "{strays:?}");
}

#[test]
fn the_host_is_read_over_netlink_alone() {
    let is_reader =
        |path: &str| path.starts_with("src/netinfo") || path.starts_with("src/caps") || path == "src/stats.rs";
    let is_test = |path: &str| path.ends_with("tests.rs") || path.contains("/tests/") || path.ends_with("beside_ip.rs");
    let all = sources();
    let read = all.iter().map(|(path, text)| (path.to_str().unwrap(), text));
    let read: Vec<_> = read.filter(|(path, _)| is_reader(path) && !is_test(path)).collect();
    assert!(read.len() > 20 && read.iter().any(|(path, _)| *path == "src/stats.rs"), "the readers were not found");
    // What stands in a comment, or in a test at the end of a file, is not done.
    let done = |text: &str| -> String {
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        text.lines().filter(|line| !line.trim_start().starts_with("//")).collect()
    };
    // `/proc/sys` is another matter.
    let words = ["\"/sys/", "Command::new"];
    let wrong: Vec<_> = read
        .iter()
        .filter(|(_, text)| words.iter().any(|word| done(text).contains(word)))
        .map(|(path, _)| path)
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

//! history, diff and rollback: what was committed, how two of it differ, and the way back.
//!
//! The words for plans and for what was done are `words`'.

use nix::unistd::{Uid, User};
use serde_json::{Value, json};
use vdsm_net::difference;

use crate::arguments::Way;
use crate::daemon::Daemon;
use crate::outcome::{Answer, Failure, Outcome};
use crate::setup;
use crate::words::{self, plain};

/// More names than these are only counted.
const NAMES: usize = 8;

/// What was committed, or one of it with everything that is known of it.
pub(crate) fn history(mut daemon: Daemon, number: Option<u64>, count: Option<u64>) -> Outcome {
    if let Some(number) = number {
        let json = daemon.call("Host.getHistoryEntry", json!({ "number": number }))?;
        return Ok(Answer { text: whole(&json), json, ..Answer::default() });
    }
    let json = daemon.call("Host.getHistory", json!({ "count": count }))?;
    let entries = json["entries"].as_array().map_or(&[][..], Vec::as_slice);
    let text = match entries {
        [] => "the history is empty\n".to_owned(),
        entries => entries.iter().map(short).collect(),
    };
    Ok(Answer { text, json, ..Answer::default() })
}

/// How two entries differ, or one from what runs now.
pub(crate) fn diff(mut daemon: Daemon, old: u64, new: Option<u64>) -> Outcome {
    let mut config = |number: Option<u64>| -> Result<Value, Failure> {
        Ok(daemon.call("Host.getHistoryEntry", json!({ "number": number }))?["config"].take())
    };
    let between = difference::between(&config(Some(old))?, &config(new)?);
    let name = new.map_or_else(|| "what runs now".to_owned(), |new| format!("entry {new}"));
    let text = format!("--- entry {old}\n+++ {name}\n{}", drawn(&between));
    Ok(Answer { text, json: json!({ "from": old, "to": new, "difference": between }), ..Answer::default() })
}

/// Goes back to an entry, or tells what that would do.
pub(crate) fn rollback(way: &Way, reach: impl Fn() -> Result<Daemon, Failure>) -> Outcome {
    let mut options = json!({ "connectivityCheck": way.confirm.is_some() });
    if let Some(seconds) = way.confirm {
        options["connectivityTimeout"] = json!(seconds);
        options["connectivityCall"] = json!(true);
    }
    if let Some(reason) = &way.reason {
        options["reason"] = json!(reason);
    }
    let params = setup::from_afar(json!({ "to": way.to, "options": options }));
    if way.plan {
        let json = reach()?.call("Host.planRollback", params)?;
        return Ok(Answer { text: words::plan(&json), warnings: words::warnings(&json), json, ..Answer::default() });
    }
    const ROLLBACK: &str = "Host.rollbackNetworks";
    let json = match way.confirm {
        None => reach()?.call(ROLLBACK, params)?,
        Some(_) => setup::asking(ROLLBACK, params, reach)?,
    };
    Ok(Answer { text: words::done(&json), warnings: words::warnings(&json), json, ..Answer::default() })
}

/// An entry in a few lines.
fn short(entry: &Value) -> String {
    let number = entry["number"].as_u64().unwrap_or_default();
    if let Some(why) = entry["unreadable"].as_str() {
        return format!("{number:>4}  cannot be read: {}\n", plain(why));
    }
    let steps = entry["steps"].as_u64().unwrap_or_default();
    let safe = if entry["safe"] == true { ", safe" } else { "" };
    let mut text = format!(
        "{number:>4}  {}  {}  {}  {steps} step{}{safe}\n",
        date(entry["time"].as_u64().unwrap_or_default()),
        who(&entry["caller"]),
        plain(entry["verb"].as_str().unwrap_or_default()),
        if steps == 1 { "" } else { "s" },
    );
    text += &format!("      {}\n", names(&entry["changed"]));
    if let Some(reason) = entry["reason"].as_str() {
        text += &format!("      \"{}\"\n", plain(reason));
    }
    text
}

/// All of an entry but its configuration, which is for `diff` and programs.
fn whole(entry: &Value) -> String {
    let plan = entry["plan"].as_array().map_or(&[][..], Vec::as_slice);
    let mut head = entry.clone();
    head["steps"] = json!(plan.len());
    let mut text = short(&head);
    if !entry["request"].is_null() {
        text += &format!("request:\n{}", indented(&format!("{:#}", entry["request"])));
    }
    text += &format!("plan ({}):\n", plain(entry["plan_hash"].as_str().unwrap_or_default()));
    text + &plan.iter().filter_map(Value::as_str).map(|step| format!("  {}\n", plain(step))).collect::<String>()
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {}\n", plain(line))).collect()
}

/// `+red ~blue -green`, and bonds behind.
fn names(changed: &Value) -> String {
    let of = |part: &str| {
        let all = [("added", '+'), ("changed", '~'), ("removed", '-')].into_iter().flat_map(|(key, sign)| {
            let names = changed[part][key].as_array().into_iter().flatten();
            names.filter_map(Value::as_str).map(move |name| format!("{sign}{}", plain(name)))
        });
        let mut all: Vec<String> = all.collect();
        if all.len() > NAMES {
            let more = all.split_off(NAMES).len();
            all.push(format!("and {more} more"));
        }
        all.join(" ")
    };
    let parts = [("", of("networks")), ("bonds ", of("bondings"))];
    parts
        .into_iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(what, names)| what.to_owned() + &names)
        .collect::<Vec<_>>()
        .join(", ")
}

fn who(caller: &Value) -> String {
    let Some(uid) = caller["uid"].as_u64().and_then(|uid| u32::try_from(uid).ok()) else {
        return "the daemon".to_owned();
    };
    let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
    let name = user.map_or_else(|| format!("uid {uid}"), |user| plain(&user.name));
    caller["pid"].as_i64().map_or(name.clone(), |pid| format!("{name} (pid {pid})"))
}

/// A difference as one reads it: what came, what went, and what has changed from what to what.
fn drawn(between: &Value) -> String {
    let mut text = String::new();
    for (word, part) in [("network", "networks"), ("bond", "bondings")] {
        for (name, entity) in between[part].as_object().into_iter().flatten() {
            let what = entity["what"].as_str().unwrap_or_default();
            let sign = match what {
                "added" => '+',
                "removed" => '-',
                _ => '~',
            };
            text += &format!("{sign} {word} {}\n", plain(name));
            for (attribute, pair) in entity["attributes"].as_object().into_iter().flatten() {
                let (old, new) = (&pair[0], &pair[1]);
                let line = match what {
                    // Of what came or went only what it had is of interest.
                    "added" => said(new),
                    "removed" => said(old),
                    _ => Some(format!("{} -> {}", value(old), value(new))),
                };
                text.extend(line.map(|line| format!("    {}: {line}\n", plain(attribute))));
            }
        }
    }
    if text.is_empty() { "no difference\n".to_owned() } else { text }
}

fn said(it: &Value) -> Option<String> {
    let is_nothing = it.is_null() || it == false || it == "" || it.as_array().is_some_and(Vec::is_empty);
    (!is_nothing).then(|| value(it))
}

fn value(it: &Value) -> String {
    match it {
        Value::Null => "(nothing)".to_owned(),
        Value::String(text) => plain(text),
        Value::Array(all) if all.is_empty() => "(nothing)".to_owned(),
        Value::Array(all) => all.iter().map(value).collect::<Vec<_>>().join(", "),
        other => plain(&other.to_string()),
    }
}

/// UTC, to the second.
fn date(seconds: u64) -> String {
    let Ok(time) = libc::time_t::try_from(seconds) else { return format!("{seconds} s") };
    // SAFETY: a `tm` of zeros is one, and both live through the call, which keeps nothing.
    let (tm, known) = unsafe {
        let mut tm: libc::tm = std::mem::zeroed();
        let known = !libc::gmtime_r(&raw const time, &raw mut tm).is_null();
        (tm, known)
    };
    if !known {
        return format!("{seconds} s");
    }
    let (year, month) = (tm.tm_year + 1900, tm.tm_mon + 1);
    format!("{year:04}-{month:02}-{:02} {:02}:{:02}:{:02}Z", tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_that_of_the_calendar() {
        for (seconds, wanted) in [
            (0, "1970-01-01 00:00:00Z"),
            (951_782_399, "2000-02-28 23:59:59Z"),
            (951_782_400, "2000-02-29 00:00:00Z"),
            (1_709_251_199, "2024-02-29 23:59:59Z"),
            (1_709_251_200, "2024-03-01 00:00:00Z"),
            (1_798_761_599, "2026-12-31 23:59:59Z"),
            (4_107_542_400, "2100-03-01 00:00:00Z"),
            (u64::MAX, "18446744073709551615 s"),
        ] {
            assert_eq!(date(seconds), wanted);
        }
    }

    #[test]
    fn an_entry_tells_who_when_what_and_why() {
        let entry = json!({
            "number": 12, "time": 0, "verb": "Host.setupNetworks", "caller": { "uid": 0, "pid": 7 },
            "reason": "rack\n\u{1b}[2J", "steps": 1, "safe": true, "plan_hash": "ab",
            "changed": {
                "networks": { "added": ["red"], "changed": ["blue"], "removed": ["green"] },
                "bondings": { "added": ["bond0"], "changed": [], "removed": [] },
            },
        });
        let wanted = "  12  1970-01-01 00:00:00Z  root (pid 7)  Host.setupNetworks  1 step, safe\n      +red ~blue -green, bonds +bond0\n      \"rack\n    \\u{1b}[2J\"\n";
        assert_eq!(short(&entry), wanted);
        let mut whole_entry = entry;
        whole_entry["plan"] = json!(["one", "two"]);
        whole_entry["request"] = json!({ "to": 3 });
        let text = whole(&whole_entry);
        assert!(text.ends_with("request:\n  {\n    \"to\": 3\n  }\nplan (ab):\n  one\n  two\n"), "{text}");
        assert!(text.contains("  2 steps, safe\n"), "{text}");
        assert_eq!(short(&json!({ "number": 3, "unreadable": "torn" })), "   3  cannot be read: torn\n");
        assert!(short(&Value::Null).contains("the daemon"));
        let many: Vec<String> = (0..10).map(|i| format!("n{i}")).collect();
        let many = json!({ "networks": { "added": many } });
        assert_eq!(names(&many), "+n0 +n1 +n2 +n3 +n4 +n5 +n6 +n7 and 2 more");
    }

    #[test]
    fn a_difference_reads_from_old_to_new() {
        let old = json!({ "networks": { "blue": { "mtu": 1500, "gateway": "192.0.2.1" }, "green": { "nic": "eth2", "stp": false } } });
        let new = json!({ "networks": { "blue": { "mtu": 9000 }, "red": { "nic": "eth3", "nameservers": [] } }, "bondings": { "bond0": { "nics": ["a", "b"] } } });
        let wanted = "~ network blue
    gateway: 192.0.2.1 -> (nothing)
    mtu: 1500 -> 9000
- network green
    nic: eth2
+ network red
    nic: eth3
+ bond bond0
    nics: a, b
";
        assert_eq!(drawn(&difference::between(&old, &new)), wanted);
        assert_eq!(drawn(&difference::between(&old, &old)), "no difference\n");
    }
}

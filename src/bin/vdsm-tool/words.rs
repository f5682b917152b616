//! What a person reads: the daemon's answers and errors as sentences.
//!
//! A field that is missing costs its sentence and nothing else, since tool and daemon may be of
//! different versions for the minutes of an upgrade. Where the text goes is not known here.

use serde_json::Value;
use vdsm_net::rpc::RpcError;

/// JSON as one reads it, with the final newline.
pub(crate) fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

/// The answer of Host.setupNetworks.
pub(crate) fn done(answer: &Value) -> String {
    match (answer["changed"].as_bool(), answer["steps"].as_u64()) {
        (Some(false), _) => "nothing to do: the host is like this already\n".to_owned(),
        (_, Some(1)) => "done in one step\n".to_owned(),
        (_, Some(steps)) => format!("done in {steps} steps\n"),
        (_, None) => "done\n".to_owned(),
    }
}

/// The answer of Host.planNetworks: what would be done, marked with `!` where it interrupts
/// traffic, and below each step how one would do it by hand.
pub(crate) fn plan(answer: &Value) -> String {
    let steps = answer["plan"].as_array().map_or(&[][..], Vec::as_slice);
    let mut lines: Vec<&str> = answer["text"].as_str().unwrap_or_default().lines().collect();
    if steps.is_empty() {
        return lines.iter().map(|line| plain(line) + "\n").collect();
    }
    // One line a step; if not, the sentences stand above all commands.
    let above = if lines.len() == steps.len() { Vec::new() } else { std::mem::take(&mut lines) };
    let mut text: String = above.iter().map(|line| plain(line) + "\n").collect();
    for (i, step) in steps.iter().enumerate() {
        let mark = if step["interrupts"].is_null() { ' ' } else { '!' };
        if let Some(line) = lines.get(i) {
            text += &format!("{mark} {}\n", plain(line));
        }
        for command in texts(&step["commands"]) {
            text += &format!("      {}\n", plain(command));
        }
    }
    let interrupting = steps.iter().filter(|step| !step["interrupts"].is_null()).count();
    text += &match interrupting {
        0 => format!("{}, none of them interrupts traffic\n", count(steps.len())),
        some => format!("{}; {some} interrupt{} traffic (!)\n", count(steps.len()), if some == 1 { "s" } else { "" }),
    };
    text
}

fn count(steps: usize) -> String {
    format!("{steps} step{}", if steps == 1 { "" } else { "s" })
}

/// The answer of Host.checkNetworks or Host.healNetworks.
pub(crate) fn checked(answer: &Value) -> String {
    let mut text = String::new();
    for (word, key) in [("network", "networks"), ("bond", "bonds")] {
        for (name, verdict) in answer[key].as_object().into_iter().flatten() {
            let differences = verdict["differences"].as_array().into_iter().flatten();
            let differences: Vec<&str> = differences.filter_map(|it| it["text"].as_str()).collect();
            if !differences.is_empty() {
                let state = verdict["state"].as_str().unwrap_or("drifted");
                text += &format!("{word} {}: {}\n", plain(name), plain(state));
                text.extend(differences.into_iter().map(|it| format!("  {}\n", plain(it))));
                text += &failing(&verdict["healing"]);
            }
        }
    }
    let mended = answer["mended"].as_u64().filter(|steps| *steps > 0);
    if let Some(steps) = mended {
        text += &format!("brought back in {}\n", count(usize::try_from(steps).unwrap_or(usize::MAX)));
    }
    let plan = answer["text"].as_str().unwrap_or_default();
    let has_plan = answer["plan"].as_array().is_some_and(|plan| !plan.is_empty());
    if has_plan {
        text += "what would bring it back (vdsm-tool check --heal):\n";
        text.extend(plan.lines().map(|line| format!("  {}\n", plain(line))));
    }
    if answer["in_sync"] == Value::Bool(true) && mended.is_none() {
        text += "all networks are as configured\n";
    }
    text
}

/// What the daemon's healing says of a verdict.
fn failing(healing: &Value) -> String {
    match (healing["failed"].as_str(), healing["again"].as_u64()) {
        (Some(why), Some(again)) => {
            format!("  the daemon could not bring it back, and tries again in {again} s: {}\n", plain(why))
        }
        _ => String::new(),
    }
}

/// The answer of Host.restoreNetworks.
pub(crate) fn restored(answer: &Value) -> String {
    let mut text = match (answer["restored"].as_bool(), answer["note"].as_str()) {
        (Some(true), _) => "the networks are restored\n".to_owned(),
        (_, None | Some("")) => "nothing was restored\n".to_owned(),
        (_, Some(note)) => format!("nothing was restored: {}\n", plain(note)),
    };
    text.extend(omissions(&answer["skipped"], "skipped").map(|line| line + "\n"));
    text
}

/// What the daemon wants a person to know besides.
pub(crate) fn warnings(answer: &Value) -> Vec<String> {
    texts(&answer["warnings"]).map(str::to_owned).collect()
}

/// Whether a failed change was undone; none if nothing had been touched.
pub(crate) fn rolled_back(error: &RpcError) -> Option<bool> {
    error.data.as_ref()?["rolled_back"].as_bool()
}

/// An error of the daemon, each problem a line, and what is left to do.
pub(crate) fn error(error: &RpcError) -> Vec<String> {
    let data = error.data.as_ref().unwrap_or(&Value::Null);
    let problem = |problem: &Value| {
        Some(format!("error: {}{}", plain(problem["message"].as_str()?), code(problem["code"].as_i64())))
    };
    let mut lines: Vec<String> = data["problems"].as_array().into_iter().flatten().filter_map(problem).collect();
    lines.extend(omissions(&data["failed"], "error: not restored:"));
    if lines.is_empty() {
        lines.push(format!("error: {}{}", plain(&error.message), code(Some(error.code))));
    }
    lines.extend(omissions(&data["skipped"], "skipped"));
    lines.extend(failed_step(data));
    match rolled_back(error) {
        Some(true) => lines.push("The networks are as they were before.".to_owned()),
        Some(false) => {
            lines.push("The way back failed, too. Left to do by hand:".to_owned());
            lines.extend(texts(&data["leftover"]).map(|command| format!("  {}", plain(command))));
        }
        None => {}
    }
    if let Some(advice) = data["advice"].as_str() {
        lines.push(format!("What to do: {}", plain(advice)));
        lines.push(format!("More of it: vdsm-tool explain {}", error.code));
    }
    lines
}

/// Where it failed, each part a line: what is not known has none.
fn failed_step(data: &Value) -> Vec<String> {
    let kernel = data["kernel"]["errno"].as_str().map(|errno| match data["kernel"]["text"].as_str() {
        Some(text) => format!("{errno}, {text}"),
        None => errno.to_owned(),
    });
    let of = |key: &str| data[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let parts =
        [("step", of("step")), ("device", of("device")), ("command", of("command")), ("kernel", kernel)].into_iter();
    parts.filter_map(|(what, text)| Some(format!("  {:<9}{}", format!("{what}:"), plain(&text?)))).collect()
}

fn code(code: Option<i64>) -> String {
    code.map_or_else(String::new, |code| format!(" (code {code})"))
}

fn omissions<'a>(list: &'a Value, how: &'a str) -> impl Iterator<Item = String> + 'a {
    let name_and_reason = |one: &'a Value| Some((one["name"].as_str()?, one["reason"].as_str()?));
    let pairs = list.as_array().into_iter().flatten().filter_map(name_and_reason);
    pairs.map(move |(name, reason)| format!("{how} {}: {}", plain(name), plain(reason)))
}

fn texts(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// The text without the power to move a cursor: names in it may come from anywhere.
/// Further lines stand below the first, to be seen as a part of it.
pub(crate) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.trim_end().chars() {
        match c {
            '\n' => plain.push_str("\n    "),
            c if c.is_control() => plain.extend(c.escape_default()),
            c => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_plan_shows_each_step_with_its_commands() {
        let answer = json!({
            "text": "create vlan eth0.5: tag 5 on eth0, up\nchange nic eth0: mtu 1500 -> 9000  [interrupts: it goes down]\n",
            "plan": [
                {"step": "create", "interrupts": null, "commands": ["ip link add a", "ip link set a up"]},
                {"step": "change", "interrupts": "it goes down", "commands": ["ip link set eth0 mtu 9000"]},
            ],
            "warnings": ["w"],
        });
        let wanted = "\x20 create vlan eth0.5: tag 5 on eth0, up
      ip link add a
      ip link set a up
! change nic eth0: mtu 1500 -> 9000  [interrupts: it goes down]
      ip link set eth0 mtu 9000
2 steps; 1 interrupts traffic (!)
";
        assert_eq!(plan(&answer), wanted);
        assert_eq!(warnings(&answer), ["w"]);
        let mut other = answer;
        other["text"] = json!("several\nlines\nhere\n");
        assert!(plan(&other).starts_with("several\nlines\nhere\n      ip link add a\n"));
        let nothing = json!({"text": "nothing to do\n", "plan": [], "warnings": []});
        assert_eq!(plan(&nothing), "nothing to do\n");
        assert_eq!(
            plan(&json!({"text": "one\n", "plan": [{"interrupts": null}]})),
            "  one\n1 step, none of them interrupts traffic\n"
        );
    }

    #[test]
    fn a_change_is_told_in_one_line() {
        for (answer, wanted) in [
            (json!({"changed": false, "steps": 0}), "nothing to do: the host is like this already\n"),
            (json!({"changed": true, "steps": 1}), "done in one step\n"),
            (json!({"changed": true, "steps": 7}), "done in 7 steps\n"),
            (json!({}), "done\n"),
            (json!(null), "done\n"),
        ] {
            assert_eq!(done(&answer), wanted, "{answer}");
        }
    }

    #[test]
    fn a_restore_tells_what_was_left_out() {
        let skipped = json!([{"name": "red", "reason": "its nic eth7 is missing"}, {"name": 3}]);
        let answer = json!({"restored": true, "note": "", "skipped": skipped, "failed": []});
        assert_eq!(restored(&answer), "the networks are restored\nskipped red: its nic eth7 is missing\n");
        let before = json!({"restored": false, "note": "they were already", "skipped": []});
        assert_eq!(restored(&before), "nothing was restored: they were already\n");
    }

    #[test]
    fn a_check_tells_each_difference_and_what_would_mend_it() {
        let fine = json!({ "in_sync": true, "networks": { "red": { "state": "in_sync", "differences": [] } }, "bonds": {}, "plan": [], "text": "nothing to do\n" });
        assert_eq!(checked(&fine), "all networks are as configured\n");
        let healed =
            json!({ "in_sync": true, "networks": {}, "bonds": {}, "plan": [], "text": "nothing to do\n", "mended": 1 });
        assert_eq!(checked(&healed), "brought back in 1 step\n");
        let of = |texts: &[&str]| texts.iter().map(|text| json!({ "device": null, "text": text })).collect::<Vec<_>>();
        let differing = json!({
            "in_sync": false,
            "networks": {
                "red": { "state": "drifted", "differences": of(&["eth0 left red", "two\nlines"]) },
                "blue": { "state": "missing", "differences": of(&["its nic eth9 is missing"]) },
                "black": { "state": "missing", "differences": of(&["the bridge black is missing"]), "healing": { "failed": "not\ntoday", "again": 16 } },
            },
            "bonds": { "bond0": { "state": "drifted", "differences": of(&["the mode is other"]) } },
            "plan": [{}], "text": "change bridge red: +eth0\nchange bond bond0\n", "mended": 0,
        });
        let wanted = "network red: drifted
  eth0 left red
  two\n    lines
network blue: missing
  its nic eth9 is missing
network black: missing
  the bridge black is missing
  the daemon could not bring it back, and tries again in 16 s: not
    today
bond bond0: drifted
  the mode is other
what would bring it back (vdsm-tool check --heal):
  change bridge red: +eth0
  change bond bond0
";
        assert_eq!(checked(&differing), wanted);
        let lost = json!({ "in_sync": false, "networks": { "blue": differing["networks"]["blue"] }, "plan": [], "text": "nothing to do\n", "mended": 2 });
        assert_eq!(checked(&lost), "network blue: missing\n  its nic eth9 is missing\nbrought back in 2 steps\n");
        assert_eq!(checked(&Value::Null), "");
    }

    fn failed(data: Value) -> Vec<String> {
        error(&RpcError { code: 29, message: "it failed".to_owned(), data: Some(data) })
    }

    #[test]
    fn an_error_has_a_line_for_each_problem_and_each_command_left() {
        assert_eq!(error(&RpcError::new(-32601, "no such method")), ["error: no such method (code -32601)"]);
        assert_eq!(failed(json!({"problems": []})), ["error: it failed (code 29)"]);
        let problems = json!([{"code": 25, "message": "one"}, {"code": 21, "message": "two\nlines\n"}]);
        assert_eq!(
            failed(json!({"problems": problems, "rolled_back": null, "leftover": []})),
            ["error: one (code 25)", "error: two\n    lines (code 21)"]
        );
        assert_eq!(
            failed(json!({"rolled_back": true})),
            ["error: it failed (code 29)", "The networks are as they were before."]
        );
        let stuck = failed(json!({"rolled_back": false, "leftover": ["ip link del a", "ip link del b"]}));
        assert_eq!(stuck[1..], ["The way back failed, too. Left to do by hand:", "  ip link del a", "  ip link del b"]);
        let step = json!({
            "rolled_back": true, "step": "create bridge red", "device": "red", "command": "ip link add name red",
            "kernel": { "errno": "EINVAL", "text": "no\nsuch" }, "advice": "Look.",
        });
        let wanted = [
            "error: it failed (code 29)",
            "  step:    create bridge red",
            "  device:  red",
            "  command: ip link add name red",
            "  kernel:  EINVAL, no\n    such",
            "The networks are as they were before.",
            "What to do: Look.",
            "More of it: vdsm-tool explain 29",
        ];
        assert_eq!(failed(step), wanted);
        let unknown = json!({ "step": null, "device": null, "command": "", "kernel": null, "advice": "Look." });
        assert_eq!(failed(unknown).len(), 3);
        let restore = failed(
            json!({"failed": [{"name": "red", "reason": "no"}], "skipped": [{"name": "blue", "reason": "gone"}]}),
        );
        assert_eq!(restore, ["error: not restored: red: no", "skipped blue: gone"]);
    }

    #[test]
    fn no_text_moves_the_cursor() {
        assert_eq!(plain("a\x1b[2J\rb\tc\u{9b}ü\n"), "a\\u{1b}[2J\\rb\\tc\\u{9b}ü");
    }
}

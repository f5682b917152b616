//! explain: what the daemon's codes mean, and what to do about them. Needs no daemon.
//!
//! The sentences are the library's.

use serde_json::{Value, json};
use vdsm_net::advice::{self, Explanation};

use crate::outcome::{Answer, Failure, Outcome};

/// One code, by its number or its name, or a list of all.
pub(crate) fn explain(code: Option<&str>) -> Outcome {
    let Some(text) = code else {
        let all = advice::all();
        let json: Vec<Value> = all.iter().map(Explanation::to_json).collect();
        let text = all.iter().map(|it| format!("{:>6}  {:<16}  {}\n", it.code, it.name, it.meaning)).collect();
        return Ok(Answer { text, json: json!(json), ..Answer::default() });
    };
    match advice::find(text) {
        Some(it) => Ok(Answer { text: whole(&it), json: it.to_json(), ..Answer::default() }),
        None => Err(Failure::NoCode(text.to_owned())),
    }
}

fn whole(it: &Explanation) -> String {
    let Explanation { code, name, meaning, when, advice } = it;
    format!("{code} {name}: {meaning}\n\nWhen it comes:\n{}\nWhat to do:\n{}", wrapped(when), wrapped(advice))
}

/// In lines that a person reads.
fn wrapped(text: &str) -> String {
    const WIDTH: usize = 80;
    let mut lines = String::new();
    let mut line = String::from(" ");
    for word in text.split_whitespace() {
        if line.len() + word.len() >= WIDTH {
            lines += &format!("{line}\n");
            line = String::from(" ");
        }
        line += &format!(" {word}");
    }
    lines + &line + "\n"
}

#[cfg(test)]
mod tests {
    use vdsm_model::problem::Code;

    use super::*;

    #[test]
    fn a_code_is_explained_by_its_number_and_by_its_name() {
        let by_number = explain(Some("29")).expect("known");
        for part in [
            "29 FAILED_IFUP: the host refused a step",
            "\nWhen it comes:\n  The kernel, ",
            "\nWhat to do:\n  The error names ",
        ] {
            assert!(by_number.text.contains(part), "{part} in {}", by_number.text);
        }
        assert!(by_number.text.lines().skip(1).all(|line| line.len() <= 80), "{}", by_number.text);
        for name in ["FAILED_IFUP", "failed-ifup", "FailedIfup"] {
            assert_eq!(explain(Some(name)).expect("known").text, by_number.text);
        }
        assert_eq!(by_number.json["code"], 29);
        assert!(explain(Some("-32001")).expect("known").text.starts_with("-32001 NOT_ALLOWED: "));
        assert!(matches!(explain(Some("99")), Err(Failure::NoCode(code)) if code == "99"));
    }

    #[test]
    fn without_a_code_all_are_listed() {
        let all = explain(None).expect("a list");
        for code in Code::ALL {
            let start = format!("{:>6}  ", code as i64);
            assert_eq!(all.text.lines().filter(|line| line.starts_with(&start)).count(), 1, "{code:?}");
        }
        assert_eq!(all.json.as_array().map(Vec::len), Some(all.text.lines().count()));
    }
}

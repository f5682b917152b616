//! Every code has its words, and every failure what a person needs.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use vdsm_model::name::DeviceName;
use vdsm_persistence::StoreError;

use super::*;
use crate::api::refused;
use crate::connectivity::Lost;

#[test]
fn every_code_has_an_entry() {
    // `Code::ALL` is a list by hand: it is held against the source.
    let source = include_str!("../model/problem.rs");
    let list = source.split("pub enum Code {").nth(1).and_then(|rest| rest.split('}').next()).expect("the enum");
    let codes: BTreeSet<i64> =
        list.lines().filter_map(|line| line.split('=').nth(1)?.trim().trim_end_matches(',').parse().ok()).collect();
    assert_eq!(Code::ALL.map(|code| code as i64).into_iter().collect::<BTreeSet<_>>(), codes);
    for code in Code::ALL {
        let it = explanation(code);
        assert_eq!(find(&(code as i64).to_string()), Some(it));
        assert_eq!(find(it.name), Some(it));
        assert_eq!(find(&format!("{code:?}")), Some(it), "also as the code has it");
    }
    let every = all();
    for it in &every {
        for (what, text) in [("name", it.name), ("meaning", it.meaning), ("when", it.when), ("advice", it.advice)] {
            assert!(!text.is_empty(), "{what} of {}", it.code);
        }
        assert!(it.when.ends_with('.') && it.advice.ends_with('.'), "{it:?}");
        let sentences = it.advice.matches(['.', ';']).count();
        assert!(sentences <= 7, "{}: nobody reads that much", it.code);
    }
    let distinct = |by: fn(&Explanation) -> String| every.iter().map(by).collect::<BTreeSet<_>>().len();
    assert_eq!((distinct(|it| it.code.to_string()), distinct(|it| it.name.to_owned())), (every.len(), every.len()));
    assert!(every.is_sorted_by_key(|it| (it.code < 0, it.code)));
    assert_eq!((find("99"), find(""), find("nonsense")), (None, None, None));
    assert_eq!(find(" lost-connection ").map(|it| it.code), Some(10));
}

fn failing(source: RunError) -> EngineError {
    let cause = Cause::Apply(ApplyError {
        index: 1,
        step: "create bridge red".to_owned(),
        device: DeviceName::try_from("red").ok(),
        command: "ip link add name red type bridge".to_owned(),
        source,
    });
    EngineError::Setup(SetupError::RolledBack { cause, missing: Vec::new() })
}

fn kernel(errno: i32, text: Option<&str>) -> RunError {
    KernelError { errno, text: text.map(str::to_owned), attribute: None, missing: None }.into()
}

fn data(error: EngineError) -> Value {
    let error = refused(error);
    let data = error.data.expect("details");
    assert!(data["advice"].as_str().is_some_and(|advice| advice.len() > 20), "{data}");
    data
}

#[test]
fn a_failed_step_is_told_with_its_device_the_kernels_words_and_what_to_do() {
    let told = data(failing(kernel(libc::EINVAL, Some("Nexthop has invalid gateway"))));
    assert_eq!((&told["step"], &told["device"]), (&json!("create bridge red"), &json!("red")));
    assert_eq!(told["command"], "ip link add name red type bridge");
    assert_eq!(told["kernel"], json!({ "errno": "EINVAL", "text": "Nexthop has invalid gateway" }));
    assert!(told["advice"].as_str().is_some_and(|it| it.contains("gateway")), "{told}");
    assert_eq!((&told["rolled_back"], &told["problems"][0]["code"]), (&json!(true), &json!(29)));

    let no_text = data(failing(kernel(ENOTSUPP, None)));
    assert_eq!(no_text["kernel"], json!({ "errno": "ENOTSUPP", "text": null }));
    let sysctl = RunError::Sysctl { path: "/proc/x".to_owned(), source: io::Error::from_raw_os_error(libc::EACCES) };
    assert_eq!(data(failing(sysctl))["kernel"]["errno"], "EACCES");
    let silent = data(failing(RunError::Injected));
    assert_eq!((&silent["kernel"], &silent["advice"]), (&Value::Null, &json!(explanation(Code::FailedIfup).advice)));
}

#[test]
fn each_refusal_of_the_kernel_has_an_advice_of_its_own() {
    let general = explanation(Code::FailedIfup).advice;
    for (errnos, advice) in NETWORK {
        for errno in *errnos {
            let told = data(failing(kernel(*errno, None)));
            assert_eq!(told["advice"], *advice, "{}", errno_name(*errno));
            assert_ne!(told["advice"], general);
        }
    }
    for (source, advice) in [
        (RunError::NoDevice(DeviceName::try_from("red").expect("a name")), VANISHED),
        (RunError::NoDhcp, DHCP),
        (RunError::Processes { source: io::ErrorKind::Other.into() }, FOREIGN),
        (RunError::Simulated("no".to_owned()), general),
    ] {
        assert_eq!(data(failing(source))["advice"], advice);
    }
}

#[test]
fn a_host_that_did_not_become_as_wished_tells_what_is_left() {
    let left = vdsm_model::plan::Plan::default();
    let error = EngineError::Setup(SetupError::Stuck {
        cause: Cause::Verify { left },
        rollback: "no".to_owned(),
        leftover: vec!["ip link del red".to_owned()],
    });
    let told = data(error);
    assert_eq!((&told["step"], &told["device"], &told["command"]), (&Value::Null, &Value::Null, &Value::Null));
    assert_eq!((&told["advice"], &told["leftover"]), (&json!(UNSTEADY), &json!(["ip link del red"])));
}

#[test]
fn what_is_no_step_has_its_advice_alone() {
    let full = StoreError::Write { path: PathBuf::from("/x"), source: io::Error::from_raw_os_error(libc::ENOSPC) };
    let rolled_back = |cause| EngineError::Setup(SetupError::RolledBack { cause, missing: Vec::new() });
    let told = data(rolled_back(Cause::Store(full)));
    assert!(told["advice"].as_str().is_some_and(|it| it.starts_with("Make room")), "{told}");
    assert_eq!(told.get("step"), None);
    let after = std::time::Duration::from_secs(4);
    let lost = data(rolled_back(Cause::LostConnection { after, lost: Lost::default() }));
    assert_eq!(lost["advice"], explanation(Code::LostConnection).advice);
    assert_eq!(data(rolled_back(Cause::NoLease { after, networks: Vec::new() }))["advice"], LEASELESS);
    for (error, code) in [
        (EngineError::Busy, Code::Unavailable),
        (EngineError::NotRestored, Code::Unexpected),
        (EngineError::Setup(SetupError::Unwritable("x".to_owned())), Code::Unexpected),
    ] {
        assert_eq!(data(error)["advice"], explanation(code).advice);
    }
}

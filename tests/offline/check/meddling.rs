//! Somebody else at work in the middle of a change: before each of its actions in turn a stranger does
//! one thing to the host, whatever it is. The change ends as wished or as before, and says which.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use vdsm_configurators::fault::{Disturbed, Fuse};
use vdsm_model::config::NetConfig;
use vdsm_model::request::Request;
use vdsm_net::check::{State, Verdict, check};
use vdsm_net::transaction::{Done, SetupError, Transaction, chain};

use super::drift::{Drift, drift};
use super::laws::{Case, settled, wanted};
use crate::common::host;
use crate::common::random::Random;

/// What is out of sync, in words.
fn wrong(case: &Case, running: &NetConfig) -> BTreeMap<String, Vec<String>> {
    let checked = check(running, &case.sim.look(), &case.policy, None);
    let texts = |verdict: &Verdict| verdict.differences.iter().map(|it| it.text.clone()).collect();
    let networks = checked.networks.iter().map(|(name, verdict)| (name.to_string(), verdict));
    let all = networks.chain(checked.bonds.iter().map(|(name, verdict)| (name.to_string(), verdict)));
    all.filter(|(_, verdict)| verdict.state != State::InSync).map(|(name, verdict)| (name, texts(verdict))).collect()
}

fn change(case: &Case, fuse: &Fuse, drift: &Drift, request: &Request) -> Result<Done, SetupError> {
    let what = {
        let (sim, drift) = (Arc::new(Mutex::new(case.sim.clone())), drift.clone());
        Box::new(move || drift.happen(&mut sim.lock().unwrap()))
    };
    let kernel = Disturbed { inner: case.sim.clone(), fuse: fuse.clone(), what };
    let mut host = host(case.sim.clone(), kernel, &Fuse::never());
    Transaction::plan(&mut host, &case.running, request, &case.policy)?
        .apply()?
        .confirm(None, |_, _| Ok(()))?
        .commit(|_| Ok(()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, failure_persistence: None, max_shrink_iters: 500, ..ProptestConfig::default() })]

    #[test]
    fn whatever_others_do_in_the_middle_the_host_is_as_before_or_as_wished(seed in any::<u64>(), drift in drift()) {
        for at in 0.. {
            let case = settled(seed);
            let request = Request::between(&case.running, &wanted(&mut Random(!seed)));
            let fuse = Fuse::never();
            fuse.after(at);
            let outcome = change(&case, &fuse, &drift, &request);
            if fuse.is_set() {
                break;
            }
            let story = format!("seed {seed}, before action {at}: {drift:?}");
            let running = match &outcome {
                Ok(done) => &done.config,
                Err(SetupError::RolledBack { .. }) => &case.running,
                Err(other) => panic!("{story}: {}", chain(other)),
            };
            // Nobody takes from a stranger what came to be his, nor gives back what he took away.
            let wrong = wrong(&case, running);
            assert!(wrong.is_empty() || drift.brings_strangers(), "{story}: {outcome:?}\n{wrong:#?}");
        }
    }
}

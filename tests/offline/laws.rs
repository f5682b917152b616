//! The laws: it arrives, a second time changes nothing, and from any interruption it finds back.

use vdsm_configurators::fault::{Disturbed, Fuse};
use vdsm_configurators::sim::Sim;
use vdsm_model::config::NetConfig;
use vdsm_model::request::Request;
use vdsm_net::host::Host;
use vdsm_net::transaction::{Done, SetupError, Transaction};

use crate::common::random::{Kinds, Random, config};
use crate::common::{host, policy, state, vanishing};

const NICS: [&str; 6] = ["dummy_0", "dummy_1", "dummy_2", "dummy_3", "dummy_4", "dummy_10"];

fn setup(host: &mut Host, running: &NetConfig, request: &Request) -> Result<Done, SetupError> {
    Transaction::plan(host, running, request, &policy())?.apply()?.confirm(None, |_, _| Ok(()))?.commit(|_| Ok(()))
}

fn nics() -> Vec<String> {
    NICS.map(str::to_owned).to_vec()
}

#[test]
fn it_arrives_and_a_second_time_changes_nothing() {
    for seed in 0..300 {
        let mut random = Random(seed);
        let sim = Sim::with_nics(&NICS);
        let fuse = Fuse::never();
        let mut host = host(sim.clone(), sim.clone(), &fuse);
        let mut running = NetConfig::default();
        for _ in 0..12 {
            let wanted = config(&mut random, &nics(), Kinds { bonds: true, vlans: true });
            let request = Request::between(&running, &wanted);
            let before = state::text(&sim.look());
            let done = setup(&mut host, &running, &request).unwrap_or_else(|e| {
                panic!(
                    "seed {seed}: {}\n{before}\nrunning {running:#?}\nwanted {wanted:#?}",
                    vdsm_net::transaction::chain(&e)
                )
            });
            assert!(
                done.rounds <= 1,
                "seed {seed}: {} rounds for\n{}\nfrom\n{before}\nto\n{}",
                done.rounds,
                done.plan,
                state::text(&sim.look())
            );
            assert_eq!(done.config, wanted, "seed {seed}");
            let after = state::text(&sim.look());
            let again = setup(&mut host, &wanted, &Request::between(&wanted, &wanted)).unwrap();
            assert_eq!(again.plan.to_string(), "nothing to do\n", "seed {seed}");
            assert_eq!(state::text(&sim.look()), after, "seed {seed}");
            running = wanted;
        }
    }
}

#[test]
fn from_any_interruption_it_finds_back() {
    for seed in 0..60 {
        let mut random = Random(10_000 + seed);
        let sim = Sim::with_nics(&NICS);
        let fuse = Fuse::never();
        let mut host = host(sim.clone(), sim.clone(), &fuse);
        let mut running = NetConfig::default();
        for _ in 0..5 {
            let wanted = config(&mut random, &nics(), Kinds { bonds: true, vlans: true });
            let request = Request::between(&running, &wanted);
            let before = state::text(&sim.look());
            for failing in 0.. {
                fuse.after(failing);
                let outcome = setup(&mut host, &running, &request);
                if fuse.is_set() || outcome.is_ok() {
                    fuse.after(usize::MAX);
                    outcome.unwrap();
                    break;
                }
                let after = state::text(&sim.look());
                match outcome {
                    Err(SetupError::RolledBack { .. }) => {}
                    other => panic!("seed {seed}, failing at {failing}: {:?}", other.map(|d| d.plan.to_string())),
                }
                assert_eq!(
                    after,
                    before,
                    "seed {seed}, failing at action {failing}:\n{}",
                    state::difference(&before, &after)
                );
            }
            running = wanted;
        }
    }
}

/// A simulated host, whose kernel loses a nic when the fuse blows.
struct Simulated {
    host: Host,
    sim: Sim,
}

impl vanishing::Ground for Simulated {
    fn host(&mut self) -> &mut Host {
        &mut self.host
    }

    /// Without hardware addresses: a nic that is plugged in again has another one here.
    fn text(&mut self) -> String {
        let text = state::text(&self.sim.look());
        let words =
            |line: &str| line.split(' ').filter(|word| !word.starts_with("02:00:")).collect::<Vec<_>>().join(" ");
        text.lines().map(words).collect::<Vec<_>>().join("\n")
    }

    fn plug(&mut self, nic: &str) {
        self.sim.plug(nic);
    }

    fn unplug(&mut self, nic: &str) {
        self.sim.unplug(nic);
    }
}

#[test]
fn whatever_vanishes_the_rest_is_as_before_or_as_wished() {
    let mut lost = 0;
    for seed in 0..12 {
        let (sim, fuse, victim) = (Sim::with_nics(&NICS), Fuse::never(), vanishing::Victim::default());
        let what = {
            let (sim, victim) = (sim.clone(), victim.clone());
            Box::new(move || sim.unplug(&victim.lock().unwrap()))
        };
        let kernel = Disturbed { inner: sim.clone(), fuse: fuse.clone(), what };
        let mut ground = Simulated { host: host(sim.clone(), kernel, &Fuse::never()), sim };
        let kinds = Kinds { bonds: true, vlans: true };
        lost += vanishing::everywhere(&mut ground, (&fuse, &victim), &nics(), kinds, (20_000 + seed, 5, 1));
    }
    assert!(lost > 300, "{lost}");
}

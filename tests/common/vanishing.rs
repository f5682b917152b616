//! The law of what vanishes: a nic that goes before any action of a change leaves the host as it was,
//! but for what went with the nic, or as wished, where the wish can do without.

use std::sync::{Arc, Mutex};

use vdsm_configurators::fault::Fuse;
use vdsm_model::config::{Base, NetConfig};
use vdsm_model::name::DeviceName;
use vdsm_model::request::Request;
use vdsm_net::host::Host;
use vdsm_net::transaction::{SetupError, Transaction, chain};

use super::policy;
use super::random::{Kinds, Random, config};
use super::state;

/// The nic that goes when the fuse blows.
pub type Victim = Arc<Mutex<String>>;

/// A host that nics can be taken from.
pub trait Ground {
    fn host(&mut self) -> &mut Host;
    fn text(&mut self) -> String;
    /// Puts a nic in, up and as new; with the same hardware address each time.
    fn plug(&mut self, nic: &str);
    fn unplug(&mut self, nic: &str);
}

/// Walks over random configurations, and loses a nic before each `every`-th action of each step; how often.
pub fn everywhere(
    ground: &mut impl Ground,
    (fuse, victim): (&Fuse, &Victim),
    nics: &[String],
    kinds: Kinds,
    (seed, steps, every): (u64, usize, usize),
) -> usize {
    let mut random = Random(seed);
    let (mut running, mut lost) = (NetConfig::default(), 0);
    for step in 0..steps {
        let wanted = config(&mut random, nics, kinds);
        let concerned: Vec<String> =
            nics.iter().filter(|nic| uses(&running, nic) || uses(&wanted, nic)).cloned().collect();
        if concerned.is_empty() {
            continue;
        }
        let nic = random.pick(&concerned);
        victim.lock().unwrap().clone_from(&nic);
        ground.unplug(&nic);
        let bereft = ground.text();
        ground.plug(&nic);
        setup(ground, &running, &running).unwrap_or_else(|e| panic!("{}", chain(&e)));
        let before = ground.text();
        for at in 0.. {
            let story = format!("seed {seed}, step {step}, {nic} goes before action {}", at * every);
            fuse.after(at * every);
            let outcome = setup(ground, &running, &wanted);
            if fuse.is_set() {
                fuse.after(usize::MAX);
                outcome.unwrap_or_else(|e| panic!("{story}: {}", chain(&e)));
                break;
            }
            let now = match outcome {
                Ok(()) => {
                    assert!(!uses(&wanted, &nic), "{story}: it cannot have arrived");
                    &wanted
                }
                Err(SetupError::RolledBack { missing, .. }) => {
                    assert!(missing.iter().any(|it| it.as_str() == nic), "{story}: {missing:?}");
                    let (wished, after) =
                        (without_rules(&running, &nic, &bereft), without_rules(&running, &nic, &ground.text()));
                    assert_eq!(after, wished, "{story}:\n{}", state::difference(&wished, &after));
                    &running
                }
                Err(other) => panic!("{story}: {}", chain(&other)),
            };
            lost += 1;
            ground.plug(&nic);
            setup(ground, now, &running).unwrap_or_else(|e| panic!("{story}, and comes: {}", chain(&e)));
            let again = ground.text();
            assert_eq!(again, before, "{story}, and comes:\n{}", state::difference(&before, &again));
        }
        running = wanted;
    }
    lost
}

fn setup(ground: &mut impl Ground, running: &NetConfig, wanted: &NetConfig) -> Result<(), SetupError> {
    let request = Request::between(running, wanted);
    let planned = Transaction::plan(ground.host(), running, &request, &policy())?;
    planned.apply()?.confirm(None, |_, _| Ok(()))?.commit(|_| Ok(())).map(drop)
}

/// Whether a network or bond stands on a nic.
pub fn uses(config: &NetConfig, nic: &str) -> bool {
    let is = |name: &DeviceName| name.as_str() == nic;
    config.bonds.values().any(|bond| bond.nics.iter().any(is))
        || config.networks.iter().any(|(_, net)| net.base.map(Base::device).as_ref().is_some_and(is))
}

/// A state without the rules of networks on that nic. They lead to a table that is empty without it: the
/// kernel keeps them, a rollback does not make them again.
fn without_rules(config: &NetConfig, nic: &str, text: &str) -> String {
    let lost = config.networks.iter().filter(|(_, net)| net.base.is_some_and(|base| base.device().as_str() == nic));
    let tables: Vec<String> =
        lost.filter_map(|(_, net)| net.ipv4).map(|it| format!(" lookup {} ", u32::from(it.addr))).collect();
    let stays = |line: &&str| !line.starts_with("rule ") || !tables.iter().any(|table| line.contains(table));
    text.lines().filter(stays).collect::<Vec<_>>().join("\n")
}

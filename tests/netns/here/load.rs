//! Load: fifty clients ask at once, wisely and otherwise, and the daemon is killed in between.
//!
//! What a client asks and what it holds of each answer is in `client.rs`, the lines that nobody should send
//! in `garbage.rs`. Here is the order of events, and what is left in the end. How long answers take is measured in
//! `bench/load`.

mod client;
mod garbage;
mod wire;
mod wish;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::lab::{Lab, Nics::Veth, story_with};
use crate::look::Look;
use client::{Client, Count, Ground};

const CLIENTS: usize = 50;
/// As many of them have a nic for their network; a bridge of the others has no port.
const NICS: usize = 12;
/// Requests while daemons die, then to one that gets warm, and then to the same one.
const STORMY: usize = 5000;
const WARM: usize = 2000;
const MEASURED: usize = 3000;
const KILLS: usize = 5;

#[test]
fn under_load_no_answer_is_wrong_and_nothing_is_left() {
    story_with("max_request_bytes = 65536\nhistory_entries = 10000", Veth, NICS, |lab| {
        let ground = Ground { socket: lab.path("socket"), longest_line: 65536, nics: NICS, deaths: Arc::default() };
        let mut clients: Vec<Client> = (0..CLIENTS).map(|number| Client::new(number, &ground)).collect();
        let begun = Instant::now();
        storm(lab, &mut clients, &ground.deaths);
        ask(&mut clients, WARM);
        let warm = Vitals::at_rest(lab, &mut clients);
        ask(&mut clients, MEASURED);
        let took = begun.elapsed();
        let end = Vitals::at_rest(lab, &mut clients);
        let counts =
            clients.iter().flat_map(|client| &client.counts).fold(BTreeMap::new(), |mut all, (what, count)| {
                *all.entry(*what).or_insert(0) += count;
                all
            });
        eprintln!("{took:?}; {counts:?}; warm {warm:?}, in the end {end:?}");
        warm.is_as_good_as(&end);
        for what in [Count::Done, Count::Busy, Count::Refused, Count::Read, Count::Planned] {
            assert!(counts.contains_key(&what), "never {what:?}: {counts:?}");
        }
        assert!(counts[&Count::Lost] >= KILLS, "nobody met a kill: {counts:?}");
        agrees(lab, &clients);
        drop(clients);
        is_left_alone(lab, &end);
    });
}

/// All ask, until so many requests were made.
fn ask(clients: &mut [Client], requests: usize) {
    let left = AtomicUsize::new(requests);
    thread::scope(|scope| {
        for client in clients {
            scope.spawn(|| client.ask(&left));
        }
    });
}

/// The same while the daemon is killed now and then, and always in the middle of a change.
fn storm(lab: &mut Lab, clients: &mut [Client], deaths: &AtomicUsize) {
    let left = AtomicUsize::new(STORMY);
    thread::scope(|scope| {
        let threads: Vec<_> = clients.iter_mut().map(|client| scope.spawn(|| client.ask(&left))).collect();
        for kill in 1..=KILLS {
            while left.load(Ordering::SeqCst) > STORMY - STORMY * kill / (KILLS + 1) {
                assert!(!threads.iter().all(ScopedJoinHandle::is_finished), "all clients have failed");
                thread::sleep(Duration::from_millis(1));
            }
            let end = Instant::now() + Duration::from_secs(10);
            while !lab.path("run/journal").exists() && Instant::now() < end {}
            lab.kill();
            deaths.fetch_add(1, Ordering::SeqCst);
            lab.start();
        }
    });
    for client in clients {
        client.learn();
    }
}

/// The host, the running configuration and the history are what the clients were told.
fn agrees(lab: &mut Lab, clients: &[Client]) {
    let look = Look::now();
    let stored = lab.running_files();
    for client in clients {
        let (name, wish) = (client.name(), client.wish());
        assert_eq!(look.has(name), wish.is_some(), "{name}: {wish:?}");
        let file = stored.get(&format!("nets/{name}"));
        assert_eq!(file.is_some(), wish.is_some(), "{name}: {wish:?}");
        let Some(wish) = wish else { continue };
        assert_eq!(look.mtu(name), i64::from(wish.mtu), "{name}");
        assert_eq!(file.unwrap()["mtu"], wish.mtu, "{name}");
        assert_eq!(look.addresses(name), wish.address.iter().cloned().collect::<Vec<_>>(), "{name}");
        let ports: Vec<&str> = client.nic().into_iter().collect();
        assert_eq!(look.ports(name), ports, "{name}");
    }
    let ours = clients.iter().filter(|client| client.wish().is_some()).count();
    assert_eq!(stored.len(), ours, "{stored:?}");
    assert_eq!(lab.call("Host.checkNetworks", json!({})).unwrap()["in_sync"], true);

    let listed = lab.call("Host.getHistory", json!({})).unwrap();
    let entry = |entry: &Value| (entry["number"].as_u64().unwrap(), entry["reason"].as_str().unwrap().to_owned());
    let entries: BTreeMap<u64, String> = listed["entries"].as_array().unwrap().iter().map(entry).collect();
    let told: BTreeMap<u64, String> = clients.iter().flat_map(|client| client.done.clone()).collect();
    let of_nobody_told: BTreeSet<&String> = clients.iter().flat_map(|client| &client.unheard).collect();
    for (number, reason) in &told {
        assert_eq!(entries.get(number), Some(reason), "entry {number}");
    }
    for (number, reason) in entries.iter().filter(|(number, _)| !told.contains_key(number)) {
        assert!(of_nobody_told.contains(reason), "entry {number} is '{reason}', which was not done");
    }
    let reasons: BTreeSet<&String> = entries.values().collect();
    assert_eq!(reasons.len(), entries.len(), "something was done twice: {entries:?}");
}

/// Whoever was connected or started is gone.
fn is_left_alone(lab: &Lab, crowded: &Vitals) {
    let end = Instant::now() + Duration::from_secs(30);
    while Vitals::of(lab).files + CLIENTS > crowded.files {
        assert!(Instant::now() < end, "{:?}, with clients {crowded:?}", Vitals::of(lab));
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(lab.processes("vdsm-deadman"), [0; 0]);
    assert_eq!(lab.processes("vdsm-dhcp").as_slice(), lab.dhcp_pid().as_slice());
}

/// What a daemon holds while nobody asks.
#[derive(Debug)]
struct Vitals {
    /// Of memory (`VmRSS`), in KiB.
    memory: usize,
    files: usize,
    threads: usize,
}

impl Vitals {
    fn of(lab: &Lab) -> Vitals {
        let proc = |name: &str| format!("/proc/{}/{name}", lab.pid());
        let status = std::fs::read_to_string(proc("status")).unwrap();
        let number = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
            line.split_whitespace().next().unwrap().parse().unwrap()
        };
        let files = std::fs::read_dir(proc("fd")).unwrap().count();
        Vitals { memory: number("VmRSS:"), files, threads: number("Threads:") }
    }

    /// With all clients connected, and who left his connection forgotten.
    fn at_rest(lab: &Lab, clients: &mut [Client]) -> Vitals {
        clients.iter_mut().for_each(Client::ping);
        thread::sleep(Duration::from_secs(1));
        Vitals::of(lab)
    }

    /// After some thousand requests more: less than a kilobyte for each, and no descriptor.
    #[track_caller]
    fn is_as_good_as(&self, later: &Vitals) {
        assert!(later.memory < self.memory + MEASURED, "{self:?}, later {later:?}");
        assert_eq!(later.files, self.files, "{self:?}, later {later:?}");
        assert!(later.threads <= self.threads + 4, "{self:?}, later {later:?}");
    }
}

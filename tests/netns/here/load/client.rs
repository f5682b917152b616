//! One client: what it asks, and what it holds of the answers.
//!
//! It alone changes its network, so it knows at any moment how it must be, but for a change whose answer
//! was lost: then it is one of two.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::garbage;
use super::wire::{Outcome, Wire, judged};
use super::wish::{Wish, wrong};
use crate::common::random::Random;

/// A daemon that was killed has a successor by then.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often a change is tried.
const ATTEMPTS: usize = 5;

/// What all clients know.
#[derive(Clone)]
pub struct Ground {
    pub socket: PathBuf,
    /// In bytes.
    pub longest_line: usize,
    /// So many clients have a nic for their network.
    pub nics: usize,
    /// How many daemons were killed.
    pub deaths: Arc<AtomicUsize>,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Count {
    Read,
    Planned,
    Done,
    Busy,
    Refused,
    /// Undone for want of a sign of life.
    Unconfirmed,
    Garbage,
    /// The daemon was killed.
    Lost,
}

pub struct Client {
    pub ground: Ground,
    name: String,
    number: usize,
    nic: Option<String>,
    pub random: Random,
    /// The connection, and how many daemons had been killed before it.
    wire: Option<(Wire, usize)>,
    last_id: u64,
    /// How the network is.
    wish: Option<Wish>,
    /// How it was to become when the answer was lost.
    perhaps: Option<Option<Wish>>,
    pub counts: BTreeMap<Count, usize>,
    /// Entries of the history, and the reasons given for them.
    pub done: Vec<(u64, String)>,
    /// The reasons of changes whose answers were lost.
    pub unheard: Vec<String>,
}

impl Client {
    pub fn new(number: usize, ground: &Ground) -> Client {
        Client {
            ground: ground.clone(),
            name: format!("net{number}"),
            number,
            nic: (number < ground.nics).then(|| format!("veth_{number}")),
            random: Random(number as u64),
            wire: None,
            last_id: 0,
            wish: None,
            perhaps: None,
            counts: BTreeMap::new(),
            done: Vec::new(),
            unheard: Vec::new(),
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn nic(&self) -> Option<&str> {
        self.nic.as_deref()
    }

    pub fn wish(&self) -> Option<&Wish> {
        assert_eq!(self.perhaps, None);
        self.wish.as_ref()
    }

    /// Asks this and that, and thinks in between, while there are requests left.
    pub fn ask(&mut self, left: &AtomicUsize) {
        while left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
            self.learn();
            thread::sleep(Duration::from_millis(self.random.below(80) as u64));
            match self.random.below(100) {
                0..25 => self.ping(),
                25..35 => self.stats(),
                35..43 => self.capabilities(),
                43..48 => self.topology(),
                48..53 => self.check(),
                53..63 => self.plan(),
                63..83 => self.change(),
                _ => garbage::send(self),
            }
        }
    }

    /// Whatever became of the change whose answer was lost.
    pub fn learn(&mut self) {
        while self.perhaps.is_some() {
            self.capabilities();
        }
    }

    pub fn counted(&mut self, what: Count) {
        *self.counts.entry(what).or_insert(0) += 1;
    }

    pub fn ping(&mut self) {
        // Some say more than one thing before they listen; the answers come in any order.
        let calls = vec![("Host.ping2", json!({})); 1 + self.random.below(3)];
        let Some(ids) = self.say(&calls) else { return };
        let Some(outcomes) = self.hear(&ids) else { return };
        for outcome in outcomes.into_values() {
            assert_eq!(outcome.unwrap(), json!({ "status": { "code": 0, "message": "Done" } }));
            self.counted(Count::Read);
        }
    }

    fn stats(&mut self) {
        let Some(told) = self.read("Host.getStats") else { return };
        let network = told["network"].as_object().unwrap();
        assert!(self.nic.iter().all(|nic| network[nic]["name"] == nic.as_str()), "{network:?}");
    }

    fn capabilities(&mut self) {
        let Some(told) = self.read("Host.getCapabilities") else { return };
        let told = told["networks"].get(&self.name);
        let nic = self.nic.clone();
        let fits = |wish: &Option<Wish>| match (wish, told) {
            (None, None) => true,
            (Some(wish), Some(told)) => wish.is(told, nic.as_deref()),
            _ => false,
        };
        let perhaps = self.perhaps.take();
        if let Some(perhaps) = perhaps.clone().filter(fits) {
            self.wish = perhaps;
        }
        assert!(fits(&self.wish), "{told:?} is not {:?}, perhaps {perhaps:?}", self.wish);
    }

    fn topology(&mut self) {
        let Some(told) = self.read("Host.getTopology") else { return };
        let net = told["networks"].as_array().unwrap().iter().find(|net| net["name"] == self.name);
        assert_eq!(net.map(|net| &net["mtu"]), self.wish.as_ref().map(|wish| json!(wish.mtu)).as_ref());
        assert!(net.is_none_or(|net| net["state"] == "in_sync"), "{net:?}");
    }

    fn check(&mut self) {
        match self.call("Host.checkNetworks", json!({})) {
            None => {}
            Some(Ok(told)) => {
                assert_eq!(told["in_sync"], true, "{told}");
                self.counted(Count::Read);
            }
            // Changes follow one another.
            Some(Err(error)) => {
                assert_eq!(error.code, 40, "{error:?}");
                self.counted(Count::Busy);
            }
        }
    }

    fn read(&mut self, method: &str) -> Option<Value> {
        let told = self.call(method, json!({}))?.unwrap_or_else(|error| panic!("{method}: {error:?}"));
        self.counted(Count::Read);
        Some(told)
    }

    fn plan(&mut self) {
        let wish = self.any_wish();
        match self.call("Host.planNetworks", json!({ "networks": self.networks(wish.as_ref()) })) {
            None => {}
            Some(Ok(told)) => {
                let steps = told["plan"].as_array().unwrap();
                assert_eq!(steps.is_empty(), wish == self.wish, "from {:?} to {wish:?}: {told}", self.wish);
                self.counted(Count::Planned);
            }
            Some(Err(error)) => {
                assert_eq!((error.code, &wish, &self.wish), (27, &None, &None), "{error:?}");
                self.counted(Count::Refused);
            }
        }
    }

    /// A removal as well, also of what is not there.
    fn any_wish(&mut self) -> Option<Wish> {
        (!self.random.chance(25)).then(|| Wish::any(&mut self.random, self.number))
    }

    fn networks(&self, wish: Option<&Wish>) -> Value {
        let network = wish.map_or_else(|| json!({ "remove": true }), |wish| wish.network(self.nic()));
        json!({ self.name.clone(): network })
    }

    fn change(&mut self) {
        let reason = format!("{}, {}", self.name, self.last_id);
        let (seconds, confirms) =
            self.random.pick(&[(0.0, false), (0.0, false), (0.0, false), (0.03, false), (20.0, true)]);
        let options = match seconds {
            0.0 => json!({ "connectivityCheck": false, "reason": reason }),
            seconds => json!({ "connectivityTimeout": seconds, "reason": reason }),
        };
        if self.random.chance(15) {
            let (code, network) = wrong(&mut self.random);
            let params = json!({ "networks": { self.name.clone(): network }, "options": options });
            return match self.call("Host.setupNetworks", params) {
                None => {}
                Some(outcome) => self.is_refused(code, &outcome.unwrap_err()),
            };
        }
        let wish = self.any_wish();
        let params = json!({ "networks": self.networks(wish.as_ref()), "options": options });
        let outcome = self.insistent(&params, confirms);
        match outcome {
            None => {
                self.perhaps = Some(wish);
                self.unheard.push(reason);
            }
            Some(Ok(told)) => self.is_done(wish, reason, &told),
            // Whoever confirms his own change at that moment confirms this one, too.
            Some(Err(error)) if error.code == 10 && seconds == 0.03 => {
                assert_eq!(error.data.unwrap()["rolled_back"], true);
                self.counted(Count::Unconfirmed);
            }
            Some(Err(error)) => {
                let is_absent = wish.is_none() && self.wish.is_none();
                self.is_refused(if is_absent { 27 } else { 40 }, &error);
            }
        }
        if self.random.chance(50) {
            self.learn();
            self.capabilities();
        }
    }

    /// Tries a change a few times if another one is under way.
    fn insistent(&mut self, params: &Value, confirms: bool) -> Option<Outcome> {
        for _ in 1..ATTEMPTS {
            match self.setup(params, confirms)? {
                Err(error) if error.code == 40 => self.counted(Count::Busy),
                outcome => return Some(outcome),
            }
            thread::sleep(Duration::from_millis(self.random.below(40) as u64));
        }
        self.setup(params, confirms)
    }

    fn setup(&mut self, params: &Value, confirms: bool) -> Option<Outcome> {
        match confirms {
            true => self.confirmed(params.clone()),
            false => self.call("Host.setupNetworks", params.clone()),
        }
    }

    fn is_done(&mut self, wish: Option<Wish>, reason: String, told: &Value) {
        assert_eq!(told["status"]["code"], 0, "{told}");
        let changes = wish != self.wish;
        assert_eq!(told["changed"], changes, "from {:?} to {wish:?}: {told}", self.wish);
        assert_eq!(told["history"].is_u64(), changes, "{told}");
        self.done.extend(told["history"].as_u64().map(|number| (number, reason)));
        self.wish = wish;
        self.counted(Count::Done);
    }

    /// With this code, unless another change was under way.
    #[track_caller]
    pub fn is_refused(&mut self, code: i64, error: &vdsm_net::rpc::RpcError) {
        if error.code == 40 {
            return self.counted(Count::Busy);
        }
        assert_eq!(error.code, code, "{error:?}");
        assert_eq!(error.data.as_ref().unwrap()["problems"][0]["code"], code, "{error:?}");
        self.counted(Count::Refused);
    }

    /// A change, and signs of life on the same connection until it is done.
    fn confirmed(&mut self, params: Value) -> Option<Outcome> {
        let setup = self.say(&[("Host.setupNetworks", params)])?;
        let mut waiting = setup.clone();
        let mut outcomes = BTreeMap::new();
        while !setup.iter().all(|id| outcomes.contains_key(id)) {
            let is_told = self.wire().is_told(5);
            if is_told {
                let (id, outcome) = self.hear_one(&waiting)?;
                waiting.remove(&id);
                outcomes.insert(id, outcome);
            } else if waiting.len() < 8 {
                waiting.extend(self.say(&[("Host.confirmConnectivity", json!({}))])?);
            }
        }
        outcomes.extend(self.hear(&waiting)?);
        let outcome = setup.first().and_then(|id| outcomes.remove(id));
        assert!(outcomes.values().all(Result::is_ok), "{outcomes:?}");
        outcome
    }

    /// None: the daemon was killed meanwhile.
    pub fn call(&mut self, method: &str, params: Value) -> Option<Outcome> {
        let ids = self.say(&[(method, params)])?;
        self.hear(&ids)?.into_values().next()
    }

    /// Sends calls at once; their ids.
    fn say(&mut self, calls: &[(&str, Value)]) -> Option<BTreeSet<u64>> {
        let first = self.last_id + 1;
        let line = |(method, params): &(&str, Value)| {
            self.last_id += 1;
            json!({ "jsonrpc": "2.0", "id": self.last_id, "method": method, "params": params }).to_string() + "\n"
        };
        let lines: String = calls.iter().map(line).collect();
        let sent = self.wire().send(lines.as_bytes());
        self.unless_lost(sent)?;
        Some((first..=self.last_id).collect())
    }

    fn hear(&mut self, ids: &BTreeSet<u64>) -> Option<BTreeMap<u64, Outcome>> {
        let mut waiting = ids.clone();
        let mut outcomes = BTreeMap::new();
        while !waiting.is_empty() {
            let (id, outcome) = self.hear_one(&waiting)?;
            waiting.remove(&id);
            outcomes.insert(id, outcome);
        }
        Some(outcomes)
    }

    fn hear_one(&mut self, waiting: &BTreeSet<u64>) -> Option<(u64, Outcome)> {
        let heard = self.wire().hear();
        let (id, outcome) = judged(self.unless_lost(heard)?);
        let id = id.as_u64().filter(|id| waiting.contains(id));
        Some((id.unwrap_or_else(|| panic!("{outcome:?} is the answer to none of {waiting:?}")), outcome))
    }

    /// What a connection gives, unless its daemon was killed; it ends for no other reason.
    pub fn unless_lost<T>(&mut self, given: std::io::Result<T>) -> Option<T> {
        let error = match given {
            Ok(given) => return Some(given),
            Err(error) => error,
        };
        let before = self.wire.take().map_or(0, |(_, deaths)| deaths);
        let end = Instant::now() + PATIENCE;
        while self.ground.deaths.load(Ordering::SeqCst) == before {
            assert!(Instant::now() < end, "the daemon left us: {error}");
            thread::sleep(Duration::from_millis(1));
        }
        self.counted(Count::Lost);
        None
    }

    /// The connection, or a new one.
    pub fn wire(&mut self) -> &mut Wire {
        let Ground { socket, deaths, .. } = &self.ground;
        let connect = || {
            let end = Instant::now() + PATIENCE;
            loop {
                let before = deaths.load(Ordering::SeqCst);
                match Wire::connect(socket) {
                    Ok(wire) => return (wire, before),
                    Err(error) => assert!(Instant::now() < end, "nobody answers: {error}"),
                }
                thread::sleep(Duration::from_millis(5));
            }
        };
        &mut self.wire.get_or_insert_with(connect).0
    }

    /// Leaves, without another word.
    pub fn leave(&mut self) {
        self.wire = None;
    }

    pub fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }
}

//! Somebody who listens to the daemon's events, and patience for what is to come.
//!
//! Nothing here waits for a fixed time: either what is waited for comes, or the story has failed.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use vdsm_net::client::Client;
use vdsm_net::events;

use crate::lab::Lab;
use crate::look::Look;

/// Longer than anything takes on the slowest ground.
const PATIENCE: Duration = Duration::from_secs(60);

/// Looks at the host until it is as it should be.
#[track_caller]
pub fn until(what: &str, is_so: impl Fn(&Look) -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so(&Look::now()) {
        assert!(Instant::now() < end, "it never came to this: {what}\n{}", Look::now().text(None));
        thread::sleep(Duration::from_millis(2));
    }
}

/// A subscriber.
pub struct Ears {
    client: Client,
    heard: Vec<String>,
}

impl Ears {
    /// Listens from now on, to these kinds of events; to all if there are none.
    pub fn open(lab: &Lab, kinds: &[&str]) -> Ears {
        let mut client = lab.client();
        let params = if kinds.is_empty() { json!({}) } else { json!({ "events": kinds }) };
        client.call("Host.subscribe", params).unwrap();
        Ears { client, heard: Vec::new() }
    }

    /// Drift alone.
    pub fn for_drift(lab: &Lab) -> Ears {
        Ears::open(lab, &["out_of_sync", "in_sync"])
    }

    /// The next event, as it comes.
    #[track_caller]
    pub fn next(&mut self) -> Value {
        let Some(notification) = self.client.next_notification(Some(PATIENCE)).unwrap() else {
            panic!("nothing more is said, after {:#?}", self.heard);
        };
        assert_eq!(notification.method, events::METHOD);
        let params = notification.params;
        assert!(params["time"].as_f64().is_some_and(|time| time > 1.7e9), "{params}");
        self.heard.push(events::sentence(&params));
        params
    }

    /// All that is said until this is said, which comes last.
    #[track_caller]
    pub fn until(&mut self, sentence: &str) -> Vec<String> {
        self.until_one(|it| it == sentence, sentence)
    }

    /// The same for a sentence that begins like this.
    #[track_caller]
    pub fn until_like(&mut self, start: &str) -> Vec<String> {
        self.until_one(|it| it.starts_with(start), start)
    }

    #[track_caller]
    fn until_one(&mut self, is_it: impl Fn(&str) -> bool, what: &str) -> Vec<String> {
        let end = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < end, "{what}: never said, but {:#?}", self.heard);
            self.next();
            if self.heard.last().is_some_and(|it| is_it(it)) {
                return std::mem::take(&mut self.heard);
            }
        }
    }
}

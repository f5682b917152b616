//! The other end: where it is, and what is told while it works.
//!
//! What the methods mean is not known here.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use vdsm_net::client::{Client, ClientError};
use vdsm_net::conf::{ConfError, Settings};

use crate::arguments::Arguments;
use crate::outcome::Failure;
use crate::progress::{FIRST, Progress};

/// A connection to the daemon.
pub(crate) struct Daemon {
    client: Client,
    meanwhile: Meanwhile,
}

/// What is told while an answer is awaited.
enum Meanwhile {
    Nothing,
    Waiting,
    Question(File),
}

/// A daemon that lives takes a connection at once.
const CONNECT: Duration = Duration::from_secs(5);

impl Daemon {
    /// Connects to the daemon that the arguments mean.
    pub(crate) fn reach(arguments: &Arguments) -> Result<Daemon, Failure> {
        let client = Client::connect(&socket(arguments)?, CONNECT)?;
        let meanwhile = match io::stderr().is_terminal() {
            true => Meanwhile::Waiting,
            false => Meanwhile::Nothing,
        };
        Ok(Daemon { client, meanwhile })
    }

    /// Says nothing while it waits.
    #[must_use]
    pub(crate) fn silent(self) -> Daemon {
        Daemon { meanwhile: Meanwhile::Nothing, ..self }
    }

    /// During the next call asks the person at `screen` for a sign of life.
    pub(crate) fn ask_on(&mut self, screen: File) {
        self.meanwhile = Meanwhile::Question(screen);
    }

    /// Calls a method, and waits for as long as it takes.
    pub(crate) fn call(&mut self, method: &str, params: Value) -> Result<Value, ClientError> {
        let _progress = match std::mem::replace(&mut self.meanwhile, Meanwhile::Nothing) {
            Meanwhile::Nothing => None,
            Meanwhile::Waiting => Some(Progress::on(io::stderr(), "the daemon is at work", FIRST)),
            Meanwhile::Question(screen) => Some(Progress::on(screen, QUESTION, FIRST)),
        };
        self.client.call(method, params)
    }
}

impl Daemon {
    /// The next thing the daemon says unasked; none when it says nothing within that time.
    pub(crate) fn next_event(&mut self, within: Duration) -> Result<Option<Value>, ClientError> {
        Ok(self.client.next_notification(Some(within))?.map(|notification| notification.params))
    }
}

const QUESTION: &str = "if you can read this, press Enter; else the change is undone";

fn socket(arguments: &Arguments) -> Result<PathBuf, ConfError> {
    // A broken vdsm.conf does not stand in the way of who knows the socket; who names both wants both
    // to be right.
    if let (None, Some(socket)) = (&arguments.config, &arguments.socket) {
        return Ok(socket.clone());
    }
    let settings = Settings::named(arguments.config.as_deref())?;
    Ok(arguments.socket.clone().unwrap_or(settings.socket))
}

//! setup-networks: the file, the call, and the person who has to confirm it.
//!
//! Everything that can be said without the daemon is said before it is called.

use serde_json::Value;

use crate::arguments::Wish;
use crate::confirm;
use crate::daemon::Daemon;
use crate::input::{Confirmation, Document};
use crate::outcome::{Answer, Failure, Outcome};
use crate::words;

/// Sends the file's wish to the daemon that `reach` finds.
pub(crate) fn perform(wish: &Wish, reach: impl Fn() -> Result<Daemon, Failure>) -> Outcome {
    let mut document = Document::load(&wish.file)?;
    if !wish.allow_unknown {
        document = document.without_unknown_keys(&wish.file)?;
    }
    if let Some(reason) = &wish.reason {
        document = document.with_reason(reason);
    }
    if wish.plan {
        let params = document.into_params(Confirmation::AsTheFileSays);
        let json = reach()?.call("Host.planNetworks", params)?;
        return Ok(Answer { text: words::plan(&json), warnings: words::warnings(&json), json, ..Answer::default() });
    }
    let json = match wish.confirm {
        false => reach()?.call(SETUP, document.into_params(Confirmation::AsTheFileSays))?,
        true => asking(SETUP, document.into_params(Confirmation::Person), reach)?,
    };
    Ok(Answer { text: words::done(&json), warnings: words::warnings(&json), json, ..Answer::default() })
}

const SETUP: &str = "Host.setupNetworks";

/// The call waits for the person, so the person's word needs a connection of its own.
pub(crate) fn asking(
    method: &str,
    params: Value,
    reach: impl Fn() -> Result<Daemon, Failure>,
) -> Result<Value, Failure> {
    let (keys, screen) = confirm::terminal().map_err(Failure::NoTerminal)?;
    let (mut caller, mut confirmer) = (reach()?, reach()?.silent());
    caller.ask_on(screen);
    confirm::forward(keys, move || confirmer.call("Host.confirmConnectivity", Value::Null).is_ok());
    Ok(caller.call(method, params)?)
}

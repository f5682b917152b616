//! setup-networks: the file, the call, and the person who has to confirm it.
//!
//! Everything that can be said without the daemon is said before it is called.

use std::net::IpAddr;

use serde_json::{Value, json};

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
        let params = from_afar(document.into_params(Confirmation::AsTheFileSays));
        let json = reach()?.call("Host.planNetworks", params)?;
        return Ok(Answer { text: words::plan(&json), warnings: words::warnings(&json), json, ..Answer::default() });
    }
    let json = match wish.confirm {
        false => reach()?.call(SETUP, from_afar(document.into_params(Confirmation::AsTheFileSays)))?,
        true => asking(SETUP, from_afar(document.into_params(Confirmation::Person)), reach)?,
    };
    Ok(Answer { text: words::done(&json), warnings: words::warnings(&json), json, ..Answer::default() })
}

/// Who sits behind SSH is not to lose the host: the daemon is told where he is, unless the file says so.
pub(crate) fn from_afar(mut params: Value) -> Value {
    let peer = std::env::var("SSH_CONNECTION").ok().and_then(|text| peer_of(&text));
    if let (Some(peer), Some(options)) = (peer, params["options"].as_object_mut())
        && options.get("peer").is_none_or(Value::is_null)
    {
        options.insert("peer".to_owned(), json!(peer));
    }
    params
}

/// sshd(8): client's address and port, and the server's.
fn peer_of(connection: &str) -> Option<IpAddr> {
    let client = connection.split(' ').next()?;
    client.split('%').next()?.parse().ok()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_by_ssh_is_known_by_his_address() {
        for (connection, peer) in [
            ("192.0.2.9 52110 192.0.2.1 22", Some("192.0.2.9")),
            ("fe80::9%eth0 52110 fe80::1%eth0 22", Some("fe80::9")),
            ("", None),
            ("UNKNOWN 65535 UNKNOWN 65535", None),
        ] {
            assert_eq!(peer_of(connection).map(|it| it.to_string()).as_deref(), peer, "{connection}");
        }
    }
}

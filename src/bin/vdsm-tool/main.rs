//! The command line: one call to the daemon, told to a person or, with `--json`, to a script.
//!
//! Wiring only: what can be asked for is in `arguments`, how it ends in `outcome`, and the words
//! are in `words`. Nothing here decides about networks, that is the daemon's. Only unknown keys
//! are turned away before it hears of them (`setup`), and files of a former VDSM are removed
//! without it (`leftovers`), since at that hour of the boot it does not run yet.

mod arguments; // what one can type
mod confirm; // a person's sign of life
mod daemon; // the other end, and how long it takes
mod explain; // what a code means
mod history; // history, diff and rollback
mod input; // a file becomes a request
mod leftovers; // remove-net-persistence
mod outcome; // what came of it, and the exit code
mod progress; // the line that says so
mod setup; // setup-networks
mod watching; // monitor and top
mod words; // what a person reads

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use serde_json::{Value, json};

use arguments::{Arguments, Command, Format};
use daemon::Daemon;
use outcome::{Answer, Outcome, report};
use watching::Shown;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = perform(&arguments);
    let told = report(&outcome, arguments.json, &mut io::stdout().lock());
    // Where even stderr is closed nobody is left to tell.
    told.errors.iter().for_each(|line| drop(writeln!(io::stderr(), "{line}")));
    told.exit.into()
}

fn perform(arguments: &Arguments) -> Outcome {
    match &arguments.command {
        Command::SetupNetworks(wish) => setup::perform(wish, || Daemon::reach(arguments)),
        Command::SetSafeConfig => {
            let json = Daemon::reach(arguments)?.call("Host.setSafeNetworkConfig", Value::Null)?;
            let text = "the running networks are safe: they will be restored at boot\n".to_owned();
            Ok(Answer { text, json, ..Answer::default() })
        }
        Command::RestoreNets { force } => {
            let params = json!({ "force": force });
            let json = Daemon::reach(arguments)?.call("Host.restoreNetworks", params)?;
            Ok(Answer { text: words::restored(&json), json, ..Answer::default() })
        }
        Command::History { number, count } => history::history(Daemon::reach(arguments)?, *number, *count),
        Command::Diff { old, new } => history::diff(Daemon::reach(arguments)?, *old, *new),
        Command::Rollback(way) => history::rollback(way, || Daemon::reach(arguments)),
        Command::Show => {
            let json = Daemon::reach(arguments)?.call("Host.getTopology", Value::Null)?;
            let text = vdsm_net::show::tree(&json, colour());
            Ok(Answer { text, json, ..Answer::default() })
        }
        Command::Check { heal } => {
            let method = if *heal { "Host.healNetworks" } else { "Host.checkNetworks" };
            let json = Daemon::reach(arguments)?.call(method, Value::Null)?;
            let differs = json["in_sync"] != Value::Bool(true);
            Ok(Answer { text: words::checked(&json), json, differs, ..Answer::default() })
        }
        Command::Graph { format } => {
            let json = Daemon::reach(arguments)?.call("Host.getTopology", Value::Null)?;
            let text = match format {
                Format::Svg => vdsm_net::picture::svg(&json),
                Format::Dot => vdsm_net::picture::dot(&json),
                Format::Mermaid => vdsm_net::picture::mermaid(&json),
            };
            Ok(Answer { text, json, ..Answer::default() })
        }
        Command::Monitor { events } => watching::monitor(Daemon::reach(arguments)?, events, arguments.json),
        Command::Top { interval, frames } => {
            let how = if arguments.json { Shown::Json } else { Shown::Screen { colour: colour() } };
            watching::top(Daemon::reach(arguments)?, *interval, *frames, how)
        }
        Command::Caps => raw(Daemon::reach(arguments)?, "Host.getCapabilities", Value::Null),
        Command::Explain { code } => explain::explain(code.as_deref()),
        Command::Call { method, params } => raw(Daemon::reach(arguments)?, method, params.clone().unwrap_or_default()),
        Command::RemoveNetPersistence { dir } => leftovers::remove(dir),
    }
}

/// A call whose answer is JSON whoever reads it.
fn raw(mut daemon: Daemon, method: &str, params: Value) -> Outcome {
    let json = daemon.call(method, params)?;
    Ok(Answer { text: words::pretty(&json), json, ..Answer::default() })
}

/// Colours are for eyes, and for those who want them: <https://no-color.org>.
fn colour() -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|it| !it.is_empty());
    watching::is_terminal() && !unwanted
}

#[cfg(test)]
mod daemon_tests;

//! What came of a command: an answer or a failure, its words, its JSON and the exit code.
//!
//! The numbers are promised in `--help`. Which words there are for an answer is in `words`.

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use serde_json::{Value, json};
use vdsm_model::problem::Code;
use vdsm_net::api::NOT_ALLOWED;
use vdsm_net::client::ClientError;
use vdsm_net::conf::ConfError;
use vdsm_net::rpc::RpcError;
use vdsm_net::transaction::chain;

use crate::input::InputError;
use crate::words::{self, plain};

/// What a command came to.
pub(crate) type Outcome = Result<Answer, Failure>;

/// It was done.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// For a person, with the final newline.
    pub(crate) text: String,
    /// For a program.
    pub(crate) json: Value,
    /// What a person should know besides.
    pub(crate) warnings: Vec<String>,
    /// Parts that were not done; the exit code tells of them.
    pub(crate) failed: Vec<String>,
    /// The host is not as it should be; the exit code tells of it.
    pub(crate) differs: bool,
}

/// It was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The daemon said no, or did not answer.
    #[error(transparent)]
    Call(#[from] ClientError),
    /// The file brings no request.
    #[error(transparent)]
    Input(#[from] InputError),
    /// vdsm.conf cannot be used.
    #[error(transparent)]
    Conf(#[from] ConfError),
    /// The directory cannot be read.
    #[error("cannot read {0}")]
    Directory(String, #[source] io::Error),
    /// There is nothing more to look at.
    #[error("the daemon has ended")]
    Ended,
    /// What was to be shown cannot be.
    #[error("cannot print")]
    Print(#[source] io::Error),
    /// Nothing is known of this code.
    #[error("there is no code {0}; vdsm-tool explain lists them")]
    NoCode(String),
    /// Nobody is there to be asked.
    #[error("--confirm asks on the terminal, and there is none")]
    NoTerminal(#[source] io::Error),
}

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Done = 0,
    Failed = 1,
    Usage = 2,
    Refused = 3,
    RolledBack = 4,
    Stuck = 5,
    Unreachable = 6,
    NotAllowed = 7,
    Busy = 8,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

impl From<&RpcError> for Exit {
    fn from(error: &RpcError) -> Exit {
        const BUSY: i64 = Code::Unavailable as i64;
        const BAD_PARAMS: i64 = Code::BadParams as i64;
        const USED_BRIDGE: i64 = Code::UsedBridge as i64;
        const USED_BOND: i64 = Code::UsedBond as i64;
        const HOOK: i64 = Code::HookError as i64;
        match (words::rolled_back(error), error.code) {
            (Some(true), _) => Exit::RolledBack,
            (Some(false), _) => Exit::Stuck,
            (None, NOT_ALLOWED) => Exit::NotAllowed,
            (None, BUSY) => Exit::Busy,
            (None, BAD_PARAMS..=USED_BRIDGE | USED_BOND | HOOK) => Exit::Refused,
            (None, _) => Exit::Failed,
        }
    }
}

impl Failure {
    fn exit(&self) -> Exit {
        match self {
            Failure::Call(ClientError::Rpc(error)) => error.into(),
            Failure::Call(ClientError::Unreachable { .. }) => Exit::Unreachable,
            Failure::Input(InputError::Form { .. } | InputError::UnknownKeys { .. }) => Exit::Refused,
            Failure::NoTerminal(_) | Failure::NoCode(_) => Exit::Usage,
            Failure::Call(_) | Failure::Input(InputError::Unreadable { .. }) => Exit::Failed,
            Failure::Conf(_) | Failure::Directory(..) | Failure::Ended | Failure::Print(_) => Exit::Failed,
        }
    }

    /// Each problem a line.
    fn lines(&self) -> Vec<String> {
        match self {
            Failure::Call(ClientError::Rpc(error)) => words::error(error),
            Failure::Input(InputError::UnknownKeys { problems, .. }) => {
                let mut lines: Vec<String> =
                    problems.iter().map(|p| format!("error: {}", plain(&p.to_string()))).collect();
                lines.push("Nothing was sent to the daemon; --allow-unknown sends keys of networks, bonds and options nobody knows.".to_owned());
                lines
            }
            Failure::Conf(error) => error.to_string().lines().map(|line| format!("error: {}", plain(line))).collect(),
            Failure::Call(error @ ClientError::Io(_)) => {
                let unknown = "Whether the call was carried out is not known: see vdsm-tool show.".to_owned();
                vec![format!("error: {}", plain(&chain(error))), unknown]
            }
            other => vec![format!("error: {}", plain(&chain(other)))],
        }
    }

    /// As the daemon's errors are. What it never heard of has its code for wrong requests, or none.
    fn json(&self) -> Value {
        match self {
            Failure::Call(ClientError::Rpc(error)) => json!(error),
            Failure::Input(InputError::UnknownKeys { problems, .. }) => {
                let one =
                    |p: &vdsm_model::problem::Problem| json!({ "code": p.code() as i64, "message": p.to_string() });
                let problems: Vec<Value> = problems.iter().map(one).collect();
                refused(&chain(self), problems)
            }
            Failure::Input(InputError::Form { .. }) => {
                let message = chain(self);
                refused(&message, vec![json!({ "code": Code::BadParams as i64, "message": message })])
            }
            other => json!({ "code": null, "message": chain(other) }),
        }
    }
}

fn refused(message: &str, problems: Vec<Value>) -> Value {
    let data = json!({ "problems": problems, "rolled_back": null, "leftover": [] });
    json!({ "code": Code::BadParams as i64, "message": message, "data": data })
}

/// What is left to say, and how to end.
#[derive(Debug, PartialEq)]
pub(crate) struct Told {
    /// The exit code.
    pub(crate) exit: Exit,
    /// For stderr.
    pub(crate) errors: Vec<String>,
}

/// Prints what came of it: to a person the answer, to a program the answer or the error.
pub(crate) fn report(outcome: &Outcome, as_json: bool, out: &mut dyn Write) -> Told {
    let (text, mut told) = match outcome {
        Ok(answer) => {
            // What is neither text nor JSON was printed as it came.
            let is_told = answer.text.is_empty() && answer.json.is_null();
            let text = if as_json && !is_told { words::pretty(&answer.json) } else { answer.text.clone() };
            let warnings = answer.warnings.iter().map(|w| format!("warning: {}", plain(w)));
            let failed = answer.failed.iter().map(|f| format!("error: {}", plain(f)));
            let exit = match (answer.failed.is_empty(), answer.differs) {
                (true, false) => Exit::Done,
                (true, true) => Exit::Refused,
                (false, _) => Exit::Failed,
            };
            (text, Told { exit, errors: warnings.chain(failed).collect() })
        }
        Err(failure) => {
            let text = if as_json { words::pretty(&failure.json()) } else { String::new() };
            (text, Told { exit: failure.exit(), errors: failure.lines() })
        }
    };
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // Who has read enough, as `head` has, is no failure of ours.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            told.errors.push(format!("error: cannot print the answer: {error}"));
            if told.exit == Exit::Done {
                told.exit = Exit::Failed;
            }
        }
        _ => {}
    }
    told
}

#[cfg(test)]
mod tests;

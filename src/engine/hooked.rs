//! A change with the site's scripts around it.
//!
//! Only what a caller asks for meets them: a restore at boot, and what we do by ourselves, must not
//! hang on a script. All of it is one change: while the scripts run no other one begins, and who
//! only looks does not wait.

use std::sync::atomic::Ordering;

use vdsm_model::request::Request;

use super::journal::Asker;
use super::{Engine, EngineError};
use crate::asked::Asked;
use crate::host::Host;
use crate::transaction::{Done, Transaction};

impl Engine {
    /// Does what a caller asks for, with the scripts before and after it.
    ///
    /// The request is judged before any script is run, and again as the scripts have left it. Once
    /// they have let it pass, scripts after it are told of its end, whatever that is.
    ///
    /// # Errors
    /// As [`Engine::setup`]; [`EngineError::Hook`] if a script was not content, and then nothing
    /// has been changed.
    pub fn setup_with_hooks(&self, asked: Asked, asker: &Asker) -> Result<Done, EngineError> {
        self.alone(|host| self.hooked(host, asked, asker, |asked| asked.read(self.unknown_keys)))
    }

    /// The same with the host in hand; `read` says what is meant.
    pub(super) fn hooked(
        &self,
        host: &mut Host,
        mut asked: Asked,
        asker: &Asker,
        read: impl Fn(&Asked) -> Request,
    ) -> Result<Done, EngineError> {
        self.dirty.store(true, Ordering::SeqCst);
        let mut request = read(&asked);
        let scripts = self.hooks.find();
        if !scripts.is_empty() {
            Transaction::plan(host, &self.running(), &request, &self.policy)?;
            asked = self.hooks.before(&scripts.before, asked)?;
            request = read(&asked);
        }
        let outcome = self.change(host, &request, asker);
        self.hooks.after(if outcome.is_ok() { &scripts.after } else { &scripts.after_fail }, &asked);
        outcome.map(|mut done| {
            done.warnings.extend(scripts.warnings);
            done
        })
    }
}

//! What is told of the host on request: capabilities, statistics, topology.
//!
//! Wiring: a moment of the host and the running configuration go to whoever makes the report. The
//! reports' keys and words are `caps.rs`'s, `stats.rs`'s and `topology.rs`'s.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use vdsm_model::netinfo::NetInfo;
use vdsm_model::problem::Code;

use crate::api::refused;
use crate::caps::{self, About, Visibility};
use crate::engine::{Engine, EngineError};
use crate::netinfo::CounterReader;
use crate::rpc::RpcError;
use crate::server::{RawJson, Reply};
use crate::stats::{Sampler, Stats};
use crate::topology::topology;

/// What reports need besides the engine.
pub struct Reports {
    visibility: Visibility,
    stats: Stats,
    sampler: Sampler,
}

/// A dump of ten thousand links' counters takes some milliseconds.
const COUNTERS_WITHIN: Duration = Duration::from_secs(30);

impl Reports {
    /// Reports that show what is visible.
    pub fn new(visibility: Visibility) -> Reports {
        let read = || CounterReader::open(COUNTERS_WITHIN)?.read();
        Reports { visibility, stats: Stats::new(), sampler: Sampler::new(read) }
    }

    /// Host.getCapabilities. `last_client` is the address from which the engine called.
    pub(crate) fn capabilities(&self, engine: &Engine, last_client: Option<&Value>) -> Result<Reply, RpcError> {
        let seen = look(engine)?;
        let about = About {
            visible: self.visibility.clone(),
            dirty: engine.is_dirty(),
            nameservers: seen.resolver.servers(),
            last_client: address(last_client)?,
        };
        Ok(RawJson::from(caps::capabilities(&seen, &engine.running(), &about)).into())
    }

    /// Host.getNetworkCapabilities.
    pub(crate) fn network_capabilities(&self, engine: &Engine) -> Result<Reply, RpcError> {
        let (seen, running) = (look(engine)?, engine.running());
        let nameservers = seen.resolver.servers();
        Ok(RawJson::from(caps::network_capabilities(&seen, &running, &self.visibility, &nameservers)).into())
    }

    /// Host.getStats.
    pub(crate) fn stats(&self, engine: &Engine) -> Result<Reply, RpcError> {
        let unreadable = |why| RpcError::new(Code::Unexpected as i64, why);
        let reading = self.sampler.counters().map_err(unreadable)?;
        let text = self.stats.sample(&reading.counters, reading.at, &*look(engine)?, &self.visibility);
        Ok(RawJson::from(text).into())
    }

    /// Host.getTopology.
    pub(crate) fn topology(&self, engine: &Engine) -> Result<Reply, RpcError> {
        let (seen, checked) = engine.survey().map_err(refused)?;
        let text = topology(&seen, &engine.running(), &checked, &seen.resolver.servers(), engine.is_unsaved());
        Ok(RawJson::from(text).into())
    }
}

fn look(engine: &Engine) -> Result<Arc<NetInfo>, RpcError> {
    engine.look().map_err(|error| refused(EngineError::Look(error)))
}

/// The caller's address, with or without the zone of a link-local one; what is no address has no
/// device, and is no reason to keep the report back.
fn address(given: Option<&Value>) -> Result<Option<IpAddr>, RpcError> {
    match given {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(text.split('%').next().and_then(|text| text.parse().ok())),
        Some(given) => Err(RpcError::invalid_params(format!("lastClient is {given}, but it must be a text"))),
    }
}

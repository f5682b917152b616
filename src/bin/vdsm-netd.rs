//! The daemon: wiring only. vdsm.conf, the engine, the socket, and systemd's word that we run.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use nix::unistd::Group;
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use vdsm_net::api::Api;
use vdsm_net::caps::Visibility;
use vdsm_net::conf::Settings;
use vdsm_net::deadman::Launcher;
use vdsm_net::engine::Engine;
use vdsm_net::hub::Hub;
use vdsm_net::keeper;
use vdsm_net::privileges;
use vdsm_net::reports::Reports;
use vdsm_net::server::{self, Limits};
use vdsm_net::transaction::chain;

/// The network daemon of a virtualisation host.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    /// The configuration file [default: /etc/vdsm/vdsm.conf, which may be missing]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    one_arena();
    if let Err(error) = privileges::keep(privileges::OF_THE_DAEMON) {
        eprintln!("vdsm-netd: cannot give up what it does not need: {error}");
        return ExitCode::FAILURE;
    }
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vdsm-netd: {}", chain(&*error));
            ExitCode::FAILURE
        }
    }
}

/// Requests run on changing threads. With an arena for each of them, glibc would touch fresh
/// memory for every thread and keep all of it: a re-applied request of 1000 networks then costs
/// five times as much now and then.
fn one_arena() {
    const KEEP: libc::c_int = 16 << 20;
    // SAFETY: mallopt only sets numbers, and no other thread runs yet.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEEP);
        libc::mallopt(libc::M_MMAP_THRESHOLD, KEEP);
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let settings = Settings::named(arguments.config.as_deref())?;
    settings.unknown.iter().for_each(|sentence| tracing::warn!("{sentence}"));
    let group = group(&settings)?;
    let inherited = server::inherited();
    let cannot = |e| format!("cannot listen on {}: {e}", settings.socket.display());
    if inherited.is_none() {
        server::make_way(&settings.socket).map_err(cannot)?;
    }
    let (engine, watch) = Engine::open(&settings)?;
    let engine = engine.with_dead_man(Launcher::new(arguments.config.as_deref(), &settings));
    let (engine, hub) = (Arc::new(engine), Arc::new(Hub::default()));
    let visibility =
        Visibility { hidden_bonds: settings.hidden_bonds.clone(), hidden_vlans: settings.hidden_vlans.clone() };
    let (watch, keeper) = keeper::start(Arc::clone(&engine), watch, Arc::clone(&hub), settings.drift)?;
    let api = Arc::new(Api::new(engine, hub, Reports::new(visibility)));

    let ours = inherited.is_none();
    let listener = match inherited {
        Some(listener) => listener,
        None => server::listen(&settings.socket, group).map_err(cannot)?,
    };
    let limits = Limits {
        max_request_bytes: settings.max_request_bytes,
        max_clients: settings.max_clients,
        // A call may hold thousands of networks in memory, and one core is not faster for more.
        max_calls: 8,
        ..Limits::default()
    };
    // A call gives its permit back before its thread is free again. Without a bound each such moment may bring
    // another thread, and with it another stack.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(2 * limits.max_calls)
        .enable_all()
        .build()?;
    let ending = Arc::clone(&api);
    let served = runtime.block_on(async {
        let listener = UnixListener::from_std(listener)?;
        let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let stop = async move {
            tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
            // Running calls are finished first: a change is never left in the middle.
            let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
            ending.give_up_waiting();
        };
        tracing::info!("listening on {}", settings.socket.display());
        // Without systemd there is nobody to notify, and that is fine.
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
        server::serve(listener, api, group, limits, stop).await
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    // A reaction under way is brought to its end, as a call is.
    drop(watch);
    if keeper.join().is_err() {
        tracing::error!("the thread that reacts to the host had failed");
    }
    if ours {
        server::remove(&settings.socket)?;
    }
    Ok(served?)
}

/// The group whose members may change the network; one that does not exist lets nobody in.
fn group(settings: &Settings) -> Result<Option<u32>, Failure> {
    let found = Group::from_name(&settings.group)?;
    if found.is_none() {
        tracing::warn!("there is no group '{}': only root may change the network", settings.group);
    }
    Ok(found.map(|g| g.gid.as_raw()))
}

//! The DHCP process: wiring only. Arguments, the log, the socket, and systemd's word that we run.

use std::io::IsTerminal;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use nix::sys::stat::{Mode, umask};
use tokio::signal::unix::{SignalKind, signal};
use vdsm_net::transaction::chain;
use vdsm_net::{privileges, server};

/// The DHCP clients of a virtualisation host; vdsm-netd starts it and says what it shall do.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    /// Where the daemon finds it; not with a socket of systemd's
    #[arg(long, value_name = "PATH", default_value = "/run/vdsm/vdsm-dhcp.sock")]
    socket: PathBuf,
    /// Where leases are kept
    #[arg(long, value_name = "FOLDER", default_value = "/var/lib/vdsm/dhcp")]
    state_dir: PathBuf,
}

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    if let Err(error) = privileges::keep(privileges::OF_DHCP) {
        eprintln!("vdsm-dhcp: cannot give up what it does not need: {error}");
        return ExitCode::FAILURE;
    }
    // mozim's own words are about every packet that is late.
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info,mozim=warn".into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vdsm-dhcp: {}", chain(&*error));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    umask(Mode::from_bits_truncate(0o077));
    let inherited = server::inherited();
    let ours = inherited.is_none();
    let listener = match inherited {
        Some(listener) => listener,
        None => {
            let socket = &arguments.socket;
            let listener =
                server::listen(socket, None).map_err(|e| format!("cannot listen on {}: {e}", socket.display()))?;
            // Whoever came before this is asked who it is, as everybody.
            std::fs::set_permissions(socket, PermissionsExt::from_mode(0o600))?;
            listener
        }
    };
    let ready = || {
        // Without systemd there is nobody to notify, and that is fine.
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    };
    let stop = async {
        let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
            return tracing::error!("signals cannot be had");
        };
        tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    };
    vdsm_dhcp_client::run(listener, &arguments.state_dir, ready, stop)?;
    if ours {
        server::remove(&arguments.socket)?;
    }
    Ok(())
}

//! The daemon's handle: a blocking caller of the process, which it starts when nobody answers.
//!
//! The process outlives whoever started it: it has a session of its own, and the daemon's end says
//! nothing to it.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;
use vdsm_model::name::DeviceName;

use crate::protocol::{Call, Event, Line, Request, Stop};
use crate::types::{Afterwards, Family, Status, Wanted};

/// How long the process may take to answer, and to come up.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two attempts to reach it.
const PAUSE: Duration = Duration::from_millis(10);
/// A watch looks so often whether it is to end, and waits so long before it tries again.
const LOOK: Duration = Duration::from_millis(500);

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientsError {
    /// Nobody answers on the socket, and starting the process did not help.
    #[error("no DHCP process answers on {socket}")]
    Unreachable {
        /// The socket.
        socket: PathBuf,
        /// The last attempt's failure.
        source: io::Error,
    },
    /// The program cannot be started.
    #[error("cannot start {program}")]
    Spawn {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The connection broke, twice.
    #[error("the DHCP process went away")]
    Broken(#[source] io::Error),
    /// The process refused the call.
    #[error("the DHCP process: {0}")]
    Refused(String),
}

/// Whoever has the host's DHCP clients.
pub trait DhcpClients: Send + Sync {
    /// Starts a client. One that runs with the same wishes is left alone; other wishes restart it, and
    /// its address stays meanwhile.
    ///
    /// # Errors
    /// [`ClientsError`]. Whether a lease comes is no matter of this call.
    fn start(&self, wanted: &Wanted) -> Result<(), ClientsError>;

    /// Stops a client and removes its address; one that does not run is fine.
    ///
    /// # Errors
    /// [`ClientsError`].
    fn stop(&self, device: DeviceName, family: Family, lease: Afterwards) -> Result<(), ClientsError>;
}

/// What a watch tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// Everything, at the start and whenever something may have been missed.
    All(Vec<Status>),
    /// One client's change.
    Changed(Box<Status>),
    /// A client was stopped.
    Stopped(Wanted),
}

/// The process on a socket.
#[derive(Debug, Clone)]
pub struct Clients {
    place: Arc<Place>,
    connection: Arc<Mutex<Option<Connection>>>,
}

#[derive(Debug)]
struct Place {
    socket: PathBuf,
    state: PathBuf,
    program: PathBuf,
}

#[derive(Debug)]
struct Connection {
    stream: BufReader<UnixStream>,
    id: u64,
}

impl Clients {
    /// Connects to the socket; where nobody listens, starts `program` with the socket and the state
    /// folder as arguments, and waits until it answers.
    ///
    /// The program runs in the network namespace of the calling thread.
    ///
    /// # Errors
    /// [`ClientsError::Spawn`], and [`ClientsError::Unreachable`] after ten seconds.
    pub fn connect_or_spawn(socket: &Path, state: &Path, program: &Path) -> Result<Clients, ClientsError> {
        let place = Place { socket: socket.to_owned(), state: state.to_owned(), program: program.to_owned() };
        let connection = place.connect()?;
        Ok(Clients { place: Arc::new(place), connection: Arc::new(Mutex::new(Some(connection))) })
    }

    /// Tells `each` on a thread of its own everything, and then what changes, until the watch is
    /// dropped. When the process dies it is started again.
    pub fn watch(&self, mut each: impl FnMut(News) + Send + 'static) -> Watch {
        let (place, over) = (Arc::clone(&self.place), Arc::new(AtomicBool::new(false)));
        let ends = Arc::clone(&over);
        let thread = thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                if let Err(error) = place.listen(&mut each, &ends) {
                    tracing::warn!(%error, "the DHCP process is not heard");
                    thread::sleep(LOOK);
                }
            }
        });
        Watch { over, thread: Some(thread) }
    }

    /// How all clients stand.
    ///
    /// # Errors
    /// [`ClientsError`].
    pub fn list(&self) -> Result<Vec<Status>, ClientsError> {
        statuses(self.call(&Call::List)?)
    }

    fn call(&self, call: &Call) -> Result<Value, ClientsError> {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        // A process that ended since the last call shows only now; every call can be said twice.
        if let Some(open) = connection.as_mut() {
            match open.call(call) {
                Err(ClientsError::Broken(_)) => *connection = None,
                answered => return answered,
            }
        }
        let mut fresh = self.place.connect()?;
        let answered = fresh.call(call);
        if !matches!(answered, Err(ClientsError::Broken(_))) {
            *connection = Some(fresh);
        }
        answered
    }
}

impl DhcpClients for Clients {
    fn start(&self, wanted: &Wanted) -> Result<(), ClientsError> {
        self.call(&Call::Start(wanted.clone())).map(drop)
    }

    fn stop(&self, device: DeviceName, family: Family, lease: Afterwards) -> Result<(), ClientsError> {
        self.call(&Call::Stop(Stop { device, family, lease })).map(drop)
    }
}

fn statuses(value: Value) -> Result<Vec<Status>, ClientsError> {
    serde_json::from_value(value)
        .map_err(|error| ClientsError::Refused(format!("what it says makes no sense: {error}")))
}

impl Place {
    /// Connects, and starts the process if need be.
    fn connect(&self) -> Result<Connection, ClientsError> {
        if let Ok(stream) = UnixStream::connect(&self.socket) {
            return Connection::over(stream).map_err(ClientsError::Broken);
        }
        self.spawn()?;
        let end = Instant::now() + PATIENCE;
        loop {
            match UnixStream::connect(&self.socket) {
                Ok(stream) => return Connection::over(stream).map_err(ClientsError::Broken),
                Err(source) if Instant::now() > end => {
                    return Err(ClientsError::Unreachable { socket: self.socket.clone(), source });
                }
                Err(_) => thread::sleep(PAUSE),
            }
        }
    }

    fn spawn(&self) -> Result<(), ClientsError> {
        let mut command = Command::new(&self.program);
        command.arg("--socket").arg(&self.socket).arg("--state-dir").arg(&self.state);
        command.stdin(Stdio::null()).stdout(Stdio::null()).current_dir("/");
        // SAFETY: one system call, between fork and exec. What ends our session does not end the process.
        unsafe { command.pre_exec(|| nix::unistd::setsid().map(drop).map_err(Into::into)) };
        let mut child =
            command.spawn().map_err(|source| ClientsError::Spawn { program: self.program.clone(), source })?;
        tracing::info!(pid = child.id(), "started the DHCP process");
        // Should it end while we live, somebody must take note, or it stays as a zombie.
        thread::spawn(move || match child.wait() {
            Ok(status) => tracing::warn!(%status, "the DHCP process ended"),
            Err(error) => tracing::warn!(%error, "the DHCP process cannot be waited for"),
        });
        Ok(())
    }

    /// Tells everything and what changes until the end, which is an error if it is not wished for.
    fn listen(&self, each: &mut dyn FnMut(News), over: &AtomicBool) -> Result<(), ClientsError> {
        let mut connection = self.connect()?;
        each(News::All(statuses(connection.call(&Call::Subscribe)?)?));
        let socket = connection.stream.get_ref();
        socket.set_read_timeout(Some(LOOK)).map_err(ClientsError::Broken)?;
        let mut text = Vec::new();
        while !over.load(Ordering::Relaxed) {
            match connection.stream.read_until(b'\n', &mut text) {
                Ok(0) => return Err(ClientsError::Broken(io::ErrorKind::UnexpectedEof.into())),
                Ok(_) if text.last() == Some(&b'\n') => {
                    match serde_json::from_slice(&text) {
                        Ok(Line::Event { event }) => each(event.into()),
                        _ => return Err(ClientsError::Broken(io::ErrorKind::InvalidData.into())),
                    }
                    text.clear();
                }
                Ok(_) => {}
                Err(error) if is_late(&error) => {}
                Err(error) => return Err(ClientsError::Broken(error)),
            }
        }
        Ok(())
    }
}

fn is_late(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

impl From<Event> for News {
    fn from(event: Event) -> News {
        match event {
            Event::All(all) => News::All(all),
            Event::Changed(status) => News::Changed(status),
            Event::Stopped(wanted) => News::Stopped(wanted),
        }
    }
}

impl Connection {
    fn over(stream: UnixStream) -> io::Result<Connection> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Connection { stream: BufReader::new(stream), id: 0 })
    }

    fn call(&mut self, call: &Call) -> Result<Value, ClientsError> {
        let (method, params) = call.spell();
        self.id += 1;
        let request = Request { id: self.id, method: method.to_owned(), params };
        match self.exchange(&request).map_err(ClientsError::Broken)? {
            Line::Good { id, result } if id == self.id => Ok(result),
            Line::Bad { error, .. } => Err(ClientsError::Refused(error)),
            _ => Err(ClientsError::Broken(io::ErrorKind::InvalidData.into())),
        }
    }

    fn exchange(&mut self, request: &Request) -> io::Result<Line> {
        let mut bytes = serde_json::to_vec(request)?;
        bytes.push(b'\n');
        self.stream.get_mut().write_all(&bytes)?;
        let mut text = Vec::new();
        if self.stream.read_until(b'\n', &mut text)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(serde_json::from_slice(&text)?)
    }
}

/// A thread that is told of changes; it ends when this is dropped.
#[derive(Debug)]
pub struct Watch {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // Whoever is told may be the last who holds it, and a thread cannot wait for its own end.
        let others = self.thread.take().filter(|thread| thread.thread().id() != thread::current().id());
        if let Some(thread) = others
            && thread.join().is_err()
        {
            tracing::error!("the thread that listens to the DHCP process had failed");
        }
    }
}

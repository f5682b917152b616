//! What the server promises, on a real socket and with a service made of gates.
//!
//! Nothing here measures time. A test waits for what must come, and where
//! something must *not* come it makes something later come first.

#![allow(clippy::unwrap_used)]

mod feeds;
mod limits;
mod manners;
mod partings;
mod replies;
mod strangers;
mod taps;
mod writing;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::*;
use crate::client::Client;

/// Longer than any machine needs; reached only when a promise is broken.
const SOON: Duration = Duration::from_secs(60);

/// More than a socket holds.
const LARGE: usize = 1 << 20;

#[derive(Default)]
struct Calls {
    open: bool,
    running: usize,
    most: usize,
    done: Vec<String>,
}

/// `echo` gives back its parameters, `whoami` its caller, `size` the length of
/// its first one; `large` answers with many bytes; `hold` waits until somebody
/// calls `open`; `fail` and `panic` do. `raw` answers with `report`, and what
/// `subscribe` does, at once or after it was held, is said in `taps`.
struct Gates {
    calls: Mutex<Calls>,
    changed: Condvar,
    report: Arc<[u8]>,
    taps: Arc<taps::Taps>,
}

impl Gates {
    fn new() -> Gates {
        let report = format!(r#"{{ "a" : 1.00, "a" : "{}" }}"#, "x".repeat(LARGE)).into_bytes().into();
        Gates { calls: Mutex::default(), changed: Condvar::new(), report, taps: Arc::default() }
    }

    fn wait_for(&self, what: impl Fn(&Calls) -> bool) {
        let calls = self.calls.lock().unwrap();
        let wait = self.changed.wait_timeout_while(calls, SOON, |calls| !what(calls));
        assert!(!wait.unwrap().1.timed_out(), "what was waited for never came");
    }

    fn change<T>(&self, how: impl FnOnce(&mut Calls) -> T) -> T {
        let result = how(&mut self.calls.lock().unwrap());
        self.changed.notify_all();
        result
    }

    fn open(&self) {
        self.change(|calls| calls.open = true);
    }

    fn hold(&self) {
        self.change(|calls| {
            calls.running += 1;
            calls.most = calls.most.max(calls.running);
        });
        self.wait_for(|calls| calls.open);
        self.change(|calls| calls.running -= 1);
    }
}

impl Service for Gates {
    fn call(&self, method: &str, params: Value, caller: &Caller) -> Result<Reply, RpcError> {
        let peer = &caller.peer;
        let result = match method {
            "echo" => Ok(params),
            "size" => Ok(params[0].as_str().map(str::len).into()),
            "large" => Ok("x".repeat(LARGE).into()),
            "whoami" => Ok(json!([peer.uid, peer.gid, peer.pid, format!("{:?}", peer.access)])),
            "open" => {
                self.open();
                Ok(Value::Null)
            }
            "hold" => {
                self.hold();
                Ok(json!("held"))
            }
            "fail" => Err(RpcError { code: 25, message: "no".into(), data: Some(json!({"nic": 1})) }),
            "panic" => panic!("as asked"),
            "raw" => return Ok(RawJson::from(self.report.clone()).into()),
            "subscribe" => self.taps.subscribe(&params, caller),
            "hold and subscribe" => {
                self.hold();
                self.taps.subscribe(&params, caller)
            }
            _ => Err(RpcError::method_not_found(method)),
        };
        self.change(|calls| calls.done.push(method.to_owned()));
        result.map(Reply::from)
    }
}

struct Server {
    path: PathBuf,
    gates: Arc<Gates>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<io::Result<()>>>,
    _folder: tempfile::TempDir,
}

impl Server {
    fn start(limits: Limits) -> Server {
        Server::start_for(None, limits)
    }

    fn start_for(group: Option<u32>, limits: Limits) -> Server {
        let folder = tempfile::tempdir().unwrap();
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(folder.path(), open).unwrap();
        let path = folder.path().join("s");
        let listener = listen(&path, None).unwrap();
        let gates = Arc::new(Gates::new());
        let (stop, stopped) = oneshot::channel::<()>();
        let (service, seen) = (gates.clone(), gates.clone());
        let thread = std::thread::spawn(move || {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            let runtime = builder.worker_threads(1).enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = UnixListener::from_std(listener).unwrap();
                let stopped = async { drop(stopped.await) };
                let ended = serve(listener, service, group, limits, stopped).await;
                let running = seen.change(|calls| calls.running);
                assert_eq!(running, 0, "calls were left behind");
                ended
            })
        });
        Server { path, gates, stop: Some(stop), thread: Some(thread), _folder: folder }
    }

    fn connect(&self) -> Wire {
        Wire::over(UnixStream::connect(&self.path).unwrap())
    }

    /// A client that has a place, however long those before keep theirs.
    fn admitted(&self) -> Wire {
        let call = br#"{"jsonrpc":"2.0","id":1,"method":"echo"}"#;
        loop {
            let mut wire = self.connect();
            // Who is turned away may be so before he has said anything.
            let said = wire.stream.write_all(&[call, b"\n" as &[u8]].concat());
            if said.is_ok() && wire.hear().is_some_and(|heard| heard.get("result").is_some()) {
                return wire;
            }
        }
    }

    fn client(&self) -> Client {
        Client::connect(&self.path, SOON).unwrap().answered_within(SOON)
    }

    fn ask_to_stop(&mut self) {
        self.stop = None;
    }

    fn stopped(&mut self) -> io::Result<()> {
        self.ask_to_stop();
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.gates.open();
        if self.thread.is_some() && !std::thread::panicking() {
            self.stopped().unwrap();
        }
    }
}

/// A client without manners: it says and hears lines, whatever they are.
struct Wire {
    stream: UnixStream,
    from: BufReader<UnixStream>,
}

impl Wire {
    fn over(stream: UnixStream) -> Wire {
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream.set_write_timeout(Some(SOON)).unwrap();
        let from = BufReader::new(stream.try_clone().unwrap());
        Wire { stream, from }
    }

    fn say(&mut self, line: &str) {
        self.stream.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    fn call(&mut self, id: impl Into<Value>, method: &str) {
        self.say(&json!({"jsonrpc": "2.0", "id": id.into(), "method": method}).to_string());
    }

    fn notify(&mut self, method: &str) {
        self.say(&json!({"jsonrpc": "2.0", "method": method}).to_string());
    }

    /// The next line; none when the server has closed.
    fn hear(&mut self) -> Option<Value> {
        let mut line = String::new();
        match self.from.read_line(&mut line) {
            Ok(0) => None,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
            heard => {
                heard.unwrap();
                Some(serde_json::from_str(&line).unwrap())
            }
        }
    }

    fn hears(&mut self, id: impl Into<Value>, result: impl Into<Value>) {
        let expected = json!({"jsonrpc": "2.0", "id": id.into(), "result": result.into()});
        assert_eq!(self.hear(), Some(expected));
    }

    fn hears_error(&mut self, id: impl Into<Value>, code: i64, text: &str) {
        let heard = self.hear().expect("the server closed");
        assert_eq!((&heard["id"], &heard["error"]["code"]), (&id.into(), &code.into()), "{heard}");
        let message = heard["error"]["message"].as_str().unwrap();
        assert!(message.contains(text), "{message}");
    }

    /// The connection is as good as new, and nothing else was under way on it.
    fn is_usable(&mut self) {
        self.call("usable?", "echo");
        self.hears("usable?", Value::Null);
    }
}

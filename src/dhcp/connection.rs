//! One caller on the socket: root only, a line in, a line out, events when subscribed.
//!
//! What is called is done in `service.rs`.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::time::timeout;

use crate::protocol::{Call, Event, LONGEST_LINE, Line, Request};
use crate::service::Service;

/// A caller that takes no answers is left.
const PATIENCE: Duration = Duration::from_secs(10);

/// Serves the caller until it goes.
pub(crate) async fn serve(stream: UnixStream, service: Arc<Service>) {
    let peer = match stream.peer_cred() {
        Ok(peer) => peer,
        Err(error) => return tracing::warn!(%error, "who calls cannot be told"),
    };
    // SAFETY-relevant rather than polite: who may change addresses is root, or who we are.
    if peer.uid() != 0 && peer.uid() != nix::unistd::geteuid().as_raw() {
        return tracing::warn!(uid = peer.uid(), "refused a caller that is not root");
    }
    let (read, write) = stream.into_split();
    let mut caller = Caller { lines: BufReader::new(read), write, service, events: None };
    if let Err(error) = caller.serve().await {
        tracing::debug!(%error, "a caller went");
    }
}

struct Caller {
    lines: BufReader<OwnedReadHalf>,
    write: OwnedWriteHalf,
    service: Arc<Service>,
    events: Option<Receiver<Event>>,
}

impl Caller {
    async fn serve(&mut self) -> io::Result<()> {
        let mut line = Vec::new();
        loop {
            let room = (LONGEST_LINE + 1 - line.len()) as u64;
            let mut limited = (&mut self.lines).take(room);
            tokio::select! {
                // What a cancelled call has read stays in `line`.
                read = limited.read_until(b'\n', &mut line) => {
                    if read? == 0 && line.len() <= LONGEST_LINE {
                        return Ok(());
                    }
                    let answer = if line.len() > LONGEST_LINE {
                        Line::Bad { id: None, error: format!("a line has at most {LONGEST_LINE} bytes") }
                    } else if line.last() == Some(&b'\n') {
                        self.answer(&line).await
                    } else {
                        continue;
                    };
                    let over = line.len() > LONGEST_LINE;
                    line.clear();
                    self.say(&answer).await?;
                    if over {
                        return Ok(());
                    }
                }
                event = next(&mut self.events) => {
                    let event = match event {
                        Ok(event) => event,
                        Err(RecvError::Lagged(_)) => self.anew(),
                        Err(RecvError::Closed) => return Ok(()),
                    };
                    self.say(&Line::Event { event }).await?;
                }
            }
        }
    }

    async fn answer(&mut self, line: &[u8]) -> Line {
        let request: Request = match serde_json::from_slice(line) {
            Ok(request) => request,
            Err(error) => return Line::Bad { id: None, error: format!("no request: {error}") },
        };
        let id = request.id;
        let bad = |error: String| Line::Bad { id: Some(id), error };
        let call = match Call::read(&request.method, request.params) {
            Ok(call) => call,
            Err(error) => return bad(error),
        };
        let done = match call {
            Call::Start(wanted) => self.service.start(wanted).await.map(|()| json!(null)),
            Call::Stop(stop) => self.service.stop(&stop).await.map(|()| json!(null)),
            Call::List => Ok(json!(self.service.host.board.list())),
            Call::Subscribe => {
                let (all, events) = self.service.host.board.subscribe();
                self.events = Some(events);
                Ok(json!(all))
            }
        };
        match done {
            Ok(result) => Line::Good { id, result },
            Err(error) => bad(format!("cannot store what is wanted: {error}")),
        }
    }

    fn anew(&mut self) -> Event {
        let (all, events) = self.service.host.board.subscribe();
        self.events = Some(events);
        Event::All(all)
    }

    async fn say(&mut self, line: &Line) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        match timeout(PATIENCE, self.write.write_all(&bytes)).await {
            Ok(written) => written,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

async fn next(events: &mut Option<Receiver<Event>>) -> Result<Event, RecvError> {
    match events {
        Some(events) => events.recv().await,
        None => std::future::pending().await,
    }
}

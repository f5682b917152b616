//! A caller of the daemon: one line to its socket, and what comes back, unparsed.
//!
//! So that what a call takes is the daemon's and the kernel's. Who starts the daemon is `ours.rs`.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

/// The longest answer we wait for.
const PATIENCE: Duration = Duration::from_secs(600);
/// How much is read at once: more than the kernel keeps for us.
const ROOM: usize = 256 << 10;

/// A connection.
pub(crate) struct Client {
    stream: UnixStream,
    room: Vec<u8>,
    sent: u64,
}

impl Client {
    pub(crate) fn connect(socket: &Path) -> Result<Client, String> {
        let stream = UnixStream::connect(socket).and_then(|stream| {
            stream.set_read_timeout(Some(PATIENCE))?;
            Ok(stream)
        });
        let stream = stream.map_err(|e| format!("{}: {e}", socket.display()))?;
        Ok(Client { stream, room: vec![0; ROOM], sent: 0 })
    }

    /// The line of a call.
    pub(crate) fn line(&mut self, method: &str, params: Value) -> String {
        self.sent += 1;
        format!("{}\n", json!({"jsonrpc": "2.0", "method": method, "params": params, "id": self.sent}))
    }

    /// Asks, and keeps the answer. Nothing may flow unasked on this connection.
    pub(crate) fn ask(&mut self, line: &str) -> io::Result<Vec<u8>> {
        let mut answer = Vec::new();
        self.exchange(line, |piece| answer.extend_from_slice(piece))?;
        Ok(answer)
    }

    /// Asks, reads the answer to its last byte, and forgets it; how long it was.
    pub(crate) fn ask_size(&mut self, line: &str) -> io::Result<usize> {
        let mut size = 0;
        self.exchange(line, |piece| size += piece.len())?;
        Ok(size)
    }

    /// Calls, and holds the answer against [`judged`].
    pub(crate) fn call(&mut self, method: &str, params: Value) -> Result<(), String> {
        let line = self.line(method, params);
        let answer = self.ask(&line).map_err(|e| format!("{method}: {e}"))?;
        judged(&answer).map_err(|e| format!("{method}: {e}"))
    }

    /// Reads what is told unasked until a piece of it has all these words. Others come to nothing, so
    /// only one such piece may be under way.
    pub(crate) fn hear(&mut self, words: &[&str]) -> io::Result<()> {
        let mut told = Vec::new();
        loop {
            let read = self.read()?;
            told.extend_from_slice(&self.room[..read]);
            if told.ends_with(b"\n") && told.split(|byte| *byte == b'\n').any(|line| has_all(line, words)) {
                return Ok(());
            }
        }
    }

    /// Everything that is told unasked until nothing has come for that long.
    pub(crate) fn hear_out(&mut self, silence: Duration) -> io::Result<Vec<u8>> {
        self.stream.set_read_timeout(Some(silence))?;
        let mut told = Vec::new();
        loop {
            match self.read() {
                Ok(read) => told.extend_from_slice(&self.room[..read]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        self.stream.set_read_timeout(Some(PATIENCE))?;
        Ok(told)
    }

    fn exchange(&mut self, line: &str, mut each: impl FnMut(&[u8])) -> io::Result<()> {
        self.stream.write_all(line.as_bytes())?;
        loop {
            let read = self.read()?;
            each(&self.room[..read]);
            if self.room[read - 1] == b'\n' {
                return Ok(());
            }
        }
    }

    /// At least one byte.
    fn read(&mut self) -> io::Result<usize> {
        match self.stream.read(&mut self.room)? {
            0 => Err(io::Error::other("vdsm-netd closed the connection")),
            read => Ok(read),
        }
    }
}

fn has_all(line: &[u8], words: &[&str]) -> bool {
    words.iter().all(|word| line.windows(word.len()).any(|window| window == word.as_bytes()))
}

/// An answer is good if it is a result, and one whose status, where it has one, is 0.
pub(crate) fn judged(answer: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(answer);
    let value: Value = serde_json::from_str(&text).map_err(|e| format!("vdsm-netd answered no JSON: {e}: {text}"))?;
    let code = &value["result"]["status"]["code"];
    let good = value.get("error").is_none_or(Value::is_null)
        && value.get("result").is_some()
        && (code.is_null() || *code == 0);
    let short: String = text.trim().chars().take(2000).collect();
    if good { Ok(()) } else { Err(format!("vdsm-netd answered {short}")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    fn pair() -> (Client, UnixStream) {
        let (stream, other) = UnixStream::pair().unwrap();
        (Client { stream, room: vec![0; 16], sent: 0 }, other)
    }

    #[test]
    fn an_answer_is_read_to_its_last_byte() {
        let (mut client, mut daemon) = pair();
        let answer = format!("{}\n", "x".repeat(100));
        daemon.write_all(answer.as_bytes()).unwrap();
        assert_eq!(client.ask("a\n").unwrap(), answer.as_bytes());
        daemon.write_all(answer.as_bytes()).unwrap();
        assert_eq!(client.ask_size("b\n").unwrap(), answer.len());
        let mut asked = [0; 4];
        daemon.read_exact(&mut asked).unwrap();
        assert_eq!(&asked, b"a\nb\n");
    }

    #[test]
    fn what_is_heard_has_all_words_in_one_line() {
        let (mut client, mut daemon) = pair();
        daemon.write_all(b"added here\nremoved there and more\nadded there\n").unwrap();
        client.hear(&["added", "there"]).unwrap();
        drop(daemon);
        assert!(client.hear(&["added", "there"]).is_err());
    }

    #[test]
    fn a_refusal_is_not_good() {
        judged(br#"{"jsonrpc":"2.0","id":1,"result":{"status":{"code":0}}}"#).unwrap();
        judged(br#"{"jsonrpc":"2.0","id":1,"result":{"nics":{}}}"#).unwrap();
        for bad in [r#"{"error":{"code":40}}"#, r#"{"result":{"status":{"code":40}}}"#, "half"] {
            judged(bad.as_bytes()).unwrap_err();
        }
    }
}

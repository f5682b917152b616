//! Somebody who answers as much as the daemon and does nothing for it: what that takes longer while something
//! happens, the machine does, and not the daemon.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;

/// Somebody who answers with as many bytes as he is asked for.
pub(crate) struct Idler {
    stream: UnixStream,
    room: Vec<u8>,
}

impl Idler {
    /// A thread, which ends with its connection.
    pub(crate) fn start() -> Result<Idler, String> {
        let (ours, mut theirs) = UnixStream::pair().map_err(|e| format!("nobody who does nothing: {e}"))?;
        std::thread::spawn(move || {
            let (mut asked, mut answer) = ([0; 8], Vec::new());
            while theirs.read_exact(&mut asked).is_ok() {
                answer.resize(u64::from_ne_bytes(asked) as usize, 0);
                if theirs.write_all(&answer).is_err() {
                    break;
                }
            }
        });
        Ok(Idler { stream: ours, room: vec![0; 256 << 10] })
    }

    /// Reads so many bytes, and forgets them.
    pub(crate) fn ask(&mut self, bytes: usize) -> Result<(), String> {
        self.exchange(bytes).map_err(|e| format!("who does nothing: {e}"))
    }

    fn exchange(&mut self, bytes: usize) -> io::Result<()> {
        self.stream.write_all(&(bytes as u64).to_ne_bytes())?;
        let mut left = bytes;
        while left > 0 {
            let room = self.room.len().min(left);
            match self.stream.read(&mut self.room[..room])? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                read => left -= read,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_nothing_answers_as_much_as_is_asked_for() {
        let mut idler = Idler::start().unwrap();
        for bytes in [1, 70, 1 << 20] {
            idler.ask(bytes).unwrap();
        }
        idler.stream.set_nonblocking(true).unwrap();
        assert_eq!(idler.stream.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    }
}

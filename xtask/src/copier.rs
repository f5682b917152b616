//! Copies a file that still grows, to its end, without losing a byte.
//!
//! UML's consoles drop and mix output; a file on a shared directory does neither,
//! so the command's two streams are files that we follow.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::error::Error;
use crate::process::{Stream, create};

/// Copies `from` to `to` until `finished` is set and all is read.
pub(crate) fn follow(from: &Path, to: &Stream, as_stderr: bool, finished: &AtomicBool) -> Result<(), Error> {
    let mut sink: Box<dyn Write> = match to {
        Stream::File(path) => Box::new(create(path)?),
        Stream::Ours if as_stderr => Box::new(io::stderr()),
        Stream::Ours => Box::new(io::stdout()),
    };
    match copy(from, sink.as_mut(), finished) {
        // As with any filter: who no longer reads has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Error::Broken(format!("cannot copy {}: {error}", from.display()))),
        Ok(()) => Ok(()),
    }
}

fn copy(from: &Path, sink: &mut dyn Write, finished: &AtomicBool) -> io::Result<()> {
    let mut source = File::open(from)?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        // Asked before the read: what is written before the end is set is still read.
        let last = finished.load(Ordering::Acquire);
        let mut any = false;
        loop {
            let length = source.read(&mut buffer)?;
            if length == 0 {
                break;
            }
            any = true;
            sink.write_all(&buffer[..length])?;
        }
        if any {
            sink.flush()?;
        } else if last {
            return Ok(());
        } else {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

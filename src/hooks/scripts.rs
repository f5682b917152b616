//! Which files of a hook folder are run: those that nobody could have written but root and we.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;

/// The bits of a mode that let a file's group or everybody write.
const OTHERS_WRITE: u32 = 0o022;
/// In such a folder strangers move only what is their own.
const STICKY: u32 = 0o1000;
/// Somebody may run it.
const EXECUTABLE: u32 = 0o111;

/// The scripts of a folder, sorted by name; none where there is no folder. A file that nobody may
/// run, or that is hidden, is none and nothing is said of it; of one that is not safe, there is a
/// sentence in `warnings`.
pub(super) fn find(folder: &Path, warnings: &mut Vec<String>) -> Vec<PathBuf> {
    match list(folder, warnings) {
        Ok(scripts) => scripts,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            warnings.push(format!("no script of {} is run: {error}", folder.display()));
            Vec::new()
        }
    }
}

fn list(folder: &Path, warnings: &mut Vec<String>) -> io::Result<Vec<PathBuf>> {
    let folder = fs::canonicalize(folder)?;
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder)? {
        let entry = entry?;
        if !entry.file_name().as_bytes().starts_with(b".") {
            names.push(entry.path());
        }
    }
    if names.is_empty() {
        return Ok(names);
    }
    // Who can rename a folder above can put another one in its place.
    for (above, dir) in folder.ancestors().enumerate() {
        let meta = fs::symlink_metadata(dir)?;
        let may_be_sticky = above > 0 && meta.mode() & STICKY != 0;
        if let Some(why) = distrust(&meta).filter(|why| !(may_be_sticky && *why == WRITABLE)) {
            return Err(io::Error::other(format!("{} {why}", dir.display())));
        }
    }
    names.sort();
    let mut scripts = Vec::new();
    for path in names {
        let meta = fs::symlink_metadata(&path)?;
        let why = match (meta.is_file(), meta.is_symlink()) {
            (true, _) if meta.mode() & EXECUTABLE == 0 => continue,
            (true, _) => distrust(&meta),
            (false, true) => Some("is a symbolic link"),
            (false, false) => continue,
        };
        match why {
            None => scripts.push(path),
            Some(why) => warnings.push(format!("the hook script {} is not run: it {why}", path.display())),
        }
    }
    Ok(scripts)
}

const STRANGERS: &str = "belongs neither to root nor to the daemon's user";
const WRITABLE: &str = "can be written by its group or by others";

/// Why strangers may have written a file.
fn distrust(meta: &Metadata) -> Option<&'static str> {
    judge(meta.uid(), meta.mode(), geteuid().as_raw())
}

fn judge(owner: u32, mode: u32, ours: u32) -> Option<&'static str> {
    if owner != 0 && owner != ours {
        return Some(STRANGERS);
    }
    (mode & OTHERS_WRITE != 0).then_some(WRITABLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_root_and_we_may_have_written_a_script() {
        for (owner, mode, verdict) in [
            (0, 0o100755, None),
            (1000, 0o100700, None),
            (1001, 0o100700, Some(STRANGERS)),
            (1001, 0o100777, Some(STRANGERS)),
            (0, 0o100775, Some(WRITABLE)),
            (1000, 0o100757, Some(WRITABLE)),
        ] {
            assert_eq!(judge(owner, mode, 1000), verdict, "{owner} {mode:o}");
        }
    }
}

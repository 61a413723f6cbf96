//! What rings, on disk before it does: another process cancels it, should this one not live to see an answer.
//!
//! ```text
//! room taken ──► INVITE written ──► INVITE leaves ─┬─► challenged, or the next address: written anew ──► leaves
//!  └─ disk full: nobody is called                  └─ cannot be: taken back
//! ```

use parking_lot::Mutex;
use std::fs::{File, OpenOptions, rename};
use std::io::{Result, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

/// What is written of an INVITE is seldom longer.
const ROOM: usize = 8192;

/// One call's: a file, which its owner removes when nobody rings any more.
pub struct Journal {
    path: PathBuf,
    /// Of the INVITE that stands in it: it has one of its own, and its repetitions have the same.
    via: Mutex<String>,
}

impl Journal {
    pub fn new(path: PathBuf) -> Self {
        Journal { path, via: Mutex::default() }
    }

    /// Takes room for an INVITE, so that on a full disk none is sent of which nothing would be known.
    pub fn reserve(&self) -> Result<()> {
        self.draft()?.write_all(&[0; ROOM])
    }

    /// Writes one down unless it stands there, wholly or not at all.
    pub fn write(&self, via: &str, text: &str) -> Result<()> {
        let mut written = self.via.lock();
        if *written == via {
            return Ok(());
        }
        let mut draft = self.draft()?;
        draft.write_all(text.as_bytes())?;
        draft.set_len(text.len() as u64)?;
        rename(self.draft_path(), &self.path)?;
        *written = via.into();
        Ok(())
    }

    fn draft(&self) -> Result<File> {
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(self.draft_path())
    }

    fn draft_path(&self) -> PathBuf {
        self.path.with_extension("new")
    }
}

//! A file for a child's record, removed when it is not wanted any more.

use super::Failure;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// A file of its own, removed when this is dropped.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    /// A name that nothing has yet.
    pub(super) fn new() -> Result<Self, Failure> {
        let name = format!("ringstorm-{}-{:x}", std::process::id(), fastrand::u64(..));
        Ok(Self(std::env::temp_dir().join(name)))
    }

    /// The file, made anew.
    pub(super) fn open(&self) -> Result<File, Failure> {
        File::create_new(&self.0).map_err(|error| {
            let path = self.0.display();
            Failure::Run(format!("cannot write {path}: {error}; try: another TMPDIR"))
        })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

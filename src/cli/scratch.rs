//! A file for a child's record, or a folder for a test, removed when it is not wanted any more.

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

/// A folder of a test's own, removed when this is dropped.
#[cfg(test)]
pub(super) struct ScratchFolder(PathBuf);

#[cfg(test)]
impl ScratchFolder {
    /// Made, by a name that tells the tests of one program apart.
    pub(super) fn new(name: &str) -> Self {
        let name = format!("ringstorm-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

#[cfg(test)]
impl Drop for ScratchFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

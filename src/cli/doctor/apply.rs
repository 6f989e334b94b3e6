//! Writes kernel settings, and first what they were, so that `scripts/tune revert` takes them back
//! also after this program was killed.

use crate::cli::Failure;
use crate::tune::Change;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Where the previous values are, below the root: gone after a boot, as the changes are. Lines of
/// `sysctl.conf`, which `sysctl -p` takes as well.
const SAVED: &str = "run/ringstorm/tune.saved";

/// Makes the changes; gives a line about each. What cannot be written is skipped and said.
pub(super) fn apply<'c>(
    root: &Path,
    changes: impl Iterator<Item = &'c Change>,
) -> Result<Vec<String>, Failure> {
    let mut saved = Saved::open(root)?;
    changes
        .map(|change| one(root, &mut saved, change))
        .collect()
}

fn one(root: &Path, saved: &mut Saved, change: &Change) -> Result<String, Failure> {
    let Change { name, from, to } = change;
    saved.keep(name, from)?;
    Ok(
        match fs::write(root.join(change.path()), format!("{to}\n")) {
            Ok(()) => format!("set {name} = {to}  (was {from})"),
            Err(error) => format!("skipped {name}: {error}; it needs root on the host itself"),
        },
    )
}

/// The values before the first change of each setting.
struct Saved {
    path: PathBuf,
    text: String,
}

impl Saved {
    fn open(root: &Path) -> Result<Self, Failure> {
        let path = root.join(SAVED);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Self { path, text }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self {
                path,
                text: String::new(),
            }),
            Err(error) => Err(refused(&path, &error)),
        }
    }

    /// Keeps the value of a setting, unless an earlier one is kept already.
    fn keep(&mut self, name: &str, value: &str) -> Result<(), Failure> {
        let begins = format!("{name} = ");
        if self.text.lines().any(|line| line.starts_with(&begins)) {
            return Ok(());
        }
        self.text += &format!("{name} = {value}\n");
        self.write().map_err(|error| refused(&self.path, &error))
    }

    /// Whole or not at all: the new file takes the place of the old one.
    fn write(&self) -> io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(folder)?;
        let fresh = self.path.with_extension("fresh");
        let mut file = File::create(&fresh)?;
        file.write_all(self.text.as_bytes())?;
        file.sync_all()?;
        fs::rename(fresh, &self.path)
    }
}

fn refused(path: &Path, error: &io::Error) -> Failure {
    Failure::Run(format!(
        "cannot keep the previous values in {}: {error}; nothing more was changed; try as root",
        path.display()
    ))
}

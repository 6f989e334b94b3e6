//! Flags of `config`.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Flags of `config`.
#[derive(Args, Debug)]
pub(super) struct ConfigFlags {
    #[command(subcommand)]
    pub(super) deed: ConfigDeed,
}

/// What to do with a file.
#[derive(Debug, Subcommand)]
pub(super) enum ConfigDeed {
    /// Says whether `serve` takes it, and if not, why.
    Check(FileFlags),
    /// Prints what `serve` would take: of the file, of variables and of defaults.
    Print(FileFlags),
    /// Prints the JSON Schema of such files.
    Schema,
}

#[derive(Args, Debug)]
pub(super) struct FileFlags {
    /// The file [default: that of `RINGSTORM_CONFIG`, or none].
    pub(super) file: Option<PathBuf>,
}

//! What may be typed after `doctor`.

use crate::cli::engine_flag::LoadEngine;
use crate::cli::values;
use clap::Args;
use std::path::PathBuf;

/// Flags of `doctor`.
#[derive(Args, Debug)]
pub(in crate::cli) struct DoctorFlags {
    /// Connections that this host is to hold at once.
    #[arg(short = 'c', long, value_name = "N", default_value = "100k")]
    #[arg(value_parser = values::count)]
    pub(super) connections: u64,
    /// This host accepts them.
    #[arg(long)]
    pub(super) server: bool,
    /// This host opens them.
    #[arg(long)]
    pub(super) client: bool,
    /// This host does both [default].
    #[arg(long)]
    pub(super) both: bool,
    /// What holds them.
    #[arg(long, value_enum, default_value = "ring")]
    pub(super) engine: LoadEngine,
    /// Source addresses that the load client is given (--source-ip). Without: as many as it takes
    /// by itself towards this host, for both sides; otherwise 1.
    #[arg(long, value_name = "N", value_parser = values::count)]
    pub(super) sources: Option<u64>,
    /// Connections of one core that `serve` is given [default: as serve, what the descriptor limit
    /// allows].
    #[arg(long, value_name = "N", value_parser = values::count_u32)]
    pub(super) max_connections: Option<u32>,
    /// CPUs of the server, or of the load client [default: all].
    #[arg(long, value_name = "LIST", value_parser = values::cpus)]
    pub(super) cores: Option<values::Cpus>,
    /// Prints the audit as JSON.
    #[arg(long)]
    pub(super) json: bool,
    /// Prints the commands that change what was found, each with the one that takes it back.
    #[arg(long, conflicts_with = "json")]
    pub(super) fix: bool,
    /// Makes the changes of kernel settings; `scripts/tune revert` takes them back.
    #[arg(long, requires = "fix")]
    pub(super) apply: bool,
    /// Reads (and changes) `proc`, `sys`, `etc` and `run` below this folder.
    #[arg(long, value_name = "DIR", default_value = "/", hide = true)]
    pub(super) root: PathBuf,
    /// Prints the file for /etc/sysctl.d.
    #[arg(long, num_args = 2, value_names = ["SIDE", "N"], hide = true)]
    pub(super) print_sysctl: Vec<String>,
}

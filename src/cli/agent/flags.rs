//! What may be typed after `agent`, with its help.

use crate::cli::connection::TrustFlags;
use crate::cli::url::Url;
use crate::cli::values;
use clap::Args;
use std::time::Duration;

/// Flags of `agent`.
#[derive(Args, Debug)]
pub(in crate::cli) struct AgentFlags {
    /// http://HOST:PORT or https://HOST:PORT of a ringstorm server of any engine; /stats is asked
    /// there.
    pub(in crate::cli) url: Url,
    /// Time from one sample to the next.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = values::duration)]
    pub(in crate::cli) refresh: Duration,
    /// Ends after so many samples.
    #[arg(long, value_name = "N", value_parser = values::count, conflicts_with = "once")]
    pub(in crate::cli) count: Option<u64>,
    /// One sample as a table, or as JSON with --json.
    #[arg(long, conflicts_with = "plain")]
    pub(in crate::cli) once: bool,
    /// One JSON object per sample.
    #[arg(long, conflicts_with = "plain")]
    pub(in crate::cli) json: bool,
    /// A line per sample, also on a terminal.
    #[arg(long)]
    pub(in crate::cli) plain: bool,
    /// This host's figures too: CPUs, sockets, listen overflows, retransmits, memory.
    #[arg(long)]
    pub(in crate::cli) host: bool,
    #[command(flatten)]
    pub(in crate::cli) trust: TrustFlags,
}

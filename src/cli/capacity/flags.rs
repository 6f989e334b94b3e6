//! What may be typed after `capacity`.

use crate::cli::engine_flag::LoadEngine;
use crate::cli::study::StudyFlags;
use crate::cli::url::Url;
use crate::cli::values::{self, Cpus};
use clap::{Args, ValueEnum};
use std::time::Duration;

/// What is made more until the server breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum AxisFlag {
    /// Messages a second, with a number of connections that stays.
    Rate,
    /// Connections, each with a rate that stays.
    Connections,
}

/// Flags of `capacity`.
#[derive(Args, Debug)]
pub(in crate::cli) struct CapacityFlags {
    /// The server: ws://HOST:PORT/PATH or http://HOST:PORT/PATH.
    pub(in crate::cli) url: Url,
    /// What has to hold, as a threshold of load: 'response.p99<50ms' 'errors<0.1%'; any number of
    /// them.
    #[arg(long, value_name = "METRIC<VALUE", num_args = 1.., required = true)]
    pub(in crate::cli) slo: Vec<String>,
    /// What is made more [default: rate; connections of an event stream].
    #[arg(long, value_enum)]
    pub(in crate::cli) axis: Option<AxisFlag>,
    /// Connections of the axis rate.
    #[arg(short = 'c', long, value_name = "N", default_value = "100")]
    #[arg(value_parser = values::count_u32)]
    pub(in crate::cli) connections: u32,
    /// Messages a second on each connection of the axis connections (WebSocket).
    #[arg(long, value_name = "N", default_value = "1", value_parser = values::count_u32)]
    pub(in crate::cli) rate_per_connection: u32,
    /// Where the search begins [default: 1000 messages a second, or 100 connections].
    #[arg(long, value_name = "N", value_parser = values::count_u32)]
    pub(in crate::cli) start: Option<u32>,
    /// Where it ends [default: 10M messages a second, or the connections that this host can make].
    #[arg(long, value_name = "N", value_parser = values::count_u32)]
    pub(in crate::cli) max: Option<u32>,
    /// Measured time of a step: of 5s at most, because it may be far beyond the limit.
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = values::duration)]
    pub(in crate::cli) step: Duration,
    /// Time for which the result has to hold.
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = values::duration)]
    pub(in crate::cli) soak: Duration,
    /// Process of the server, on this host: its CPU, memory, descriptors and control group are
    /// looked at, its children's too.
    #[arg(long, value_name = "PID")]
    pub(in crate::cli) server_pid: Option<i32>,
    /// CPUs of the load client [default: all allowed].
    #[arg(long, value_name = "LIST", value_parser = values::cpus)]
    pub(in crate::cli) load_cores: Option<Cpus>,
    /// What moves the load client's bytes.
    #[arg(long, value_enum, default_value = "ring")]
    pub(in crate::cli) load_engine: LoadEngine,
    /// More flags of `ringstorm load`, such as -- --payload 1k.
    #[arg(last = true, value_name = "LOAD FLAGS")]
    pub(in crate::cli) load: Vec<String>,
    #[command(flatten)]
    pub(in crate::cli) study: StudyFlags,
}

//! Flags of the log of `serve`: what is told of connections, and in which form.

use crate::server::log::{LogLevel, LogQueue};
use clap::{Args, ValueEnum};

/// Flags of the log.
#[derive(Args, Debug)]
pub(super) struct LogFlags {
    /// What stderr is told of connections: nothing, refusals (warn), also what opens and closes
    /// (info), also connections that only asked for something (debug).
    #[arg(long, value_name = "LEVEL", value_enum, default_value = "off")]
    log_level: LogThreshold,
    /// How stderr is written: lines for people, or an object of JSON each.
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "text")]
    pub(super) log_format: LogFormat,
}

/// What is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LogThreshold {
    Off,
    Warn,
    Info,
    Debug,
}

/// How it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// Lines.
    Text,
    /// Objects of JSON, each in a line.
    Json,
}

impl LogFlags {
    /// The first of these flags that was given.
    pub(super) fn asked(&self) -> Option<&'static str> {
        if self.log_level != LogThreshold::Off {
            return Some("--log-level");
        }
        (self.log_format != LogFormat::Text).then_some("--log-format")
    }

    /// What so many cores tell.
    pub(super) fn queue(&self, cores: usize) -> LogQueue {
        let level = match self.log_level {
            LogThreshold::Off => LogLevel::Off,
            LogThreshold::Warn => LogLevel::Warn,
            LogThreshold::Info => LogLevel::Info,
            LogThreshold::Debug => LogLevel::Debug,
        };
        LogQueue::new(cores, level)
    }
}

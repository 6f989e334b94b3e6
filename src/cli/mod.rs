//! Flags (what was typed) to configuration (what it means) to run; the only printer.

pub mod agent;
mod backend_flags;
mod capacity;
mod child;
mod compare;
mod complaints;
mod config;
mod config_file;
mod config_flags;
mod config_key;
mod connection;
mod console;
mod deflate;
mod demo;
mod doctor;
#[cfg(test)]
mod documents;
mod engine_flag;
mod flags;
mod frames;
mod host;
mod init;
mod journal;
mod keys;
mod limit_flags;
mod listen;
mod load;
mod log_flags;
mod logs;
mod merge;
mod pages;
mod pass_flags;
mod print;
mod probe;
mod processes;
mod proxy;
mod public;
mod records;
mod report;
mod scratch;
mod secrets;
mod serve;
mod server_capacity;
mod settings;
mod shell;
mod signals;
mod socket;
mod sources;
mod store;
mod study;
mod supervise;
mod tls;
mod tokens;
mod upgrade;
mod url;
mod usage;
mod values;

use crate::engine::EngineError;
use clap::CommandFactory as _;
use flags::{Command, Flags};
use std::io;
use std::process::ExitCode;

/// How a command ended; the number is the exit code of docs/troubleshooting.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    /// It did what it should.
    Pass = 0,
    /// It failed by itself.
    Failed = 1,
    /// The flags were wrong.
    Usage = 2,
    /// What was measured does not tell.
    Inconclusive = 97,
    /// The generator was the limit.
    Invalid = 98,
    /// A threshold failed.
    Threshold = 99,
    /// Somebody ended it.
    Interrupted = 105,
}

impl Exit {
    /// How a run ended, by the exit code of its record.
    const fn of_run(code: u8) -> Self {
        match code {
            0 => Self::Pass,
            97 => Self::Inconclusive,
            98 => Self::Invalid,
            99 => Self::Threshold,
            105 => Self::Interrupted,
            _ => Self::Failed,
        }
    }
}

/// Why a command did not run to its end; each text names the remedy.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// What was typed cannot be meant.
    #[error("{0}")]
    Usage(String),
    /// It could not be done.
    #[error("{0}")]
    Run(String),
    /// An engine could not run.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The kernel refused.
    #[error(transparent)]
    Os(#[from] io::Error),
}

impl Failure {
    const fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::Run(_) | Self::Engine(_) | Self::Os(_) => Exit::Failed,
        }
    }
}

/// Runs the program with the flags it was started with.
#[must_use]
pub fn main() -> ExitCode {
    let flags = match settings::parse(std::env::args_os().collect()) {
        Ok(flags) => flags,
        Err(error) => return ExitCode::from(usage::explain(&error) as u8),
    };
    let limit = host::raise_limits();
    let command = flags.command.unwrap_or_default();
    if let Command::Serve(flags) = &command
        && flags.supervision.is_on()
    {
        let watched = supervise::run(&flags.supervision);
        return ExitCode::from(watched.unwrap_or_else(|failure| {
            print::complain(&failure);
            failure.exit() as u8
        }));
    }
    let ended = match command {
        Command::Serve(flags) => serve::Config::new(*flags, limit).and_then(serve::run),
        Command::Load(flags) => load::Config::new(flags, limit).and_then(load::run),
        Command::Probe(flags) => probe::Config::new(flags).and_then(|config| probe::run(&config)),
        Command::Doctor(flags) => {
            doctor::Config::new(flags).and_then(|config| doctor::run(&config))
        }
        Command::Agent(flags) => agent::Config::new(&flags).and_then(|it| agent::run(&it)),
        Command::Capacity(flags) => {
            capacity::CapacityConfig::new(flags).and_then(|it| capacity::run(&it))
        }
        Command::Compare(flags) => {
            compare::CompareConfig::new(flags).and_then(|it| compare::run(&it))
        }
        Command::Config(flags) => config::run(&flags, limit),
        Command::Init(flags) => init::run(&flags),
        Command::Merge(flags) => merge::run(&flags),
        Command::Report(flags) => report::run(&flags),
        Command::Upgrade(flags) => upgrade::run(&flags),
        Command::Man(flags) => flags.run(Flags::command()),
        Command::Completions(flags) => flags.run(Flags::command()),
        Command::Demo(flags) => demo::Config::new(flags).and_then(|config| demo::run(&config)),
    };
    let exit = ended.unwrap_or_else(|failure| {
        upgrade::say_failed(&failure.to_string());
        print::complain(&failure);
        failure.exit()
    });
    ExitCode::from(exit as u8)
}

//! Flags (what was typed) to configuration (what it means) to run; the only printer.

use std::process::ExitCode;

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}

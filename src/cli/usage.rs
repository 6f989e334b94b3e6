//! Says what is wrong with the flags, and shows a line that would do.

use super::{Exit, print};
use clap::error::ErrorKind;

/// Prints help or the fault; gives the exit code.
pub(super) fn explain(error: &clap::Error) -> Exit {
    let _ = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Pass,
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => Exit::Usage,
        _ => {
            let typed = std::env::args().nth(1);
            print::note(format_args!("\nexample: {}", example(typed.as_deref())));
            Exit::Usage
        }
    }
}

/// A line that works, for that command.
pub(super) fn example(command: Option<&str>) -> &'static str {
    match command {
        Some("serve") => "ringstorm serve --listen 127.0.0.1:9000 --cores 0",
        Some("load") => "ringstorm load ws://127.0.0.1:9000/echo -c 1000 -r 20k -d 10s",
        Some("probe") => "ringstorm probe ws://127.0.0.1:9000/echo --send hello --count 1",
        Some("doctor") => "ringstorm doctor --connections 100k --server",
        Some("agent") => "ringstorm agent http://127.0.0.1:9000 --once",
        _ => "ringstorm demo",
    }
}

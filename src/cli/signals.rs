//! SIGINT, SIGTERM and SIGHUP throw a stop switch; a second one of the first two ends the process
//! at once.

use super::{Exit, Failure, print};
use crate::engine::{EngineError, Stop};
use procfs::process::Process;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// What SIGHUP is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HangUp {
    /// The terminal has gone: the end.
    End,
    /// A wish for a reload: the process goes on.
    Reload,
}

/// A switch that the first signal throws.
pub(super) fn stop() -> Result<Stop, Failure> {
    listen(HangUp::End, String::new)
}

/// The same for a server, which goes on after SIGHUP: whoever sends it wants a reload, which tells
/// what is to be said of it.
pub(super) fn server_stop(
    reload: impl FnMut() -> String + Send + 'static,
) -> Result<Stop, Failure> {
    listen(HangUp::Reload, reload)
}

fn listen(
    hang_up: HangUp,
    mut reload: impl FnMut() -> String + Send + 'static,
) -> Result<Stop, Failure> {
    let stop = Stop::default();
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    if hang_up == HangUp::Reload || !ignores_hangup() {
        signals.add_signal(SIGHUP)?;
    }
    let thrown = stop.clone();
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            let mut asked = false;
            for signal in signals.forever() {
                if signal == SIGHUP && hang_up == HangUp::Reload {
                    print::note(reload());
                    continue;
                }
                // A terminal that goes sends its hang-up, and its shell sends it once more.
                if asked && signal != SIGHUP {
                    std::process::exit(Exit::Interrupted as i32);
                }
                asked = true;
                thrown.throw();
            }
        })
        .map_err(|source| EngineError::no_threads("the thread for signals", source))?;
    Ok(stop)
}

/// Whether whoever started this process wants it to live on without its terminal: nohup(1) and the
/// like ignore the hang-up for it. proc(5): bit n - 1 of `SigIgn` is signal n.
fn ignores_hangup() -> bool {
    let status = Process::myself().and_then(|process| process.status());
    status.is_ok_and(|status| status.sigign >> (SIGHUP - 1) & 1 == 1)
}

//! SIGINT, SIGTERM and SIGHUP throw a stop switch; a second one of the first two ends the process
//! at once. To a server SIGHUP and SIGUSR2 are wishes.

use super::{Exit, Failure};
use crate::engine::{EngineError, Stop};
use procfs::process::Process;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR2};
use signal_hook::iterator::Signals;

/// What SIGHUP is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HangUp {
    /// The terminal has gone: the end.
    End,
    /// A wish for a reload: the process goes on.
    Reload,
}

/// What a signal asks a server for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// SIGHUP: its configuration is another.
    Reload,
    /// SIGUSR2: its program is another.
    Upgrade,
}

/// A switch that the first signal throws.
pub(super) fn stop() -> Result<Stop, Failure> {
    let stop = Stop::default();
    listen(HangUp::End, &stop, |_| {})?;
    Ok(stop)
}

/// The same for a server, which goes on after SIGHUP and SIGUSR2: whoever sends them wants
/// something of it.
pub(super) fn server_stop(
    stop: &Stop,
    wish: impl FnMut(Wish) + Send + 'static,
) -> Result<(), Failure> {
    listen(HangUp::Reload, stop, wish)
}

fn listen(
    hang_up: HangUp,
    stop: &Stop,
    mut wish: impl FnMut(Wish) + Send + 'static,
) -> Result<(), Failure> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    if hang_up == HangUp::Reload || !ignores_hangup() {
        signals.add_signal(SIGHUP)?;
    }
    if hang_up == HangUp::Reload {
        signals.add_signal(SIGUSR2)?;
    }
    let thrown = stop.clone();
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            let mut asked = false;
            for signal in signals.forever() {
                if hang_up == HangUp::Reload && matches!(signal, SIGHUP | SIGUSR2) {
                    wish(match signal {
                        SIGHUP => Wish::Reload,
                        _ => Wish::Upgrade,
                    });
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
    Ok(())
}

/// Whether whoever started this process wants it to live on without its terminal: nohup(1) and the
/// like ignore the hang-up for it. proc(5): bit n - 1 of `SigIgn` is signal n.
fn ignores_hangup() -> bool {
    let status = Process::myself().and_then(|process| process.status());
    status.is_ok_and(|status| status.sigign >> (SIGHUP - 1) & 1 == 1)
}

//! SIGINT and SIGTERM throw a stop switch; the second one ends the process at once.

use super::{Exit, Failure, print};
use crate::engine::Stop;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// A switch that the first signal throws.
pub(super) fn stop() -> Result<Stop, Failure> {
    listen(&[SIGINT, SIGTERM])
}

/// The same for a server, which goes on after SIGHUP: whoever sends it wants a reload.
pub(super) fn server_stop() -> Result<Stop, Failure> {
    listen(&[SIGINT, SIGTERM, SIGHUP])
}

fn listen(to: &[i32]) -> Result<Stop, Failure> {
    let stop = Stop::default();
    let mut signals = Signals::new(to)?;
    let thrown = stop.clone();
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            let mut asked = false;
            for signal in signals.forever() {
                if signal == SIGHUP {
                    print::note("SIGHUP: there is nothing to reload yet; the server goes on");
                    continue;
                }
                if asked {
                    std::process::exit(Exit::Interrupted as i32);
                }
                asked = true;
                thrown.throw();
            }
        })?;
    Ok(stop)
}

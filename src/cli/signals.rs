//! SIGINT and SIGTERM throw a stop switch; the second one ends the process at once.

use super::{Exit, Failure};
use crate::engine::Stop;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// A switch that the first signal throws.
pub(super) fn stop() -> Result<Stop, Failure> {
    let stop = Stop::default();
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let thrown = stop.clone();
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            let mut asked = false;
            for _ in signals.forever() {
                if asked {
                    std::process::exit(Exit::Interrupted as i32);
                }
                asked = true;
                thrown.throw();
            }
        })?;
    Ok(stop)
}

//! A run of the scenario connect: several rounds, each a run of its own, added up.

use super::drive::Ran;
use super::meter::{Meter, Use};
use super::{Config, drive_once};
use crate::cli::Failure;
use crate::engine::Stop;
use crate::load::Outcome;
use crate::load::outcome::Ending;
use crate::report::Facts;

/// Runs that many rounds, one after the other: fewer if one of them does not come to its end.
pub(super) fn run(
    config: &Config,
    facts: &Facts,
    rounds: u32,
    stop: &Stop,
) -> Result<Ran, Failure> {
    let mut whole = Outcome::default();
    let mut meter = config.server_pid.map(Meter::new).transpose()?;
    meter.iter_mut().for_each(Meter::read);
    for _ in 0..rounds {
        let round = drive_once(config, facts, config.plan(stop.clone()))?;
        whole.follow(&round.outcome);
        if whole.ending != Ending::Complete {
            break;
        }
    }
    meter.iter_mut().for_each(Meter::read);
    Ok(Ran {
        server: meter.and_then(|meter| meter.used(Use::Connects, &whole)),
        outcome: whole,
        network: None,
        series: Vec::new(),
    })
}

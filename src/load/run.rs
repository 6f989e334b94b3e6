//! What the parts of a run act on together.

use super::client::LoadClients;
use super::measure::recorder::Recorder;
use super::phase::Timeline;

/// The run that a part acts in: how far it is, its clients, its counts.
pub(super) struct RunParts<'a> {
    pub(super) timeline: &'a Timeline,
    pub(super) clients: &'a mut LoadClients,
    pub(super) recorder: &'a mut Recorder,
}

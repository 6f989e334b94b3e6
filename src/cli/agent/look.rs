//! One look: asks the server, reads this host's /proc, and hands both to the watch.

use super::poll::Poller;
use super::{Config, HostFigures};
use crate::engine;
use crate::sampler::HostReader;
use crate::stats::{Reading, ServerWatch};

/// What it takes to look again and again.
pub(super) struct Looker {
    poller: Poller,
    watch: ServerWatch,
    host: Option<HostReader>,
}

impl Looker {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            poller: Poller::new(config.url.clone(), config.securing.clone()),
            watch: ServerWatch::new(),
            host: match config.host {
                HostFigures::Off => None,
                HostFigures::On => Some(HostReader::new()),
            },
        }
    }

    /// Looks once; takes as long as the server takes to answer, or the time for it.
    pub(super) fn look(&mut self) -> Reading {
        let told = self.poller.poll();
        let now = engine::now();
        let host = self.host.as_mut().map(HostReader::read);
        self.watch.look(now, told, host)
    }
}

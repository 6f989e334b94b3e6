//! Whether so many connections fit: descriptors, source addresses and their ports.

use crate::cli::flags::LoadEngine;
use crate::cli::{Failure, host};
use std::net::{IpAddr, SocketAddr, TcpListener};

/// What bounds the connections of a run.
pub(super) struct Room {
    pub(super) descriptor_limit: u64,
    pub(super) engine: LoadEngine,
    pub(super) sources: u64,
    pub(super) ports: u64,
}

impl Room {
    /// Refuses more connections than fit, and says how many do.
    pub(super) fn check(&self, connections: u64) -> Result<(), Failure> {
        let limit = self.descriptor_limit;
        let descriptors = match self.engine {
            // Each table may be as long as the limit, and a core has as many as it needs.
            LoadEngine::Ring => u64::from(u32::MAX),
            LoadEngine::Tokio => limit.saturating_sub(host::DESCRIPTORS_KEPT),
        };
        let (sources, per_source) = (self.sources.max(1), self.ports);
        let fit = descriptors.min(sources * per_source);
        let refuse = |why: String, more: String| {
            let text = format!("-c: {connections} connections do not fit: {why}");
            Err(Failure::Usage(format!("{text}; try: -c {fit}, or {more}")))
        };
        if connections > descriptors {
            let why = format!("{limit} descriptors allow {descriptors}");
            let needed = connections + host::DESCRIPTORS_KEPT;
            return refuse(why, format!("--engine ring, or ulimit -n {needed}"));
        }
        if connections > sources * per_source {
            let why = format!("{sources} source address has {per_source} ports each");
            let more = format!(
                "--source-ip auto, or {} addresses",
                connections.div_ceil(per_source)
            );
            return refuse(why, more);
        }
        Ok(())
    }
}

pub(super) fn check_source(source: &IpAddr) -> Result<(), Failure> {
    TcpListener::bind(SocketAddr::new(*source, 0))
        .map(drop)
        .map_err(|error| {
            let text = format!("--source-ip: {source}: {error}");
            Failure::Usage(format!(
                "{text}; try: an address of this host, see `ip addr`"
            ))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(engine: LoadEngine) -> Room {
        Room {
            descriptor_limit: 20_000,
            engine,
            sources: 0,
            ports: 28_232,
        }
    }

    #[test]
    fn connections_that_do_not_fit_are_refused_with_what_does() {
        let too_many = |room: &Room, n| room.check(n).unwrap_err().to_string();
        assert!(room(LoadEngine::Ring).check(28_000).is_ok());
        let error = too_many(&room(LoadEngine::Tokio), 20_000);
        assert!(
            error.contains("-c 19936") && error.contains("ulimit -n 20064"),
            "{error}"
        );
        let error = too_many(&room(LoadEngine::Ring), 30_000);
        assert!(
            error.contains("--source-ip auto, or 2 addresses"),
            "{error}"
        );
        assert!(
            Room {
                sources: 2,
                ..room(LoadEngine::Ring)
            }
            .check(30_000)
            .is_ok()
        );
    }

    #[test]
    fn a_source_that_is_not_this_hosts_is_refused() {
        assert!(check_source(&"127.0.0.9".parse().unwrap()).is_ok());
        let error = check_source(&"192.0.2.1".parse().unwrap())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("--source-ip") && error.contains("ip addr"),
            "{error}"
        );
    }
}

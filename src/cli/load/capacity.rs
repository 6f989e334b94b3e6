//! Whether so many connections fit: descriptors, source addresses and their ports.

use crate::cli::engine_flag::LoadEngine;
use crate::cli::{Failure, host, print};
use crate::load::Target;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr, UdpSocket};

/// All ports that a user's program may have.
const WIDE: &str = "sysctl -w net.ipv4.ip_local_port_range='1024 65535'";

/// What bounds the connections of a run.
pub(super) struct Capacity<'a> {
    pub(super) descriptor_limit: u64,
    pub(super) engine: LoadEngine,
    /// Source addresses; none: one that the kernel chooses.
    pub(super) sources: &'a [IpAddr],
    /// Whether the sources are already all that `--source-ip auto` finds.
    pub(super) is_auto: bool,
    /// Second connections of clients, over which they post.
    pub(super) posting: u64,
    /// Where connections go in turn; one that is there twice gets twice as many.
    pub(super) targets: &'a [Target],
    /// Ports of one source address, each good for one connection to each destination.
    pub(super) ports: u64,
}

impl Capacity<'_> {
    /// Refuses more connections than fit, and says how many do.
    pub(super) fn check(&self, connections: u64) -> Result<(), Failure> {
        let limit = self.descriptor_limit;
        let (descriptors, ports) = (self.descriptors(), self.by_ports());
        let fit = descriptors.min(ports).saturating_sub(self.posting);
        let clients = connections;
        let connections = clients + self.posting;
        let refuse = |why: String, more: String| {
            let posting = match self.posting {
                0 => String::new(),
                posting => format!(" and {posting} to post over"),
            };
            let text = format!("-c: {clients} connections{posting} do not fit: {why}");
            Err(Failure::Usage(format!("{text}; try: -c {fit}, or {more}")))
        };
        if connections > descriptors {
            let why = format!("{limit} descriptors allow {descriptors}");
            let needed = connections + host::DESCRIPTORS_KEPT;
            return refuse(why, format!("--engine ring, or ulimit -n {needed}"));
        }
        if connections > ports {
            // As many addresses for each as one has now, so many times.
            let sources = self.sources.len().max(1) as u64;
            let needed = (connections * sources).div_ceil(ports.max(1));
            let more = if self.is_auto {
                // What was tried is no advice.
                format!("{needed} source addresses (`ip addr add`), or a wider port range: {WIDE}")
            } else {
                format!("--source-ip auto, or {needed} addresses")
            };
            return refuse(self.factors(), more);
        }
        Ok(())
    }

    /// How many connections there is room for, and what makes it so.
    pub(super) fn shown(&self) -> String {
        let (descriptors, ports) = (self.descriptors(), self.by_ports());
        let mut text = format!(
            "room for {} connections: {}",
            print::whole(descriptors.min(ports)),
            self.factors()
        );
        if descriptors < ports {
            let limit = print::whole(self.descriptor_limit);
            // Writing to a String cannot fail.
            let _ = write!(text, "; a limit of {limit} descriptors");
        }
        text
    }

    fn descriptors(&self) -> u64 {
        match self.engine {
            // Each table may be as long as the limit, and a core has as many as it needs.
            LoadEngine::Ring => u64::from(u32::MAX),
            LoadEngine::Tokio => self.descriptor_limit.saturating_sub(host::DESCRIPTORS_KEPT),
        }
    }

    /// Connections until some destination has had every port of every source once.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number of ports, rounded down"
    )]
    fn by_ports(&self) -> u64 {
        let all = self.targets.len() as f64;
        let fit = |(to, share): (SocketAddr, f64)| {
            (self.sources_of(to) * self.ports) as f64 * all / share
        };
        let fits = self.destinations().into_iter().map(fit);
        let least = fits.fold(f64::INFINITY, f64::min);
        if least.is_finite() {
            least as u64
        } else {
            self.ports
        }
    }

    /// Source addresses of the family of a destination.
    fn sources_of(&self, to: SocketAddr) -> u64 {
        let fitting = self
            .sources
            .iter()
            .filter(|source| source.is_ipv4() == to.is_ipv4());
        fitting.count().max(1) as u64
    }

    /// Where connections go, and the share of the targets that each has: several addresses of one
    /// target have a part of it each.
    fn destinations(&self) -> BTreeMap<SocketAddr, f64> {
        let mut shares = BTreeMap::new();
        for target in self.targets {
            let all = target.addresses();
            for to in all {
                *shares.entry(*to).or_insert(0.0) += 1.0 / all.len() as f64;
            }
        }
        shares
    }

    fn factors(&self) -> String {
        let many = |count: u64, one: &str, several: &str| {
            let word = if count == 1 { one } else { several };
            format!("{} {word}", print::whole(count))
        };
        let sources = many(
            self.sources.len().max(1) as u64,
            "source address",
            "source addresses",
        );
        let ports = many(self.ports, "port", "ports");
        let destinations = many(
            self.destinations().len().max(1) as u64,
            "destination",
            "destinations",
        );
        format!("{sources} x {ports} x {destinations}")
    }
}

/// Whether the address is one of this host. Of UDP, because after a run before this one all ports
/// of TCP may still be in TIME_WAIT.
pub(super) fn check_source(source: &IpAddr) -> Result<(), Failure> {
    UdpSocket::bind(SocketAddr::new(*source, 0))
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

    const ONE: &[&str] = &["127.0.0.1:9000"];

    fn with_room<T>(
        engine: LoadEngine,
        sources: u8,
        targets: &[&str],
        look: impl FnOnce(&Capacity<'_>) -> T,
    ) -> T {
        let sources: Vec<IpAddr> = (0..sources).map(|n| [127, 0, 0, 2 + n].into()).collect();
        let targets: Vec<Target> = targets
            .iter()
            .map(|to| Target::At(to.parse().unwrap()))
            .collect();
        look(&Capacity {
            descriptor_limit: 20_000,
            engine,
            is_auto: false,
            sources: &sources,
            posting: 0,
            targets: &targets,
            ports: 28_232,
        })
    }

    #[test]
    fn connections_that_do_not_fit_are_refused_with_what_does() {
        let tried = |engine, sources, connections| {
            let check = |capacity: &Capacity<'_>| capacity.check(connections);
            with_room(engine, sources, ONE, check).map_err(|error| error.to_string())
        };
        assert!(tried(LoadEngine::Ring, 0, 28_000).is_ok());
        let error = tried(LoadEngine::Tokio, 0, 20_000).unwrap_err();
        assert!(
            error.contains("-c 19936") && error.contains("ulimit -n 20064"),
            "{error}"
        );
        let error = tried(LoadEngine::Ring, 0, 30_000).unwrap_err();
        assert!(
            error.contains("-c 28232") && error.contains("--source-ip auto, or 2 addresses"),
            "{error}"
        );
        assert!(tried(LoadEngine::Ring, 2, 30_000).is_ok());
    }

    #[test]
    fn second_connections_need_room_too() {
        let check = |posting| {
            let check = |capacity: &Capacity<'_>| {
                let tried = Capacity {
                    posting,
                    ..*capacity
                };
                tried.check(28_000).map_err(|error| error.to_string())
            };
            with_room(LoadEngine::Ring, 1, ONE, check)
        };
        assert!(check(232).is_ok());
        let error = check(1_000).unwrap_err();
        assert!(
            error.contains("28000 connections and 1000 to post over do not fit")
                && error.contains("-c 27232"),
            "{error}"
        );
    }

    #[test]
    fn auto_is_not_advised_to_who_asked_for_it() {
        let check = |capacity: &Capacity<'_>| {
            let tried = Capacity {
                is_auto: true,
                ..*capacity
            };
            tried.check(30_000).unwrap_err().to_string()
        };
        let error = with_room(LoadEngine::Ring, 1, ONE, check);
        assert!(!error.contains("auto"), "{error}");
        assert!(error.contains("2 source addresses") && error.contains("ip_local_port_range"));
    }

    #[test]
    fn each_destination_has_every_port_again() {
        let fits = |sources, targets: &[&str], connections| {
            let check = |capacity: &Capacity<'_>| capacity.check(connections);
            with_room(LoadEngine::Ring, sources, targets, check).is_ok()
        };
        let two = ["127.0.0.1:9000", "127.0.0.1:9001"];
        assert!(fits(1, &two, 56_464) && !fits(1, &two, 56_465));
        assert!(fits(2, &two, 112_928) && !fits(2, &two, 112_929));
        // The second is there twice and so is full first: half of all go there.
        let uneven = [two[0], two[1], two[1], "127.0.0.1:9002"];
        assert!(fits(1, &uneven, 56_464) && !fits(1, &uneven, 56_465));
        // Sources of another family are no help.
        let six = ["[::1]:9000"];
        assert!(fits(3, &six, 28_232) && !fits(3, &six, 28_233));
    }

    #[test]
    fn what_there_is_room_for_is_shown_with_its_factors() {
        let shown = |engine, sources, targets| {
            with_room(engine, sources, targets, |capacity| capacity.shown())
        };
        assert_eq!(
            shown(LoadEngine::Ring, 2, &["127.0.0.1:9000", "127.0.0.1:9001"]),
            "room for 112,928 connections: 2 source addresses x 28,232 ports x 2 destinations"
        );
        assert_eq!(
            shown(LoadEngine::Tokio, 0, ONE),
            "room for 19,936 connections: 1 source address x 28,232 ports x 1 destination; \
             a limit of 20,000 descriptors"
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

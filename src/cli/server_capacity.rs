//! How many connections a server has room for, and saying so: at the start, and when it is full.

use super::flags::ServeEngine;
use super::{Failure, print};
use crate::engine::{AcceptFailures, EngineError};
use crate::limits;
use crate::server::Refusals;
use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Time between two looks at what was refused.
const LOOK: Duration = Duration::from_secs(1);
/// Time between two lines of one kind: an operator has to read them.
const AGAIN: Duration = Duration::from_secs(60);

/// What bounds the connections of a host.
#[derive(Clone, Copy, Debug)]
pub(super) struct HostLimits {
    /// The limit on descriptors of this process.
    pub(super) descriptors: u64,
    /// Cores of the run.
    pub(super) cores: u64,
}

/// How many connections one core takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ServerCapacity {
    pub(super) connections: u32,
    set_by: SetBy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SetBy {
    Flag,
    Descriptors(u64),
    /// The most that is taken where nobody says.
    Most,
    /// The baseline takes what comes.
    Nothing,
}

impl ServerCapacity {
    /// What was typed, or what the limit on descriptors has room for.
    ///
    /// The ring engine takes as many tables as it needs, each a descriptor; the others need a
    /// descriptor for each connection.
    pub(super) fn new(
        typed: Option<u32>,
        engine: ServeEngine,
        host: HostLimits,
    ) -> Result<Self, Failure> {
        let HostLimits { descriptors, cores } = host;
        let default = match engine {
            ServeEngine::Ring => limits::ring_connections(descriptors),
            ServeEngine::Tokio => limits::descriptor_connections(descriptors, cores),
            ServeEngine::Baseline => u64::from(u32::MAX),
        };
        if let Some(typed) = typed {
            let extra = u64::from(limits::EXTRA_CONNECTIONS);
            let needed = (u64::from(typed) + extra) * cores + limits::DESCRIPTORS_KEPT;
            if engine == ServeEngine::Tokio && needed > descriptors {
                return Err(Failure::Usage(format!(
                    "--max-connections: {typed} connections on each of {cores} cores do not fit a \
                     limit of {descriptors} descriptors; try: --engine ring, --max-connections \
                     {default}, or ulimit -n {needed}"
                )));
            }
            return Ok(Self {
                connections: typed,
                set_by: SetBy::Flag,
            });
        }
        if default == 0 {
            return Err(Failure::Run(format!(
                "the limit on descriptors is too low ({descriptors}); try: ulimit -n 20000"
            )));
        }
        Ok(Self {
            connections: u32::try_from(default).unwrap_or(u32::MAX),
            set_by: match engine {
                ServeEngine::Baseline => SetBy::Nothing,
                ServeEngine::Ring | ServeEngine::Tokio if default == limits::CORE_SLOTS => {
                    SetBy::Most
                }
                ServeEngine::Ring | ServeEngine::Tokio => SetBy::Descriptors(descriptors),
            },
        })
    }

    /// What there is room for on so many cores, and why.
    pub(super) fn line(self, cores: usize) -> String {
        let each = u64::from(self.connections);
        let all = print::whole(each * cores as u64);
        let why = match self.set_by {
            SetBy::Flag => "--max-connections".to_owned(),
            SetBy::Descriptors(limit) => {
                let limit = print::whole(limit);
                format!("the limit of {limit} descriptors; more: --max-connections or ulimit -n")
            }
            SetBy::Most => "the default; more: --max-connections".to_owned(),
            SetBy::Nothing => return "room for as many connections as descriptors".to_owned(),
        };
        let each = print::whole(each);
        format!("room for {all} connections, {each} on each core, set by {why}")
    }
}

/// Says on stderr that newcomers were refused, and why accepting failed: within a second, and each
/// kind once a minute at most.
pub(super) fn tell_refusals(
    refusals: &Refusals,
    failures: AcceptFailures,
    capacity: ServerCapacity,
) -> Result<(), EngineError> {
    let refusals = refusals.clone();
    let tell = move || {
        let (mut full, mut failed) = (Told::default(), failures.read().map(|_| Told::default()));
        let mut barred = Told::default();
        let mut answered_before = 0;
        for looks in 1.. {
            std::thread::sleep(LOOK);
            let now = LOOK * looks;
            let answered = refusals.answered.load(Relaxed);
            let refused = answered + refusals.reset.load(Relaxed);
            if let Some(news) = full.news(refused, now) {
                let by_answer = answered - answered_before;
                print::note(full_line(by_answer, news - by_answer, capacity));
                answered_before = answered;
            }
            if let Some(news) = barred.news(refusals.barred.load(Relaxed), now) {
                let news = print::whole(news);
                print::note(format_args!(
                    "limits: {news} x not let in; see barred in /stats"
                ));
            }
            for (told, (count, errno)) in failed.iter_mut().zip(failures.read()) {
                if let Some(news) = told.news(count, now) {
                    print::note(failed_line(news, errno));
                }
            }
        }
    };
    let thread = std::thread::Builder::new().name("refusals".to_owned());
    let told = thread.spawn(tell).map(drop);
    told.map_err(|source| EngineError::no_threads("the thread that tells of refusals", source))
}

/// What was told of one kind.
#[derive(Default)]
struct Told {
    count: u64,
    at: Option<Duration>,
}

impl Told {
    /// How many have come since the last line, if there is to be one now.
    fn news(&mut self, count: u64, now: Duration) -> Option<u64> {
        let is_time = self.at.is_none_or(|at| now >= at + AGAIN);
        let news = count.saturating_sub(self.count);
        (news > 0 && is_time).then(|| {
            (self.count, self.at) = (count, Some(now));
            news
        })
    }
}

/// What accepting fails for, and the remedy (accept(2)).
fn failed_line(count: u64, errno: i32) -> String {
    let (want, remedy) = match errno {
        libc::EMFILE => (
            "the process may have no more descriptors (EMFILE)",
            "ulimit -n, or a lower --max-connections",
        ),
        libc::ENFILE => (
            "the system has no more files (ENFILE)",
            "sysctl -w fs.file-max=1000000",
        ),
        libc::ENOMEM | libc::ENOBUFS => (
            "the kernel has no memory for sockets (ENOMEM)",
            "a higher memory limit of the group or container, or net.ipv4.tcp_mem",
        ),
        _ => {
            return format!(
                "accepting failed {count} times: {}",
                io::Error::from_raw_os_error(errno)
            );
        }
    };
    let plural = if count == 1 { "" } else { "s" };
    let count = print::whole(count);
    format!("accepting failed {count} time{plural}, newcomers wait: {want}; try: {remedy}")
}

fn full_line(answered: u64, reset: u64, capacity: ServerCapacity) -> String {
    let plural = |count: u64| if count == 1 { "" } else { "s" };
    let connections = u64::from(capacity.connections);
    format!(
        "full: {} newcomer{} got 503 and {} {} reset; a core has room for {} connection{}: \
         --max-connections",
        print::whole(answered),
        plural(answered),
        print::whole(reset),
        if reset == 1 { "was" } else { "were" },
        print::whole(connections),
        plural(connections)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capacity(typed: Option<u32>, engine: ServeEngine, descriptors: u64) -> Result<u32, String> {
        let host = HostLimits {
            descriptors,
            cores: 2,
        };
        let capacity = ServerCapacity::new(typed, engine, host).map_err(|error| error.to_string());
        capacity.map(|capacity| capacity.connections)
    }

    #[test]
    fn what_the_flag_says_is_taken_and_what_does_not_fit_is_refused_with_what_fits() {
        let tokio = ServeEngine::Tokio;
        assert_eq!(capacity(Some(1), tokio, 1024), Ok(1));
        // Two cores share the descriptors: (1024 - 64) / 2, and 224 beside the connections.
        assert_eq!(capacity(None, tokio, 1024), Ok(256));
        assert_eq!(capacity(Some(256), tokio, 1024), Ok(256));
        let error = capacity(Some(257), tokio, 1024).unwrap_err();
        assert!(
            error.contains("256") && error.contains("ulimit -n 1026"),
            "{error}"
        );
        assert_eq!(capacity(Some(2000), ServeEngine::Ring, 1024), Ok(2000));
        assert!(
            capacity(None, tokio, 10).is_err() && capacity(None, ServeEngine::Ring, 10).is_err()
        );
        assert_eq!(capacity(None, tokio, u64::MAX), Ok(131_072));
    }

    #[test]
    fn room_is_told_with_what_sets_it() {
        let host = HostLimits {
            descriptors: 20_000,
            cores: 2,
        };
        let ring = ServeEngine::Ring;
        let line = |typed| {
            ServerCapacity::new(typed, ring, host)
                .ok()
                .map(|it| it.line(2))
                .unwrap()
        };
        assert!(
            line(None).contains("39,424 connections, 19,712 on each core"),
            "{}",
            line(None)
        );
        assert!(line(None).contains("20,000 descriptors"));
        assert!(line(Some(100)).contains("200 connections, 100 on each core, set by --max"));
    }

    #[test]
    fn a_kind_is_told_at_once_and_then_once_a_minute() {
        let mut told = Told::default();
        let mut lines = Vec::new();
        for second in 0..150 {
            // From the tenth second on, one a second.
            let count = second.max(10) - 10;
            let now = Duration::from_secs(second);
            lines.extend(told.news(count, now).map(|news| (second, news)));
        }
        assert_eq!(lines, [(11, 1), (71, 60), (131, 60)]);
        // What ends is told once more, and then no more.
        let late = |told: &mut Told, second| told.news(140, Duration::from_secs(second));
        assert_eq!(
            [190, 191, 300].map(|at| late(&mut told, at)),
            [None, Some(19), None]
        );
    }

    #[test]
    fn one_newcomer_is_one_newcomer() {
        let capacity = ServerCapacity {
            connections: 1,
            set_by: SetBy::Flag,
        };
        let line = |answered, reset| full_line(answered, reset, capacity);
        assert_eq!(
            line(1, 1),
            "full: 1 newcomer got 503 and 1 was reset; a core has room for 1 connection: \
             --max-connections"
        );
        assert!(line(2, 0).starts_with("full: 2 newcomers got 503 and 0 were reset;"));
    }
}

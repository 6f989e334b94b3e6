//! The standard cases, and what is read from a run of any.

use super::flags::CaseFlag;
use crate::report::Record;
use crate::study::paired::Better;
use std::time::Duration;

/// What is asked of both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Case {
    pub(super) name: &'static str,
    scheme: &'static str,
    path: &'static str,
    /// Flags of our own servers.
    pub(super) server: &'static [&'static str],
    load: &'static [&'static str],
    /// Whether each run lasts as long as was typed: else as long as it takes.
    is_timed: bool,
}

/// A figure of one run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct CaseFigure {
    pub(super) name: &'static str,
    pub(super) better: Better,
    pub(super) value: f64,
}

const WARM_UP: Duration = Duration::from_millis(500);

impl Case {
    pub(super) const fn of(flag: CaseFlag) -> Self {
        let echo = Self {
            name: "echo",
            scheme: "ws",
            path: "/echo",
            server: &[],
            load: &["-c", "64", "--pipeline", "16"],
            is_timed: true,
        };
        match flag {
            CaseFlag::Echo => echo,
            CaseFlag::Paced => Self {
                name: "paced",
                load: &["-c", "256", "-r", "20k"],
                ..echo
            },
            CaseFlag::Bulk => Self {
                name: "bulk",
                load: &["-c", "16", "--pipeline", "4", "--payload", "64k"],
                ..echo
            },
            CaseFlag::Connect => Self {
                name: "connect",
                load: &["-c", "500", "--scenario", "connect", "--iterations", "4"],
                is_timed: false,
                ..echo
            },
            CaseFlag::Fanout => Self {
                name: "fanout",
                path: "/push",
                server: &["--chunk-ms", "20"],
                load: &["-c", "500", "--scenario", "listen"],
                ..echo
            },
            CaseFlag::Memory => Self {
                name: "memory",
                load: &["-c", "2000", "--scenario", "idle"],
                ..echo
            },
        }
    }

    /// Where the case is asked of one of our servers.
    pub(super) fn url(&self, address: &str) -> String {
        format!("{}://{address}{}", self.scheme, self.path)
    }

    /// The flags of a load, or those that were typed instead.
    pub(super) fn load(&self, typed: &[String], duration: Duration) -> Vec<String> {
        if !typed.is_empty() {
            let mut all = typed.to_vec();
            let is_given = |word: &String| word == "-d" || word.starts_with("--duration");
            if !typed.iter().any(is_given) {
                all.extend(time("-d", duration));
            }
            return all;
        }
        let mut all: Vec<String> = self.load.iter().map(|&word| word.to_owned()).collect();
        if self.is_timed {
            all.extend(time("-d", duration));
            all.extend(time("--warm-up", WARM_UP));
        }
        all
    }
}

fn time(flag: &str, time: Duration) -> [String; 2] {
    [flag.to_owned(), format!("{}ms", time.as_millis())]
}

/// What a run says that can be compared, the figure that decides first.
pub(super) fn figures(record: &Record, grown_bytes: Option<u64>) -> Vec<CaseFigure> {
    let (connects, scenario) = (&record.connects, record.run.scenario.as_str());
    let server_s = record.server.map(|server| server.cpu_s);
    let each_s = |n: u64| server_s.filter(|s| *s > 0.0).map(|s| n as f64 / s);
    let is_rounds = record.rounds.is_some();
    let is_closed = record.run.loop_kind == "closed";
    let per_cpu = record.server.and_then(|server| server.messages_per_cpu_s);
    let per_s = record.messages.as_ref().and_then(|it| it.replied_per_s);
    let each = grown_bytes.filter(|_| scenario == "idle" && connects.up > 0);
    let headline = record.headline().map(|(name, it)| (name.to_owned(), it));
    let [p50, p99] = match headline {
        Some((name, it)) if name != "connect" && name != "ping" => {
            [Some(it.p50_ns as f64), Some(it.p99_ns as f64)]
        }
        _ => [None, None],
    };
    let all = [
        (
            "bytes_per_connection",
            Better::Lower,
            each.map(|it| it as f64 / connects.up as f64),
        ),
        (
            "connects_per_cpu_s",
            Better::Higher,
            is_rounds.then(|| each_s(connects.up)).flatten(),
        ),
        (
            "connects_per_s",
            Better::Higher,
            is_rounds.then_some(connects.up_per_s).flatten(),
        ),
        (
            "messages_per_cpu_s",
            Better::Higher,
            per_cpu.filter(|_| !is_rounds),
        ),
        (
            "messages_per_s",
            Better::Higher,
            per_s.filter(|_| is_closed),
        ),
        ("latency_p50_ns", Better::Lower, p50),
        ("latency_p99_ns", Better::Lower, p99),
    ];
    let known = all.into_iter().filter_map(|(name, better, value)| {
        Some(CaseFigure {
            name,
            better,
            value: value.filter(|value| *value > 0.0)?,
        })
    });
    known.collect()
}

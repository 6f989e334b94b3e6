//! `/metrics`: everything that can be told, and the dashboard that shows it.

use super::*;
use crate::app::backend::{HookCounts, HookFailure, HookPlan, HookSet};
use crate::app::realtime::RealtimePlan;
use crate::stats::cgroup::CgroupTexts;
use crate::stats::process::ProcessTexts;
use crate::stats::{Cgroup, HostSample, Listener, Process, Snapshot, Texts, Threads};

const DASHBOARD: &str = include_str!("../../../scripts/grafana/ringstorm.json");

/// A reading of a host that tells everything.
fn everything() -> Snapshot {
    let texts = Texts {
        stat: "cpu0 1 2 3 4 5 6 7 8\n".to_owned(),
        sockstat: "TCP: inuse 1 orphan 2 tw 3 alloc 4 mem 5\n".to_owned(),
        netstat: "TcpExt: ListenOverflows ListenDrops TCPReqQFullDrop TCPReqQFullDoCookies \
                  SyncookiesSent TCPTimeouts TCPMemoryPressures TCPAbortOnMemory\n\
                  TcpExt: 1 2 3 4 5 6 7 8\n"
            .to_owned(),
        snmp: "Tcp: CurrEstab RetransSegs\nTcp: 1 2\n".to_owned(),
        softnet: "00000001 00000002 00000003\n".to_owned(),
        load: "1.5 1 1 1/2 3\n".to_owned(),
        pressure_cpu: "some avg10=1.00 avg60=1.00 avg300=1.00 total=1\n".to_owned(),
        memory: "MemTotal: 3 kB\nMemAvailable: 2 kB\nSlab: 1 kB\n".to_owned(),
        files: "1 0 2\n".to_owned(),
        tcp_limits: "1 2 3\n".to_owned(),
        conntrack: "1\n".to_owned(),
        conntrack_max: "2\n".to_owned(),
        slab: "TCP 1 2 3 4 5\n".to_owned(),
        ..Texts::default()
    };
    let process = ProcessTexts {
        statm: "9 1 1\n".to_owned(),
        rollup: "Pss: 1 kB\nAnonymous: 1 kB\n".to_owned(),
        descriptors: Some(1),
        descriptor_limit: Some(2),
    };
    let mut threads = Threads::default();
    threads.begin();
    // A name that has to be escaped.
    threads.name(7, "a \"thread\\\n");
    threads.note(7, "1 2 3\n");
    let cgroup = CgroupTexts {
        memory: "1\n".to_owned(),
        memory_limit: "2\n".to_owned(),
        memory_events: "max 1\noom_kill 1\n".to_owned(),
        memory_stat: "sock 1\nslab 1\n".to_owned(),
        cpu_stat: "nr_periods 1\nnr_throttled 1\nthrottled_usec 1\n".to_owned(),
        cpu_quota: "1 1\n".to_owned(),
        pids: "1\n".to_owned(),
        pids_limit: "2\n".to_owned(),
        ..CgroupTexts::default()
    };
    Snapshot {
        at: START,
        unix: None,
        process: Process::parse(&process, 4096, &threads),
        listeners: vec![Listener {
            address: "[::1]:9000".to_owned(),
            core: 0,
            accept_queue: Some(1),
            accept_queue_limit: Some(2),
        }],
        host: HostSample::parse(&texts, START),
        cgroup: Cgroup::parse(&cgroup),
    }
}

/// An application behind the server.
fn backend() -> HookPlan {
    HookPlan {
        asks: HookSet::of(&[]),
        failure: HookFailure::Deny,
        time: Duration::from_secs(1),
        counts: HookCounts::default(),
        lines: Vec::new(),
    }
}

fn metrics() -> String {
    let mut config = config();
    config.realtime = Some(RealtimePlan {
        backend: Some(backend()),
        ..RealtimePlan::dev([7; 32])
    });
    config.board.post(everything());
    let mut rig = Rig::new(config);
    let id = rig.asked(&get("/metrics"));
    let text = rig.text(id);
    let (_, body) = text.split_once("\r\n\r\n").expect("a head");
    body.to_owned()
}

/// Every name in a text that begins as ours do.
fn names(text: &str) -> Vec<&str> {
    let word = |c: char| c.is_ascii_lowercase() || c == '_';
    let begins = text.match_indices("ringstorm_").map(|(at, _)| at);
    begins
        .filter_map(|at| text.get(at..))
        .map(|rest| rest.split(|c| !word(c)).next().unwrap_or(rest))
        .collect()
}

#[test]
fn the_dashboard_shows_only_what_is_exported() {
    let exported = metrics();
    let samples: Vec<&str> = exported
        .lines()
        .filter(|line| !line.starts_with('#'))
        .flat_map(|line| names(line).into_iter().next())
        .collect();
    // What a load client exports its own test has.
    let mut shown = names(DASHBOARD);
    shown.retain(|name| !name.starts_with("ringstorm_load_"));
    assert!(shown.len() > 40, "{shown:?}");
    for name in shown {
        assert!(samples.contains(&name), "{name} is not exported");
    }
    let dashboard: serde_json::Value = serde_json::from_str(DASHBOARD).expect("JSON");
    assert!(
        dashboard["panels"]
            .as_array()
            .is_some_and(|all| all.len() > 20)
    );
}

#[test]
fn every_kind_and_end_of_connections_that_is_counted_is_exported() {
    let counted = serde_json::to_value(Tally::default()).expect("JSON");
    let exported = metrics();
    let labels = [("open", "kind"), ("closed", "cause"), ("decided", "reason")];
    for (part, label) in labels {
        let counts = counted[part].as_object().expect("counts");
        assert!(counts.len() >= 3, "{part}");
        for name in counts.keys() {
            let sample = format!("{label}=\"{name}\"");
            assert!(exported.contains(&sample), "{sample} is not exported");
        }
    }
}

#[test]
fn a_family_stands_once_with_its_meaning_and_its_samples_behind_it() {
    let text = metrics();
    let mut families = std::collections::BTreeSet::new();
    let mut family = String::new();
    for line in text.lines().filter(|line| *line != "# EOF") {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a type");
            assert!(families.insert(name.to_owned()), "{name} twice");
            let suffixes: &[&str] = match kind {
                "counter" => &["_total"],
                "gauge" => &[],
                "info" => &["_info"],
                "histogram" => &["_bucket", "_count", "_sum"],
                other => panic!("{other}"),
            };
            // What these end with would be taken for a part of another family.
            for taken in ["_total", "_info", "_bucket", "_count", "_sum", "_created"] {
                assert!(!name.ends_with(taken), "{name}");
            }
            assert!(text.contains(&format!("# HELP {name} ")), "{name}");
            let sample = |suffix: &&str| text.contains(&format!("\n{name}{suffix}"));
            assert!(suffixes.iter().all(sample), "{name}");
            family = name.to_owned();
        } else if !line.starts_with('#') {
            assert!(line.starts_with(&family), "{line} is not of {family}");
        }
    }
    assert!(families.len() > 70, "{}", families.len());
    assert!(text.contains(r#"{thread="a \"thread\\"}"#), "{text}");
}

//! Parsers on texts of several kernels; rates, restarts and gaps.

use super::proc::{self, CpuTime};
use super::*;
use crate::time::Instant;
use std::time::Duration;

const STAT: &str = "\
cpu  300 0 60 600 0 0 30 10 0 0
cpu0 100 20 30 400 5 1 20 7 0 0
cpu3 50 0 10 200
intr 5 0
ctxt 7
";

#[test]
fn cpu_lines_are_read_with_as_many_columns_as_the_kernel_has() {
    let times = proc::cpu_times(STAT, 100);
    let first = CpuTime {
        cpu: 0,
        user_ms: 1200,
        system_ms: 300,
        idle_ms: 4050,
        irq_ms: 10,
        softirq_ms: 200,
        steal_ms: 70,
    };
    let second = CpuTime {
        cpu: 3,
        user_ms: 500,
        system_ms: 100,
        idle_ms: 2000,
        ..CpuTime::default()
    };
    assert_eq!(times, [first, second]);
    assert_eq!(proc::cpu_times(STAT, 250)[1].idle_ms, 800);
    assert_eq!(proc::cpu_times(STAT, 0), []);
    for broken in [
        "",
        "cpu",
        "cpu0",
        "cpu0 1 2 3",
        "cpux 1 2 3 4",
        "cpu0 a b c d",
    ] {
        assert_eq!(proc::cpu_times(broken, 100), [], "{broken:?}");
    }
}

#[test]
fn counters_in_pairs_of_lines_are_found_by_name() {
    let text = "\
IpExt: InOctets OutOctets
IpExt: 9 8
TcpExt: SyncookiesSent ListenDrops ListenOverflows
TcpExt: 1 22 333
TcpExt: Added
TcpExt: 4
";
    let get = |name| proc::paired(text, "TcpExt", name);
    assert_eq!(get("ListenOverflows"), Some(333));
    assert_eq!(get("ListenDrops"), Some(22));
    assert_eq!(get("Added"), Some(4));
    assert_eq!(get("Missing"), None);
    assert_eq!(proc::paired(text, "Tcp", "ListenDrops"), None);
    // Fewer values than names, values that are no numbers, a pair cut in half.
    assert_eq!(proc::paired("T: A B\nT: 1\n", "T", "B"), None);
    assert_eq!(proc::paired("T: A\nT: -1\n", "T", "A"), None);
    assert_eq!(proc::paired("T: A\n", "T", "A"), None);
}

#[test]
fn sockstat_has_pairs_of_words_in_any_order() {
    let text = "sockets: used 9\nTCP: mem 7 inuse 5 orphan 1 tw 2 alloc 6\nUDP: inuse 3 mem 0\n";
    assert_eq!(proc::sockstat(text, "TCP", "inuse"), Some(5));
    assert_eq!(proc::sockstat(text, "TCP", "mem"), Some(7));
    assert_eq!(proc::sockstat(text, "UDP", "tw"), None);
    assert_eq!(proc::sockstat("", "TCP", "mem"), None);
}

#[test]
fn softnet_columns_are_hexadecimal_and_summed_over_cpus() {
    let text = "0a371c7a 0000000f 00000003 00000000\n0a18ebb6 00000001 00000010\n";
    assert_eq!(proc::softnet(text), Some((16, 19)));
    assert_eq!(proc::softnet("0a371c7a\n"), None);
    assert_eq!(proc::softnet(""), None);
}

#[test]
fn single_numbers_are_read_or_not_there() {
    assert_eq!(proc::load_average("9.14 6.30 6.45 17/214 9\n"), Some(9.14));
    assert_eq!(proc::load_average(""), None);
    let pressure = "some avg10=99.62 avg60=98.22 avg300=83.57 total=3\nfull avg10=0.00\n";
    let told = proc::pressure(pressure);
    assert_eq!((told.percent, told.waited_us), (Some(99.62), Some(3)));
    assert_eq!(proc::pressure("full avg10=1.00\n"), Default::default());
    assert_eq!(proc::numbers("1\t-2  3\n"), [Some(1), None, Some(3), None]);
    assert_eq!(proc::named("sock 4096\nsockets 1\n", "sock"), Some(4096));
    assert_eq!(proc::named("sock\nsock x\n", "sock"), None);
    let slab = "slabinfo - version: 2.1\nTCP 5 6 2048 16 8 : tunables\nTCPv6 1 2 10\nUDP 9 9 9\n";
    assert_eq!(proc::slab_bytes(slab, &["TCP", "TCPv6"]), Some(12_308));
    assert_eq!(proc::slab_bytes("", &["TCP"]), None);
    let memory = "MemTotal:       24684084 kB\nMemAvailable:   2 kB\n";
    assert_eq!(proc::memory(memory, "MemAvailable"), Some(2048));
    assert_eq!(proc::memory(memory, "MemFree"), None);
    assert_eq!(proc::memory("A: 99999999999999999 kB", "A"), None);
}

fn host(stat: &str, overflows: u64, at_s: u64) -> HostSample {
    let texts = Texts {
        stat: stat.to_owned(),
        netstat: format!("TcpExt: ListenOverflows\nTcpExt: {overflows}\n"),
        ..Texts::default()
    };
    HostSample::parse(&texts, Instant::from_nanos(at_s * 1_000_000_000))
}

#[test]
fn a_host_is_busy_by_what_its_ticks_grew() {
    let old = host("cpu0 100 0 0 100 0 0 0 0\ncpu1 1 0 0 1\n", 5, 10);
    let new = host("cpu0 120 0 10 150 0 0 15 5\ncpu2 9 9 9 9\n", 25, 12);
    let rates = HostRates::between(&old, &new);
    // A CPU that came is not known yet, one that went is left out.
    assert_eq!(rates.cpus.len(), 1);
    let cpu = rates.cpus[0];
    assert_eq!((cpu.cpu, cpu.busy_percent), (0, 50.0));
    assert_eq!((cpu.softirq_percent, cpu.steal_percent), (15.0, 5.0));
    assert_eq!(rates.listen_overflows, Some(10.0));
    assert_eq!((rates.retransmits, rates.softnet_drops), (None, None));
    assert_eq!(rates.mean(|cpu| cpu.busy_percent), Some(50.0));
    // Back in time, and no time at all.
    let back = HostRates::between(&new, &old);
    assert_eq!((back.cpus.len(), back.listen_overflows), (0, None));
    assert_eq!(HostRates::between(&new, &new).listen_overflows, None);
}

fn sample(uptime_s: f64, accepted: u64, missing: &[u16]) -> Sample {
    let body = serde_json::json!({
        "engine": "ring",
        "uptime_s": uptime_s,
        "cores": [{ "core": 1, "cpu_s": uptime_s / 2.0, "accepted": accepted }],
        "total": {
            "accepted": accepted,
            "closed": { "local": accepted / 2 },
            "turns": accepted,
            "events": accepted * 3,
            "a key of tomorrow": [1],
        },
        "missing": missing,
    });
    Sample::parse(body.to_string().as_bytes()).expect("a sample")
}

#[test]
fn a_sample_lacks_what_the_server_does_not_tell() {
    let told = sample(1.0, 5, &[]);
    assert_eq!(told.total.accepted, Some(5));
    assert_eq!((told.total.bytes_in, told.process.rss_bytes), (None, None));
    assert_eq!(told.cores[0].figures.cpu_s, Some(0.5));
    let needed = r#"{"engine":"a\u001b[2J","uptime_s":1,"total":{"closed":{"\u001b[2J":1}}}"#;
    let told = Sample::parse(needed.as_bytes()).expect("a sample");
    assert_eq!((told.engine.as_str(), told.total.closed.len()), ("a[2J", 0));
    for broken in [
        "",
        "{}",
        "[]",
        r#"{"engine":"x","uptime_s":1}"#,
        r#"{"engine":"x","uptime_s":1,"total":{"accepted":-1}}"#,
    ] {
        assert!(Sample::parse(broken.as_bytes()).is_err(), "{broken}");
    }
}

#[test]
fn rates_are_by_the_servers_clock() {
    let rates = Rates::between(&sample(10.0, 100, &[]), &sample(12.0, 300, &[])).expect("rates");
    assert_eq!(rates.span_s, 2.0);
    assert_eq!(
        (rates.accepted, rates.closed_sum()),
        (Some(100.0), Some(50.0))
    );
    assert_eq!(
        (rates.turns, rates.events_per_turn),
        (Some(100.0), Some(3.0))
    );
    assert_eq!(rates.cores_cpu_percent, [(1, Some(50.0))]);
    assert_eq!((rates.bytes_in, rates.process_cpu_percent), (None, None));
    assert_eq!(
        Rates::between(&sample(1.0, 1, &[]), &sample(1.0, 1, &[])),
        None
    );
}

#[test]
fn a_counter_that_went_back_or_a_sum_of_other_cores_has_no_rate() {
    let back = Rates::between(&sample(10.0, 100, &[]), &sample(12.0, 50, &[])).expect("rates");
    assert_eq!((back.accepted, back.events_per_turn), (None, None));
    assert!(back.closed.is_empty());
    let other = Rates::between(&sample(10.0, 1, &[0]), &sample(12.0, 50, &[])).expect("rates");
    assert_eq!(other.accepted, None);
    assert_eq!(other.cores_cpu_percent, [(1, Some(50.0))]);
}

fn change(
    watch: &mut ServerWatch,
    at_s: u64,
    told: Result<Sample, String>,
) -> (Option<ServerChange>, bool) {
    let now = Instant::from_nanos(at_s * 1_000_000_000);
    match watch.look(now, told, None).state {
        ServerState::Up { change, rates, .. } => (Some(change), rates.is_some()),
        ServerState::Lost { .. } => (None, false),
    }
}

#[test]
fn a_restart_is_told_from_a_pause_and_from_a_missing_core() {
    let mut watch = ServerWatch::new();
    let mut look = |at_s, told| change(&mut watch, at_s, told);
    let refused = || Err("refused".to_owned());
    assert_eq!(
        look(0, Ok(sample(50.0, 100, &[]))),
        (Some(ServerChange::First), false)
    );
    assert_eq!(
        look(1, Ok(sample(51.0, 120, &[]))),
        (Some(ServerChange::None), true)
    );
    assert_eq!(look(2, refused()), (None, false));
    assert_eq!(
        look(3, Ok(sample(53.0, 120, &[]))),
        (Some(ServerChange::Back), true)
    );
    // A core does not answer: the sum falls, and that is no restart.
    assert_eq!(
        look(4, Ok(sample(54.0, 20, &[0]))),
        (Some(ServerChange::None), true)
    );
    assert_eq!(
        look(5, Ok(sample(55.0, 130, &[]))),
        (Some(ServerChange::None), true)
    );
    // Its clock went back.
    assert_eq!(
        look(6, Ok(sample(0.5, 1, &[]))),
        (Some(ServerChange::Restarted), false)
    );
    // Lost for longer than the old one had lived: its clock did not go back, and yet it is new.
    assert_eq!(look(60, refused()), (None, false));
    assert_eq!(
        look(61, Ok(sample(20.0, 5, &[]))),
        (Some(ServerChange::Restarted), false)
    );
    // Its counters went back.
    assert_eq!(
        look(62, Ok(sample(21.0, 2, &[]))),
        (Some(ServerChange::Restarted), false)
    );
}

#[test]
fn a_lost_server_is_lost_since_its_last_answer() {
    let mut watch = ServerWatch::new();
    let second = |at: u64| Instant::from_nanos(0) + Duration::from_secs(at);
    watch.look(second(1), Ok(sample(1.0, 1, &[])), None);
    let reading = watch.look(second(5), Err("refused".to_owned()), None);
    assert_eq!((reading.number, reading.at_s), (2, 4.0));
    assert!(matches!(reading.state, ServerState::Lost { for_s, .. } if for_s == 4.0));
}

#[test]
fn a_history_is_bounded_and_has_gaps() {
    let mut history = History::new(3);
    for value in [Some(9.0), Some(1.0), None, Some(2.0)] {
        history.push(value);
    }
    assert_eq!(history.curve(10), [Some(1.0), None, Some(2.0)]);
    assert_eq!((history.len(), history.curve(0).len()), (3, 0));
}

#[test]
fn a_curve_keeps_its_peaks_in_fewer_points_and_they_do_not_flicker() {
    let mut history = History::new(8);
    for value in [1.0, 7.0, 2.0, 3.0, 4.0, 5.0, 9.0, 8.0] {
        history.push(Some(value));
    }
    assert_eq!(
        history.curve(4),
        [Some(7.0), Some(3.0), Some(5.0), Some(9.0)]
    );
    // The oldest pair is cut in two: what is left of it goes first.
    history.push(None);
    assert_eq!(history.curve(4), [Some(3.0), Some(5.0), Some(9.0), None]);
    history.push(Some(6.0));
    assert_eq!(
        history.curve(4),
        [Some(3.0), Some(5.0), Some(9.0), Some(6.0)]
    );
}

#[test]
fn what_ended_threads_used_stays_in_the_sum_of_their_name() {
    let mut threads = Threads::default();
    let mut sample = |used: &[(u32, &str, &str)]| {
        threads.begin();
        for (thread, comm, schedstat) in used {
            if !threads.knows(*thread) {
                threads.name(*thread, comm);
            }
            threads.note(*thread, schedstat);
        }
        threads.end();
        let told = Process::parse(&Default::default(), 4096, &threads).threads;
        let each = told.into_iter();
        each.map(|it| (it.name, it.count, it.cpu_s, it.wait_s))
            .collect::<Vec<_>>()
    };
    let ring = |cpu_s, wait_s| ("ring-0".to_owned(), 1, cpu_s, wait_s);
    let workers = |count, cpu_s| ("iou-wrk".to_owned(), count, cpu_s, 0.0);
    let first = sample(&[
        (7, "ring-0\n", "2000000000 500000000 9\n"),
        (8, "iou-wrk-7\n", "1000000000 0 1"),
        (9, "iou-wrk-7\n", "1000000000 0 1"),
    ]);
    assert_eq!(first, [workers(2, 2.0), ring(2.0, 0.5)]);
    // One worker ended, another came with the number of a new thread.
    let second = sample(&[
        (7, "", "3000000000 500000000 9"),
        (9, "", "1500000000 0 1"),
        (10, "iou-wrk-7", "250000000 0 1"),
    ]);
    assert_eq!(second, [workers(2, 2.75), ring(3.0, 0.5)]);
    // A reading that is no numbers changes nothing, and that thread counts as ended.
    let third = sample(&[(7, "", "garbage")]);
    assert_eq!(third[0], workers(0, 2.75));
    assert_eq!(third[1].2, 3.0);
}

const V1: &str = "9:name=systemd:/\n4:memory:/a/b\n3:cpu,cpuacct:/\n0::/\n";

#[test]
fn the_folders_of_a_control_group_lead_from_its_own_to_the_root() {
    let one = cgroup::place(V1, "memory").expect("a hierarchy");
    assert_eq!(one.version, cgroup::Version::One);
    let base = "/sys/fs/cgroup/memory";
    let folders = [format!("{base}/a/b"), format!("{base}/a"), base.to_owned()];
    assert_eq!(one.folders, folders);
    let cpu = cgroup::place(V1, "cpu").expect("a hierarchy");
    assert_eq!(cpu.folders, ["/sys/fs/cgroup/cpu"]);
    // What has no hierarchy of its own is in the common one.
    let two = cgroup::place("0::/x.slice\n", "pids").expect("the common one");
    assert_eq!(two.version, cgroup::Version::Two);
    assert_eq!(two.folders, ["/sys/fs/cgroup/x.slice", "/sys/fs/cgroup"]);
    assert_eq!(cgroup::place("", "pids"), None);
    assert_eq!(cgroup::place("garbage\n1:x\n", "memory"), None);
}

#[test]
fn both_versions_of_control_groups_tell_the_same() {
    let two = Cgroup::parse(&cgroup::CgroupTexts {
        memory: "4096\n".to_owned(),
        memory_limit: "8192\n".to_owned(),
        memory_events: "low 0\nhigh 0\nmax 7\noom 1\noom_kill 2\n".to_owned(),
        memory_stat: "anon 1\nsock 512\nslab 256\n".to_owned(),
        cpu_stat: "usage_usec 9\nnr_periods 5\nnr_throttled 3\nthrottled_usec 4000\n".to_owned(),
        cpu_quota: "150000 100000\n".to_owned(),
        pids: "12\n".to_owned(),
        pids_limit: "max\n".to_owned(),
        ..Default::default()
    });
    let one = Cgroup::parse(&cgroup::CgroupTexts {
        memory: "4096\n".to_owned(),
        memory_limit: "8192\n".to_owned(),
        memory_events: "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n".to_owned(),
        memory_fails: "7\n".to_owned(),
        memory_stat: "cache 1\n".to_owned(),
        sockets: "512\n".to_owned(),
        cpu_stat: "nr_periods 5\nnr_throttled 3\nthrottled_time 4000000\n".to_owned(),
        cpu_quota: "150000\n".to_owned(),
        cpu_period: "100000\n".to_owned(),
        pids: "12\n".to_owned(),
        pids_limit: "max\n".to_owned(),
    });
    assert_eq!(two.slab_bytes, Some(256));
    assert_eq!(
        Cgroup {
            slab_bytes: None,
            ..two.clone()
        },
        one
    );
    assert_eq!((one.memory_limit_hits, one.oom_kills), (Some(7), Some(2)));
    assert_eq!(
        (one.cpu_quota_percent, one.cpu_throttled_us),
        (Some(150.0), Some(4000))
    );
    assert_eq!((one.socket_bytes, one.pids_limit), (Some(512), None));
    // No limit: `max` and -1, or the largest number of whole pages.
    let texts = cgroup::CgroupTexts {
        memory_limit: "9223372036854771712\n".to_owned(),
        cpu_quota: "-1\n".to_owned(),
        cpu_period: "100000\n".to_owned(),
        ..Default::default()
    };
    assert_eq!(Cgroup::parse(&texts), Cgroup::default());
}

#[test]
fn a_host_survives_the_way_through_json() {
    let texts = Texts {
        stat: STAT.to_owned(),
        netstat: "TcpExt: TCPReqQFullDrop SyncookiesSent\nTcpExt: 5 6\n".to_owned(),
        snmp: "Tcp: CurrEstab MaxConn\nTcp: 100000 -1\n".to_owned(),
        tcp_limits: "1 2 3\n".to_owned(),
        files: "9 0 99\n".to_owned(),
        ..Texts::default()
    };
    let host = HostSample::parse(&texts, Instant::default());
    assert_eq!(
        (host.syn_queue_drops, host.syncookies_sent),
        (Some(5), Some(6))
    );
    assert_eq!(host.tcp_established, Some(100_000));
    assert_eq!(
        (host.tcp_memory_pages_pressure, host.tcp_memory_pages_max),
        (Some(2), Some(3))
    );
    assert_eq!((host.files, host.files_max), (Some(9), Some(99)));
    let json = serde_json::to_string(&host).expect("JSON");
    let back: HostSample = serde_json::from_str(&json).expect("a host");
    assert_eq!(back, host);
    let older: HostSample = serde_json::from_str("{}").expect("a host of which nothing is told");
    assert_eq!(older, HostSample::default());
}

#[test]
fn a_servers_own_host_is_shown_and_a_reading_told_twice_keeps_its_rates() {
    let told = |uptime_s: f64, age_s: f64, overflows: u64| {
        let mut told = sample(uptime_s, 1, &[]);
        told.sample_age_s = Some(age_s);
        told.host = Some(HostSample {
            listen_overflows: Some(overflows),
            ..HostSample::default()
        });
        told
    };
    let mut watch = ServerWatch::new();
    let mut look = |at_s: u64, told| {
        let now = Instant::from_nanos(at_s * 1_000_000_000);
        let (_, rates) = watch.look(now, Ok(told), None).host.expect("a host");
        rates.map(|rates| rates.listen_overflows)
    };
    assert_eq!(look(1, told(10.0, 0.5, 5)), None);
    assert_eq!(look(2, told(11.0, 0.5, 9)), Some(Some(4.0)));
    // The server has not read anew.
    assert_eq!(look(3, told(12.0, 1.5, 9)), Some(Some(4.0)));
    assert_eq!(look(4, told(13.0, 0.5, 9)), Some(Some(0.0)));
    // Watched from another host, this one is meant.
    let now = Instant::from_nanos(5_000_000_000);
    let own = Some(HostSample::default());
    let (shown, _) = watch
        .look(now, Ok(told(14.0, 0.5, 9)), own)
        .host
        .expect("a host");
    assert_eq!(shown.listen_overflows, None);
}

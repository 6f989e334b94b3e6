//! What a load run writes while it runs: rows, interval log, textfile, scrapes; and its early end.

use super::program::{Running, Serving, ringstorm};
use ringstorm::report::{Record, Verdict};
use rustix::process::Signal;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

fn file(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("ringstorm-{}-{name}", std::process::id()))
}

/// What a scrape of that address gets, once there is something.
fn scraped(address: &str) -> String {
    let by = Instant::now() + Duration::from_secs(10);
    loop {
        assert!(Instant::now() < by, "no figures after 10 s");
        std::thread::sleep(Duration::from_millis(50));
        let Ok(mut peer) = TcpStream::connect(address) else {
            continue;
        };
        let _ = peer.write_all(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut text = String::new();
        let _ = peer.read_to_string(&mut text);
        if text.contains("quantile=\"0.5\"") {
            return text;
        }
    }
}

#[test]
fn seconds_go_to_rows_logs_textfile_and_scrapes_and_add_up_to_the_record() {
    let server = Serving::start(&["--cores", "0"]);
    let url = format!("ws://{}/echo", server.address);
    let free = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr());
    let metrics = free.expect("a free port").to_string();
    let files = ["rows.csv", "log.hlog", "run.prom"].map(file);
    let [csv, hlog, prom] = files.each_ref().map(|it| it.to_str().expect("UTF-8"));
    let load = Running::start(&[
        "load",
        &url,
        "-c",
        "5",
        "-r",
        "500",
        "-d",
        "3s",
        "--json",
        "--plain",
        "--csv",
        csv,
        "--hlog",
        hlog,
        "--prometheus",
        prom,
        "--metrics-listen",
        &metrics,
    ]);
    let scrape = scraped(&metrics);
    assert!(scrape.starts_with("HTTP/1.1 200 OK"), "{scrape}");
    assert!(
        scrape.contains("ringstorm_load_connects_up_total 5\n"),
        "{scrape}"
    );
    let load = load.end();
    assert!(matches!(load.code, 0 | 98), "{}{}", load.out, load.err);
    assert!(load.err.contains("measuring"), "{}", load.err);
    let record: Value = serde_json::from_str(&load.out).expect("JSON");
    let samples = record["latency"]["response"]["samples"].as_u64();

    let [rows, log, text] = files
        .each_ref()
        .map(|it| std::fs::read_to_string(it).expect("a file"));
    let mut rows = rows.lines();
    let columns: Vec<&str> = rows.next().expect("a header").split(',').collect();
    let column = |name| columns.iter().position(|it| *it == name).expect("a column");
    let (latency, count) = (column("latency"), column("samples"));
    let rows: Vec<Vec<&str>> = rows.map(|row| row.split(',').collect()).collect();
    assert!(
        rows.iter().all(|row| row.len() == columns.len()),
        "{rows:?}"
    );
    let responses = rows.iter().filter(|row| row[latency] == "response");
    let sum: u64 = responses
        .map(|row| row[count].parse::<u64>().expect("a count"))
        .sum();
    assert_eq!(Some(sum), samples, "every sample is in one row");
    assert!((3..=7).contains(&rows.len()), "{rows:?}");
    let tagged = log.lines().filter(|line| line.starts_with("Tag=response,"));
    assert!(tagged.count() >= 3, "{log}");
    let total = format!("latency_seconds_count{{latency=\"response\"}} {}\n", sum);
    assert!(
        text.contains(&total),
        "the last text is of the whole run: {text}"
    );
    files
        .iter()
        .for_each(|it| std::fs::remove_file(it).expect("its own file"));
}

#[test]
fn a_threshold_that_fails_ends_the_run_and_a_count_that_grows_does_not() {
    let server = Serving::start(&["--cores", "0"]);
    let url = format!("ws://{}/echo", server.address);
    let began = Instant::now();
    let flags = [
        "-c",
        "5",
        "-r",
        "300",
        "-d",
        "60s",
        "--quiet",
        "--abort-on-fail",
        "--threshold",
    ];
    let failing = ["messages.sent>=1k", "messages.sent<500"];
    let aborted = ringstorm(&[&["load", &url], &flags[..], &failing].concat());
    assert!(began.elapsed() < Duration::from_secs(20));
    assert_eq!(aborted.code, 99, "{}{}", aborted.out, aborted.err);
    assert!(aborted.out.contains("ending: aborted"), "{}", aborted.out);
    assert!(
        aborted.out.contains("FAIL  messages.sent<500"),
        "{}",
        aborted.out
    );
}

#[test]
fn a_file_that_cannot_be_written_ends_a_load_before_it_connects() {
    for flag in ["--csv", "--hlog", "--prometheus"] {
        let url = "ws://127.0.0.1:9/echo";
        let refused = ringstorm(&["load", url, flag, "/nowhere/file"]);
        assert_eq!(refused.code, 1, "{flag}: {}", refused.err);
        assert!(
            refused.err.contains(flag) && refused.err.contains("try:"),
            "{}",
            refused.err
        );
    }
}

#[test]
fn a_file_that_cannot_be_written_is_refused_before_anything_is_connected() {
    // Nobody listens there: a run that began would say that.
    let url = "ws://127.0.0.1:1/echo";
    for flag in ["--hgrm", "--csv", "--hlog", "--prometheus"] {
        for extra in [&["--calibrate"][..], &[]] {
            let path = "/nowhere/at/all.txt";
            let line = [&["load", url, "-r", "100", flag, path], extra].concat();
            let ran = ringstorm(&line);
            assert_eq!(ran.code, 1, "{flag}: {}", ran.err);
            assert!(
                ran.err.contains(flag) && ran.err.contains(path),
                "{}",
                ran.err
            );
            assert!(!ran.err.contains("refused"), "{flag}: {}", ran.err);
        }
    }
    let path = file("twice.csv");
    let path = path.to_str().expect("UTF-8");
    let ran = ringstorm(&["load", url, "--csv", path, "--hlog", path]);
    assert_eq!(ran.code, 2, "{}", ran.err);
    assert!(ran.err.contains("--csv") && ran.err.contains("--hlog"));
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound").to_string();
    let ran = ringstorm(&[
        "load",
        url,
        "-r",
        "9",
        "--metrics-listen",
        &address,
        "--calibrate",
    ]);
    assert!(ran.err.contains("--metrics-listen"), "{}", ran.err);
}

#[test]
fn a_file_is_as_it_was_when_nothing_was_measured() {
    let (kept, absent) = (file("kept.hgrm"), file("absent.hgrm"));
    std::fs::write(&kept, "precious").expect("written");
    for path in [&kept, &absent] {
        let hgrm = path.to_str().expect("UTF-8");
        ringstorm(&[
            "load",
            "ws://127.0.0.1:1/echo",
            "-d",
            "200ms",
            "--hgrm",
            hgrm,
        ]);
    }
    assert_eq!(
        std::fs::read_to_string(&kept).expect("still there"),
        "precious"
    );
    assert!(!absent.exists());
    std::fs::remove_file(kept).expect("removed");
}

/// A record of a run that a signal ended.
fn ended_by(signal: Signal, load: Running) -> (i32, Value) {
    load.signal(signal);
    let ran = load.end();
    let record = serde_json::from_str(&ran.out);
    let record = record.unwrap_or_else(|error| panic!("{error}: {} {}", ran.out, ran.err));
    (ran.code, record)
}

#[test]
fn a_hang_up_said_twice_ends_a_run_with_its_record() {
    for engine in ["ring", "tokio"] {
        let server = Serving::start(&["--cores", "0", "--engine", engine]);
        let url = format!("ws://{}/echo", server.address);
        let flags = ["-c", "3", "-r", "100", "-d", "60s", "--json", "--quiet"];
        let load = Running::start(&[&["load", &url, "--engine", engine][..], &flags].concat());
        server.wait_for_open(3);
        std::thread::sleep(Duration::from_millis(500));
        // A terminal's and its shell's.
        load.signal(Signal::HUP);
        let (code, record) = ended_by(Signal::HUP, load);
        assert_eq!(
            (code, record["time"]["ending"].as_str()),
            (105, Some("interrupted"))
        );
        assert!(record["connects"]["up"].as_u64() == Some(3), "{record}");
    }
}

#[test]
fn a_run_that_is_stopped_while_it_connects_says_how_long_it_did() {
    // Takes connections and answers none.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("ws://{}/echo", silent.local_addr().expect("bound"));
    let csv = file("connecting.csv");
    let path = csv.to_str().expect("UTF-8");
    let load = Running::start(&[
        "load", &url, "-c", "5", "-d", "60s", "--json", "--quiet", "--csv", path,
    ]);
    std::thread::sleep(Duration::from_millis(1500));
    let (code, record) = ended_by(Signal::INT, load);
    assert_eq!(code, 105, "{record}");
    let connect_s = record["time"]["connect_s"].as_f64().expect("a number");
    assert!(connect_s > 0.5, "{record}");
    let rows = std::fs::read_to_string(&csv).expect("rows");
    std::fs::remove_file(csv).expect("removed");
    let (head, rows) = rows.split_once('\n').expect("a head");
    let at_s = head
        .split(',')
        .position(|it| it == "at_s")
        .expect("a column");
    let last = rows.lines().last().expect("a row");
    let until = last.split(',').nth(at_s).expect("a cell");
    let until: f64 = until.parse().expect("a number");
    assert!((until - connect_s).abs() < 0.1, "{connect_s}: {rows}");
}

#[test]
fn a_failure_is_told_with_what_to_try_once_for_each_kind() {
    let server = Serving::start(&["--cores", "0"]);
    let at = &server.address;
    for (url, tried) in [
        (format!("ws://{at}/nothing-there"), "the path of the URL"),
        (format!("ws://{at}/healthz"), "the path of a WebSocket"),
        (format!("http://{at}/echo"), "ws:// or wss://"),
        (format!("wss://{at}/echo"), "ws:// or http://"),
        (
            "ws://127.0.0.1:1/echo".to_owned(),
            "is a server running there?",
        ),
    ] {
        for engine in ["ring", "tokio"] {
            let ran = ringstorm(&["load", &url, "-c", "3", "-d", "300ms", "--engine", engine]);
            let lines = ran.out.lines().filter(|line| line.contains("try:"));
            let lines: Vec<&str> = lines.collect();
            assert!(
                matches!(lines[..], [line] if line.contains(tried)),
                "{url}, {engine}: {lines:?}, {}",
                ran.out
            );
        }
        let probed = ringstorm(&["probe", &url, "--count", "1"]);
        assert!(probed.err.contains(tried), "{url}: {}", probed.err);
    }
}

#[test]
fn a_hang_up_is_ignored_where_it_was_before() {
    let server = Serving::start(&["--cores", "0"]);
    let url = format!("ws://{}/echo", server.address);
    // As nohup(1) starts a program.
    let load = Running::start_ignoring_hang_up(&[
        "load", &url, "-c", "3", "-r", "50", "-d", "2s", "--json", "--quiet",
    ]);
    server.wait_for_open(3);
    let (code, record) = ended_by(Signal::HUP, load);
    assert_eq!(record["time"]["ending"], "complete", "{code}: {record}");
}

#[test]
fn a_killed_run_leaves_a_record_that_can_be_read() {
    let server = Serving::start(&["--cores", "0"]);
    let url = format!("ws://{}/echo", server.address);
    let file = file("killed.json");
    let path = file.to_str().expect("UTF-8");
    let flags = ["-c", "5", "-r", "500", "-d", "60s", "--quiet", "--record"];
    let load = Running::start(&[&["load", &url], &flags[..], &[path]].concat());
    let by = Instant::now() + Duration::from_secs(20);
    let seconds = |record: &Record| record.series.iter().filter(|it| it.samples > 0).count();
    let read = || -> Option<Record> {
        let text = std::fs::read_to_string(&file).ok()?;
        Some(serde_json::from_str(&text).expect("whole whenever it is read"))
    };
    while read().is_none_or(|record| seconds(&record) < 2) {
        assert!(Instant::now() < by, "no record of two seconds after 20 s");
        std::thread::sleep(Duration::from_millis(20));
    }
    load.signal(Signal::KILL);
    load.end();
    let record = read().expect("a record");
    assert_eq!(record.time.ending, "running");
    assert_eq!(record.verdict.verdict, Verdict::Inconclusive);
    assert!(record.messages.is_some_and(|it| it.sent >= 500));
    std::fs::remove_file(&file).expect("its own file");
}

#[test]
fn a_record_holds_every_second_and_every_sample() {
    let server = Serving::start(&["--cores", "0"]);
    let url = format!("ws://{}/echo", server.address);
    let file = file("whole.json");
    let path = file.to_str().expect("UTF-8");
    let flags = [
        "-c", "5", "-r", "500", "-d", "2s", "--quiet", "--json", "--record",
    ];
    let load = ringstorm(&[&["load", &url], &flags[..], &[path]].concat());
    let text = std::fs::read_to_string(&file).expect("a record");
    assert_eq!(text, load.out, "the file is what --json prints");
    let record: Record = serde_json::from_str(&text).expect("a record");
    let response = record.latency.response.as_ref().expect("replies");
    let of_seconds: u64 = record.series.iter().map(|it| it.samples).sum();
    assert_eq!(
        of_seconds, response.samples,
        "every sample is in one second"
    );
    let sent: u64 = record.series.iter().map(|it| it.sent).sum();
    assert_eq!(Some(sent), record.messages.map(|it| it.sent));
    assert!(record.histograms.contains_key("response"));
    assert!(record.time.ended_unix_ms > Some(record.run.started_unix_ms));
    std::fs::remove_file(&file).expect("its own file");
}

/// A percentile of few samples is shown, with how many they are.
#[test]
fn few_samples_have_their_percentiles_in_rows_and_textfile_too() {
    let server = Serving::start(&["--cores", "0"]);
    let url = format!("ws://{}/echo", server.address);
    let files = ["few.csv", "few.prom"].map(file);
    let [csv, prom] = files.each_ref().map(|it| it.to_str().expect("UTF-8"));
    let flags = [
        "load", &url, "-c", "2", "-r", "20", "-d", "1500ms", "--cores", "0", "--quiet",
    ];
    let sinks = ["--csv", csv, "--prometheus", prom];
    let ran = ringstorm(&[&flags[..], &sinks].concat());
    assert!(matches!(ran.code, 0 | 98), "{}{}", ran.out, ran.err);
    let rows = std::fs::read_to_string(csv).expect("it was written");
    let names: Vec<&str> = rows.lines().next().unwrap_or_default().split(',').collect();
    let at = |name: &str| {
        names
            .iter()
            .position(|known| *known == name)
            .expect("a column")
    };
    let sampled: Vec<Vec<&str>> = rows
        .lines()
        .skip(1)
        .map(|row| row.split(',').collect::<Vec<_>>())
        .filter(|row| row[at("samples")] != "0")
        .collect();
    assert!(!sampled.is_empty(), "{rows}");
    for row in &sampled {
        for name in ["p50_ns", "p99_9_ns", "max_ns", "slip_p99_ns"] {
            assert!(row[at(name)].parse::<u64>().is_ok(), "{name}: {rows}");
        }
    }
    let text = std::fs::read_to_string(prom).expect("it was written");
    assert!(
        text.contains("{latency=\"response\",quantile=\"0.999\"}"),
        "{text}"
    );
    let latency = "ringstorm_load_latency_distribution_seconds";
    let figure = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let line = line.unwrap_or_else(|| panic!("{name}: {text}"));
        line.trim().parse::<f64>().expect("a number")
    };
    let all = figure(&format!(
        "{latency}_bucket{{latency=\"response\",le=\"+Inf\"}}"
    ));
    let count = figure(&format!("{latency}_count{{latency=\"response\"}}"));
    let first = figure(&format!(
        "{latency}_bucket{{latency=\"response\",le=\"0.0001\"}}"
    ));
    assert!(all > 0.0 && count == all && first <= all, "{text}");
    let dashboard = include_str!("../../scripts/grafana/ringstorm.json");
    for (at, _) in dashboard.match_indices("ringstorm_load_") {
        let name = dashboard[at..].split(|c: char| !c.is_ascii_lowercase() && c != '_');
        let name = name.into_iter().next().unwrap_or_default();
        assert!(text.contains(name), "{name} is not exported");
    }
    for path in &files {
        let _ = std::fs::remove_file(path);
    }
}

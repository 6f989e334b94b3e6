//! What a load run writes while it runs: rows, interval log, textfile, scrapes; and its early end.

use super::program::{Running, Serving, ringstorm};
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

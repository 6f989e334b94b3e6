//! Golden files of the report: text, JSON and `.hgrm` of known runs.
//!
//! `UPDATE_GOLDEN=1` writes them anew; read the difference before committing it.

#[path = "load_report/keys.rs"]
mod keys;
#[path = "load_report/words.rs"]
mod words;

use ringstorm::load::failure::{Kind, Stage};
use ringstorm::load::latency::Latency;
use ringstorm::load::outcome::{CoreUse, Ending, Outcome};
use ringstorm::load::{Config, Loop, Pace, Rate, Scenario, Transport};
use ringstorm::report::{
    Facts, Headroom, HostSamples, Record, ServerUse, Verdict, exit_code, hgrm, judged, text,
};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

fn assert_golden(name: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/load")
        .join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, actual).expect("a writable golden file");
    }
    let expected = std::fs::read_to_string(&path).expect("a golden file");
    assert_eq!(
        actual,
        expected,
        "{} differs; UPDATE_GOLDEN=1 writes it",
        path.display()
    );
}

fn facts() -> Facts {
    Facts {
        version: "0.1.0".to_owned(),
        command: ["ringstorm", "load", "ws://127.0.0.1:9000/echo"]
            .map(str::to_owned)
            .to_vec(),
        url: "ws://127.0.0.1:9000/echo".to_owned(),
        part: None,
        proxy: None,
        engine: "ring".to_owned(),
        cpus: vec![2, 3],
        started_unix_ms: 1_750_000_000_000,
        ended_unix_ms: Some(1_750_000_012_000),
        host: [("kernel", "6.18.0"), ("cpu", "model")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        headroom: None,
        host_samples: None,
        server: None,
        network: None,
        thresholds: Vec::new(),
        slo: None,
        allowed_failures: 0.0,
    }
}

fn config() -> Config {
    let address = SocketAddr::from(([127, 0, 0, 1], 9000));
    Config {
        connections: 1_000,
        seed: 42,
        ..Config::new(address, "127.0.0.1:9000".to_owned(), "/echo".to_owned())
    }
}

fn core(core: u16, busy_ms: u64) -> CoreUse {
    CoreUse {
        core,
        connect_cpu: Duration::from_millis(12),
        connect_time: Duration::from_millis(250),
        measured_cpu: Duration::from_millis(busy_ms),
        measured_time: Duration::from_secs(10),
        turns: 50_000,
        rescues: 0,
    }
}

/// Samples that any language can make again: a quadratic tail from 50 us up.
fn sample(i: u64) -> u64 {
    50_000 + i * i / 1_000
}

fn connected(outcome: &mut Outcome, up: u64) {
    outcome.connects.planned = 1_000;
    outcome.connects.attempted = 1_000;
    outcome.connects.up = up;
    outcome.connects.failed = 1_000 - up;
    for i in 0..up {
        outcome.latencies.tcp.record_ns(40_000 + i * 10);
        outcome.latencies.upgrade.record_ns(60_000 + i * 20);
        outcome.latencies.connect.record_ns(100_000 + i * 30);
    }
}

/// An open loop that went well.
fn good() -> (Config, Outcome) {
    let pace = Pace::Constant(Rate::per_second(20_000.0).expect("a rate"));
    let messages = Loop::Open { pace, burst: 1 };
    let config = Config {
        messages,
        in_flight: 1_024,
        ..config()
    };
    let mut outcome = Outcome {
        cores: vec![core(0, 4_000), core(1, 4_200)],
        ..Default::default()
    };
    connected(&mut outcome, 1_000);
    outcome.messages.planned = 200_000;
    outcome.messages.sent = 200_000;
    outcome.messages.replied = 200_000;
    outcome.messages.replied_in_time = 199_990;
    for i in 0..200_000 {
        outcome.latencies.response.record_ns(sample(i));
        outcome.latencies.service.record_ns(sample(i) - 1_000);
        outcome.latencies.slip.record_ns(1_000);
    }
    (config, outcome)
}

/// An open loop in trouble: failures, drops, losses, a generator at its end.
fn bad() -> (Config, Outcome) {
    let (config, mut outcome) = good();
    outcome.latencies.tcp = Latency::default();
    outcome.latencies.upgrade = Latency::default();
    outcome.latencies.connect = Latency::default();
    connected(&mut outcome, 900);
    outcome.cores[1] = core(1, 9_100);
    let messages = &mut outcome.messages;
    messages.sent = 150_000;
    messages.dropped.in_flight = 30_000;
    messages.dropped.backlog = 5_000;
    messages.dropped.no_connection = 5_000;
    messages.dropped.late = 10_000;
    messages.replied = 149_000;
    messages.replied_in_time = 148_000;
    messages.lost = 1_000;
    messages.wrong = 3;
    outcome.connects.ended_early = 12;
    outcome.connects.still_open = 2;
    for _ in 0..88 {
        outcome.failures.count(Stage::Connect, Kind::Refused);
    }
    for _ in 0..12 {
        outcome
            .failures
            .count(Stage::Upgrade, Kind::HttpStatus(503));
        outcome.failures.count(Stage::Open, Kind::CloseCode(1001));
    }
    (config, outcome)
}

/// An open loop whose generator did not get to its plan.
fn late() -> (Config, Outcome) {
    let (config, mut outcome) = good();
    outcome.messages.sent = 190_000;
    outcome.messages.dropped.late = 10_000;
    (outcome.messages.replied, outcome.messages.lost) = (190_000, 0);
    (config, outcome)
}

/// Event streams, stopped early.
fn listening() -> (Config, Outcome) {
    let transport = Transport::Sse;
    let config = Config {
        scenario: Scenario::Listen,
        transport,
        ..config()
    };
    let mut outcome = Outcome {
        cores: vec![core(0, 900)],
        ending: Ending::Interrupted,
        ..Default::default()
    };
    connected(&mut outcome, 1_000);
    outcome.events.received = 50_000;
    outcome.events.bytes = 2_600_000;
    outcome.events.gaps = 4;
    for i in 0..50_000 {
        outcome.latencies.one_way.record_ns(sample(i));
    }
    (config, outcome)
}

fn record(of: (Config, Outcome)) -> Record {
    judged(&facts(), &of.0, &of.1)
}

#[test]
fn the_text_of_a_good_run_is_the_golden_one() {
    assert_golden("good.txt", &text::text(&record(good())));
}

#[test]
fn a_run_tells_its_headroom_and_what_ran_short_on_its_host() {
    let (config, outcome) = good();
    let found = |headroom| Headroom {
        headroom,
        ceiling_per_s: headroom * 20_000.0,
        planned_per_s: 20_000.0,
        is_lower_bound: false,
        failed_below_per_s: None,
        cut_short: false,
        connections: 1_000,
        runs: 7,
    };
    let mut host_samples = HostSamples::default();
    host_samples.before.listen_overflows = Some(5);
    host_samples.after.listen_overflows = Some(17);
    let text = |headroom| {
        let facts = Facts {
            headroom: Some(found(headroom)),
            host_samples: Some(host_samples.clone()),
            ..facts()
        };
        text::text(&judged(&facts, &config, &outcome))
    };
    let enough = text(5.3);
    assert!(
        enough.contains(", headroom 5.3 (to 106,000/s)\n"),
        "{enough}"
    );
    assert!(!enough.contains("is below 2"), "{enough}");
    assert!(
        enough.contains("note: this whole host counted 12 listen overflows: a server here accepts"),
        "{enough}"
    );
    let short = text(1.4);
    assert!(short.contains("note: headroom 1.4 is below 2: "), "{short}");
    assert!(
        short.contains("verdict      PASS\n"),
        "a note is no verdict: {short}"
    );
}

#[test]
fn the_text_of_a_bad_run_is_the_golden_one() {
    assert_golden("bad.txt", &text::text(&record(bad())));
}

#[test]
fn the_text_of_a_stopped_listener_is_the_golden_one() {
    let server = ServerUse {
        cpu_s: 2.5,
        rss_bytes: 50 << 20,
        descriptors: 1_010,
        messages_per_cpu_s: None,
    };
    let (config, outcome) = listening();
    let facts = Facts {
        server: Some(server),
        ..facts()
    };
    let record = judged(&facts, &config, &outcome);
    assert_golden("listening.txt", &text::text(&record));
}

#[test]
fn the_json_is_the_golden_one_and_reads_back() {
    let record = record(bad());
    let json = record.to_json().unwrap();
    assert_golden("bad.json", &(json.clone() + "\n"));
    let back: Record = serde_json::from_str(&json).unwrap();
    assert_eq!(
        text::text(&back),
        text::text(&record),
        "all that is printed is in the record"
    );
}

#[test]
fn the_hgrm_is_the_golden_one() {
    // Compared once with hdr-histogram-js 3.0.1 on the same samples: the same but for Max, where
    // Java and C say the top of the histogram's cell (40.075) and JavaScript the value (40.050).
    let record = record(good());
    let (name, latency) = record.headline().unwrap();
    assert_eq!(name, "response");
    assert_golden("good.hgrm", &hgrm::hgrm(latency));
}

#[test]
fn exit_codes_say_what_the_verdict_is() {
    assert_eq!(exit_code(&record(good())), 0);
    let bad = record(bad());
    assert_eq!((bad.verdict.verdict, exit_code(&bad)), (Verdict::Fail, 99));
    assert_eq!(bad.verdict.limited_by.as_deref(), Some("generator"));
    let late = record(late());
    assert_eq!(
        (late.verdict.verdict, exit_code(&late)),
        (Verdict::Invalid, 98)
    );
    assert_eq!(exit_code(&record(listening())), 105);
    let deserted = Outcome {
        ending: Ending::Deserted,
        ..good().1
    };
    assert_eq!(exit_code(&record((config(), deserted))), 99);
    let mut refused = Outcome {
        ending: Ending::NeverBegan,
        ..Default::default()
    };
    connected(&mut refused, 0);
    let refused = record((config(), refused));
    assert_eq!(
        (refused.verdict.verdict, exit_code(&refused)),
        (Verdict::Fail, 99)
    );
}

#[test]
fn a_busy_core_makes_a_run_invalid_only_if_its_plan_suffered() {
    let (config, mut outcome) = good();
    outcome.cores[0] = core(0, 9_900);
    assert_eq!(
        record((config.clone(), outcome.clone())).verdict.verdict,
        Verdict::Pass,
        "a core that spins for its plan is busy and on time"
    );
    (0..10_000).for_each(|_| outcome.latencies.slip.record_ns(9_000_000));
    let late = record((config.clone(), outcome.clone())).verdict;
    assert_eq!(late.verdict, Verdict::Invalid);
    assert_eq!(late.limited_by.as_deref(), Some("generator"));
    outcome.cores[0] = core(0, 4_000);
    assert_eq!(record((config, outcome)).verdict.verdict, Verdict::Pass);
}

#[test]
fn less_than_99_percent_of_the_plan_is_invalid_and_says_who_was_the_limit() {
    let (config, mut outcome) = good();
    outcome.messages.sent = 198_000;
    outcome.messages.dropped.in_flight = 2_000;
    assert_eq!(
        record((config.clone(), outcome.clone())).verdict.verdict,
        Verdict::Pass
    );
    outcome.messages.sent -= 1;
    outcome.messages.dropped.in_flight += 1;
    let by_plan = record((config.clone(), outcome.clone())).verdict;
    assert_eq!(by_plan.verdict, Verdict::Invalid);
    assert_eq!(by_plan.limited_by.as_deref(), Some("plan"));
    outcome.messages.dropped.late = std::mem::take(&mut outcome.messages.dropped.in_flight);
    let by_generator = record((config, outcome)).verdict;
    assert_eq!(by_generator.limited_by.as_deref(), Some("generator"));
}

/// What this client was short of makes a run INVALID, and the summary says of what.
#[test]
fn an_invalid_run_says_in_its_summary_what_the_generator_was_short_of() {
    let (config, outcome) = good();
    let mut late = outcome.clone();
    late.messages.sent -= 4_000;
    late.messages.dropped.late = 4_000;
    let mut crowded = outcome.clone();
    crowded.connects.waited_for_slot = 3;
    let mut short = outcome;
    short.failures.count(Stage::Connect, Kind::NoSourcePort);
    short.connects.up -= 1;
    short.connects.failed += 1;
    for (outcome, reason) in [
        (late, "the generator did not get to 4,000 messages in time"),
        (
            crowded,
            "3 connects waited for a slot: this client has too few; more --cores have more",
        ),
        (
            short,
            "1 connections found no source port, descriptor or slot of this client",
        ),
    ] {
        let record = record((config.clone(), outcome));
        assert_eq!(exit_code(&record), 98, "{reason}");
        let text = text::text(&record);
        let (_, verdict) = text.split_once("verdict      INVALID").expect(&text);
        assert!(verdict.contains(reason), "{reason}: {verdict}");
    }
}

#[test]
fn slip_is_judged_against_the_objective() {
    let (config, outcome) = good();
    let with = |slo_us| Facts {
        slo: Some(Duration::from_micros(slo_us)),
        ..facts()
    };
    let verdict = |slo_us| judged(&with(slo_us), &config, &outcome).verdict.verdict;
    assert_eq!(verdict(11), Verdict::Pass);
    assert_eq!(verdict(9), Verdict::Invalid);
}

fn with_thresholds(texts: &[&str]) -> Facts {
    Facts {
        thresholds: texts
            .iter()
            .map(|text| text.parse().expect("a threshold"))
            .collect(),
        ..facts()
    }
}

#[test]
fn the_text_of_a_run_with_thresholds_is_the_golden_one() {
    let facts = with_thresholds(&[
        "response.p99<50ms",
        "service.p99.9 <= 39.99ms",
        "response.p99.99<50ms",
        "errors<0.1%",
        "reach>=99.99%",
        "messages.replied_per_s>=14.9k",
        "failures.refused==0",
        "generator.cpu_us_per_message<100us",
    ]);
    let (config, outcome) = bad();
    let record = judged(&facts, &config, &outcome);
    assert_golden("thresholds.txt", &text::text(&record));
    assert_golden(
        "thresholds.json",
        &(serde_json::to_string_pretty(&record.thresholds).unwrap() + "\n"),
    );
}

#[test]
fn a_failed_threshold_is_the_servers_unless_the_generator_was_the_limit() {
    let facts = with_thresholds(&["response.p50<1ms"]);
    let code = |(config, outcome): (Config, Outcome)| exit_code(&judged(&facts, &config, &outcome));
    assert_eq!(code(good()), 99);
    assert_eq!(code(late()), 98, "whatever its thresholds say");
    let (config, mut outcome) = good();
    outcome.messages.sent = 150_000;
    outcome.messages.dropped.in_flight = 50_000;
    assert_eq!(
        code((config, outcome)),
        99,
        "the rest would have been worse"
    );
    let aborted = |(config, outcome)| {
        let ending = Ending::Aborted;
        (config, Outcome { ending, ..outcome })
    };
    assert_eq!(code(aborted(bad())), 99);
    assert_eq!(code(aborted(late())), 98, "INVALID has one exit code");
}

#[test]
fn slip_that_is_a_part_of_a_bound_makes_the_run_invalid() {
    let (config, outcome) = good();
    let verdict = |bound: &str| {
        let facts = with_thresholds(&[bound]);
        judged(&facts, &config, &outcome).verdict
    };
    // Slip is 1 us throughout.
    assert_eq!(verdict("response.p50<9us").verdict, Verdict::Invalid);
    let fails = verdict("response.p50<11us");
    assert_eq!(fails.verdict, Verdict::Fail, "{:?}", fails.reasons);
}

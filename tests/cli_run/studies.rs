//! Comparisons, merged parts, baselines and pages, of runs against real servers on loopback.

use super::program::{Serving, ringstorm};
use ringstorm::report::{Record, Verdict, Versus};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// A file of this test, removed when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let name = format!("ringstorm-study-{}-{name}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("UTF-8")
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.0).expect("it was written")
    }

    fn record(&self) -> Record {
        serde_json::from_str(&self.text()).expect("a record")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Flags of a load that any machine carries.
const LIGHT: [&str; 7] = ["--", "-c", "4", "--pipeline", "2", "-d", "1s"];

#[test]
fn two_engines_are_compared_by_pairs_and_one_pair_decides_nothing() {
    let file = Scratch::new("compare.json");
    let flags = [
        "compare",
        "ring",
        "tokio",
        "--pairs",
        "1",
        "--record",
        file.path(),
    ];
    let ran = ringstorm(&[&flags[..], &LIGHT].concat());
    assert_eq!(ran.code, 97, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("verdict: too noisy"), "{}", ran.out);
    let versus: Versus = serde_json::from_str(&file.text()).expect("a record");
    let sides: Vec<&str> = versus.runs.iter().map(|it| it.side.as_str()).collect();
    assert_eq!(sides, ["a", "b"]);
    let names: Vec<&str> = versus
        .contrasts
        .iter()
        .map(|it| it.metric.as_str())
        .collect();
    let expected = [
        "messages_per_cpu_s",
        "messages_per_s",
        "latency_p50_ns",
        "latency_p99_ns",
    ];
    assert_eq!(names, expected);
    assert!(
        versus
            .contrasts
            .iter()
            .all(|it| it.a > 0.0 && it.ratio > 0.0 && it.low.is_none())
    );
    assert!(versus.runs.iter().all(|it| it.foreign_cpus.is_some()));
}

#[test]
fn six_pairs_have_an_interval_and_the_first_of_a_pair_changes() {
    let flags = [
        "compare", "ring", "ring", "--pairs", "6", "--json", "--quiet",
    ];
    let ran = ringstorm(&[&flags[..], &LIGHT].concat());
    assert!(matches!(ran.code, 0 | 97 | 99), "{}{}", ran.out, ran.err);
    let versus: Versus = serde_json::from_str(&ran.out).expect("a record");
    let sides: String = versus.runs.iter().map(|it| it.side.as_str()).collect();
    assert_eq!(sides, "abbaabbaabba");
    let first = &versus.contrasts[0];
    assert!(
        first.low < Some(first.ratio) && Some(first.ratio) < first.high,
        "{first:?}"
    );
}

#[test]
fn a_command_is_started_measured_and_stopped_and_a_build_serves() {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr());
    let at = free.expect("a free port");
    let program = env!("CARGO_BIN_EXE_ringstorm");
    let line = format!("{program} serve --listen {at} --engine tokio");
    let url = format!("ws://{at}/echo");
    let flags = [
        "compare", "--a", &line, "--a-url", &url, "--b", program, "--pairs", "1", "--json",
        "--quiet",
    ];
    let ran = ringstorm(&[&flags[..], &LIGHT].concat());
    assert_eq!(ran.code, 97, "{}{}", ran.out, ran.err);
    let versus: Versus = serde_json::from_str(&ran.out).expect("a record");
    assert_eq!(
        (versus.a.as_str(), versus.b.as_str()),
        (line.as_str(), program)
    );
    assert!(
        versus
            .runs
            .iter()
            .all(|it| it.metrics.contains_key("messages_per_cpu_s"))
    );
    assert!(TcpStream::connect(at).is_err(), "the command was stopped");
}

#[test]
fn urls_of_a_server_that_runs_are_compared_with_its_process() {
    let server = Serving::start(&["--cores", "0"]);
    let url = format!("ws://{}/echo", server.address);
    let pid = server.pid();
    let flags = [
        "compare",
        &url,
        &url,
        "--pairs",
        "1",
        "--json",
        "--quiet",
        "--server-pid",
        &pid,
    ];
    let ran = ringstorm(&[&flags[..], &LIGHT].concat());
    assert_eq!(ran.code, 97, "{}{}", ran.out, ran.err);
    let versus: Versus = serde_json::from_str(&ran.out).expect("a record");
    assert_eq!(versus.contrasts[0].metric, "messages_per_cpu_s");
    assert_eq!(server.stop().0, 0, "it was left alone");
}

#[test]
fn what_cannot_be_compared_says_why() {
    let cases: [(&[&str], i32, &str); 5] = [
        (&["ring"], 2, "what is B?"),
        (&["ring", "rong"], 2, "rong is no engine"),
        (&["ring", "./no/such/build"], 2, "is no program"),
        (
            &[
                "--a",
                "exit 3",
                "--a-url",
                "ws://127.0.0.1:1/",
                "--b",
                "ring",
            ],
            1,
            "exit status: 3",
        ),
        (&["ring", "tokio", "--", "-c", "none"], 1, "-c none"),
    ];
    for (flags, code, why) in cases {
        let ran = ringstorm(&[&["compare"], flags].concat());
        assert_eq!(ran.code, code, "{flags:?}: {}{}", ran.out, ran.err);
        assert!(ran.err.contains(why), "{flags:?}: {}", ran.err);
    }
}

/// Runs a light load, its record in that file.
fn load(url: &str, file: &Scratch, more: &[&str]) -> i32 {
    let flags = [
        "load",
        url,
        "-c",
        "4",
        "-r",
        "400",
        "-d",
        "9s",
        "--quiet",
        "--record",
        file.path(),
    ];
    let ran = ringstorm(&[&flags[..], more].concat());
    assert!(matches!(ran.code, 0 | 98 | 99), "{}{}", ran.out, ran.err);
    ran.code
}

#[test]
fn parts_are_merged_with_equal_counts_and_percentiles_of_the_sum() {
    let server = Serving::start(&["--cores", "0"]);
    let url = format!("ws://{}/echo", server.address);
    let parts: Vec<Scratch> = (0..4)
        .map(|n| Scratch::new(&format!("part{n}.json")))
        .collect();
    std::thread::scope(|scope| {
        for part in &parts {
            scope.spawn(|| load(&url, part, &[]));
        }
    });
    let whole = Scratch::new("whole.json");
    let paths: Vec<&str> = parts.iter().map(Scratch::path).collect();
    let ran = ringstorm(&[&["merge"], &paths[..], &["--record", whole.path()]].concat());
    let (records, whole) = (parts.iter().map(Scratch::record), whole.record());
    let records: Vec<Record> = records.collect();
    let is_invalid = records
        .iter()
        .any(|it| it.verdict.verdict == Verdict::Invalid);
    assert_eq!(
        ran.code,
        if is_invalid { 98 } else { 0 },
        "{}{}",
        ran.out,
        ran.err
    );
    let sum = |of: fn(&Record) -> u64| records.iter().map(of).sum::<u64>();
    assert_eq!(whole.connects.up, sum(|it| it.connects.up));
    assert_eq!(whole.run.connections, 16);
    let sent = |it: &Record| it.messages.as_ref().map_or(0, |it| it.sent);
    assert_eq!(sent(&whole), sum(sent));
    let response = |it: &Record| it.latency.response.clone().expect("replies");
    let all = response(&whole);
    assert_eq!(
        all.samples,
        sum(|it| it.latency.response.as_ref().map_or(0, |it| it.samples))
    );
    let parts_of = || records.iter().map(response);
    assert_eq!(Some(all.max_ns), parts_of().map(|it| it.max_ns).max());
    // Of the summed histogram: by its ladder, half of the samples lie at or below the median.
    let below: u64 = all
        .ladder
        .iter()
        .take_while(|step| step.0 <= all.p50_ns)
        .map(|step| step.2)
        .max()
        .unwrap_or(0);
    assert!(below * 2 >= all.samples, "{below} of {}", all.samples);
    let (low, high) = (
        parts_of().map(|it| it.p50_ns).min(),
        parts_of().map(|it| it.p50_ns).max(),
    );
    assert!(
        low <= Some(all.p50_ns) && Some(all.p50_ns) <= high,
        "between those of the parts"
    );
    let of_seconds: u64 = whole.series.iter().map(|it| it.samples).sum();
    assert_eq!(of_seconds, all.samples);
    let note = whole
        .verdict
        .notes
        .iter()
        .find(|it| it.starts_with("4 parts"));
    assert!(
        note.is_some_and(|it| it.contains("they began within")),
        "{:?}",
        whole.verdict.notes
    );
}

/// Two processes that share a run: together they have its plan, and every client is there once.
#[test]
fn parts_of_a_plan_make_the_whole_plan() {
    let server = Serving::start(&["--cores", "0"]);
    let url = format!("ws://{}/echo?client={{number}}", server.address);
    let whole_plan = ["load", &url, "-c", "7", "-r", "300", "-d", "1s", "--quiet"];
    let parts = ["1/2", "2/2"].map(|part| (part, Scratch::new(&part.replace('/', "-of-"))));
    let start = SystemTime::now() + Duration::from_millis(1_500);
    let since = start.duration_since(SystemTime::UNIX_EPOCH).expect("now");
    let start_at = since.as_secs_f64().to_string();
    std::thread::scope(|scope| {
        for (part, file) in &parts {
            let more = [
                "--part",
                part,
                "--start-at",
                &start_at,
                "--record",
                file.path(),
            ];
            let flags = [&whole_plan[..], &more].concat();
            scope.spawn(move || ringstorm(&flags));
        }
    });
    let records = parts.each_ref().map(|(_, file)| file.record());
    // Neither began before its time.
    let start_ms = since.as_millis();
    assert!(
        records
            .iter()
            .all(|it| u128::from(it.run.started_unix_ms) >= start_ms)
    );
    assert_eq!(records.each_ref().map(|it| it.run.connections), [4, 3]);
    let planned = |it: &Record| it.messages.as_ref().map_or(0, |it| it.planned);
    assert_eq!(records.each_ref().map(planned), [150, 150]);
    let (one, other) = (parts[0].1.path(), parts[1].1.path());
    let file = Scratch::new("of-a-plan.json");
    let ran = ringstorm(&["merge", one, other, "--record", file.path()]);
    let whole = file.record();
    assert_eq!(
        (whole.run.connections, planned(&whole)),
        (7, 300),
        "{}",
        ran.out
    );
    assert_eq!((whole.run.part, whole.run.rate_per_s), (None, Some(300.0)));
    let ran = ringstorm(&["merge", one, one]);
    assert!(ran.err.contains("the same run"), "{}", ran.err);
}

/// A part that nobody has a record of is no smaller run.
#[test]
fn a_part_that_is_missing_makes_the_whole_invalid() {
    let server = Serving::start(&["--cores", "0"]);
    let url = format!("ws://{}/echo", server.address);
    let plan = [
        "load", &url, "-c", "6", "-r", "90", "-d", "500ms", "--quiet",
    ];
    let parts = ["1/3", "3/3"].map(|part| {
        let file = Scratch::new(&part.replace('/', "-of-"));
        ringstorm(&[&plan[..], &["--part", part, "--record", file.path()]].concat());
        file
    });
    let paths = parts.each_ref().map(Scratch::path);
    let ran = ringstorm(&[&["merge"], &paths[..]].concat());
    let why = "of 3 parts there is no record of 2";
    assert!(
        ran.code == 98 && ran.out.contains(why),
        "{}{}",
        ran.out,
        ran.err
    );
}

#[test]
fn parts_that_cannot_be_are_refused_before_the_run() {
    let load = ["load", "ws://127.0.0.1:9/echo", "-c", "3"];
    let cases: [(&[&str], &str); 4] = [
        (&["--part", "4/4"], "part 4 of 4 has none of 3 connections"),
        (&["--part", "5/4"], "such as 2/4"),
        (
            &["--part", "1/2", "-r", "9", "--poisson"],
            "the same --seed N",
        ),
        (
            &["--start-at", "2020-01-31T12:00:00Z"],
            "name a time to come",
        ),
    ];
    for (flags, why) in cases {
        let ran = ringstorm(&[&load[..], flags].concat());
        assert!(
            ran.code == 2 && ran.err.contains(why),
            "{flags:?}: {}",
            ran.err
        );
    }
}

#[test]
fn what_is_no_part_of_one_run_is_refused_in_words() {
    let server = Serving::start(&["--cores", "0"]);
    let url = format!("ws://{}/echo", server.address);
    let [one, other, cut, newer] =
        ["one.json", "other.json", "cut.json", "newer.json"].map(Scratch::new);
    let flags = ["load", &url, "-c", "2", "-r", "100", "--quiet"];
    ringstorm(&[&flags[..], &["-d", "1s", "--record", one.path()]].concat());
    ringstorm(&[&flags[..], &["-d", "500ms", "--record", other.path()]].concat());
    let text = one.text();
    std::fs::write(&cut.0, &text[..text.len() / 2]).expect("written");
    std::fs::write(
        &newer.0,
        text.replace("ringstorm.load/1", "ringstorm.load/9"),
    )
    .expect("written");
    let cases: [(&[&Scratch], &str); 6] = [
        (&[&one], "nothing to merge"),
        (&[&one, &one], "part 2 is the same run"),
        (
            &[&one, &other],
            "another duration_s than part 1 (0.5, not 1)",
        ),
        (&[&one, &cut], "it is cut off"),
        (&[&one, &newer], "ringstorm.load/9"),
        (&[&one, &Scratch::new("none.json")], "No such file"),
    ];
    for (files, why) in cases {
        let paths: Vec<&str> = files.iter().map(|it| it.path()).collect();
        let ran = ringstorm(&[&["merge"], &paths[..]].concat());
        assert_eq!(ran.code, 1, "{paths:?}: {}{}", ran.out, ran.err);
        assert!(ran.err.contains(why), "{paths:?}: {}", ran.err);
    }
}

#[test]
fn a_run_is_judged_by_one_before_and_the_page_has_both() {
    let server = Serving::start(&["--cores", "0"]);
    let url = format!("ws://{}/echo", server.address);
    let [before, after, faster] = ["before.json", "after.json", "faster.json"].map(Scratch::new);
    load(&url, &before, &[]);
    // A baseline whose every second was a thousand times as fast: this run is worse for sure.
    let mut edited = before.record();
    for second in &mut edited.series {
        second.p50_ns = second.p50_ns.map(|ns| ns / 1_000 + 1);
    }
    std::fs::write(&faster.0, edited.to_json().expect("JSON")).expect("written");
    let code = load(&url, &after, &["--baseline", faster.path()]);
    let record = after.record();
    let changes = record.baseline.as_ref().expect("it was judged");
    let p50 = changes
        .iter()
        .find(|it| it.metric == "p50_ns")
        .expect("a median");
    assert!(p50.is_worse && p50.low > 1.05, "{changes:?}");
    let is_invalid = record.verdict.verdict == Verdict::Invalid;
    assert_eq!(code, if is_invalid { 98 } else { 99 });
    let reason = |it: &&String| it.starts_with("p50_ns is worse than in the baseline");
    assert!(record.verdict.reasons.iter().find(reason).is_some());

    let html = Scratch::new("both.html");
    let ran = ringstorm(&["report", before.path(), after.path(), "--html", html.path()]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    let page = html.text();
    assert!(page.len() < 3_000_000, "{}", page.len());
    let links = ["src=\"", "href=\"", "url(", "@import", "fetch("];
    let own = page.replace(include_str!("../../src/report/html/uPlot.iife.min.js"), "");
    assert_eq!(
        links.iter().find(|it| own.contains(**it)),
        None,
        "it needs nothing else"
    );
    let start = "id=\"records\">";
    let data = page
        .split_once(start)
        .and_then(|(_, rest)| rest.split_once("</script>"));
    let data: serde_json::Value = serde_json::from_str(data.expect("data").0).expect("JSON");
    for (n, one) in [before.record(), record].iter().enumerate() {
        let latency = serde_json::to_value(&one.latency).expect("JSON");
        assert_eq!(data[n]["latency"], latency, "every number is the record's");
        assert_eq!(
            data[n]["series"],
            serde_json::to_value(&one.series).expect("JSON")
        );
        let [p50, ..] = one.latency.response.as_ref().expect("replies").shown();
        assert!(page.contains(&format!("<td>{p50}</td>")), "{p50}");
    }
    let ran = ringstorm(&["report", before.path(), "--markdown"]);
    assert!(ran.out.starts_with("| run | verdict |"), "{}", ran.out);

    let ran = ringstorm(&[
        "load",
        &url,
        "-c",
        "3",
        "-r",
        "400",
        "-d",
        "1s",
        "--baseline",
        before.path(),
    ]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(
        ran.err.contains("another connections (4, not 3)"),
        "{}",
        ran.err
    );
}

//! Thresholds of a load run: what is printed, and the exit code that a script goes by.

use super::program::{Ran, Serving, ringstorm};
use serde_json::Value;

/// A short load with these thresholds, light enough for a busy machine.
fn load(server: &Serving, thresholds: &[&str]) -> Ran {
    let url = format!("ws://{}/echo", server.address);
    let flags = ["-c", "5", "-r", "300", "-d", "1s", "--quiet", "--threshold"];
    ringstorm(&[&["load", &url], &flags[..], thresholds].concat())
}

#[test]
fn thresholds_come_first_and_decide_the_exit_code() {
    let server = Serving::start(&["--cores", "0"]);
    let kept = load(
        &server,
        &["response.p50<1s", "errors<0.1%", "reach>=99.99%"],
    );
    assert_eq!(kept.code, 0, "{}{}", kept.out, kept.err);
    let lines: Vec<&str> = kept.out.lines().collect();
    let place = |start| lines.iter().position(|line| line.starts_with(start));
    assert!(
        place("thresholds   PASS") < place("connects"),
        "{}",
        kept.out
    );
    assert!(kept.out.contains("reach>=99.99%    100 %"), "{}", kept.out);

    let broken = load(&server, &["response.p50<1ns", "connects.up>=5"]);
    // 98: slip beyond 10 % of a bound of 1 ns is the generator's, as it says.
    assert_eq!(broken.code, 98, "{}{}", broken.out, broken.err);
    assert!(broken.out.contains("slip p50 is"), "{}", broken.out);
    let broken = load(&server, &["messages.replied>=1M"]);
    assert_eq!(broken.code, 99, "{}{}", broken.out, broken.err);
    assert!(
        broken
            .out
            .contains("thresholds   FAIL  messages.replied>=1M  300")
    );
}

#[test]
fn few_samples_tell_what_is_surely_within_or_beyond_a_bound() {
    let server = Serving::start(&["--cores", "0"]);
    let within = load(&server, &["response.p99.99<5s", "--json"]);
    assert_eq!(within.code, 0, "{}{}", within.out, within.err);
    let record: Value = serde_json::from_str(&within.out).unwrap();
    assert_eq!(record["thresholds"][0]["result"], "PASS");
    assert!(record["thresholds"][0]["measured"].is_number());
    let few = &record["latency"]["response"]["few"];
    assert!(
        few.as_array()
            .is_some_and(|few| few.contains(&"p99".into()))
    );
    let beyond = load(&server, &["response.p50>=5s"]);
    assert_eq!(beyond.code, 99, "{}{}", beyond.out, beyond.err);
}

#[test]
fn what_is_open_has_an_exit_code_of_its_own_and_may_be_allowed() {
    let server = Serving::start(&["--cores", "0"]);
    // A rate of nothing: no message is due in a second.
    let url = format!("ws://{}/echo", server.address);
    let open = ["load", &url, "-c", "1", "-r", "1", "-d", "100ms", "--quiet"];
    let warm = ["--warm-up", "300ms"];
    let ran = ringstorm(&[&open[..], &warm].concat());
    assert_eq!(ran.code, 97, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("INCONCLUSIVE"), "{}", ran.out);
    let allowed = ringstorm(&[&open[..], &warm, &["--inconclusive-ok"]].concat());
    assert_eq!(allowed.code, 0, "{}{}", allowed.out, allowed.err);
}

#[test]
fn connections_that_did_not_come_up_fail_the_run_unless_they_are_allowed() {
    let server = Serving::start(&["--cores", "0"]);
    let up = format!("ws://{}/echo", server.address);
    let missing = format!("ws://{}/none", server.address);
    let half = |more: &[&str]| {
        let run = ["load", &up, &missing, "-c", "4", "-r", "50", "-d", "300ms"];
        ringstorm(&[&run[..], &["--quiet"], more].concat())
    };
    let failed = half(&[]);
    assert_eq!(failed.code, 99, "{}{}", failed.out, failed.err);
    let share = "2 of 4 connections did not come up (50.0 %)";
    assert!(failed.out.contains(share), "{}", failed.out);
    for allowed in [
        ["--allow-failures", "50%"],
        ["--threshold", "connects.failed<=2"],
    ] {
        let ran = half(&allowed);
        assert_eq!(ran.code, 0, "{allowed:?}: {}{}", ran.out, ran.err);
        assert!(ran.out.contains(share), "{}", ran.out);
    }
    let beyond = half(&["--allow-failures", "49%"]);
    assert_eq!(beyond.code, 99, "{}{}", beyond.out, beyond.err);
}

#[test]
fn a_threshold_that_cannot_be_meant_ends_before_anything_is_connected() {
    for (threshold, remedy) in [
        ("response.p99<50ms", "no metric response.p99 in this run"),
        ("respnse.p99<5ms", "there are: {service,"),
        ("service.p99<5", "50ms"),
        ("response.p99", "such as response.p99<50ms"),
    ] {
        let url = "ws://127.0.0.1:9/echo";
        let refused = ringstorm(&["load", url, "--threshold", threshold]);
        assert_eq!(refused.code, 2, "{threshold}: {}", refused.err);
        assert!(refused.err.contains(remedy), "{threshold}: {}", refused.err);
    }
}

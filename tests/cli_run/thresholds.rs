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
fn a_threshold_that_cannot_be_told_is_inconclusive_in_the_record() {
    let server = Serving::start(&["--cores", "0"]);
    let thin = load(&server, &["response.p99<1s", "--json"]);
    assert_eq!(thin.code, 0, "{}{}", thin.out, thin.err);
    let record: Value = serde_json::from_str(&thin.out).unwrap();
    assert_eq!(record["thresholds"][0]["result"], "INCONCLUSIVE");
    assert_eq!(record["thresholds"][0]["measured"], Value::Null);
    assert_eq!(record["verdict"]["verdict"], "INCONCLUSIVE");
}

#[test]
fn a_threshold_that_cannot_be_meant_ends_before_anything_is_connected() {
    for (threshold, remedy) in [
        ("respnse.p99<5ms", "there are: {response,"),
        ("response.p99<5", "50ms"),
        ("response.p99", "such as response.p99<50ms"),
    ] {
        let url = "ws://127.0.0.1:9/echo";
        let refused = ringstorm(&["load", url, "--threshold", threshold]);
        assert_eq!(refused.code, 2, "{threshold}: {}", refused.err);
        assert!(refused.err.contains(remedy), "{threshold}: {}", refused.err);
    }
}

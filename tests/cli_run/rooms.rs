//! Rooms: the scenario against the server's own, and rooms of another size than was asked for.

use super::program::{Serving, ringstorm};
use serde_json::Value;

#[test]
fn rooms_of_another_size_than_asked_for_fail_with_the_remedy() {
    let server = Serving::start(&["--cores", "0", "--room-size", "4"]);
    for scheme in ["ws", "http"] {
        let url = format!("{scheme}://{}/rooms", server.address);
        let rooms = |size: &str| {
            let flags = ["--scenario", "rooms", "-c", "8", "--iterations", "5"];
            let flags = [&["load", &url], &flags[..], &["--room-size", size]];
            ringstorm(&flags.concat())
        };
        let load = rooms("4");
        assert_eq!(load.code, 0, "{}", load.err);
        assert!(
            load.out.contains("10 broadcasts, 10 complete, 40 of 40"),
            "{}",
            load.out
        );
        let load = rooms("6");
        assert_eq!(load.code, 99, "{}", load.err);
        assert!(
            load.out.contains("8 ready: other room size"),
            "{}",
            load.out
        );
        assert!(
            load.out.contains("start it with the same --room-size"),
            "{}",
            load.out
        );
    }
    let url = format!("ws://{}/echo", server.address);
    let load = ringstorm(&["load", &url, "--room-size", "4"]);
    assert_eq!(load.code, 2);
    assert!(load.err.contains("add --scenario rooms"), "{}", load.err);
}

/// Members who go by the plan leave nothing without a reply behind, over either transport.
#[test]
fn members_come_and_go_and_nothing_is_lost() {
    let server = Serving::start(&["--cores", "0", "--room-size", "4"]);
    for engine in ["ring", "tokio"] {
        for scheme in ["ws", "http"] {
            let url = format!("{scheme}://{}/rooms", server.address);
            let common = ["-c", "20", "--cores", "0", "--json", "--quiet", "-d", "3s"];
            let stays = ["--connect-rate", "30", "--session-time", "300ms"];
            let rooms = ["--scenario", "rooms", "--engine", engine];
            let load = ringstorm(&[&["load", &url], &common[..], &stays, &rooms].concat());
            assert!(matches!(load.code, 0 | 98), "{}{}", load.out, load.err);
            let record: Value = serde_json::from_str(&load.out).expect("JSON");
            let what = format!("{engine} {scheme}: {}", load.out);
            assert_eq!(record["connects"]["up"], 90, "{what}");
            assert_eq!(record["connects"]["dropped"], 0, "{what}");
            assert_eq!(record["messages"]["lost"], 0, "{what}");
            // However slow the host: a room is silent once the one that speaks there has gone.
            assert!(record["messages"]["replied"].as_u64() > Some(10), "{what}");
            let fan_out = &record["fan_out"];
            assert_eq!(fan_out["expected"], fan_out["received"], "{what}");
        }
    }
}

#[test]
fn connects_are_repeated_and_each_round_is_told() {
    let server = Serving::start(&["--cores", "0"]);
    let pid = server.pid();
    for url in [
        format!("ws://{}/echo", server.address),
        format!("http://{}/rooms", server.address),
    ] {
        let flags = ["--scenario", "connect", "-c", "200", "--iterations", "4"];
        let load = ringstorm(&[&["load", &url], &flags[..], &["--server-pid", &pid]].concat());
        assert_eq!(load.code, 0, "{}", load.err);
        assert!(
            load.out.contains("time         4 rounds of connects"),
            "{}",
            load.out
        );
        let said = "Connections spawned: 800, accepted: 800, failed: 0\n";
        assert!(load.err.ends_with(said), "{}", load.err);
        let load = ringstorm(&[&["load", &url, "--json"], &flags[..]].concat());
        let record: Value = serde_json::from_str(&load.out).expect("JSON");
        let of = |part: &str, key: &str| record[part][key].as_f64().expect("a number");
        let times = record["rounds"]["times_s"].as_array().expect("a list");
        let sum: f64 = times.iter().filter_map(Value::as_f64).sum();
        assert_eq!((times.len(), of("connects", "up")), (4, 800.0));
        assert!((sum - of("rounds", "mean_s") * 4.0).abs() < 1e-9);
        assert!(of("generator", "busy_max") > 0.0, "{}", load.out);
        assert!(of("rounds", "least_s") > 0.0 && of("rounds", "most_s") <= sum);
    }
    let url = format!("ws://{}/echo", server.address);
    let wrong = ringstorm(&["load", &url, "--scenario", "connect", "--csv", "rows.csv"]);
    assert_eq!(wrong.code, 2);
    assert!(wrong.err.contains("--csv"), "{}", wrong.err);
}

//! docs/record.md: a row for every key of the JSON, and in it every key below that.

use super::{good, with_thresholds};
use ringstorm::load::failure::{Kind, Stage};
use ringstorm::load::{PlannedOutage, Recovery, RetryPolicy};
use ringstorm::report::{Facts, Headroom, Network, ServerUse, judged};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A run of which everything is told that can be.
fn full() -> Value {
    let (mut config, mut outcome) = good();
    config.retry = RetryPolicy {
        reconnects: 1,
        ..config.retry
    };
    config.outage = Some(PlannedOutage {
        at: Duration::from_secs(1),
        permille: 500,
    });
    config.ping = Some(Duration::from_secs(1));
    outcome.recovery = Some(Recovery::default());
    outcome.connects.left = 1;
    outcome.events.received = 1;
    outcome.rounds = vec![Duration::from_secs(1)];
    outcome.fan_out = Some(Box::default());
    let latencies = &mut outcome.latencies;
    for latency in [
        &mut latencies.one_way,
        &mut latencies.replayed,
        &mut latencies.ping,
        &mut latencies.first_event,
        &mut latencies.resume,
        &mut latencies.tls,
        &mut latencies.ready,
    ] {
        latency.record_ns(1_000);
    }
    let fan_out = outcome.fan_out.get_or_insert_default();
    for latency in [
        &mut fan_out.first,
        &mut fan_out.p50,
        &mut fan_out.p99,
        &mut fan_out.last,
        &mut fan_out.spread,
    ] {
        latency.record_ns(1_000);
    }
    outcome.failures.count(Stage::Open, Kind::Refused);
    let facts = Facts {
        server: Some(ServerUse::default()),
        network: Some(Network::default()),
        headroom: Some(Headroom {
            headroom: 2.0,
            ceiling_per_s: 2.0,
            planned_per_s: 1.0,
            is_lower_bound: false,
            failed_below_per_s: Some(0.5),
            connections: 1,
            runs: 1,
        }),
        ..with_thresholds(&["response.p50<1s"])
    };
    let record = judged(&facts, &config, &outcome);
    serde_json::to_value(&record).expect("a record is JSON")
}

/// The table's rows: what their first cell names, and all that is quoted in the second.
fn rows() -> BTreeMap<String, BTreeSet<String>> {
    let rows = include_str!("../../docs/record.md")
        .lines()
        .filter_map(|line| {
            let (name, cell) = line.strip_prefix("| ")?.split_once(" | ")?;
            let quoted = cell.split('`').skip(1).step_by(2).map(str::to_owned);
            Some((name.trim_matches('`').to_owned(), quoted.collect()))
        });
    rows.collect()
}

/// Says which keys under a value are missing from its row.
fn missing(value: &Value, row: &str, rows: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    match value {
        Value::Object(fields) => {
            let is_latency = fields.contains_key("ladder");
            let row = if is_latency { "a latency" } else { row };
            let known = |key: &str| rows.get(row).is_some_and(|cell| cell.contains(key));
            let here = fields.keys().filter(|key| !known(key));
            let mut all: Vec<String> = here.map(|key| format!("`{key}` in `{row}`")).collect();
            all.extend(fields.values().flat_map(|value| missing(value, row, rows)));
            all
        }
        Value::Array(items) => items
            .iter()
            .flat_map(|item| missing(item, row, rows))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

#[test]
fn docs_record_has_every_key_of_the_record_and_no_other() {
    let rows = rows();
    let record = full();
    let fields = record.as_object().expect("an object");
    for (key, value) in fields {
        assert!(
            rows.contains_key(key),
            "docs/record.md has no row for `{key}`"
        );
        // Facts of the host have their own names on each; its samples are documented with /stats.
        if !["host", "host_samples"].contains(&key.as_str()) {
            let missing = missing(value, key, &rows);
            assert!(
                missing.is_empty(),
                "docs/record.md lacks {}",
                missing.join(", ")
            );
        }
    }
    let names = rows.keys().map(String::as_str);
    let extra: Vec<&str> = names
        .filter(|name| !fields.contains_key(*name) && !["key", "---", "a latency"].contains(name))
        .collect();
    assert!(
        extra.is_empty(),
        "docs/record.md has rows without a key: {extra:?}"
    );
}

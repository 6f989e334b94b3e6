//! docs/record.md: a row for every key of the JSON, and in it every key below that.

use super::{good, with_thresholds};
use ringstorm::load::failure::{Kind, Stage};
use ringstorm::load::{PlannedOutage, Recovery, RetryPolicy};
use ringstorm::report::{
    CapacityRecord, Facts, Headroom, Ledger, Network, Record, Series, ServerUse, Versus, judged,
};
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
    outcome.deliveries = Some(ringstorm::load::deliveries::Deliveries::default());
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
            cut_short: true,
            connections: 1,
            runs: 1,
        }),
        ..with_thresholds(&["response.p50<1s"])
    };
    let mut record = judged(&facts, &config, &outcome);
    record.series = second();
    record.baseline = Some(vec![ringstorm::report::BaselineChange {
        metric: "p50_ns".to_owned(),
        before: 1.0,
        now: 1.0,
        low: 0.5,
        high: 2.0,
        is_worse: false,
    }]);
    serde_json::to_value(&record).expect("a record is JSON")
}

/// A second of such a run.
fn second() -> Vec<ringstorm::report::Second> {
    let mut interval = Ledger::default().add(Vec::new()).0;
    interval.span = Duration::from_secs(1);
    interval.latencies.response.record_ns(1_000);
    let mut series = Series::default();
    series.take(&interval);
    series.rows().to_vec()
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
        // Facts of the host have their own names on each; its samples are documented with /stats;
        // histograms have the names of latencies.
        if !["host", "host_samples", "histograms"].contains(&key.as_str()) {
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

/// A schema as it is written.
fn written<T: schemars::JsonSchema>() -> String {
    let schema = schemars::schema_for!(T);
    let text = serde_json::to_string_pretty(&schema).expect("a schema is JSON");
    format!("{text}\n")
}

#[test]
fn the_schemas_of_the_docs_are_those_of_the_records() {
    for (name, schema) in [
        ("record", written::<Record>()),
        ("compare", written::<Versus>()),
        ("capacity", written::<CapacityRecord>()),
    ] {
        let path = format!("{}/docs/{name}.schema.json", env!("CARGO_MANIFEST_DIR"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &schema).expect("a writable file");
        }
        let kept = std::fs::read_to_string(&path).expect("the schema");
        assert_eq!(schema, kept, "{path} differs; UPDATE_GOLDEN=1 writes it");
    }
}

/// Why a value is none by a schema: the part of JSON Schema 2020-12 that the record's uses, and no
/// keyword beyond it.
fn fault(value: &Value, schema: &Value, root: &Value, at: &str) -> Option<String> {
    let wrong = |what: &str| Some(format!("{at}: {what}: {value}"));
    let Some(keywords) = schema.as_object() else {
        return (schema == &Value::Bool(false)).then(|| format!("{at}: not allowed"));
    };
    for (keyword, rule) in keywords {
        let list = || rule.as_array().into_iter().flatten();
        let found = match keyword.as_str() {
            "$ref" => {
                let name = rule.as_str().expect("a reference").trim_start_matches('#');
                fault(value, root.pointer(name).expect(name), root, at)
            }
            "type" => {
                let is = |kind: &Value| is_of_type(value, kind.as_str().expect("a type"));
                let holds = if rule.is_array() {
                    list().any(is)
                } else {
                    is(rule)
                };
                (!holds).then(|| wrong("of another type")).flatten()
            }
            "anyOf" | "oneOf" => {
                let holds = list().any(|one| fault(value, one, root, at).is_none());
                (!holds).then(|| wrong("none of several")).flatten()
            }
            "enum" => (!list().any(|one| one == value))
                .then(|| wrong("no such word"))
                .flatten(),
            "const" => (rule != value).then(|| wrong("another word")).flatten(),
            "required" => {
                let mut names = list().filter_map(Value::as_str);
                let missing = names.find(|name| value.is_object() && value.get(name).is_none());
                missing.and_then(|name| wrong(&format!("lacks {name}")))
            }
            "properties" | "items" | "prefixItems" | "additionalProperties" => {
                parts(value, keyword, rule)
                    .find_map(|(part, rule, name)| fault(part, rule, root, &format!("{at}/{name}")))
            }
            "minimum" => {
                let is_below = value.as_f64() < rule.as_f64();
                (value.is_number() && is_below)
                    .then(|| wrong("too small"))
                    .flatten()
            }
            "minItems" | "maxItems" => {
                let length = value.as_array().map(|items| items.len() as u64);
                let order = length.map(|length| length.cmp(&rule.as_u64().expect("a number")));
                let is_min = keyword == "minItems";
                let holds = order.is_none_or(|it| if is_min { it.is_ge() } else { it.is_le() });
                (!holds).then(|| wrong("too short or too long")).flatten()
            }
            "$schema" | "$defs" | "title" | "description" | "default" | "format" | "maximum" => {
                None
            }
            other => panic!("{at}: the check knows no keyword {other}"),
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

fn is_of_type(value: &Value, kind: &str) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        other => panic!("no such type: {other}"),
    }
}

/// The parts of a value that a keyword has rules for: each with its rule and its name.
fn parts<'a>(
    value: &'a Value,
    keyword: &str,
    rule: &'a Value,
) -> Box<dyn Iterator<Item = (&'a Value, &'a Value, String)> + 'a> {
    let fields = value.as_object().into_iter().flatten();
    let items = value.as_array().into_iter().flatten().enumerate();
    match keyword {
        "properties" => Box::new(fields.filter_map(move |(name, part)| {
            let rule = rule.get(name)?;
            Some((part, rule, name.clone()))
        })),
        "additionalProperties" => {
            Box::new(fields.map(move |(name, part)| (part, rule, name.clone())))
        }
        "items" => Box::new(items.map(move |(n, part)| (part, rule, n.to_string()))),
        _ => Box::new(items.filter_map(move |(n, part)| Some((part, rule.get(n)?, n.to_string())))),
    }
}

#[test]
fn a_full_record_is_one_by_the_schema_and_an_edited_one_is_not() {
    let schema: Value = serde_json::from_str(&written::<Record>()).expect("JSON");
    let record = full();
    assert_eq!(fault(&record, &schema, &schema, ""), None);
    for (key, wrong) in [
        ("/connects/up", Value::from("many")),
        ("/connects/failed", Value::from(-1)),
        ("/verdict/verdict", Value::from("FINE")),
        ("/series/0/busy", Value::from(1)),
        ("/series/0/bands/0", Value::from(vec![1])),
        ("/run", Value::Null),
    ] {
        let mut edited = record.clone();
        *edited.pointer_mut(key).expect(key) = wrong;
        assert!(fault(&edited, &schema, &schema, "").is_some(), "{key}");
    }
}

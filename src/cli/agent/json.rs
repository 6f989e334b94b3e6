//! One JSON object per sample. The keys are in docs/agent-probe-doctor.md, units are in the keys; a
//! rate that is not known is null.

use crate::stats::{HostRates, HostSample, Rates, Reading, Sample, ServerState};
use serde_json::{Map, Value, json};

/// A reading as one line.
pub(super) fn line(reading: &Reading) -> String {
    let mut object = Map::new();
    object.insert("schema".to_owned(), json!("ringstorm.agent/1"));
    object.insert("sample".to_owned(), json!(reading.number));
    object.insert("at_s".to_owned(), json!(reading.at_s));
    match &reading.state {
        ServerState::Lost { why, for_s } => {
            add(
                &mut object,
                json!({ "state": "lost", "why": why, "lost_s": for_s }),
            );
        }
        ServerState::Up {
            sample,
            rates,
            change,
        } => {
            add(
                &mut object,
                json!({ "state": "up", "change": change.word() }),
            );
            add(&mut object, server(sample));
            add(&mut object, rates_of(rates.as_deref()));
            object.insert("cores".to_owned(), cores(sample, rates.as_deref()));
        }
    }
    if let Some((sample, rates)) = &reading.host {
        object.insert("host".to_owned(), host(sample, rates.as_ref()));
    }
    let mut text = Value::Object(object).to_string();
    text.push('\n');
    text
}

fn server(sample: &Sample) -> Value {
    let (total, process) = (&sample.total, &sample.process);
    json!({
        "engine": sample.engine,
        "uptime_s": sample.uptime_s,
        "missing": sample.missing,
        "open": {
            "websocket": total.open.websocket,
            "sse": total.open.sse,
            "http": total.open.http,
        },
        "accepted": total.accepted,
        "closed": total.closed,
        "requests": total.requests,
        "messages_in": total.messages_in,
        "messages_out": total.messages_out,
        "bytes_in": total.bytes_in,
        "bytes_out": total.bytes_out,
        "backlog_bytes": total.backlog_bytes,
        "accept_queue": total.accept_queue,
        "accept_queue_limit": total.accept_queue_limit,
        "listeners": sample.listeners,
        "slots_used": total.slots_used,
        "slots": total.slots,
        "turns": total.turns,
        "starved": total.starved,
        "accept_pauses": total.accept_pauses,
        "rescues": total.rescues,
        "cpu_s": process.cpu_s,
        "rss_bytes": process.rss_bytes,
        "pss_bytes": process.pss_bytes,
        "threads": process.threads,
        "cgroup": sample.cgroup,
        "sample_age_s": sample.sample_age_s,
        "descriptors": process.descriptors,
        "descriptor_limit": process.descriptor_limit,
    })
}

fn rates_of(rates: Option<&Rates>) -> Value {
    let rate = |of: fn(&Rates) -> Option<f64>| rates.and_then(of);
    json!({
        "span_s": rates.map(|it| it.span_s),
        "accepted_per_s": rate(|it| it.accepted),
        "closed_per_s": rates.map(|it| &it.closed),
        "messages_in_per_s": rate(|it| it.messages_in),
        "messages_out_per_s": rate(|it| it.messages_out),
        "bytes_in_per_s": rate(|it| it.bytes_in),
        "bytes_out_per_s": rate(|it| it.bytes_out),
        "turns_per_s": rate(|it| it.turns),
        "events_per_turn": rate(|it| it.events_per_turn),
        "sends_per_s": rate(|it| it.sends),
        "starved_per_s": rate(|it| it.starved),
        "cpu_percent": rate(|it| it.process_cpu_percent),
    })
}

fn cores(sample: &Sample, rates: Option<&Rates>) -> Value {
    let cpu = |core: u16| {
        let all = rates.map(|it| it.cores_cpu_percent.as_slice());
        let found = all.unwrap_or_default().iter().find(|(it, _)| *it == core);
        found.and_then(|(_, percent)| *percent)
    };
    let of = |core: &crate::stats::sample::CoreFigures| {
        json!({
            "core": core.core,
            "open": core.figures.open.sum(),
            "cpu_percent": cpu(core.core),
        })
    };
    sample.cores.iter().map(of).collect()
}

fn host(sample: &HostSample, rates: Option<&HostRates>) -> Value {
    let rate = |of: fn(&HostRates) -> Option<f64>| rates.and_then(of);
    let cpu = |cpu: &crate::stats::host::CpuShare| {
        json!({
            "cpu": cpu.cpu,
            "busy_percent": cpu.busy_percent,
            "softirq_percent": cpu.softirq_percent,
            "steal_percent": cpu.steal_percent,
        })
    };
    let cpus: Option<Vec<Value>> = rates.map(|it| it.cpus.iter().map(cpu).collect());
    let mut object = Map::new();
    // Its keys are those of `host` in `/stats`.
    add(&mut object, json!(sample));
    add(
        &mut object,
        json!({
            "cpus": cpus,
            "listen_overflows_per_s": rate(|it| it.listen_overflows),
            "listen_drops_per_s": rate(|it| it.listen_drops),
            "syn_queue_drops_per_s": rate(|it| it.syn_queue_drops),
            "syncookies_sent_per_s": rate(|it| it.syncookies_sent),
            "retransmits_per_s": rate(|it| it.retransmits),
            "softnet_drops_per_s": rate(|it| it.softnet_drops),
            "softnet_squeezes_per_s": rate(|it| it.softnet_squeezes),
        }),
    );
    Value::Object(object)
}

fn add(object: &mut Map<String, Value>, more: Value) {
    if let Value::Object(more) = more {
        object.extend(more);
    }
}

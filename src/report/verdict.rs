//! Whether a run may be believed, and its exit code. docs/measurement.md has the rules.

use super::figures::{float, rounded, span, whole};
use super::generator::GeneratorCore;
use super::judgement::{Judgement, Verdict};
use super::losses::{Loss, has_lost_connections, losses, own_shortage, percent};
use super::record::{Events, Messages, Record};
use crate::load::scenario::rooms::OTHER_ROOM_SIZE;

/// Less of the plan than this was not the planned load.
const ACHIEVED_MIN: f64 = 0.99;
/// Slip beyond this part of the objective is the generator's own latency.
const SLIP_OF_SLO_MAX: f64 = 0.1;

/// A core busier than this was at its end, or spun: what it did to the plan says which.
const BUSY_MAX: f64 = 0.85;
/// Slip of less is what turns for a plan cost by themselves: `--tick` adds to it.
const SLIP_OF_TURNS_NS: u64 = 1_000_000;
/// The exit code of a run whose verdict is open.
pub const INCONCLUSIVE_CODE: u8 = 97;

/// The exit code of a run: `0` pass, `97` inconclusive, `98` invalid, `99` failed, `105`
/// interrupted.
#[must_use]
pub fn exit_code(record: &Record) -> u8 {
    if record.time.ending == "interrupted" {
        return 105;
    }
    match record.verdict.verdict {
        Verdict::Pass => 0,
        Verdict::Inconclusive => INCONCLUSIVE_CODE,
        Verdict::Invalid => 98,
        Verdict::Fail => 99,
    }
}

/// Judges a record by its figures.
#[must_use]
pub(super) fn judge(record: &Record) -> Judgement {
    let generator = generator_limits(record);
    let plan = plan_limits(record);
    let failed = failures(record);
    let thin = too_thin(record);
    let broken = thresholds(record, Verdict::Fail);
    let open = thresholds(record, Verdict::Inconclusive);
    let limited_by = if !generator.is_empty() {
        Some("generator")
    } else if !plan.is_empty() {
        Some("plan")
    } else {
        None
    };
    // Latency of a load that was not wholly applied is, if anything, too good: what fails then
    // would fail of all of it. That the generator was late makes no server fail.
    let is_generator = limited_by == Some("generator");
    let broken = aborted(record, broken);
    let verdict = if !failed.is_empty() || (!broken.is_empty() && !is_generator) {
        Verdict::Fail
    } else if limited_by.is_some() {
        Verdict::Invalid
    } else if thin.is_some() || !open.is_empty() {
        Verdict::Inconclusive
    } else {
        Verdict::Pass
    };
    let shares = losses(record).into_iter().map(|loss| loss.share());
    Judgement {
        verdict,
        limited_by: limited_by.map(str::to_owned),
        failed_share: shares.fold(0.0, f64::max),
        reasons: failed
            .into_iter()
            .chain(broken)
            .chain(generator)
            .chain(plan)
            .chain(open)
            .chain(thin)
            .collect(),
        notes: notes(record),
    }
}

/// A run that a threshold ended had broken one, whatever came after that look.
fn aborted(record: &Record, broken: Vec<String>) -> Vec<String> {
    if record.time.ending == "aborted" && broken.is_empty() {
        return vec!["the run ended when a threshold had failed".to_owned()];
    }
    broken
}

/// What the server, or the way to it, did not do.
fn failures(record: &Record) -> Vec<String> {
    let connects = &record.connects;
    let losses = losses(record);
    let failed: Vec<&Loss> = losses.iter().filter(|it| it.is_failure(record)).collect();
    if connects.attempted > connects.unfinished && connects.up == 0 && !failed.is_empty() {
        let none = format!("none of {} connections came up", whole(connects.planned));
        let sizes = record.failures.iter().any(|it| it.kind == OTHER_ROOM_SIZE);
        let remedy = "the server's rooms are of another size than --room-size: start it with the \
                      same --room-size, or leave it out here";
        return [none]
            .into_iter()
            .chain(sizes.then(|| remedy.to_owned()))
            .collect();
    }
    let allowed = record.run.allowed_failures;
    let mut reasons: Vec<String> = failed.iter().map(|it| it.shown()).collect();
    if !reasons.is_empty() && allowed > 0.0 {
        reasons.push(format!("{} may fail", percent(allowed)));
    }
    if record.time.ending == "deserted" {
        let measured = record.time.measured_s;
        reasons.push(format!(
            "every connection ended before the run did, after {measured:.2} s"
        ));
    }
    reasons.extend(silence(record));
    reasons
}

/// Nothing came, where something was to.
fn silence(record: &Record) -> Option<String> {
    if let Some(messages) = &record.messages {
        let is_silent = messages.sent > 0 && messages.replied == 0;
        return is_silent.then(|| "no reply came".to_owned());
    }
    let events = record.events.as_ref()?;
    let is_to_hear = !matches!(record.run.scenario.as_str(), "idle" | "connect" | "custom");
    let had_time = record.connects.up > 0 && record.time.measured_s > 0.0;
    (is_to_hear && had_time && events.received == 0).then(|| "nothing was received".to_owned())
}

/// The thresholds that ended so, as reasons.
fn thresholds(record: &Record, result: Verdict) -> Vec<String> {
    let alike = record.thresholds.iter().filter(|met| met.result == result);
    let said = alike.map(|met| match result {
        Verdict::Inconclusive => {
            format!(
                "threshold {} cannot be told: {}",
                met.threshold,
                met.shown()
            )
        }
        Verdict::Pass | Verdict::Fail | Verdict::Invalid => {
            format!("threshold {} failed: {}", met.threshold, met.shown())
        }
    });
    said.collect()
}

/// Slip that is a large part of the bound of a response time at the same percentile.
fn slips(record: &Record) -> impl Iterator<Item = String> {
    let slip = record.latency.slip.as_ref();
    record.thresholds.iter().filter_map(move |met| {
        let (latency, statistic, bound) = met.latency_bound_ns()?;
        let slip = slip?.percentile_ns(statistic)?;
        (latency == "response" && float(slip) > SLIP_OF_SLO_MAX * bound).then(|| {
            let (slip, threshold) = (span(slip), &met.threshold);
            format!("slip {statistic} is {slip}, above 10 % of the bound of {threshold}")
        })
    })
}

fn generator_limits(record: &Record) -> Vec<String> {
    let mut reasons = Vec::new();
    if let Some(messages) = &record.messages
        && is_short(messages.dropped_by.late, messages.planned)
    {
        let late = whole(messages.dropped_by.late);
        reasons.push(format!(
            "the generator did not get to {late} messages in time"
        ));
    }
    if let Some(waited) = record.connects.waited_for_slot {
        let waited = whole(waited);
        let text = format!("{waited} connects waited for a slot: this client has too few");
        reasons.push(format!("{text}; more --cores have more"));
    }
    let own = own_shortage(record);
    if own > 0 {
        let own = whole(own);
        reasons.push(format!(
            "{own} connections found no source port, descriptor or slot of this client"
        ));
    }
    let slip = record.latency.slip.as_ref().map(|slip| slip.p99_ns);
    if let (Some(slip), Some(slo)) = (slip, record.run.slo_ns)
        && float(slip) > SLIP_OF_SLO_MAX * float(slo)
    {
        let (slip, slo) = (span(slip), span(slo));
        reasons.push(format!(
            "slip p99 is {slip}, above 10 % of the objective of {slo}"
        ));
    }
    reasons.extend(slips(record));
    reasons.extend(fell_behind(record));
    reasons
}

/// A busy core that got to its plan too late for what is measured. One that is only busy may spin.
fn fell_behind(record: &Record) -> Option<String> {
    let slip = record.latency.slip.as_ref()?.p99_ns;
    let response = record.latency.response.as_ref()?.p99_ns;
    let tick_ns = rounded(record.run.tick_s.unwrap_or(0.0) * 1e9);
    let core = busiest(record).filter(|core| core.busy > BUSY_MAX)?;
    let is_late = slip > SLIP_OF_TURNS_NS + tick_ns && slip > response / 10;
    let (slip, response) = (span(slip), span(response));
    let (number, busy) = (core.core, core.busy * 100.0);
    is_late.then(|| {
        format!(
            "slip p99 is {slip} of a response of {response}, and generator core {number} was \
             {busy:.0} % busy"
        )
    })
}

fn busiest(record: &Record) -> Option<&GeneratorCore> {
    let cores = record.generator.cores.iter();
    cores.max_by(|a, b| a.busy.total_cmp(&b.busy))
}

fn plan_limits(record: &Record) -> Vec<String> {
    let Some(messages) = &record.messages else {
        return Vec::new();
    };
    // What lost connections would have carried is allowed with them; else they have failed the run.
    let is_allowed = has_lost_connections(record);
    let allowed = u64::from(is_allowed) * messages.dropped_by.no_connection;
    if !is_short(messages.dropped - allowed, messages.planned) {
        return Vec::new();
    }
    let achieved = 100.0 * float(messages.sent) / float(messages.planned);
    let mut reasons = vec![format!("{achieved:.1} % of the plan was sent (limit 99 %)")];
    let by = &messages.dropped_by;
    let cap = record.run.in_flight.unwrap_or(0);
    if by.in_flight > 0 {
        let n = whole(by.in_flight);
        reasons.push(if record.run.scenario == "echo" {
            format!("{n} met the cap of {cap} in flight: replies came too slowly")
        } else {
            format!("{n} were due while what came before was under way: replies came too slowly")
        });
    }
    if by.backlog > 0 {
        reasons.push(format!(
            "{} met a full backlog: the server did not read",
            whole(by.backlog)
        ));
    }
    if by.no_connection > 0 {
        reasons.push(format!("{} had no connection", whole(by.no_connection)));
    }
    reasons
}

fn too_thin(record: &Record) -> Option<String> {
    if record.time.ending == "interrupted" {
        return Some("the run was interrupted".to_owned());
    }
    let nothing = record.messages.as_ref().is_some_and(|it| it.planned == 0);
    (nothing && record.connects.up > 0)
        .then(|| "no message was due in the measured time".to_owned())
}

fn notes(record: &Record) -> Vec<String> {
    let mut notes = Vec::new();
    let connects = &record.connects;
    let allowed = losses(record)
        .into_iter()
        .filter(|it| !it.is_failure(record));
    notes.extend(allowed.map(|it| format!("{}, {}", it.shown(), it.excuse(record))));
    if connects.dropped > 0 && record.run.session_s.is_some() {
        let (dropped, planned) = (whole(connects.dropped), whole(connects.planned));
        notes.push(format!(
            "{dropped} of {planned} sessions found all connections in use"
        ));
    }
    if record.returns.is_some() && connects.ended_early > 0 {
        let n = whole(connects.ended_early);
        notes.push(format!("{n} connections ended before the run"));
    }
    if let Some(events) = &record.events {
        notes.extend(silence_note(events));
    }
    if connects.still_open > 0 {
        let n = whole(connects.still_open);
        notes.push(format!(
            "{n} connections did not finish their closing handshake in time"
        ));
    }
    if record.run.loop_kind == "closed" {
        notes.push("closed loop: latency is exposed to coordinated omission".to_owned());
        if let Some(core) = busiest(record).filter(|core| core.busy > BUSY_MAX) {
            let (number, busy) = (core.core, core.busy * 100.0);
            notes.push(format!(
                "generator core {number} was {busy:.0} % busy: the rate may be this client's limit"
            ));
        }
    }
    if let Some(messages) = &record.messages {
        notes.extend(echo_notes(messages));
    }
    notes.extend(connect_note(record));
    notes.extend(pace_note(record));
    notes.extend(record.generator.headroom.and_then(|it| it.note()));
    notes.extend(record.generator.headroom.and_then(|it| it.unsure()));
    notes.extend(record.generator.headroom.and_then(|it| it.uneven()));
    if let Some(samples) = &record.host_samples {
        notes.extend(samples.signs(record.network.as_ref()));
    }
    notes.extend(network_note(record));
    let p99 = |latency: &Option<super::LatencyRecord>| latency.as_ref().map(|l| l.p99_ns);
    if let (Some(slip), Some(response)) = (p99(&record.latency.slip), p99(&record.latency.response))
        && slip > response / 10
    {
        let slip = span(slip);
        notes.push(format!(
            "slip p99 is {slip}: a visible part of response is the generator's"
        ));
    }
    notes
}

/// Without a rate, connects are as many at once as a core may have under way: where each takes as
/// long as its round trips (TCP, TLS, the upgrade), these make the rate, whatever the server takes.
fn connect_note(record: &Record) -> Option<String> {
    let under_way = record.run.connecting?;
    let took_ns = record.latency.connect.as_ref()?.p50_ns;
    let cores = record.generator.cores.len();
    let room = f64::from(under_way) * float(u64::try_from(cores).unwrap_or(u64::MAX));
    let at_once = record.connects.up_per_s? * float(took_ns) / 1e9;
    let is_limit = at_once > room / 2.0 && float(record.connects.up) > 2.0 * room;
    let round_trip_ns = record.network.as_ref()?.rtt_p50_us * 1_000;
    (is_limit && took_ns < 4 * round_trip_ns).then(|| {
        let round_trip = span(round_trip_ns);
        format!(
            "connects were at most {under_way} at once on each of {cores} cores, over round trips \
             of {round_trip}: that made their rate, not the server; --connect-rate sets one"
        )
    })
}

/// Random times that are nearer to each other than the turns that send for them.
fn pace_note(record: &Record) -> Option<String> {
    let is_random = record.run.pace.as_ref()?.contains("Poisson");
    let rate_per_s = record.run.rate_per_s?;
    // One gap of a hundred is shorter than a hundredth of the mean.
    let is_near = rate_per_s > 100.0;
    (is_random && is_near).then(|| {
        "messages leave in turns 50 to 100 us (--tick) apart: random gaps below that come together"
            .to_owned()
    })
}

fn silence_note(events: &Events) -> Option<String> {
    let (silent, silences) = (whole(events.silent), whole(events.silences));
    let longest = span(rounded(events.longest_silence_s * 1e9));
    let due = whole(events.missing_at_end);
    match (events.silent, events.silences) {
        (0, 0) => None,
        (0, _) => Some(format!(
            "{silences} silences of connections, of up to {longest}"
        )),
        (_, _) => Some(format!(
            "{silent} connections had heard nothing for up to {longest} at the end: {due} events \
             were due to them"
        )),
    }
}

fn echo_notes(messages: &Messages) -> Option<String> {
    (messages.wrong > 0).then(|| {
        let wrong = whole(messages.wrong);
        format!("{wrong} messages received were not the echo expected")
    })
}

fn is_short(missing: u64, planned: u64) -> bool {
    float(missing) > (1.0 - ACHIEVED_MIN) * float(planned)
}

/// Whether the network or what is behind it was slow, where something was.
fn network_note(record: &Record) -> Option<String> {
    let network = record.network.as_ref()?;
    let sockets = whole(network.sockets);
    if network.is_slow() {
        let [resending, stalled] = [network.retransmitting, network.stalled].map(whole);
        let [again, of] = [network.retransmits, network.data_segments].map(whole);
        return Some(format!(
            "the network, not the server: of {sockets} of this run's own sockets {resending} sent \
             again ({again} of {of} segments), {stalled} had no answer of the peer's host at the \
             end"
        ));
    }
    if network.window_limited > 0 {
        let limited = whole(network.window_limited);
        return Some(format!(
            "the server, not the network: {limited} of {sockets} of this run's own sockets waited \
             for it to read"
        ));
    }
    let is_late = record.thresholds.iter().any(|met| {
        let latency = met.latency_bound_ns().map(|(latency, ..)| latency);
        met.result == Verdict::Fail && latency.is_some_and(|latency| latency != "slip")
    });
    let has_lost = record.messages.as_ref().is_some_and(|it| it.lost > 0);
    (is_late || has_lost).then(|| {
        let [p50, p99] = [network.rtt_p50_us, network.rtt_p99_us].map(|us| span(us * 1_000));
        format!(
            "the server, not the network: {sockets} of this run's own sockets had a round trip of \
             {p50} (p99 {p99}) and sent {} segments again",
            whole(network.retransmits)
        )
    })
}

//! The record of a search for a capacity, and the plan that follows from it: docs/capacity.md.

use super::figures::{rate, rounded, seconds, span, whole};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write;

/// The schema's name and version.
pub const CAPACITY_SCHEMA: &str = "ringstorm.capacity/1";
/// How much of a capacity a plan is made of: what is left is for a server that is lost, and for
/// hours that are worse than the measured one.
const PLANNED: f64 = 0.7;

/// A search.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CapacityRecord {
    /// `ringstorm.capacity/1`.
    pub schema: String,
    /// The program's version.
    pub version: String,
    /// The command line.
    pub command: Vec<String>,
    /// Facts of the load client's host.
    pub host: BTreeMap<String, String>,
    /// The server.
    pub url: String,
    /// What had to hold.
    pub slo: Vec<String>,
    /// `rate` (messages a second) or `connections`.
    pub axis: String,
    /// Connections of the axis rate; messages a second of each connection of the other one, if it
    /// sends.
    pub fixed: Option<f64>,
    /// How long the result had to hold.
    pub soak_s: f64,
    /// When it began, in milliseconds of Unix time.
    pub started_unix_ms: u64,
    /// When it ended.
    pub ended_unix_ms: u64,
    /// Every step, in order.
    pub steps: Vec<CapacityStep>,
    /// The largest load that was held; `null` if none was.
    pub held: Option<f64>,
    /// The smallest above it that was not.
    pub broke: Option<f64>,
    /// Why it was not: `broke`, `open` or `not_applied` (by the load client).
    pub broke_by: Option<String>,
    /// It was held for the soak, and a tenth more was not.
    pub is_confirmed: bool,
    /// A load below what was held that was too much all the same.
    pub broke_below: Option<f64>,
    /// What stood in the way, by evidence.
    pub bottleneck: Option<String>,
    /// What to do about it.
    pub remedy: Option<String>,
    /// All that speaks for causes in the step that broke.
    pub causes: Vec<String>,
    /// The server's private memory by connections.
    pub memory: Option<CapacityMemory>,
    /// How throughput grows with what is in flight.
    pub scalability: Option<Scalability>,
    /// How this is worse than a search before, beyond what held and what broke.
    #[serde(default)]
    pub worse_than_baseline: Option<String>,
}

/// A step of a search.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CapacityStep {
    /// How much was asked for, by the axis.
    pub load: f64,
    /// `probe`, `soak` or `check`.
    pub purpose: String,
    /// `held`, `broke`, `open` or `not_applied`.
    pub answer: String,
    /// Connections that were up.
    pub connections: u64,
    /// Replies or events a second.
    pub per_s: Option<f64>,
    /// Median of the headline latency.
    pub p50_ns: Option<u64>,
    /// Its 99th percentile.
    pub p99_ns: Option<u64>,
    /// The server's CPU time, as a part of what its cores have; or of its busiest thread, if more.
    pub server_busy: Option<f64>,
    /// Its private memory at most.
    pub private_bytes: Option<u64>,
    /// Why it did not hold.
    pub reasons: Vec<String>,
    /// What speaks for which cause.
    pub causes: Vec<String>,
    /// The nearest cause.
    pub bottleneck: Option<String>,
    /// What to do about it.
    pub remedy: Option<String>,
}

/// `M(C) = base + each C` of the server's private memory.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CapacityMemory {
    /// At no connection, in bytes.
    pub base_bytes: f64,
    /// Of each connection, in bytes.
    pub each_bytes: f64,
    /// Lower end of its 95 % interval; `null` of two steps.
    pub low_bytes: Option<f64>,
    /// Upper end.
    pub high_bytes: Option<f64>,
}

/// The Universal Scalability Law over what is in flight.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Scalability {
    /// Throughput of one in flight.
    pub lambda: f64,
    /// The part that waits for others, and its 95 % interval.
    pub sigma: (f64, f64, f64),
    /// The part that must be agreed upon, and its 95 % interval.
    pub kappa: (f64, f64, f64),
    /// In flight at the greatest throughput, if there is one.
    pub peak: Option<f64>,
    /// The most that were in flight.
    pub measured_to: f64,
}

impl CapacityRecord {
    /// Compares this with a search before of the same objectives: worse is what broke below what
    /// was held then.
    ///
    /// # Errors
    /// Why the two cannot be compared.
    pub fn judge_by(&mut self, before: &Self) -> Result<(), String> {
        let same = [
            ("axis", self.axis == before.axis),
            ("slo", self.slo == before.slo),
            (
                "number of connections, or rate of each",
                self.fixed == before.fixed,
            ),
        ];
        if let Some((key, _)) = same.iter().find(|(_, is_same)| !is_same) {
            return Err(format!(
                "the baseline has another {key}; try: its own command"
            ));
        }
        let is_generator = self.broke_by.as_deref() == Some("not_applied");
        if let (Some(broke), Some(held), false) = (self.broke, before.held, is_generator)
            && broke < held
        {
            let (broke, held) = (self.load(broke), self.load(held));
            self.worse_than_baseline = Some(format!("{broke} was too much, {held} had held"));
        }
        Ok(())
    }

    /// The plan for people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = writeln!(text, "{}: {}", self.url, self.slo.join(" "));
        let _ = writeln!(
            text,
            "{:>12}  {:6}  {:11}  {:>10}  {:>9}  {:>9}  {:>6}",
            self.axis, "step", "answer", "a second", "p50", "p99", "CPU"
        );
        for it in &self.steps {
            let ns = |ns: Option<u64>| ns.map_or_else(|| "-".to_owned(), span);
            let busy = it.server_busy.map(|busy| format!("{:.0} %", busy * 100.0));
            let _ = writeln!(
                text,
                "{:>12}  {:6}  {:11}  {:>10}  {:>9}  {:>9}  {:>6}  {}",
                whole(rounded(it.load)),
                it.purpose,
                it.answer.replace('_', " "),
                it.per_s.map_or_else(|| "-".to_owned(), rate),
                ns(it.p50_ns),
                ns(it.p99_ns),
                busy.unwrap_or_else(|| "-".to_owned()),
                it.reasons.first().map_or("", String::as_str)
            );
        }
        text.push('\n');
        for line in self.lines() {
            let _ = writeln!(text, "{line}");
        }
        text
    }

    fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.headline()];
        let soak = seconds(self.soak_s);
        lines.push(match (self.held, self.is_confirmed) {
            (None, _) => "confirmed    no: there is nothing to confirm".to_owned(),
            (Some(_), true) => format!("confirmed    it held for {soak}, and a tenth more did not"),
            (Some(_), false) => format!("confirmed    no: it was not seen to hold for {soak}"),
        });
        if let Some(below) = self.broke_below {
            lines.push(format!(
                "uneven       {} was too much, and more held: there is no one limit",
                self.load(below)
            ));
        }
        let bottleneck = self.bottleneck.as_deref().unwrap_or(
            "not known: nothing that this looks at ran short (with --server-pid it looks at more)",
        );
        lines.push(format!("bottleneck   {bottleneck}"));
        lines.extend(self.causes.iter().map(|it| format!("  seen       {it}")));
        lines.extend(self.remedy.iter().map(|it| format!("  try        {it}")));
        if let Some(it) = &self.memory {
            let [base, each] = [it.base_bytes, it.each_bytes].map(|it| whole(rounded(it)));
            let range = it.low_bytes.zip(it.high_bytes).map(|(low, high)| {
                format!(" ({} to {})", whole(rounded(low)), whole(rounded(high)))
            });
            let range = range.unwrap_or_default();
            lines.push(format!(
                "memory       {base} bytes and {each}{range} for each connection, of user memory"
            ));
        }
        if let Some(it) = &self.scalability {
            let peak = it.peak.filter(|peak| *peak <= 2.0 * it.measured_to);
            let peak = peak.map_or(
                "no peak within twice what was measured".to_owned(),
                |peak| format!("the greatest throughput at {peak:.0} in flight"),
            );
            let ((sigma, s_low, s_high), (kappa, k_low, k_high)) = (it.sigma, it.kappa);
            lines.push(format!(
                "scalability  sigma {sigma:.4} ({s_low:.4} to {s_high:.4}), kappa {kappa:.2e} \
                 ({k_low:.1e} to {k_high:.1e}): {peak}"
            ));
        }
        if let Some(worse) = &self.worse_than_baseline {
            lines.push(format!("baseline     worse: {worse}"));
        }
        if let Some(held) = self.held {
            let planned = self.load((held * PLANNED).floor());
            let percent = PLANNED * 100.0;
            lines.push(format!(
                "plan         measured {}; of that {percent:.0} %, {planned}, a server",
                self.load(held)
            ));
        }
        lines
    }

    fn headline(&self) -> String {
        let Some(held) = self.held else {
            return "capacity     none: the smallest load that was tried was too much".to_owned();
        };
        let held = self.load(held);
        match (self.broke, self.broke_by.as_deref()) {
            (None, _) => format!("capacity     >= {held}: the search ends there (--max)"),
            (Some(_), Some("not_applied")) => {
                format!("capacity     >= {held} (generator-limited)")
            }
            (Some(broke), _) => {
                format!("capacity     {held}; {} was too much", self.load(broke))
            }
        }
    }

    /// A load with its unit.
    fn load(&self, load: f64) -> String {
        let number = whole(rounded(load));
        match self.axis.as_str() {
            "rate" => format!("{number} messages a second"),
            _ => format!("{number} connections"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_broke_below_what_had_held_is_worse() {
        let found = |held: f64, broke: f64| CapacityRecord {
            axis: "rate".to_owned(),
            held: Some(held),
            broke: Some(broke),
            broke_by: Some("broke".to_owned()),
            ..CapacityRecord::default()
        };
        let before = found(1_000.0, 1_030.0);
        let judged = |mut now: CapacityRecord| {
            now.judge_by(&before)
                .map(|()| now.worse_than_baseline.is_some())
        };
        assert_eq!(judged(found(900.0, 930.0)), Ok(true));
        assert_eq!(
            judged(found(990.0, 1_010.0)),
            Ok(false),
            "between the two nothing is known"
        );
        let late = CapacityRecord {
            broke_by: Some("not_applied".to_owned()),
            ..found(900.0, 930.0)
        };
        assert_eq!(judged(late), Ok(false), "the generator was the limit");
        let other = CapacityRecord {
            axis: "connections".to_owned(),
            ..found(900.0, 930.0)
        };
        assert!(judged(other).is_err());
    }

    #[test]
    fn what_the_generator_ended_is_a_lower_bound() {
        let capacity = |broke_by: &str| CapacityRecord {
            axis: "rate".to_owned(),
            held: Some(40_000.0),
            broke: Some(41_000.0),
            broke_by: Some(broke_by.to_owned()),
            is_confirmed: true,
            ..CapacityRecord::default()
        };
        let text = capacity("not_applied").text();
        assert!(
            text.contains(">= 40,000 messages a second (generator-limited)"),
            "{text}"
        );
        assert!(!text.contains("41,000"), "no ceiling: {text}");
        let text = capacity("broke").text();
        assert!(
            text.contains("40,000 messages a second; 41,000 messages"),
            "{text}"
        );
        assert!(
            text.contains("28,000 messages a second, a server"),
            "{text}"
        );
        assert!(CapacityRecord::default().text().contains("none"));
    }
}

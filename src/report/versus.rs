//! The record of a comparison, and what it says: docs/compare.md.

use super::figures::{float, rounded, span, whole};
use crate::study::paired::{Better, Contrast, Decision};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write;

/// The schema's name and version.
pub const VERSUS_SCHEMA: &str = "ringstorm.compare/1";

/// One comparison of A with B.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Versus {
    /// `ringstorm.compare/1`.
    pub schema: String,
    /// The program's version.
    pub version: String,
    /// The command line.
    pub command: Vec<String>,
    /// Facts of the host.
    pub host: BTreeMap<String, String>,
    /// Name of the case.
    pub case: String,
    /// Flags of each load.
    pub load: Vec<String>,
    /// A, as typed.
    pub a: String,
    /// B, as typed.
    pub b: String,
    /// CPUs of the servers.
    pub server_cpus: String,
    /// CPUs of the load client.
    pub load_cpus: String,
    /// A difference of no more than this part is none.
    pub margin: f64,
    /// Whether pairs ended as soon as it was decided.
    pub until_sure: bool,
    /// When it began, in milliseconds of Unix time.
    pub started_unix_ms: u64,
    /// When it ended.
    pub ended_unix_ms: u64,
    /// Every run, in order.
    pub runs: Vec<VersusRun>,
    /// Every metric that both have; the first one decides.
    pub contrasts: Vec<VersusContrast>,
    /// What is worse than in a comparison before, beyond both intervals.
    #[serde(default)]
    pub worse_than_baseline: Vec<String>,
}

/// One run of one of the two.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VersusRun {
    /// `a` or `b`.
    pub side: String,
    /// Which pair it belongs to, from 0.
    pub pair: usize,
    /// When it began, in milliseconds of Unix time.
    pub started_unix_ms: u64,
    /// What it measured, by name.
    pub metrics: BTreeMap<String, f64>,
    /// CPU time that neither the server nor the load client used, as a part of one CPU's.
    pub foreign_cpus: Option<f64>,
    /// The part of all CPU time that the hypervisor took.
    pub steal: Option<f64>,
    /// Clock of the server's first CPU at the end, in MHz.
    pub mhz: Option<f64>,
}

/// How a metric of B compares with that of A.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VersusContrast {
    /// Its name; the unit stands last.
    pub metric: String,
    /// Whether a higher one is better.
    pub is_higher_better: bool,
    /// Median of A's runs.
    pub a: f64,
    /// Median of B's.
    pub b: f64,
    /// Pairs that have it.
    pub pairs: usize,
    /// B's by A's: the centre of the pairs' ratios.
    pub ratio: f64,
    /// Lower end of its 95 % interval; `null` if too few pairs have one.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
    /// `better`, `worse`, `no_difference` or `too_noisy`, of B.
    pub decision: String,
    /// About how many more pairs would decide, where it is too noisy.
    pub more_pairs: Option<usize>,
}

impl VersusContrast {
    /// Of a metric whose medians are these.
    #[must_use]
    pub fn new(metric: &str, better: Better, medians: (f64, f64), found: &Contrast) -> Self {
        let known = |end: f64| end.is_finite().then_some(end).filter(|end| *end > 0.0);
        let (decision, more_pairs) = match found.decision {
            Decision::Better => ("better", None),
            Decision::Worse => ("worse", None),
            Decision::NoDifference => ("no_difference", None),
            Decision::TooNoisy { more } => ("too_noisy", Some(more)),
        };
        Self {
            metric: metric.to_owned(),
            is_higher_better: better == Better::Higher,
            a: medians.0,
            b: medians.1,
            pairs: found.pairs,
            ratio: found.ratio,
            low: known(found.range.low),
            high: known(found.range.high),
            decision: decision.to_owned(),
            more_pairs,
        }
    }

    /// What B is, in words.
    #[must_use]
    pub fn words(&self, margin: f64) -> String {
        let is_speed = self.is_higher_better || self.metric.ends_with("_ns");
        let word = match (self.decision.as_str(), is_speed) {
            ("better", true) => "faster",
            ("worse", true) => "slower",
            ("better", false) => "smaller",
            ("worse", false) => "larger",
            ("no_difference", _) => {
                return format!("no difference shown beyond {:.1} %", margin * 100.0);
            }
            _ => {
                let more = self.more_pairs.unwrap_or(0);
                return format!("too noisy: about {} pairs more", whole(more as u64));
            }
        };
        let (low, high) = (
            self.low.unwrap_or(self.ratio),
            self.high.unwrap_or(self.ratio),
        );
        let percent = |ratio: f64| (ratio - 1.0).abs() * 100.0;
        let (near, far) = if self.ratio > 1.0 {
            (low, high)
        } else {
            (high, low)
        };
        let (is, from, to) = (percent(self.ratio), percent(near), percent(far));
        format!("B is {is:.1} % {word} ({from:.1} to {to:.1} %)")
    }
}

impl Versus {
    /// Compares this with one before of the same case: notes what is worse beyond both intervals.
    pub fn judge_by(&mut self, before: &[Self]) {
        let Some(before) = before.iter().find(|it| it.case == self.case) else {
            return;
        };
        let worse = self.contrasts.iter().filter_map(|now| {
            let mut all = before.contrasts.iter();
            let then = all.find(|it| it.metric == now.metric)?;
            let is_worse = if now.is_higher_better {
                now.high? < then.low?
            } else {
                now.low? > then.high?
            };
            let (name, now, then) = (label(&now.metric), now.ratio, then.ratio);
            is_worse.then(|| format!("{name}: B/A is {now:.3}, it was {then:.3}"))
        });
        self.worse_than_baseline = worse.collect();
    }

    /// The comparison for people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        let pairs = self.contrasts.first().map_or(0, |it| it.pairs);
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "{}: {pairs} pairs, A B B A; server CPUs {}, load CPUs {}",
            self.case, self.server_cpus, self.load_cpus
        );
        let _ = writeln!(text, "A  {}\nB  {}\n", self.a, self.b);
        let names = self.contrasts.iter().map(|it| label(&it.metric).len());
        let wide = names.max().unwrap_or(0);
        let _ = writeln!(
            text,
            "{:wide$}  {:>12}  {:>12}  {:>6}  {:>15}",
            "", "A", "B", "B/A", "95 % interval"
        );
        for it in &self.contrasts {
            let [a, b] = [it.a, it.b].map(|value| shown(&it.metric, value));
            let range = match (it.low, it.high) {
                (Some(low), Some(high)) => format!("{low:.3} to {high:.3}"),
                _ => "-".to_owned(),
            };
            let _ = writeln!(
                text,
                "{:wide$}  {a:>12}  {b:>12}  {:>6.3}  {range:>15}  {}",
                label(&it.metric),
                it.ratio,
                it.words(self.margin)
            );
        }
        for note in self.notes() {
            let _ = writeln!(text, "note: {note}");
        }
        for worse in &self.worse_than_baseline {
            let _ = writeln!(text, "worse than in the baseline: {worse}");
        }
        match self.contrasts.first() {
            Some(it) => {
                let (words, name) = (it.words(self.margin), label(&it.metric));
                let _ = writeln!(text, "verdict: {words}, by {name}");
            }
            None => text.push_str("verdict: no metric was measured of both\n"),
        }
        text
    }

    /// What else makes the figures doubtful.
    fn notes(&self) -> Vec<String> {
        let most =
            |of: fn(&VersusRun) -> Option<f64>| self.runs.iter().filter_map(of).fold(0.0, f64::max);
        let (foreign, steal) = (most(|it| it.foreign_cpus), most(|it| it.steal));
        let clocks = || self.runs.iter().filter_map(|it| it.mhz);
        let (fastest, slowest) = (
            clocks().fold(0.0, f64::max),
            clocks().fold(f64::INFINITY, f64::min),
        );
        let said = [
            (foreign > 0.1).then(|| {
                format!(
                    "others used up to {:.0} % of a CPU meanwhile",
                    foreign * 100.0
                )
            }),
            (steal > 0.01).then(|| {
                format!(
                    "the hypervisor took up to {:.1} % of the CPU time",
                    steal * 100.0
                )
            }),
            (fastest > slowest * 1.05)
                .then(|| format!("the server's CPU ran at {slowest:.0} to {fastest:.0} MHz")),
        ];
        said.into_iter().flatten().collect()
    }
}

/// A metric's name for people.
fn label(metric: &str) -> String {
    let plain = metric.trim_end_matches("_ns").trim_end_matches("_s");
    match metric {
        "messages_per_cpu_s" => "messages per server-CPU-second".to_owned(),
        "connects_per_cpu_s" => "connects per server-CPU-second".to_owned(),
        "messages_per_s" => "messages per second".to_owned(),
        "connects_per_s" => "connects per second".to_owned(),
        "bytes_per_connection" => "bytes per connection".to_owned(),
        _ => plain.replace('_', " "),
    }
}

fn shown(metric: &str, value: f64) -> String {
    if metric.ends_with("_ns") {
        return span(rounded(value));
    }
    if value < 100.0 && rounded(value) > 0 && (float(rounded(value)) - value).abs() > 1e-9 {
        return format!("{value:.2}");
    }
    whole(rounded(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::paired::{Ends, contrast};

    fn versus(pairs: &[(f64, f64)]) -> Versus {
        let found = contrast(pairs, Better::Higher, Ends::Fixed, 0.05).unwrap();
        let it = VersusContrast::new("messages_per_cpu_s", Better::Higher, (1e5, 8e4), &found);
        Versus {
            schema: VERSUS_SCHEMA.to_owned(),
            version: "0.1.0".to_owned(),
            command: Vec::new(),
            host: BTreeMap::new(),
            case: "echo".to_owned(),
            load: Vec::new(),
            a: "ring".to_owned(),
            b: "tokio".to_owned(),
            server_cpus: "0".to_owned(),
            load_cpus: "1".to_owned(),
            margin: 0.05,
            until_sure: false,
            started_unix_ms: 0,
            ended_unix_ms: 1,
            runs: Vec::new(),
            contrasts: vec![it],
            worse_than_baseline: Vec::new(),
        }
    }

    #[test]
    fn what_got_worse_beyond_both_intervals_is_noted_and_nothing_else() {
        let of = |b: f64| [0.99, 1.0, 1.01, 0.99, 1.0, 1.01].map(|noise| (1e5, b * noise));
        let before = [versus(&of(8e4))];
        for (b, is_worse) in [(7e4, true), (7.99e4, false), (9e4, false)] {
            let mut now = versus(&of(b));
            now.judge_by(&before);
            assert_eq!(
                !now.worse_than_baseline.is_empty(),
                is_worse,
                "{b}: {now:?}"
            );
        }
        let mut other = versus(&of(7e4));
        other.case = "bulk".to_owned();
        other.judge_by(&before);
        assert!(
            other.worse_than_baseline.is_empty(),
            "another case says nothing"
        );
    }

    #[test]
    fn the_verdict_is_said_in_words_with_its_interval() {
        let slower = versus(&[
            (1e5, 8e4),
            (1e5, 7.9e4),
            (1e5, 8.1e4),
            (1e5, 8e4),
            (1e5, 8.2e4),
            (1e5, 7.8e4),
        ]);
        let text = slower.text();
        let verdict = text.lines().last().unwrap();
        assert_eq!(
            verdict,
            "verdict: B is 20.0 % slower (18.0 to 22.0 %), by messages per server-CPU-second"
        );
        let few = versus(&[(1e5, 8e4)]).text();
        assert!(few.contains("too noisy: about 5 pairs more"), "{few}");
        let same = versus(&[(1e5, 1e5); 6]).text();
        assert!(same.contains("no difference shown beyond 5.0 %"), "{same}");
    }
}

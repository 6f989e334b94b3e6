//! Writes figures as OpenMetrics text, which a reader of the older Prometheus format takes too.
//!
//! <https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md>

use std::io::Write;

/// The media type of the text, where the reader asks for it.
pub const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// The media type for every other reader: the older one, in which `# UNIT` and `# EOF` are
/// comments.
pub const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What begins every name.
const PREFIX: &str = "ringstorm_";

/// What a family of figures is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Its labels are the news.
    Info,
    /// Counts by size.
    Histogram,
}

/// A family of figures of one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    /// Its name, without the prefix and without `_total`. Ends with the unit, if it has one.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// What it says, in a sentence.
    pub help: &'static str,
}

impl Family {
    /// A count that only grows.
    #[must_use]
    pub const fn counter(name: &'static str, help: &'static str) -> Self {
        Self {
            name,
            kind: Kind::Counter,
            help,
        }
    }

    /// A level.
    #[must_use]
    pub const fn gauge(name: &'static str, help: &'static str) -> Self {
        Self {
            name,
            kind: Kind::Gauge,
            help,
        }
    }

    /// The base unit that the name ends with, if it does.
    fn unit(&self) -> Option<&'static str> {
        let (_, last) = self.name.rsplit_once('_')?;
        matches!(last, "bytes" | "seconds" | "ratio").then_some(last)
    }
}

/// Names and values that tell the samples of one family apart.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

/// A text under way.
#[derive(Debug)]
pub struct Exposition<'a> {
    into: &'a mut Vec<u8>,
    /// The family that samples belong to now: what follows its name, and the name.
    suffix: &'static str,
    name: &'static str,
}

impl<'a> Exposition<'a> {
    /// Adds to what is there.
    pub fn new(into: &'a mut Vec<u8>) -> Self {
        Self {
            into,
            suffix: "",
            name: "",
        }
    }

    /// Begins a family: all its samples follow, and no other family has its name.
    pub fn family(&mut self, family: &Family) {
        let Family { name, kind, help } = *family;
        let (word, suffix) = match kind {
            Kind::Counter => ("counter", "_total"),
            Kind::Gauge => ("gauge", ""),
            Kind::Info => ("info", "_info"),
            Kind::Histogram => ("histogram", ""),
        };
        (self.name, self.suffix) = (name, suffix);
        self.line(format_args!("# TYPE {PREFIX}{name} {word}"));
        if let Some(unit) = family.unit() {
            self.line(format_args!("# UNIT {PREFIX}{name} {unit}"));
        }
        self.line(format_args!("# HELP {PREFIX}{name} {help}"));
    }

    /// A sample of the family.
    pub fn sample(&mut self, labels: Labels<'_>, value: f64) {
        self.suffixed(self.suffix, labels, value);
    }

    /// A family of one sample without labels, if it is known.
    pub fn single(&mut self, family: &Family, value: Option<f64>) {
        if let Some(value) = value {
            self.family(family);
            self.sample(&[], value);
        }
    }

    /// A histogram: how many were at most as large as each bound, each count without those before
    /// it, then how many were larger; and the sum of all sizes.
    pub fn histogram(&mut self, labels: Labels<'_>, counts: &[u64], bounds: &[u64], sum: f64) {
        let mut all = 0;
        let mut bounds = bounds.iter();
        for count in counts {
            all += count;
            let bound = bounds
                .next()
                .map_or_else(|| "+Inf".to_owned(), |bound| format!("{bound}.0"));
            let mut labels = labels.to_vec();
            labels.push(("le", &bound));
            self.suffixed("_bucket", &labels, all as f64);
        }
        self.suffixed("_count", labels, all as f64);
        self.suffixed("_sum", labels, sum);
    }

    /// The end of the text.
    pub fn end(self) {
        self.into.extend_from_slice(b"# EOF\n");
    }

    fn suffixed(&mut self, suffix: &str, labels: Labels<'_>, value: f64) {
        let name = self.name;
        let _ = write!(self.into, "{PREFIX}{name}{suffix}");
        let mut separator = '{';
        for (name, value) in labels {
            let _ = write!(self.into, "{separator}{name}=\"");
            for character in value.chars() {
                match character {
                    '"' => self.into.extend_from_slice(b"\\\""),
                    '\\' => self.into.extend_from_slice(b"\\\\"),
                    '\n' => self.into.extend_from_slice(b"\\n"),
                    other => {
                        let _ = write!(self.into, "{other}");
                    }
                }
            }
            self.into.push(b'"');
            separator = ',';
        }
        if !labels.is_empty() {
            self.into.push(b'}');
        }
        let _ = writeln!(self.into, " {value}");
    }

    fn line(&mut self, text: std::fmt::Arguments<'_>) {
        // A vector takes all.
        let _ = writeln!(self.into, "{text}");
    }
}

//! Writes figures as OpenMetrics text, which a reader of the older Prometheus format takes too, or
//! as exactly that older format.
//!
//! <https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md>,
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>

use std::io::Write;

/// The media type of the text, where the reader asks for it.
pub const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// The media type for every other reader: the older one, in which `# UNIT` and `# EOF` are
/// comments.
pub const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Which text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Text format 0.0.4: a family is called what its samples are, and has no unit.
    Prometheus,
}

/// What a family of figures is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Its labels are the news.
    Info,
    /// Counts by size.
    Histogram,
    /// Quantiles.
    Summary,
}

/// A family of figures of one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricFamily {
    /// Its name, without the prefix and without `_total`. Ends with the unit, if it has one.
    pub name: &'static str,
    /// What it is.
    pub kind: MetricKind,
    /// What it says, in a sentence.
    pub help: &'static str,
}

impl MetricFamily {
    /// A count that only grows.
    #[must_use]
    pub const fn counter(name: &'static str, help: &'static str) -> Self {
        Self {
            name,
            kind: MetricKind::Counter,
            help,
        }
    }

    /// A level.
    #[must_use]
    pub const fn gauge(name: &'static str, help: &'static str) -> Self {
        Self {
            name,
            kind: MetricKind::Gauge,
            help,
        }
    }

    /// What stands behind the family's name in the names of its samples, and its type.
    const fn suffix(&self) -> (&'static str, &'static str) {
        match self.kind {
            MetricKind::Counter => ("_total", "counter"),
            MetricKind::Gauge => ("", "gauge"),
            MetricKind::Info => ("_info", "info"),
            MetricKind::Histogram => ("", "histogram"),
            MetricKind::Summary => ("", "summary"),
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
    format: Format,
    /// What begins every name.
    prefix: &'static str,
    /// The family that samples belong to now: what follows its name, and the name.
    suffix: &'static str,
    name: &'static str,
}

impl<'a> Exposition<'a> {
    /// Adds to what is there.
    pub fn new(into: &'a mut Vec<u8>, format: Format, prefix: &'static str) -> Self {
        Self {
            into,
            format,
            prefix,
            suffix: "",
            name: "",
        }
    }

    /// Begins a family: all its samples follow, and no other family has its name.
    pub fn family(&mut self, family: &MetricFamily) {
        let MetricFamily { name, help, .. } = *family;
        let (suffix, kind) = family.suffix();
        (self.name, self.suffix) = (name, suffix);
        let prefix = self.prefix;
        match self.format {
            Format::OpenMetrics => {
                self.line(format_args!("# TYPE {prefix}{name} {kind}"));
                if let Some(unit) = family.unit() {
                    self.line(format_args!("# UNIT {prefix}{name} {unit}"));
                }
                self.line(format_args!("# HELP {prefix}{name} {help}"));
            }
            Format::Prometheus => {
                self.line(format_args!("# HELP {prefix}{name}{suffix} {help}"));
                self.line(format_args!("# TYPE {prefix}{name}{suffix} {kind}"));
            }
        }
    }

    /// A sample of the family.
    pub fn sample(&mut self, labels: Labels<'_>, value: f64) {
        self.suffixed(self.suffix, labels, value);
    }

    /// A family of one sample without labels, if it is known.
    pub fn single(&mut self, family: &MetricFamily, value: Option<f64>) {
        if let Some(value) = value {
            self.family(family);
            self.sample(&[], value);
        }
    }

    /// A histogram: how many were at most as large as each bound, each count without those before
    /// it, then how many were larger; and the sum of all sizes.
    pub fn histogram(&mut self, labels: Labels<'_>, counts: &[u64], bounds: &[f64], sum: f64) {
        let mut all = 0;
        let mut bounds = bounds.iter();
        for count in counts {
            all += count;
            let bound = bounds
                .next()
                .map_or_else(|| "+Inf".to_owned(), |bound| format!("{bound:?}"));
            let mut labels = labels.to_vec();
            labels.push(("le", &bound));
            self.suffixed("_bucket", &labels, all as f64);
        }
        self.suffixed("_count", labels, all as f64);
        self.suffixed("_sum", labels, sum);
    }

    /// A summary: quantiles by their names, then how many there were and the sum of all.
    pub fn summary(
        &mut self,
        labels: Labels<'_>,
        quantiles: &[(&str, f64)],
        (count, sum): (u64, f64),
    ) {
        for (quantile, value) in quantiles {
            let mut labels = labels.to_vec();
            labels.push(("quantile", quantile));
            self.suffixed("", &labels, *value);
        }
        self.suffixed("_sum", labels, sum);
        self.suffixed("_count", labels, count as f64);
    }

    /// The end of the text.
    pub fn end(self) {
        match self.format {
            Format::OpenMetrics => self.into.extend_from_slice(b"# EOF\n"),
            Format::Prometheus => {}
        }
    }

    fn suffixed(&mut self, suffix: &str, labels: Labels<'_>, value: f64) {
        let (prefix, name) = (self.prefix, self.name);
        // A vector takes all.
        let _ = write!(self.into, "{prefix}{name}{suffix}");
        let mut separator = '{';
        for (name, value) in labels {
            let _ = write!(self.into, "{separator}{name}=\"");
            for byte in value.bytes() {
                match byte {
                    b'"' => self.into.extend_from_slice(b"\\\""),
                    b'\\' => self.into.extend_from_slice(b"\\\\"),
                    b'\n' => self.into.extend_from_slice(b"\\n"),
                    other => self.into.push(other),
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

//! What `doctor` prints: the table, the commands, JSON.

use crate::cli::print;
use crate::tune::{Audit, Bound, Finding, Holder, Severity, Side, Unknown, Workload};
use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};
use serde::Serialize;
use std::fmt::Write;

/// Columns where there is no terminal to ask.
const WIDTH: u16 = 120;

/// The audit for people, ending with a line break.
pub(super) fn table(workload: &Workload, audit: &Audit) -> String {
    let mut text = format!(
        "{} connections, {}, engine {}\n",
        print::whole(workload.connections),
        match workload.side {
            Side::Server => "accepted here",
            Side::Client => "opened here",
            Side::Both => "both ends here",
        },
        match workload.holder {
            Holder::Ring => "ring",
            Holder::Tokio => "tokio",
        }
    );
    let width = Table::new().width().unwrap_or(WIDTH);
    if !audit.findings.is_empty() {
        text += &rows(&audit.findings, width);
        text += "\nto change it (--fix prints these with their way back, --apply makes them):\n";
        for finding in &audit.findings {
            let line = format!("  {:<34} {}", finding.name, finding.command);
            // A command is never wrapped: it is to be copied.
            text += &if line.len() <= usize::from(width) {
                line
            } else {
                format!("  {}\n      {}", finding.name, finding.command)
            };
            text += "\n";
        }
    }
    if !audit.unknown.is_empty() {
        text += "\n";
    }
    for unknown in &audit.unknown {
        let _ = writeln!(text, "unknown: {}: {}", unknown.name, unknown.why);
    }
    text += &predicted(&audit.bounds, usize::from(width));
    let count = |severity| {
        let found = audit.findings.iter();
        found.filter(|it| it.severity == severity).count()
    };
    let fits = Audit {
        unknown: Vec::new(),
        ..audit.clone()
    };
    let ready = match (fits.is_ready(workload), audit.unknown.as_slice()) {
        (true, []) => "ready",
        (true, _) => "unknown",
        (false, _) => "not ready",
    };
    let (faults, warnings) = (count(Severity::Fault), count(Severity::Warning));
    let notes = count(Severity::Note);
    let _ = writeln!(
        text,
        "{ready}: {}, {}, {}, {} unknown",
        print::counted(faults as u64, "fault"),
        print::counted(warnings as u64, "warning"),
        print::counted(notes as u64, "note"),
        audit.unknown.len()
    );
    text
}

const TITLES: [&str; 6] = ["", "setting", "is", "should be", "why", "evidence now"];

fn cells(finding: &Finding) -> [&str; 6] {
    let severity = match finding.severity {
        Severity::Fault => "FAULT",
        Severity::Warning => "warning",
        Severity::Note => "note",
    };
    let evidence = match finding.evidence.as_str() {
        "" => "-",
        text => text,
    };
    [
        severity,
        &finding.name,
        &finding.is,
        &finding.should_be,
        &finding.why,
        evidence,
    ]
}

/// The findings as a table, or one below the other where a table would break words.
fn rows(findings: &[Finding], width: u16) -> String {
    let rows: Vec<[&str; 6]> = findings.iter().map(cells).collect();
    let longest = |column: usize, words: fn(&str) -> usize| {
        let cells = rows.iter().map(|row| row[column]);
        let cells = cells.chain(std::iter::once(TITLES[column]));
        cells.map(words).max().unwrap_or(0)
    };
    let word = |text: &str| text.split_whitespace().map(str::len).max().unwrap_or(0);
    // Severity and name are never wrapped. A column has a blank on either side, and a gap follows.
    let least: [usize; 6] = std::array::from_fn(|column| match column {
        0 | 1 => longest(column, str::len),
        _ => longest(column, word),
    });
    let needed = least.iter().map(|least| least + 3).sum::<usize>();
    if needed > usize::from(width) {
        return rows
            .iter()
            .map(|row| entry(row, usize::from(width)))
            .collect();
    }
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(width)
        .set_header(TITLES)
        .add_rows(rows.iter().copied());
    for (column, least) in table.column_iter_mut().zip(least) {
        let least = u16::try_from(least + 2).unwrap_or(u16::MAX);
        column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(least)));
    }
    format!("{table}\n")
}

/// One finding without a table.
fn entry(&[severity, name, is, should_be, why, evidence]: &[&str; 6], width: usize) -> String {
    let mut text = format!("{severity:<8} {name}\n");
    for line in [
        format!("is {is}, should be {should_be}"),
        why.to_owned(),
        format!("evidence now: {evidence}"),
    ] {
        text += &wrapped(&line, width, 9);
    }
    text
}

/// The words of a line, each line after `indent` blanks; a word that is too long stays whole.
fn wrapped(line: &str, width: usize, indent: usize) -> String {
    let (mut text, mut column) = (String::new(), 0);
    for word in line.split_whitespace() {
        if column == 0 || column + 1 + word.len() > width {
            if column > 0 {
                text += "\n";
            }
            text += &" ".repeat(indent);
            column = indent;
        } else {
            text += " ";
            column += 1;
        }
        text += word;
        column += word.len();
    }
    text + "\n"
}

fn predicted(bounds: &[Bound], width: usize) -> String {
    let mut text = String::new();
    for (index, bound) in bounds.iter().enumerate() {
        let title = if index == 0 {
            text += "\n";
            "predicted ceiling"
        } else {
            "then"
        };
        let connections = print::whole(bound.connections);
        let line = format!("{title}: {connections} connections ({})", bound.set_by);
        text += &wrapped(&line, width, 0);
    }
    text
}

/// The commands as a shell script; what is no kernel setting stands in its comments.
pub(super) fn commands(audit: &Audit) -> String {
    let mut text = String::new();
    for finding in &audit.findings {
        let line = match &finding.change {
            Some(change) => format!("{}  # back: {}", change.command(), change.undo()),
            None => format!("# {}: {}", finding.name, finding.command),
        };
        text += &line;
        text += "\n";
    }
    text
}

/// The audit for programs.
#[derive(Serialize)]
struct Report<'a> {
    schema: &'static str,
    connections: u64,
    side: Side,
    engine: Holder,
    sources: u64,
    ready: bool,
    /// Connections that the tightest bound lets through.
    ceiling: Option<u64>,
    bounds: &'a [Bound],
    findings: &'a [Finding],
    /// What could not be read or tried.
    unknown: &'a [Unknown],
}

/// One line of JSON.
pub(super) fn json(workload: &Workload, audit: &Audit) -> String {
    let report = Report {
        schema: "ringstorm.doctor/1",
        connections: workload.connections,
        side: workload.side,
        engine: workload.holder,
        sources: workload.sources,
        ready: audit.is_ready(workload),
        ceiling: audit.bounds.first().map(|bound| bound.connections),
        bounds: &audit.bounds,
        findings: &audit.findings,
        unknown: &audit.unknown,
    };
    // Numbers, texts and lists: nothing of it can fail to be written.
    serde_json::to_string(&report).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(name: &str, is: &str) -> Finding {
        Finding {
            name: name.to_owned(),
            is: is.to_owned(),
            should_be: "4096 16384 262144".to_owned(),
            why: "without cookies a full SYN queue drops; sent under real load it is too short"
                .to_owned(),
            evidence: "TCPReqQFullDrop 0, TCPReqQFullDoCookies 0, SyncookiesSent 0".to_owned(),
            command: String::new(),
            severity: Severity::Warning,
            change: None,
        }
    }

    #[test]
    fn one_of_a_kind_is_said_to_be_one() {
        let shown = [0, 1, 2].map(|count| print::counted(count, "fault"));
        assert_eq!(shown, ["0 faults", "1 fault", "2 faults"]);
    }

    #[test]
    fn no_width_breaks_a_word_or_is_exceeded() {
        let findings = [
            finding("net.ipv4.tcp_max_syn_backlog", "4096 131072 6291456"),
            finding("RLIMIT_MEMLOCK", "8388608 bytes"),
        ];
        let words = findings.iter().flat_map(|it| {
            let texts = [&it.name, &it.is, &it.should_be, &it.why, &it.evidence];
            texts.into_iter().flat_map(|text| text.split_whitespace())
        });
        let words: Vec<&str> = words.collect();
        for width in 40..=200 {
            let shown = rows(&findings, width);
            for word in &words {
                let mut found = shown.split(|c: char| c.is_whitespace());
                let whole = found.any(|it| it.trim_end_matches(',') == word.trim_end_matches(','));
                assert!(whole, "{width}: {word} is broken:\n{shown}");
            }
            let widest = shown.lines().map(|line| line.chars().count()).max();
            assert!(widest <= Some(usize::from(width)), "{width}:\n{shown}");
        }
    }
}

//! What `doctor` prints: the table, the commands, JSON.

use crate::cli::print;
use crate::tune::{Audit, Bound, Finding, Holder, Plan, Severity, Side};
use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};
use serde::Serialize;
use std::fmt::Write;

/// Columns where there is no terminal to ask.
const WIDTH: u16 = 120;

/// The audit for people, ending with a line break.
pub(super) fn table(plan: &Plan, audit: &Audit) -> String {
    let mut text = format!(
        "{} connections, {}, engine {}\n",
        print::whole(plan.connections),
        match plan.side {
            Side::Server => "accepted here",
            Side::Client => "opened here",
            Side::Both => "both ends here",
        },
        match plan.holder {
            Holder::Ring => "ring",
            Holder::Tokio => "tokio",
        }
    );
    if !audit.findings.is_empty() {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", rows(&audit.findings));
        text += "\nto change it (--fix prints these with their way back, --apply makes them):\n";
        for finding in &audit.findings {
            let _ = writeln!(text, "  {:<34} {}", finding.name, finding.command);
        }
    }
    text += &predicted(&audit.bounds);
    let count = |severity| {
        let found = audit.findings.iter();
        found.filter(|it| it.severity == severity).count()
    };
    let ready = if audit.is_ready(plan) {
        "ready"
    } else {
        "not ready"
    };
    let (faults, warnings) = (count(Severity::Fault), count(Severity::Warning));
    let notes = count(Severity::Note);
    let _ = writeln!(
        text,
        "{ready}: {faults} faults, {warnings} warnings, {notes} notes"
    );
    text
}

fn rows(findings: &[Finding]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(["", "setting", "is", "should be", "why", "evidence now"]);
    if !table.is_tty() {
        table.set_width(WIDTH);
    }
    let narrow = table.column_iter_mut().take(2);
    narrow.for_each(|column| {
        column.set_constraint(ColumnConstraint::ContentWidth);
    });
    for finding in findings {
        let severity = match finding.severity {
            Severity::Fault => "FAULT",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        let evidence = match finding.evidence.as_str() {
            "" => "-",
            text => text,
        };
        table.add_row([
            severity,
            &finding.name,
            &finding.is,
            &finding.should_be,
            &finding.why,
            evidence,
        ]);
    }
    table
}

fn predicted(bounds: &[Bound]) -> String {
    let mut text = String::new();
    for (index, bound) in bounds.iter().enumerate() {
        let title = if index == 0 {
            "\npredicted ceiling"
        } else {
            "then"
        };
        let connections = print::whole(bound.connections);
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{title}: {connections} connections ({})",
            bound.set_by
        );
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
    connections: u64,
    side: Side,
    engine: Holder,
    sources: u64,
    ready: bool,
    /// Connections that the tightest bound lets through.
    ceiling: Option<u64>,
    bounds: &'a [Bound],
    findings: &'a [Finding],
}

/// One line of JSON.
pub(super) fn json(plan: &Plan, audit: &Audit) -> String {
    let report = Report {
        connections: plan.connections,
        side: plan.side,
        engine: plan.holder,
        sources: plan.sources,
        ready: audit.is_ready(plan),
        ceiling: audit.bounds.first().map(|bound| bound.connections),
        bounds: &audit.bounds,
        findings: &audit.findings,
    };
    // Numbers, texts and lists: nothing of it can fail to be written.
    serde_json::to_string(&report).unwrap_or_default()
}

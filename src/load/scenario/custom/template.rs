//! Texts with variables.

use crate::load::scenario::Context;
use std::fmt::Write as _;

/// A text whose variables are filled in when it is said.
#[derive(Debug)]
pub(super) struct Template(Vec<Part>);

#[derive(Debug)]
enum Part {
    Text(String),
    /// A column of the table.
    Column(usize),
    /// What was captured.
    Captured(usize),
    /// The number of the connection in the run.
    Connection,
    /// Which turn of this client it is, from 1; 0 before the first.
    Iteration,
    /// A random number.
    Random,
    /// Nanoseconds of this host's monotonic clock.
    Now,
}

/// Who says something, and when in its life.
pub(super) struct TemplateValues<'a, 'l> {
    pub(super) row: &'a [String],
    pub(super) captured: &'a [String],
    pub(super) iteration: u64,
    pub(super) context: &'a mut Context<'l>,
}

/// Variables that every text has.
pub(super) const KNOWN: &str = "connection, iteration, random, now_ns";

impl Template {
    /// Reads a text; what is wrong with it, otherwise.
    pub(super) fn parse(
        text: &str,
        columns: &[String],
        captures: &[String],
    ) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            if let Some(before) = before.strip_suffix('$') {
                parts.push(Part::Text(format!("{before}${{")));
                rest = after;
                continue;
            }
            let Some((name, behind)) = after.split_once('}') else {
                return Err("${ without its }; write $${ for the characters".to_owned());
            };
            parts.push(Part::Text(before.to_owned()));
            parts.push(Part::variable(name, columns, captures)?);
            rest = behind;
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self(parts))
    }
}

impl Part {
    fn variable(name: &str, columns: &[String], captures: &[String]) -> Result<Self, String> {
        if let Some(place) = captures.iter().position(|capture| capture == name) {
            return Ok(Self::Captured(place));
        }
        let column = columns.iter().position(|column| column == name);
        match (name, column) {
            (_, Some(column)) => Ok(Self::Column(column)),
            ("connection", None) => Ok(Self::Connection),
            ("iteration", None) => Ok(Self::Iteration),
            ("random", None) => Ok(Self::Random),
            ("now_ns", None) => Ok(Self::Now),
            (_, None) => {
                let table = if columns.is_empty() {
                    "the columns of a table: csv = \"users.csv\"".to_owned()
                } else {
                    format!("the columns of csv: {}", columns.join(", "))
                };
                Err(format!(
                    "${{{name}}} is no variable; there are {KNOWN}, and {table}"
                ))
            }
        }
    }
}

impl TemplateValues<'_, '_> {
    /// The text as that client says it now.
    pub(super) fn text_of(&mut self, template: &Template) -> String {
        let mut into = String::new();
        for part in &template.0 {
            let context = &mut *self.context;
            // Writing to a String does not fail.
            let _ = match part {
                Part::Text(text) => into.write_str(text),
                Part::Column(column) => {
                    into.write_str(self.row.get(*column).map_or("", String::as_str))
                }
                Part::Captured(place) => {
                    into.write_str(self.captured.get(*place).map_or("", String::as_str))
                }
                Part::Connection => write!(into, "{}", context.number()),
                Part::Iteration => write!(into, "{}", self.iteration),
                Part::Random => write!(into, "{}", context.rng().u32(..)),
                Part::Now => write!(into, "{}", context.now().as_nanos()),
            };
        }
        into
    }
}

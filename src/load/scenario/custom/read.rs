//! A scenario file's text to a script: every mistake by line and key, with what would do.

use super::matching::{Match, pointer};
use super::template::{KNOWN, Template};
use super::{Kind, Script, Step, Wait, pattern};
use crate::limits;
use crate::load::Think;
use regex_lite::Regex;
use serde::Deserialize;
use std::time::Duration;
use toml::Spanned;

/// What a wait lasts at most where `within_ms` does not say.
const WAIT_TIME: Duration = Duration::from_secs(10);
/// All weights together at most: the pattern of kinds is kept.
const WEIGHTS_MAX: u32 = 10_000;
/// What one step says at most, so that it fits the backlog with what was said before.
const SAID_BYTES_MAX: usize = limits::BACKLOG_BYTES / 2;

/// A scenario file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// It is no TOML, or has other keys; the message has line, column and key.
    #[error("{}\nscripts/scenarios/chat.toml shows what may be written", .0.to_string().trim_end())]
    Toml(#[from] toml::de::Error),
    /// A key has a value that cannot be.
    #[error("line {line}: {key}: {what}")]
    Key {
        /// Its line, from 1.
        line: usize,
        /// Its name.
        key: &'static str,
        /// What is wrong, and what would do.
        what: String,
    },
}

/// What reads the files that a script names: the bytes, or why not.
pub type Fetch<'a> = &'a mut dyn FnMut(&str) -> Result<Vec<u8>, String>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawScript {
    csv: Option<Spanned<String>>,
    client: Vec<Spanned<RawKind>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawKind {
    weight: Option<Spanned<u32>>,
    read_rate: Option<Spanned<u64>>,
    #[serde(default)]
    hello: Vec<Spanned<RawStep>>,
    #[serde(default)]
    turn: Vec<Spanned<RawStep>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStep {
    send: Option<String>,
    binary: Option<String>,
    file: Option<String>,
    text: Option<bool>,
    wait: Option<RawMatch>,
    within_ms: Option<u64>,
    before: Option<bool>,
    capture: Option<String>,
    think_ms: Option<u64>,
    think_ms_max: Option<u64>,
    ping: Option<bool>,
    close: Option<u16>,
    vanish: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMatch {
    regex: Option<String>,
    json: Option<String>,
    equals: Option<String>,
}

/// What reads a script's parts.
struct Reader<'a, 'f> {
    text: &'a str,
    fetch: Fetch<'f>,
    variables: Vec<String>,
    captures: Vec<String>,
}

impl Script {
    /// Reads a scenario file; `fetch` reads those that it names.
    ///
    /// # Errors
    /// [`ScriptError`] with line and key.
    pub fn parse(text: &str, fetch: Fetch<'_>) -> Result<Self, ScriptError> {
        let raw: RawScript = toml::from_str(text)?;
        let mut reader = Reader {
            text,
            fetch,
            variables: Vec::new(),
            captures: Vec::new(),
        };
        let rows = match &raw.csv {
            Some(path) => reader.rows(path)?,
            None => Vec::new(),
        };
        let weights = reader.weights(&raw.client)?;
        let steps = |kind: &'_ RawKind| -> Vec<(usize, Option<String>, bool)> {
            let all = kind.hello.iter().chain(&kind.turn);
            let told = |step: &Spanned<RawStep>| {
                let raw = step.get_ref();
                (
                    step.span().start,
                    raw.capture.clone(),
                    raw.before == Some(true),
                )
            };
            all.map(told).collect()
        };
        let steps: Vec<_> = raw
            .client
            .iter()
            .flat_map(|kind| steps(kind.get_ref()))
            .collect();
        for (start, capture, _) in &steps {
            if let Some(name) = capture {
                reader.capture(*start, name)?;
            }
        }
        let kinds = raw.client.iter().map(|kind| reader.kind(kind.get_ref()));
        Ok(Self {
            kinds: kinds.collect::<Result<Vec<_>, _>>()?,
            pattern: pattern(&weights),
            rows,
            captures: reader.captures.len(),
            looks_back: steps.iter().any(|(.., before)| *before),
        })
    }
}

impl Reader<'_, '_> {
    fn rows(&mut self, path: &Spanned<String>) -> Result<Vec<Vec<String>>, ScriptError> {
        let start = path.span().start;
        let bytes = match (self.fetch)(path.get_ref()) {
            Ok(bytes) => bytes,
            Err(error) => return Err(self.refuse(start, "csv", error)),
        };
        let name = path.get_ref();
        let refused = |what: String| self.refuse(start, "csv", format!("{name}: {what}"));
        // Spreadsheets put a byte order mark before the first name.
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::Headers)
            .from_reader(bytes);
        let headers = reader
            .headers()
            .map_err(|error| refused(error.to_string()))?;
        let variables: Vec<String> = headers.iter().map(str::to_owned).collect();
        let rows: Result<Vec<Vec<String>>, csv::Error> = reader
            .records()
            .map(|row| Ok(row?.iter().map(str::to_owned).collect()))
            .collect();
        let rows = rows.map_err(|error| refused(error.to_string()))?;
        if rows.is_empty() {
            let what = "the first line names the columns, and there is no row below it";
            return Err(refused(what.to_owned()));
        }
        self.variables = variables;
        Ok(rows)
    }

    fn weights(&self, kinds: &[Spanned<RawKind>]) -> Result<Vec<u32>, ScriptError> {
        let mut total = 0_u32;
        let mut weights = Vec::new();
        for kind in kinds {
            let weight = kind.get_ref().weight.as_ref();
            let count = weight.map_or(1, |weight| *weight.get_ref());
            total = total.saturating_add(count);
            if total > WEIGHTS_MAX {
                let start = weight.map_or(kind.span(), Spanned::span).start;
                let what =
                    format!("all weights together are above {WEIGHTS_MAX}; use smaller ones");
                return Err(self.refuse(start, "weight", what));
            }
            weights.push(count);
        }
        if total == 0 {
            let start = kinds.first().map_or(0, |kind| kind.span().start);
            let what = "nobody takes part; give a [[client]] a weight of at least 1".to_owned();
            return Err(self.refuse(start, "client", what));
        }
        Ok(weights)
    }

    fn kind(&mut self, kind: &RawKind) -> Result<Kind, ScriptError> {
        if let Some(rate) = &kind.read_rate
            && *rate.get_ref() == 0
        {
            let what = "at 0 bytes a second nothing is read; use at least 1".to_owned();
            return Err(self.refuse(rate.span().start, "read_rate", what));
        }
        let mut steps = |raw: &[Spanned<RawStep>]| -> Result<Vec<Step>, ScriptError> {
            raw.iter().map(|step| self.step(step)).collect()
        };
        Ok(Kind {
            read_rate: kind.read_rate.as_ref().map(|rate| *rate.get_ref()),
            hello: steps(&kind.hello)?,
            turn: steps(&kind.turn)?,
        })
    }

    fn step(&mut self, step: &Spanned<RawStep>) -> Result<Step, ScriptError> {
        let start = step.span().start;
        let raw = step.get_ref();
        let mut steps = Vec::new();
        if let Some(text) = &raw.send {
            steps.push(Step::Send(self.template(start, "send", text)?));
        }
        if let Some(text) = &raw.binary {
            steps.push(Step::Binary(self.template(start, "binary", text)?));
        }
        if let Some(path) = &raw.file {
            steps.push(self.file(start, path, raw.text == Some(true))?);
        }
        let within = raw.within_ms.map_or(WAIT_TIME, Duration::from_millis);
        if let Some(what) = &raw.wait {
            let what = self.matching(start, what)?;
            let capture = raw.capture.as_ref();
            let place = |name: &String| self.captures.iter().position(|it| it == name);
            steps.push(Step::Wait(Wait {
                what,
                within,
                before: raw.before == Some(true),
                capture: capture.and_then(place),
            }));
        }
        if let Some(ms) = raw.think_ms {
            steps.push(self.think(start, ms, raw.think_ms_max.unwrap_or(ms))?);
        }
        if raw.ping == Some(true) {
            steps.push(Step::Ping { within });
        }
        if raw.vanish == Some(true) {
            steps.push(Step::Vanish);
        }
        if let Some(code) = raw.close {
            steps.push(self.close(start, code)?);
        }
        self.check_company(start, raw)?;
        match (steps.pop(), steps.is_empty()) {
            (Some(step), true) => Ok(step),
            _ => {
                let what = "a step is one of send, binary, file, wait, think_ms, ping = true, \
                            close, vanish = true; write { send = \"a\" }, { wait = {} }";
                Err(self.refuse(start, "step", what.to_owned()))
            }
        }
    }

    /// Refuses what says something of another step and stands without it.
    fn check_company(&self, start: usize, raw: &RawStep) -> Result<(), ScriptError> {
        let waits = raw.wait.is_some() || raw.ping == Some(true);
        let alone = [
            (
                raw.within_ms.is_some() && !waits,
                "within_ms",
                "it bounds a wait or a ping; write it beside one",
            ),
            (
                raw.capture.is_some() && raw.wait.is_none(),
                "capture",
                "it keeps what a wait has found; write it beside one",
            ),
            (
                raw.before.is_some() && raw.wait.is_none(),
                "before",
                "it lets a wait look at what came earlier; write it beside one",
            ),
            (
                raw.text.is_some() && raw.file.is_none(),
                "text",
                "it says how a file is sent; write it beside file",
            ),
            (
                raw.think_ms_max.is_some() && raw.think_ms.is_none(),
                "think_ms_max",
                "it is the longest time of think_ms; write it beside that",
            ),
        ];
        match alone.into_iter().find(|(is_alone, ..)| *is_alone) {
            Some((_, key, what)) => Err(self.refuse(start, key, what.to_owned())),
            None => Ok(()),
        }
    }

    /// Makes a variable of what a wait captures.
    fn capture(&mut self, start: usize, name: &str) -> Result<(), ScriptError> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let is_taken = KNOWN.split(", ").any(|known| known == name)
            || self.variables.iter().any(|column| column == name);
        if name.is_empty() || !name.chars().all(is_name) || is_taken {
            let what = format!("{name:?} is no free name; use letters, digits and _, such as id");
            return Err(self.refuse(start, "capture", what));
        }
        if !self.captures.iter().any(|capture| capture == name) {
            self.captures.push(name.to_owned());
        }
        Ok(())
    }

    fn file(&mut self, start: usize, path: &str, is_text: bool) -> Result<Step, ScriptError> {
        let bytes = match (self.fetch)(path) {
            Ok(bytes) => bytes,
            Err(error) => return Err(self.refuse(start, "file", error)),
        };
        if bytes.len() > SAID_BYTES_MAX {
            let what = format!(
                "{path}: {} bytes are too many for one message; use at most {SAID_BYTES_MAX}",
                bytes.len()
            );
            return Err(self.refuse(start, "file", what));
        }
        if !is_text {
            return Ok(Step::File(bytes));
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Step::Send(self.template(start, "file", &text)?)),
            Err(_) => {
                let what = format!("{path}: no text message, for it is not UTF-8; leave text out");
                Err(self.refuse(start, "file", what))
            }
        }
    }

    fn think(&self, start: usize, least_ms: u64, most_ms: u64) -> Result<Step, ScriptError> {
        if most_ms < least_ms {
            let what = format!("it is below think_ms; use at least {least_ms}");
            return Err(self.refuse(start, "think_ms_max", what));
        }
        let (least, most) = (least_ms, most_ms);
        let [least, most] = [least, most].map(Duration::from_millis);
        Ok(Step::Think(Think { least, most }))
    }

    fn close(&self, start: usize, code: u16) -> Result<Step, ScriptError> {
        // RFC 6455, 7.4.1: the others are a server's, or never sent.
        if code != 1000 && !(3000..5000).contains(&code) {
            let what = "a client closes with 1000 or 3000 to 4999".to_owned();
            return Err(self.refuse(start, "close", what));
        }
        Ok(Step::Close(code))
    }

    fn matching(&self, start: usize, raw: &RawMatch) -> Result<Match, ScriptError> {
        let equals = raw.equals.as_ref();
        let equals = equals.map(|text| self.template(start, "wait.equals", text));
        let equals = equals.transpose()?;
        match (&raw.regex, &raw.json, equals) {
            (None, None, None) => Ok(Match::Any),
            (None, None, Some(text)) => Ok(Match::Text(text)),
            (Some(pattern), None, None) => Regex::new(pattern).map(Match::Regex).map_err(|error| {
                let what = format!("{error}: {pattern}; try: '^hello [0-9]+$'");
                self.refuse(start, "wait.regex", what)
            }),
            (None, Some(path), equals) => match pointer(path) {
                Some(pointer) => Ok(Match::Json(pointer, equals)),
                None => {
                    let what = format!(
                        "{path} is no path to one value; try: $.users[0].name or /users/0/name"
                    );
                    Err(self.refuse(start, "wait.json", what))
                }
            },
            (Some(_), ..) => {
                let what = "use regex alone, or json with or without equals".to_owned();
                Err(self.refuse(start, "wait", what))
            }
        }
    }

    fn template(
        &self,
        start: usize,
        key: &'static str,
        text: &str,
    ) -> Result<Template, ScriptError> {
        Template::parse(text, &self.variables, &self.captures)
            .map_err(|what| self.refuse(start, key, what))
    }

    /// The error of a key whose step or table begins at that byte.
    fn refuse(&self, start: usize, key: &'static str, what: String) -> ScriptError {
        let before = self.text.as_bytes().get(..start).unwrap_or_default();
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        ScriptError::Key { line, key, what }
    }
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;

//! Scenarios from a file: kinds of clients, what each says and waits for, step by step.
//!
//! ```toml
//! csv = "users.csv"            # its columns are variables; each client takes the next row
//!
//! [[client]]
//! weight = 3                   # three of four clients are of this kind
//! hello = [                    # once: the connection is ready after it
//!   { send = '{"type":"login","user":"${user}"}' },
//!   { wait = { json = "$.type", equals = "welcome" }, within_ms = 5000 },
//! ]
//! turn = [                     # each piece of work that the pace gives out
//!   { send = "hello ${iteration} from ${user}" },
//!   { wait = { equals = "hello ${iteration} from ${user}" } },
//!   { wait = { regex = "^bye" } },
//! ]
//!
//! [[client]]
//! read_rate = 10000            # bytes a second: a slow reader
//! turn = [{ think_ms = 500, think_ms_max = 900 }, { vanish = true }]
//! ```
//!
//! | step | does |
//! |---|---|
//! | `send`, `binary` | says a text as a text or a binary message |
//! | `file` | says a file as a binary message, or with `text = true` as a text with variables |
//! | `wait` | waits for a message that fits, `within_ms` (10,000) at most |
//! | `ping` | pings and waits for the pong, `within_ms` at most |
//! | `think_ms` | does nothing for so long, or for a time up to `think_ms_max` |
//! | `close` | ends the connection with that code |
//! | `vanish` | ends it without a word; what was said in the same moment may be lost with it |
//!
//! A `wait` fits a message by `regex`; by what lies at a `json` path (`$.users[0].name`, or a
//! pointer, `/users/0/name`); by what it `equals`, the message or what lies at that path; `{}` fits
//! any. It sees what comes after the step has begun, and with `before = true` first what came
//! earlier and fitted no step: the last 64 messages. `capture = "id"` keeps what fitted as the
//! variable `id` of that client: what lies at the path, the first group of the regex, or all of it;
//! it is empty before. Texts have `${...}`: the columns of `csv`, and
//! `connection`, `iteration`, `random`, `now_ns`, what was captured; `$${` is a `${`.
//!
//! A turn is one exchange. Its latency is its time without its thinking; one that waited for
//! nothing has none.

mod client;
mod matching;
mod read;
mod template;

pub use read::{Fetch, ScriptError};

use super::{Dialogue, Program, Turns};
use crate::load::Think;
use client::ScriptClient;
use matching::Match;
use std::sync::Arc;
use std::time::Duration;
use template::Template;

/// The scenario `custom`.
#[derive(Clone, Debug)]
pub struct Custom {
    /// Turns of each client; `None`: as many as there is time for.
    pub iterations: Option<u32>,
    /// What clients do.
    pub script: Arc<Script>,
}

/// A scenario file that has been read.
#[derive(Debug)]
pub struct Script {
    kinds: Vec<Kind>,
    /// The kinds of consecutive clients, again and again: each as often as its weight says.
    pattern: Vec<usize>,
    rows: Vec<Vec<String>>,
    /// Variables that clients capture.
    captures: usize,
    /// Whether some step waits for what may have come before.
    looks_back: bool,
}

/// One kind of clients.
#[derive(Debug)]
struct Kind {
    /// Bytes a second that it reads.
    read_rate: Option<u64>,
    hello: Vec<Step>,
    turn: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    Send(Template),
    Binary(Template),
    File(Vec<u8>),
    Wait(Wait),
    Ping { within: Duration },
    Think(Think),
    Close(u16),
    Vanish,
}

/// What a client waits for.
#[derive(Debug)]
struct Wait {
    what: Match,
    within: Duration,
    /// Whether what came before may be it.
    before: bool,
    /// The variable that keeps it.
    capture: Option<usize>,
}

impl Script {
    /// Whether clients take turns.
    #[must_use]
    pub fn has_turns(&self) -> bool {
        self.kinds.iter().any(|kind| !kind.turn.is_empty())
    }

    /// A step that an event stream cannot carry, by its key.
    #[must_use]
    pub fn needs_websocket(&self) -> Option<&'static str> {
        let all = self.kinds.iter();
        let mut steps = all.flat_map(|kind| kind.hello.iter().chain(&kind.turn));
        steps.find_map(|step| match step {
            Step::Send(_) => Some("send"),
            Step::Binary(_) => Some("binary"),
            Step::File(_) => Some("file"),
            Step::Ping { .. } => Some("ping"),
            Step::Close(_) => Some("close"),
            Step::Wait(_) | Step::Think(_) | Step::Vanish => None,
        })
    }

    /// Whether some turn is over as soon as it begins: a closed loop has nothing to follow.
    #[must_use]
    pub fn is_breathless(&self) -> bool {
        let is_instant = |step: &Step| match step {
            Step::Send(_) | Step::Binary(_) | Step::File(_) => true,
            Step::Wait(_) | Step::Ping { .. } | Step::Think(_) | Step::Close(_) | Step::Vanish => {
                false
            }
        };
        let mut turns = self.kinds.iter().map(|kind| &kind.turn);
        turns.any(|turn| !turn.is_empty() && turn.iter().all(is_instant))
    }

    /// The kind of connection `number`.
    fn kind_of(&self, number: u32) -> usize {
        let number = usize::try_from(number).unwrap_or(0);
        let place = number.checked_rem(self.pattern.len()).unwrap_or(0);
        self.pattern.get(place).copied().unwrap_or(0)
    }

    /// The row of the table that connection `number` takes.
    fn row_of(&self, number: u32) -> &[String] {
        let number = usize::try_from(number).unwrap_or(0);
        let place = number.checked_rem(self.rows.len()).unwrap_or(0);
        self.rows.get(place).map_or(&[][..], Vec::as_slice)
    }
}

impl Program for Custom {
    fn name(&self) -> &'static str {
        "custom"
    }

    fn turns(&self) -> Turns {
        match self.iterations {
            _ if !self.script.has_turns() => Turns::Never,
            Some(_) => Turns::Limited,
            None => Turns::Endless,
        }
    }

    fn begin(&self, number: u32) -> Box<dyn Dialogue> {
        let kind = self.script.kind_of(number);
        let left = self.iterations.unwrap_or(u32::MAX);
        Box::new(ScriptClient::new(Arc::clone(&self.script), kind, left))
    }
}

/// The kinds of consecutive clients, by their weights. Kinds alternate rather than follow each
/// other, so that a few clients are a fair sample (nginx's smooth weighted round robin: who is
/// furthest behind its share is next).
fn pattern(weights: &[u32]) -> Vec<usize> {
    let divisor = weights.iter().copied().fold(0, gcd).max(1);
    let weights = weights.iter().map(|weight| i64::from(weight / divisor));
    let mut shares: Vec<(i64, i64)> = weights.map(|weight| (0, weight)).collect();
    let total: i64 = shares.iter().map(|(_, weight)| weight).sum();
    let mut pattern = Vec::new();
    for _ in 0..total {
        for (behind, weight) in &mut shares {
            *behind += *weight;
        }
        // Of several, the one that the file has first.
        let places = shares.iter_mut().enumerate().rev();
        if let Some((kind, (behind, _))) = places.max_by_key(|(_, (behind, _))| *behind) {
            *behind -= total;
            pattern.push(kind);
        }
    }
    pattern
}

fn gcd(a: u32, b: u32) -> u32 {
    match a.checked_rem(b) {
        None => a,
        Some(rest) => gcd(b, rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_take_part_by_their_weights_also_among_few() {
        assert_eq!(pattern(&[3, 1]), [0, 0, 1, 0]);
        assert_eq!(pattern(&[50, 50]), [0, 1]);
        assert_eq!(pattern(&[70, 0, 20, 10]).len(), 10);
        for weights in [vec![70, 20, 10], vec![1, 999], vec![5, 4, 3, 2, 1]] {
            let pattern = pattern(&weights);
            let total: usize = weights.iter().map(|weight| *weight as usize).sum();
            for (kind, weight) in weights.iter().enumerate() {
                let count = pattern.iter().filter(|it| **it == kind).count();
                assert_eq!(
                    count * total,
                    *weight as usize * pattern.len(),
                    "{weights:?}"
                );
            }
        }
    }
}

//! Tables `[[channel]]` of a file of rules: what the channels are like whose names a pattern takes.

use super::misplaced::{Misplaced, pattern};
use crate::app::hub::options::{ChannelChange, SlowPolicy};
use crate::app::hub::pattern::ChannelPattern;
use crate::limits;
use schemars::JsonSchema;
use serde::Deserialize;
use std::time::Duration;
use toml::Spanned;

/// One table `[[channel]]`, as it is written.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ChannelTable {
    /// The channels: a name, or how it begins and `*`.
    #[schemars(with = "String")]
    name: Spanned<String>,
    /// How many publications are kept.
    history: Option<usize>,
    /// Bytes of what is kept: `64k`, `8M`.
    #[schemars(with = "Option<String>")]
    history_bytes: Option<Spanned<String>>,
    /// How long it is kept: `30s`, `5m`, `2h`, `7d`.
    #[schemars(with = "Option<String>")]
    history_time: Option<Spanned<String>>,
    /// Whether what is kept outlives the process: needs `--store`.
    store: Option<bool>,
    /// Whether it is known who is there.
    presence: Option<bool>,
    /// Whether clients are told who comes and goes.
    join_leave: Option<bool>,
    /// Whether clients may publish.
    publish: Option<bool>,
    /// Whether clients may subscribe to patterns of names.
    patterns: Option<bool>,
    /// What becomes of subscribers that do not read.
    slow: Option<SlowPolicy>,
}

/// Of which channels what is else.
pub type ChannelRow = (ChannelPattern, ChannelChange);

/// Time that a publication is kept, at most.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

impl ChannelTable {
    /// What it means.
    pub(super) fn row(self) -> Result<ChannelRow, Misplaced> {
        let bytes = read(&self.history_bytes, |typed| {
            let bytes = scaled(typed, &[("k", 1 << 10), ("M", 1 << 20), ("", 1)])?;
            let bytes = usize::try_from(bytes).ok()?;
            (1..=limits::HISTORY_BYTES)
                .contains(&bytes)
                .then_some(bytes)
        });
        let bytes = bytes.map_err(|at| {
            let most = limits::HISTORY_BYTES >> 20;
            (
                at,
                format!("bytes are written \"64k\" or \"8M\", {most}M at most"),
            )
        })?;
        let life = read(&self.history_time, |typed| {
            let units = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)];
            let life = Duration::from_secs(scaled(typed, &units)?);
            (!life.is_zero() && life <= LONGEST).then_some(life)
        });
        let life = life.map_err(|at| {
            let what = "a time is written \"30s\", \"5m\", \"2h\" or \"7d\", 365d at most";
            (at, what.to_owned())
        })?;
        let change = ChannelChange {
            history_count: self.history,
            history_bytes: bytes,
            history_life: life,
            history_stored: self.store,
            presence: self.presence,
            join_leave: self.join_leave,
            clients_publish: self.publish,
            patterns: self.patterns,
            slow: self.slow,
        };
        Ok((pattern(self.name)?, change))
    }
}

/// Reads what was typed, if something was; else where that stands.
fn read<T>(
    typed: &Option<Spanned<String>>,
    read: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, std::ops::Range<usize>> {
    let Some(typed) = typed else {
        return Ok(None);
    };
    match read(typed.get_ref()) {
        Some(value) => Ok(Some(value)),
        None => Err(typed.span()),
    }
}

/// Reads a number with one of these units.
fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.trim_end_matches(|it: char| !it.is_ascii_digit());
    let unit = text.strip_prefix(digits)?;
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    // Digits only: `parse` alone would take "+7".
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = digits.parse().ok().filter(|_| is_plain)?;
    number.checked_mul(*factor)
}

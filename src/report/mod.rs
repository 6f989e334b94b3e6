//! What a load run measured, as a [`Record`]: from it the text summary, JSON and `.hgrm` files.
//!
//! Everything printed derives from the record, so a stored record can be printed again.
//!
//! # JSON schema `ringstorm.load/1`
//!
//! One object on one line; keys come in this order; units are the end of the key (`_ns`, `_s`,
//! `_ms`, `_bytes`, `_per_s`); a figure that is not known is `null`, never 0.
//!
//! | key | holds |
//! |---|---|
//! | `schema` | `"ringstorm.load/1"`; the number rises when a key changes its meaning or goes |
//! | `program` | `version`, `command` (list), `engine`, `cpus` (the kernel's numbers) |
//! | `host` | facts of the host: string to string |
//! | `host_samples` | the client's host `before` the first connect and `after` the last close: each as `host` of `/stats` (README), counters since boot. `null` if it was not read |
//! | `run` | the configuration meant: `url`, `transport` (`websocket`, `sse`), `scenario`, `loop` (`open`, `closed`, `none`), `connections`, `connect_rate_per_s` and `rate_per_s` (means of the plan), `connect_pace` and `pace` (in words), `think_s` (shortest, longest), `session_s` (mean) and `session` (`constant`, `exponential`), `in_flight`, `burst`, `payload_bytes`, `payload_kind`, `warm_up_s`, `duration_s`, `seed`, `started_unix_ms` |
//! | `time` | `connect_s`, `measured_s`, `ending` (`complete`, `deserted`, `never_began`, `interrupted`, `aborted` by a threshold) |
//! | `connects` | `planned` = `attempted` + `dropped`; `attempted` = `up` + `failed` + `unfinished`; `retries` (further attempts), `ended_early`, `left` (as their time or scenario wanted; only if there are any), `still_open`, `up_per_s` |
//! | `returns` | `lost` = `resumed` + `given_up` + `absent` (at the end); `attempts`; after `Last-Event-ID`: events `replayed`, `missed`, `duplicated`. `null` unless clients connect again |
//! | `storm` | `at_s`, connections `before` and `dropped`, `messages_lost`, `recovered_s` (or `null`), and `up`: connections up right after it and every `step_s` from then on. `null` without one |
//! | `messages` | `planned` = `sent` + `dropped`; `sent` = `replied` + `lost`; `dropped_by` (`in_flight`, `backlog`, `no_connection`, `late`); `wrong`, `unmeasured`, `sent_per_s`, `replied_per_s`. `null` if the scenario sends nothing |
//! | `events` | `received`, `bytes`, `received_per_s`, `unstamped`, `negative`, `gaps`, `repeated`. `null` for an echo |
//! | `pings` | with `--ping`, of the whole run: `sent`, `answered` |
//! | `headline` | name of the latency to look at first, or `null` |
//! | `latency` | by name (`response`, `service`, `slip`, `one_way`, `ping`, `first_event`, `resume`, `connect`, `tcp`, `upgrade`, `ready`), only those with samples: see [`LatencyRecord`] |
//! | `fan_out` | of a scenario with broadcasts: `senders`, `broadcasts`, `complete`, `expected`, `received`, `reach`, `duplicates`, `reordered`, `gaps`, and per broadcast `first`, `p50`, `p99`, `last`, `spread`: see [`LatencyRecord`] |
//! | `failures` | list of `stage` (`connect`, `upgrade`, `ready`, `open`), `kind`, `count` |
//! | `generator` | `cores` (list of `core`, `busy` 0 to 1, `cpu_s`, `connect_cpu_s`, `turns`, `rescues`), `busy_max`, `cpu_us_per_message`, `connect_cpu_us` (per connection that came up), `headroom` of a calibration, or `null`: `headroom` = `ceiling_per_s` / `planned_per_s` (of the plan's busiest second), `is_lower_bound` (the search or its server ended before the generator did), `connections` and `runs` of the calibration |
//! | `server` | `cpu_s`, `rss_bytes`, `descriptors`, `messages_per_cpu_s`, or `null` if not asked |
//! | `thresholds` | list of `threshold` (as typed), `metric`, `result` (`PASS`, `FAIL`, `INCONCLUSIVE`), `measured` and `bound` in `unit` (`count`, `bytes`, `ns`, `us`, `ms`, `s`, `per_s`, `share`), `interval` (95 % rank confidence, low and high, of percentiles), `reason` |
//! | `verdict` | `verdict` (`PASS`, `FAIL`, `INCONCLUSIVE`, `INVALID`), `limited_by` (`generator`, `plan`, or `null`), `reasons`, `notes` |
//!
//! A percentile `p` is `null` below `100 / (1 - p)` samples.
#![forbid(unsafe_code)]
#![deny(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::expect_used
)]

pub mod csv;
pub mod fan_out;
mod figures;
pub mod generator;
pub mod headroom;
pub mod hgrm;
pub mod hlog;
pub mod latency;
pub mod ledger;
mod metric;
pub mod prometheus;
pub mod record;
pub mod returns;
pub mod surroundings;
pub mod text;
pub mod threshold;
pub mod verdict;

pub use generator::ServerUse;
pub use headroom::{Ceiling, Headroom, Trial};
pub use latency::LatencyRecord;
pub use ledger::{Interval, Ledger, Share};
pub use metric::Metrics;
pub use record::{Facts, Record};
pub use surroundings::HostSamples;
pub use threshold::{Moment, Threshold, ThresholdError};
pub use verdict::{Judgement, Verdict, exit_code};

//! The figures of a time, from the rollups: some points of it, and the sum.

use super::{number, time, told, value, written};
use crate::app::{ApiResponse, Media};
use crate::cli::journal::{COUNTS, LEVELS, LogFolder, Minute, MinuteCount};
use std::fmt::Write as _;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Points of a report where nothing is said, and at most.
const POINTS: (usize, usize) = (300, 2000);
/// Seconds that it is about where nothing is said.
const DAY: u64 = 24 * 60 * 60;

/// What is asked for.
struct ReportWanted {
    /// In minutes since 1970: the first, and the one behind the last.
    from: u64,
    to: u64,
    /// Minutes of a point.
    step: u64,
    is_csv: bool,
}

impl ReportWanted {
    fn read(query: &str) -> Result<Self, String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default().as_secs();
        let to = time(query, "to")?.unwrap_or(now).min(now + DAY) / 60 + 1;
        let from = time(query, "from")?.unwrap_or((to * 60).saturating_sub(DAY)) / 60;
        if from >= to {
            return Err("from: write a time that is before `to`".to_owned());
        }
        let points = number(query, "points", POINTS.1)?.unwrap_or(POINTS.0) as u64;
        let is_csv = match value(query, "format").as_deref() {
            None | Some("json") => false,
            Some("csv") => true,
            Some(_) => return Err("format: write json or csv".to_owned()),
        };
        Ok(Self {
            from,
            to,
            step: (to - from).div_ceil(points),
            is_csv,
        })
    }
}

/// What was found.
struct ReportFound {
    points: Vec<Option<Minute>>,
    total: Minute,
    /// Of all that there is.
    all: Minute,
    /// The first and the last minute that there is.
    span: Option<(u64, u64)>,
    minutes: u64,
}

/// Answers `from`, `to`, `points`, `format`.
pub(super) fn answer(folder: &LogFolder, query: &str) -> Result<ApiResponse, String> {
    let began = Instant::now();
    let wanted = ReportWanted::read(query)?;
    let found = find(folder, &wanted)?;
    if wanted.is_csv {
        return Ok(told(Media::Csv, csv(&wanted, &found)));
    }
    Ok(told(Media::Json, json(&wanted, &found, began)))
}

fn find(folder: &LogFolder, wanted: &ReportWanted) -> Result<ReportFound, String> {
    let points = usize::try_from((wanted.to - wanted.from).div_ceil(wanted.step));
    let mut found = ReportFound {
        points: vec![None; points.unwrap_or(0)],
        total: Minute::default(),
        all: Minute::default(),
        span: None,
        minutes: 0,
    };
    let read = folder.minutes(|record| {
        found.minutes += 1;
        found.all.add(&record.minute);
        let (first, last) = found.span.unwrap_or((record.number, record.number));
        found.span = Some((first.min(record.number), last.max(record.number)));
        if (wanted.from..wanted.to).contains(&record.number) {
            let at = usize::try_from((record.number - wanted.from) / wanted.step);
            if let Some(point) = found.points.get_mut(at.unwrap_or(usize::MAX)) {
                point.get_or_insert_default().add(&record.minute);
            }
            found.total.add(&record.minute);
        }
    });
    read.map_err(|error| format!("the rollups cannot be read: {error}"))?;
    Ok(found)
}

fn columns(cores: usize) -> Vec<String> {
    let names = ["at"].into_iter().chain(COUNTS).chain(LEVELS);
    let cores = (0..cores).map(|core| format!("core_{core}_cpu_us"));
    names.map(str::to_owned).chain(cores).collect()
}

/// The numbers of a minute, in the order of the columns.
fn numbers(minute: &Minute, cores: usize) -> impl Iterator<Item = u64> {
    let of_core = |core| minute.core_cpu_us.get(core).copied().unwrap_or(0);
    let both = minute.counts().iter().chain(minute.levels()).copied();
    both.chain((0..cores).map(of_core))
}

fn csv(wanted: &ReportWanted, found: &ReportFound) -> String {
    let cores = found.total.core_cpu_us.len();
    let mut text = columns(cores).join(",") + "\r\n";
    for (at, point) in (0..).zip(&found.points) {
        if let Some(point) = point {
            text += &written((wanted.from + at * wanted.step) * 60);
            for number in numbers(point, cores) {
                // Writing to a String does not fail.
                let _ = write!(text, ",{number}");
            }
            text += "\r\n";
        }
    }
    text
}

fn json(wanted: &ReportWanted, found: &ReportFound, began: Instant) -> String {
    let cores = found.total.core_cpu_us.len();
    let rows = (0..).zip(&found.points).filter_map(|(at, point)| {
        let at = (wanted.from + at * wanted.step) * 60;
        let row = std::iter::once(at).chain(numbers(point.as_ref()?, cores));
        Some(row.collect::<Vec<u64>>())
    });
    let rows: Vec<_> = rows.collect();
    let total = columns(cores)
        .into_iter()
        .skip(1)
        .zip(numbers(&found.total, cores));
    let total: serde_json::Map<_, _> = total.map(|(name, it)| (name, it.into())).collect();
    let (starts, ends) = (
        found.all.count(MinuteCount::Starts),
        found.all.count(MinuteCount::Ends),
    );
    let span = found
        .span
        .map(|(first, last)| [written(first * 60), written(last * 60)]);
    let told = serde_json::json!({
        "schema": "ringstorm.report/1",
        "from": written(wanted.from * 60),
        "to": written(wanted.to * 60),
        "step_s": wanted.step * 60,
        "columns": columns(cores),
        "rows": rows,
        "total": total,
        // The server that answers has not ended.
        "servers": {
            "started": starts,
            "ended_without_warning": starts.saturating_sub(ends + 1),
        },
        "span": span,
        "minutes_read": found.minutes,
        "read_ms": (began.elapsed().as_secs_f64() * 1e6).round() / 1e3,
    });
    told.to_string() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::journal::{MinuteLevel, MinuteRecord, ROLLUPS, head};
    use crate::cli::scratch::ScratchFolder;

    /// A folder with so many minutes from a number on, in each of which five came.
    fn folder(name: &str, minutes: std::ops::Range<u64>) -> (ScratchFolder, LogFolder) {
        let scratch = ScratchFolder::new(name);
        let mut bytes = head();
        for number in minutes {
            let mut minute = Minute::default();
            minute.add_count(MinuteCount::Connected, 5);
            minute.add_count(MinuteCount::Starts, 1);
            minute.raise(MinuteLevel::Users, number);
            minute.add_core(1, 7);
            MinuteRecord {
                number,
                is_whole: true,
                minute,
            }
            .encode(&mut bytes);
        }
        std::fs::write(scratch.path().join(ROLLUPS), bytes).unwrap();
        let folder = LogFolder::new(scratch.path());
        (scratch, folder)
    }

    fn asked(folder: &LogFolder, query: &str) -> serde_json::Value {
        serde_json::from_str(&answer(folder, query).unwrap().text).unwrap()
    }

    #[test]
    fn a_time_is_told_in_points_and_as_a_sum() {
        let (_scratch, folder) = folder("report-points", 100..200);
        let told = asked(&folder, "from=7200&to=8999&points=3");
        let rows = told["rows"].as_array().unwrap();
        let of = |name: &str| {
            let columns = told["columns"].as_array().unwrap();
            columns.iter().position(|it| it == name).unwrap()
        };
        assert_eq!((told["step_s"].as_u64(), rows.len()), (Some(600), 3));
        assert_eq!(told["total"]["connected"], 150);
        let second = &rows[1];
        assert_eq!(second[0], 7200 + 600);
        assert_eq!(second[of("connected")], 50);
        assert_eq!(second[of("users")], 139);
        assert_eq!(second[of("core_1_cpu_us")], 70);
        assert_eq!(told["span"][0], "1970-01-01T01:40:00Z");
        assert_eq!(told["servers"]["ended_without_warning"], 99);
        let csv = answer(&folder, "from=7200&to=8999&points=3&format=csv").unwrap();
        let lines: Vec<_> = csv.text.lines().collect();
        assert_eq!(lines.len(), 4);
        assert!(lines[0].starts_with("at,connected,"), "{}", lines[0]);
        assert!(
            lines[2].starts_with("1970-01-01T02:10:00Z,50,"),
            "{}",
            lines[2]
        );
    }

    #[test]
    fn a_time_without_minutes_has_no_rows_and_what_cannot_be_meant_is_refused() {
        let (_scratch, folder) = folder("report-none", 100..101);
        assert_eq!(asked(&folder, "")["rows"].as_array().unwrap().len(), 0);
        for (query, remedy) in [
            ("from=1000&to=5", "before"),
            ("from=x", "such as"),
            ("points=0", "from 1 to 2000"),
            ("points=2001", "from 1 to 2000"),
            ("format=xml", "json or csv"),
        ] {
            let refused = answer(&folder, query).unwrap_err();
            assert!(refused.contains(remedy), "{query}: {refused}");
        }
        let nowhere = LogFolder::new(&std::env::temp_dir().join("ringstorm-nowhere"));
        assert!(answer(&nowhere, "").unwrap_err().contains("cannot be read"));
    }
}

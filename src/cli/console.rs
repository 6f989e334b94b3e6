//! Answers what operators ask of the logs of a server, on a thread beside the cores: they wait for
//! no disk.

mod history;
mod report;

use super::journal::LogFolder;
use crate::app::console::{self, ConsoleLine, ConsoleReply};
use crate::app::{ApiResponse, Media};
use crate::engine::EngineError;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Arc, OnceLock};
use std::thread::{JoinHandle, Thread};

/// The thread that reads.
pub(super) struct ConsoleThread {
    ends: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl ConsoleThread {
    /// Begins to answer from that folder; gives a line for each of so many cores.
    pub(super) fn start(
        folder: &Path,
        cores: usize,
    ) -> Result<(Self, Vec<ConsoleLine>), EngineError> {
        let bell: Arc<OnceLock<Thread>> = Arc::default();
        let rings = Arc::clone(&bell);
        let wake = Arc::new(move || rings.get().into_iter().for_each(Thread::unpark));
        let lines: Vec<_> = (0..cores).map(|_| ConsoleLine::new(wake.clone())).collect();
        let ends = Arc::new(AtomicBool::new(false));
        let (is_over, asked) = (Arc::clone(&ends), lines.clone());
        let folder = LogFolder::new(folder);
        let answers = move || {
            while !is_over.load(Acquire) {
                for line in &asked {
                    for question in line.take_questions() {
                        let response = answer(&folder, &question.path, &question.query);
                        let number = question.number;
                        line.reply(ConsoleReply { number, response });
                    }
                }
                std::thread::park();
            }
        };
        let thread = std::thread::Builder::new().name("console".to_owned());
        let thread = thread.spawn(answers).map_err(|source| {
            EngineError::no_threads("the thread that reads the logs of chats", source)
        })?;
        // What was asked before is found: nobody is served yet.
        let _ = bell.set(thread.thread().clone());
        Ok((Self { ends, thread }, lines))
    }

    /// All cores have ended.
    pub(super) fn finish(self) {
        self.ends.store(true, Release);
        self.thread.thread().unpark();
        let _ = self.thread.join();
    }
}

/// What a question gets.
fn answer(folder: &LogFolder, path: &str, query: &str) -> ApiResponse {
    let answered = match path {
        console::REPORT => report::answer(folder, query),
        console::LOGS => history::answer(folder, query),
        _ => Err("no such question".to_owned()),
    };
    answered.unwrap_or_else(|error| {
        let text = serde_json::json!({ "error": error }).to_string();
        ApiResponse::json(400, text + "\n")
    })
}

/// An answer of that kind.
const fn told(media: Media, text: String) -> ApiResponse {
    ApiResponse {
        status: 200,
        media,
        text,
        cookie: None,
    }
}

/// The value of a name, of which there is one; `None` if there is none or it is empty.
fn value(query: &str, name: &str) -> Option<String> {
    let mut values = crate::app::dialect::query::values(query, name);
    let value = values.next()?.into_owned();
    (!value.is_empty()).then_some(value)
}

/// A time of a query, in seconds since 1970: those, or as RFC 3339 writes it.
fn time(query: &str, name: &str) -> Result<Option<u64>, String> {
    let Some(typed) = value(query, name) else {
        return Ok(None);
    };
    let seconds = match typed.parse::<f64>() {
        Ok(seconds) if (0.0..1e11).contains(&seconds) => Some(whole_seconds(seconds)),
        Ok(_) => None,
        Err(_) => {
            let format = &::time::format_description::well_known::Rfc3339;
            let time = ::time::OffsetDateTime::parse(&typed, format);
            time.ok()
                .and_then(|it| u64::try_from(it.unix_timestamp()).ok())
        }
    };
    seconds.map(Some).ok_or_else(|| {
        format!("{name}: write seconds since 1970, or a time such as 2026-11-30T03:31:00Z")
    })
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is in the range of seconds"
)]
const fn whole_seconds(seconds: f64) -> u64 {
    seconds as u64
}

/// A number of a query up to so much.
fn number(query: &str, name: &str, most: usize) -> Result<Option<usize>, String> {
    let Some(typed) = value(query, name) else {
        return Ok(None);
    };
    let number = typed
        .parse::<usize>()
        .ok()
        .filter(|it| (1..=most).contains(it));
    number
        .map(Some)
        .ok_or_else(|| format!("{name}: write a number from 1 to {most}"))
}

/// A time as RFC 3339 writes it.
fn written(unix_s: u64) -> String {
    let format = &::time::format_description::well_known::Rfc3339;
    let time = ::time::OffsetDateTime::from_unix_timestamp(unix_s.cast_signed());
    time.ok()
        .and_then(|it| it.format(format).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_numbers_of_a_query_are_read_or_the_remedy_is_said() {
        let query = "a=1795923060&b=2026-11-30T03:31:00Z&c=x&d=-1&e=&n=5&m=501";
        assert_eq!(time(query, "a"), Ok(Some(1_795_923_060)));
        assert_eq!(time(query, "b"), Ok(Some(29_933_491 * 60)));
        assert!(time(query, "c").unwrap_err().contains("such as"));
        assert!(time(query, "d").is_err());
        assert_eq!((time(query, "e"), time(query, "f")), (Ok(None), Ok(None)));
        assert_eq!(number(query, "n", 500), Ok(Some(5)));
        assert!(
            number(query, "m", 500)
                .unwrap_err()
                .contains("from 1 to 500")
        );
        assert_eq!(written(29_933_491 * 60), "2026-11-30T03:31:00Z");
    }
}

//! The threads of this process: who there is, and what each has used.

use super::files::{SLOW, again, once};
use crate::stats::Threads;
use std::fs::{self, File};

/// Threads that are looked at, at most.
const THREADS_MAX: usize = 256;
/// Readings from the start on that look for new threads: the cores are being born.
const BIRTH: u64 = 3;

/// Follows the threads.
#[derive(Debug, Default)]
pub(super) struct Team {
    threads: Threads,
    /// The `schedstat` of each.
    files: Vec<(u32, File)>,
    text: String,
}

impl Team {
    /// The reading of that number.
    pub(super) fn read(&mut self, reading: u64) -> &Threads {
        if reading < BIRTH || reading.is_multiple_of(SLOW) {
            self.look();
        }
        let Self {
            threads,
            files,
            text,
        } = self;
        threads.begin();
        // The file of an ended thread cannot be read any more.
        files.retain(|(thread, file)| {
            let alive = again(file, text).is_ok();
            if alive {
                threads.note(*thread, text);
            }
            alive
        });
        threads.end();
        threads
    }

    /// Looks for new threads.
    fn look(&mut self) {
        let entries = fs::read_dir("/proc/self/task").into_iter().flatten();
        let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        for thread in numbers {
            if self.threads.knows(thread) || self.files.len() >= THREADS_MAX {
                continue;
            }
            let folder = format!("/proc/self/task/{thread}");
            if let Ok(file) = File::open(format!("{folder}/schedstat")) {
                once(&format!("{folder}/comm"), &mut self.text);
                self.threads.name(thread, &self.text);
                self.files.push((thread, file));
            }
        }
    }
}

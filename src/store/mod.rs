//! Writes what outlives the process into a file, on a thread of its own: no core waits for a disk.

mod fault;
mod file;
#[cfg(test)]
mod tests;

pub use fault::StoreFault;
pub use file::{StoreContents, StoreFile, StorePlace};

use crate::app::hub::store::{
    StoreCounts, StoreDisk, StoreEnd, StoreKeeper, StoreLine, StoreNews, StorePlan,
};
use crate::engine;
use std::io;
use std::sync::{Arc, OnceLock};
use std::thread::{JoinHandle, Thread};

/// Wakes the thread, once there is one.
#[derive(Clone, Debug, Default)]
pub struct StoreBell(Arc<OnceLock<Thread>>);

/// The thread that writes.
#[derive(Debug)]
pub struct Store {
    end: Arc<OnceLock<StoreEnd>>,
    thread: JoinHandle<()>,
}

impl StoreBell {
    /// A line for each of so many cores, whose far end this wakes.
    #[must_use]
    pub fn lines(&self, cores: usize, counts: &StoreCounts) -> Vec<StoreLine> {
        let bell = self.clone();
        let wake: Arc<dyn Fn() + Send + Sync> = Arc::new(move || {
            if let Some(thread) = bell.0.get() {
                thread.unpark();
            }
        });
        let lines = (0..cores).map(|_| StoreLine::new(counts.clone(), Arc::clone(&wake)));
        lines.collect()
    }
}

impl Store {
    /// Begins to write what the lines of that plan bring; `tell` is told what is to be said of it.
    ///
    /// # Errors
    /// There can be no thread.
    pub fn start(
        disk: impl StoreDisk + Send + 'static,
        plan: &StorePlan,
        bell: &StoreBell,
        tell: impl FnMut(StoreNews) + Send + 'static,
    ) -> io::Result<Self> {
        let end = Arc::new(OnceLock::new());
        let (keeper, ends) = (StoreKeeper::new(plan), Arc::clone(&end));
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || follow(keeper, disk, &ends, tell))?;
        // What came before is looked at first of all.
        let _ = bell.0.set(thread.thread().clone());
        Ok(Self { end, thread })
    }

    /// The cores have ended: what they told is written, and whether that is all that there was.
    pub fn finish(self, end: StoreEnd) {
        let _ = self.end.set(end);
        self.thread.thread().unpark();
        let _ = self.thread.join();
    }
}

/// Writes until the end.
fn follow(
    mut keeper: StoreKeeper,
    mut disk: impl StoreDisk,
    end: &OnceLock<StoreEnd>,
    mut tell: impl FnMut(StoreNews),
) {
    loop {
        let now = engine::now();
        if let Some(end) = end.get() {
            return keeper
                .finish(now, &mut disk, *end)
                .into_iter()
                .for_each(tell);
        }
        keeper.turn(now, &mut disk).into_iter().for_each(&mut tell);
        match keeper.deadline() {
            None => std::thread::park(),
            Some(at) => std::thread::park_timeout(at.since(engine::now())),
        }
    }
}

//! The thread of a core: started, pinned to its CPU, given an executor; each failure is named.
//!
//! glommio's own `spawn` panics where `/sys` is missing, where a CPU may not be chosen, and where
//! its second thread cannot be started. So the thread is pinned here, by the kernel's number, and
//! the threads are tried before glommio needs them.

use crate::engine::{EngineError, pin};
use glommio::{GlommioError, LocalExecutor, LocalExecutorBuilder, Placement};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// Threads of a core: the core's, and one of glommio for calls that block.
const PER_CORE: usize = 2;

/// Starts a core's thread.
///
/// # Errors
/// [`EngineError::Os`] with the remedy: no more threads are allowed here.
pub(super) fn start<T: Send + 'static>(
    core: usize,
    life: impl FnOnce() -> Result<T, EngineError> + Send + 'static,
) -> Result<JoinHandle<Result<T, EngineError>>, EngineError> {
    let named = Builder::new().name(format!("ring-{core}"));
    named
        .spawn(life)
        .map_err(|source| EngineError::no_threads("the thread of a core", source))
}

/// Tries whether so many cores get their threads, all at once.
///
/// # Errors
/// [`EngineError::Os`] with the remedy.
pub(super) fn rehearse(cores: usize) -> Result<(), EngineError> {
    let wanted = cores * PER_CORE;
    let mut threads = Vec::new();
    let mut failure = None;
    for _ in 0..wanted {
        let thread = Builder::new().name("rehearsal".to_owned());
        match thread.spawn(std::thread::park) {
            Ok(thread) => threads.push(thread),
            Err(source) => {
                failure = Some(EngineError::no_threads(
                    &format!("all {wanted} threads of the cores"),
                    source,
                ));
                break;
            }
        }
    }
    for thread in threads {
        thread.thread().unpark();
        let _ = thread.join();
    }
    failure.map_or(Ok(()), Err)
}

/// Pins this thread to a CPU, then makes its executor.
///
/// # Errors
/// [`EngineError`] that names what was refused and what to do.
pub(super) fn executor(core: usize, cpu: usize) -> Result<LocalExecutor, EngineError> {
    pin::this_thread(core, cpu)?;
    LocalExecutorBuilder::new(Placement::Unbound)
        .name(&format!("ring-{core}"))
        .preempt_timer(Duration::from_secs(3600))
        .make()
        .map_err(|error| no_executor(cpu, &error))
}

fn no_executor(cpu: usize, error: &GlommioError<()>) -> EngineError {
    let said = error.to_string();
    // glommio wraps it into an error of I/O: only its text tells.
    let remedy = if said.contains("MemLockLimit") || said.contains("Cannot allocate memory") {
        "ulimit -l 65536 (0.9 MiB of locked memory per core and table)"
    } else {
        "more descriptors (ulimit -n), a container profile that allows io_uring, or --engine tokio"
    };
    EngineError::Unsupported {
        what: format!("cannot start an executor on CPU {cpu}: {said}"),
        remedy: remedy.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_executor_needs_no_description_of_the_machine_to_be_bound() {
        let thread = start(0, move || {
            let executor = executor(0, 0)?;
            executor.run(async {});
            Ok(rustix::thread::sched_getaffinity(None).unwrap().count())
        });
        assert_eq!(thread.unwrap().join().unwrap().unwrap(), 1);
        rehearse(2).unwrap();
    }
}

//! Pins the thread of a core to its CPU, by the kernel's number.

use super::EngineError;
use core_affinity::{CoreId, set_for_current};
use std::io;

/// CPUs in the mask of `sched_setaffinity`: `CPU_SETSIZE` of sched.h.
const CPUS: usize = libc::CPU_SETSIZE.cast_unsigned() as usize;

/// Pins this thread to a CPU.
///
/// # Errors
/// [`EngineError::Os`] that names what was refused and what to do.
pub(super) fn this_thread(core: usize, cpu: usize) -> Result<(), EngineError> {
    try_pin(cpu).map_err(|source| EngineError::Os {
        remedy: match source.raw_os_error() {
            Some(libc::EINVAL) => {
                "--cores with CPUs of this host (`nproc --all`) that this \
                                   process may use (`taskset -p $$`)"
            }
            _ => "a container profile that allows sched_setaffinity",
        }
        .to_owned(),
        operation: format!("cannot pin core {core} to CPU {cpu} (sched_setaffinity)"),
        source,
    })
}

fn try_pin(cpu: usize) -> io::Result<()> {
    if cpu >= CPUS {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // False is what sched_setaffinity(2) refused; errno is still its own.
    if set_for_current(CoreId { id: cpu }) {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cpu_that_is_not_there_is_named_with_the_call_and_the_remedy() {
        for cpu in [CPUS - 1, CPUS, usize::MAX] {
            // In a thread of its own: it would be pinned.
            let pinned = std::thread::spawn(move || this_thread(7, cpu));
            let said = pinned.join().unwrap().unwrap_err().to_string();
            let names = format!("pin core 7 to CPU {cpu} (sched_setaffinity)");
            assert!(said.contains(&names) && said.contains("--cores"), "{said}");
        }
    }
}

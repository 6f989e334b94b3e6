//! Reads the CPU time of a process, user and system, exactly and without `/proc`'s ticks.

use std::io;
use std::time::Duration;

/// CPU time that the process and all its threads, ended ones too, have used.
pub(crate) fn of(pid: u32) -> io::Result<Duration> {
    let mut clock = 0;
    // SAFETY: writes the clock's id through a valid pointer.
    let error = unsafe { libc::clock_getcpuclockid(pid.cast_signed(), &raw mut clock) };
    if error != 0 {
        return Err(io::Error::from_raw_os_error(error));
    }
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: writes the time through a valid pointer.
    if unsafe { libc::clock_gettime(clock, &raw mut time) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let nanos = u32::try_from(time.tv_nsec).map_err(io::Error::other)?;
    Ok(Duration::new(time.tv_sec.cast_unsigned(), nanos))
}

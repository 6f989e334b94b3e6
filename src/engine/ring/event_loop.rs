//! The event loop of a core: waits in the ring, gives glommio its turn, parks when quiet.
//!
//! While there is traffic the core waits inside its own ring, ten milliseconds at most, and every
//! ten milliseconds lets glommio run by a real await (a read of an eventfd that it has just
//! written). That costs about 20 us; nothing but the watchdog waits for glommio so far.
//! After a quiet spell the core parks in glommio on that eventfd, which the kernel then signals.
//!
//! glommio 0.9.0 can park with a runnable task when its preempt timer fires at the wrong moment.
//! So that timer is set to an hour, every yield is a real await, and one slow glommio timer is a
//! watchdog: it forces a look every second and counts work for which the kernel did not signal.

use super::driver::Driver;
use super::kernel::EnterWait;
use super::waker::{WakeHandle, Waker};
use crate::engine;
use crate::shard::Shard;
use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

/// The longest wait in our ring, and the longest time between two turns of glommio.
const WAIT: Duration = Duration::from_millis(10);
/// A core without an event for so long parks.
const QUIET: Duration = Duration::from_millis(25);
/// How often the watchdog wakes a parked core.
const WATCHDOG_PERIOD: Duration = Duration::from_secs(1);

/// How long the kernel's signal may take after the work that it announces.
const SIGNAL_DELAY: Duration = Duration::from_millis(10);

/// What the watchdog and the loop share.
#[derive(Default)]
pub(super) struct Watchdog {
    /// The core is parked.
    pub(super) parked: Cell<bool>,
    /// The watchdog has woken the core since it parked.
    pub(super) fired: Cell<bool>,
}

/// Runs a core until its shard has finished.
pub(super) async fn run<S: Shard>(mut driver: Driver<S>, waker: Waker) -> io::Result<S::Outcome> {
    let watchdog = Rc::new(Watchdog::default());
    let handle = waker.handle();
    let guard = glommio::spawn_local(guard(Rc::clone(&watchdog), handle.clone()));
    driver.start();
    let mut last_event = driver.now();
    let mut last_await = driver.now();
    let mut wait = WAIT;
    while !driver.is_finished() {
        let events = driver.turn(wait)?;
        wait = WAIT;
        let now = driver.now();
        if events > 0 {
            last_event = now;
        }
        if now.since(last_await) >= WAIT {
            handle.wake();
            waker.woken().await;
            last_await = engine::now();
        }
        let quiet = now.since(last_event) >= QUIET && !driver.is_urgent();
        if quiet && !driver.is_finished() {
            park(&mut driver, &waker, &watchdog).await?;
            last_await = engine::now();
            // Either work has come or the core parks again: no tick, for it would end every park.
            wait = Duration::ZERO;
        }
    }
    guard.cancel().await;
    Ok(driver.finish())
}

/// Sleeps in glommio until the kernel, another thread or the watchdog signals the waker.
pub(super) async fn park<S: Shard>(
    driver: &mut Driver<S>,
    waker: &Waker,
    watchdog: &Watchdog,
) -> io::Result<()> {
    driver.arm_alarm();
    driver.rings().enable_eventfds();
    // Flushes what is queued and runs deferred work; whatever comes after this signals. The mailbox
    // is looked at too: its doorbell may have failed.
    driver.rings().lead().enter(EnterWait::Not)?;
    driver.enter_others()?;
    if driver.rings().have_work() || driver.is_urgent() {
        driver.rings().disable_eventfds();
        return Ok(());
    }
    watchdog.parked.set(true);
    let signals = waker.woken().await;
    watchdog.parked.set(false);
    let alone = watchdog.fired.take() && signals == 1;
    if alone && was_missed(|| driver.rings().have_work(), &waker.handle()) {
        driver.count_rescue();
    }
    driver.rings().disable_eventfds();
    Ok(())
}

/// Whether work is there that the kernel did not signal, after the watchdog has woken the core. To
/// be asked while the kernel still signals: work that comes meanwhile is signalled too, if after a
/// moment, since the kernel lists it before it signals (io_uring/tw.c, `io_req_local_work_add`).
fn was_missed(mut has_work: impl FnMut() -> bool, waker: &WakeHandle) -> bool {
    has_work() && !waker.signalled_within(SIGNAL_DELAY)
}

/// Wakes the core once a second while it is parked.
async fn guard(watchdog: Rc<Watchdog>, waker: WakeHandle) {
    loop {
        glommio::timer::sleep(WATCHDOG_PERIOD).await;
        if watchdog.parked.get() {
            watchdog.fired.set(true);
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_was_signalled_was_not_missed() {
        let waker = WakeHandle::new().unwrap();
        waker.wake();
        assert!(!was_missed(|| true, &waker));
        waker.clear();
        assert!(was_missed(|| true, &waker), "work without a signal");
        assert!(!was_missed(|| false, &waker), "the watchdog alone");
    }

    #[test]
    fn work_that_comes_during_the_check_is_signalled_and_is_no_rescue() {
        let waker = WakeHandle::new().unwrap();
        let late = || {
            waker.wake();
            true
        };
        assert!(!was_missed(late, &waker), "it came between");
    }
}

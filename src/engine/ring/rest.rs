//! The loop of a core and its rest: waits in our ring, gives glommio its turn, parks when quiet.
//!
//! While there is traffic the core waits inside its own ring, ten milliseconds at most, and every
//! ten milliseconds lets glommio run by a real await (a read of an eventfd that it has just
//! written). That costs about 20 us; nothing but the watchdog waits for glommio so far.
//! After a quiet spell it parks in glommio on that eventfd, which the kernel then signals for us.
//!
//! glommio 0.9.0 can park with a runnable task when its preempt timer fires at the wrong moment.
//! So that timer is set to an hour, every yield is a real await, and one slow glommio timer stands
//! guard: it forces a look every second and counts if it ever found work nobody was woken for.

use super::bell::{Bell, Ringing};
use super::driver::Driver;
use super::kernel::Wait;
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
/// How often the watchdog looks.
const WATCH: Duration = Duration::from_secs(1);

/// How long the kernel's signal may take after the work that it announces.
const SIGNAL: Duration = Duration::from_millis(10);

/// What the watchdog and the loop know of each other.
#[derive(Default)]
struct Watch {
    parked: Cell<bool>,
    rang: Cell<bool>,
}

/// Runs a core until its shard has finished.
pub(super) async fn run<S: Shard>(mut driver: Driver<S>, bell: Bell) -> io::Result<S::Outcome> {
    let watch = Rc::new(Watch::default());
    let rope = bell.rope();
    let dog = glommio::spawn_local(guard(Rc::clone(&watch), rope.clone()));
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
            rope.ring();
            bell.heard().await;
            last_await = engine::now();
        }
        let quiet = now.since(last_event) >= QUIET && !driver.is_urgent();
        if quiet && !driver.is_finished() {
            park(&mut driver, &bell, &watch).await?;
            last_await = engine::now();
            // Something has come, or it parks again: no tick, or it would end every park.
            wait = Duration::ZERO;
        }
    }
    dog.cancel().await;
    Ok(driver.finish())
}

/// Sleeps in glommio until the kernel, another thread or the watchdog rings.
async fn park<S: Shard>(driver: &mut Driver<S>, bell: &Bell, watch: &Watch) -> io::Result<()> {
    driver.arm_alarm();
    driver.rings().enable_eventfds();
    // Flushes what is queued and runs deferred work; whatever comes after this rings. Letters are
    // looked at too: their bell may not have rung.
    driver.rings().lead().enter(Wait::Not)?;
    driver.enter_others()?;
    if driver.rings().have_work() || driver.is_urgent() {
        driver.rings().disable_eventfds();
        return Ok(());
    }
    watch.parked.set(true);
    let rings = bell.heard().await;
    watch.parked.set(false);
    let alone = watch.rang.take() && rings == 1;
    if alone && was_missed(|| driver.rings().have_work(), &bell.rope()) {
        driver.count_rescue();
    }
    driver.rings().disable_eventfds();
    Ok(())
}

/// Whether work is there for which no bell rings, after the watchdog has rung for none. To be asked
/// while the kernel still rings: what comes meanwhile rings too, if after a moment, since the
/// kernel puts work on its list before it signals (io_uring/tw.c, `io_req_local_work_add`).
fn was_missed(mut has_work: impl FnMut() -> bool, bell: &Ringing) -> bool {
    has_work() && !bell.rings_within(SIGNAL)
}

/// Rings once a second while the core is parked.
async fn guard(watch: Rc<Watch>, bell: Ringing) {
    loop {
        glommio::timer::sleep(WATCH).await;
        if watch.parked.get() {
            watch.rang.set(true);
            bell.ring();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_whose_bell_rings_was_not_missed() {
        let bell = Ringing::new().unwrap();
        bell.ring();
        assert!(!was_missed(|| true, &bell));
        bell.silence();
        assert!(was_missed(|| true, &bell), "work, and no bell for it");
        assert!(!was_missed(|| false, &bell), "the watchdog alone");
    }

    #[test]
    fn work_that_comes_at_the_look_rings_and_is_no_rescue() {
        let bell = Ringing::new().unwrap();
        let late = || {
            bell.ring();
            true
        };
        assert!(!was_missed(late, &bell), "it came between");
    }
}

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

use super::driver::Driver;
use super::kernel::Wait;
use crate::engine;
use crate::shard::Shard;
use glommio::io::BufferedFile;
use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// The longest wait in our ring, and the longest time between two turns of glommio.
const WAIT: Duration = Duration::from_millis(10);
/// A core without an event for so long parks.
const QUIET: Duration = Duration::from_millis(25);
/// How often the watchdog looks.
const WATCH: Duration = Duration::from_secs(1);

/// The eventfd that wakes a parked core: by the kernel, by another thread, by the watchdog.
pub(super) struct Bell {
    descriptor: Arc<OwnedFd>,
    file: BufferedFile,
}

impl Bell {
    /// Makes one; must run inside the core's executor.
    pub(super) fn new() -> io::Result<Self> {
        let descriptor = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC)?;
        let twin = descriptor.try_clone()?.into_raw_fd();
        // SAFETY: the twin is ours alone; the file closes it.
        let file = unsafe { BufferedFile::from_raw_fd(twin) };
        Ok(Self {
            descriptor: Arc::new(descriptor),
            file,
        })
    }

    /// A way to ring it from anywhere.
    pub(super) fn ringer(&self) -> impl Fn() + Send + use<> {
        let descriptor = Arc::clone(&self.descriptor);
        move || ring(&descriptor)
    }

    pub(super) fn descriptor(&self) -> i32 {
        self.descriptor.as_raw_fd()
    }

    /// Waits for a ring through glommio; returns how often it has rung.
    async fn heard(&self) -> u64 {
        match self.file.read_at(0, 8).await {
            Ok(read) => read
                .first_chunk()
                .map_or(0, |bytes| u64::from_ne_bytes(*bytes)),
            Err(_) => 0,
        }
    }

    /// Whether it rings now.
    fn is_ringing(&self) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let mut polled = [PollFd::from_borrowed_fd(
            self.descriptor.as_fd(),
            PollFlags::IN,
        )];
        let at_once = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        poll(&mut polled, Some(&at_once)).is_ok_and(|count| count > 0)
    }
}

fn ring(descriptor: &OwnedFd) {
    // Fails only when the counter is full, and then it rings already.
    let _ = rustix::io::write(descriptor, &1u64.to_ne_bytes());
}

/// What the watchdog and the loop know of each other.
#[derive(Default)]
struct Watch {
    parked: Cell<bool>,
    rang: Cell<bool>,
}

/// Runs a core until its shard has finished.
pub(super) async fn run<S: Shard>(mut driver: Driver<S>, bell: Bell) -> io::Result<S::Outcome> {
    let watch = Rc::new(Watch::default());
    let dog = glommio::spawn_local(guard(Rc::clone(&watch), Arc::clone(&bell.descriptor)));
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
            ring(&bell.descriptor);
            bell.heard().await;
            last_await = engine::now();
        }
        if now.since(last_event) >= QUIET && !driver.is_finished() {
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
    driver.ring().enable_eventfd();
    // Flushes what is queued and runs deferred work; whatever comes after this rings.
    driver.ring().enter(Wait::Not)?;
    if driver.ring().has_work() {
        driver.ring().disable_eventfd();
        return Ok(());
    }
    watch.parked.set(true);
    let rings = bell.heard().await;
    watch.parked.set(false);
    driver.ring().disable_eventfd();
    if watch.rang.take() && rings == 1 && driver.ring().has_work() && !bell.is_ringing() {
        driver.count_rescue();
    }
    Ok(())
}

/// Rings once a second while the core is parked.
async fn guard(watch: Rc<Watch>, bell: Arc<OwnedFd>) {
    loop {
        glommio::timer::sleep(WATCH).await;
        if watch.parked.get() {
            watch.rang.set(true);
            ring(&bell);
        }
    }
}

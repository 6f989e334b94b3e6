//! How a core parks, and which wake-ups of the watchdog are rescues.

use super::*;
use crate::engine::ring::event_loop::{Watchdog, park};
use crate::engine::ring::operation::plain;
use crate::engine::ring::waker::Waker;
use glommio::{LocalExecutorBuilder, Placement};

/// Parks a core once, while `meanwhile` happens; how many rescues that was.
fn rescues(meanwhile: impl FnOnce(&Scripted, &Watchdog, &WakeHandle) + 'static) -> u64 {
    let executor = LocalExecutorBuilder::new(Placement::Unbound)
        .preempt_timer(Duration::from_secs(3600))
        .make()
        .unwrap();
    executor.run(async {
        let (mut driver, kernel, _mailboxes) = core();
        let (waker, watchdog) = (Waker::new().unwrap(), Rc::new(Watchdog::default()));
        let (handle, dog) = (waker.handle(), Rc::clone(&watchdog));
        let task = glommio::spawn_local(async move {
            // A task begins where it is spawned.
            while !dog.parked.get() {
                glommio::timer::sleep(Duration::from_millis(1)).await;
            }
            meanwhile(&kernel, &dog, &handle);
        });
        park(&mut driver, &waker, &watchdog).await.unwrap();
        task.await;
        assert!(!watchdog.parked.get() && !watchdog.fired.get());
        driver.port.counters.rescues
    })
}

fn works(kernel: &Scripted) {
    kernel.completes(plain(Operation::Doorbell, 0), 0, 0);
}

#[test]
fn work_that_only_the_watchdog_found_is_a_rescue() {
    let alone = rescues(|kernel, watchdog, handle| {
        works(kernel);
        watchdog.fired.set(true);
        handle.wake();
    });
    assert_eq!(alone, 1);
}

#[test]
fn a_wake_up_that_was_due_is_none() {
    let signalled = rescues(|kernel, _, handle| {
        works(kernel);
        handle.wake();
    });
    assert_eq!(signalled, 0);
    let both = rescues(|kernel, watchdog, handle| {
        works(kernel);
        watchdog.fired.set(true);
        handle.wake();
        handle.wake();
    });
    assert_eq!(both, 0, "the kernel signalled too");
    let idle = rescues(|_, watchdog, handle| {
        watchdog.fired.set(true);
        handle.wake();
    });
    assert_eq!(idle, 0, "there was nothing to find");
}

/// Gives a core something to do.
type Begin = fn(&mut Driver<Echoing>, &Scripted, &Mailboxes<u8>);

#[test]
fn a_core_that_has_something_to_do_does_not_park() {
    let executor = LocalExecutorBuilder::new(Placement::Unbound)
        .make()
        .unwrap();
    executor.run(async {
        let busy: [Begin; 3] = [
            |_, kernel, _| works(kernel),
            |driver, _, _| driver.shard.deadline = Some(driver.port.now),
            |_, _, mailboxes| {
                let mut other = Mailer::new(Arc::clone(mailboxes), Core(1));
                other.queue(Core(0), 7, 0);
                other.deliver(&mut Ring::new(Scripted::default()));
            },
        ];
        for begin in busy {
            let (mut driver, kernel, mailboxes) = core();
            let (waker, watchdog) = (Waker::new().unwrap(), Watchdog::default());
            begin(&mut driver, &kernel, &mailboxes);
            // It would wait for ever.
            park(&mut driver, &waker, &watchdog).await.unwrap();
            assert!(!watchdog.parked.get());
        }
    });
}

//! Messages between cores where doorbells fail and where a core ends.

use super::*;
use crate::engine::ring::operation::plain;
use crate::limits;

#[test]
fn a_doorbell_that_the_kernel_did_not_ring_wakes_the_core() {
    let (mut driver, kernel, mailboxes) = core();
    let waker = WakeHandle::new().unwrap();
    let mailboxes_of_two = mailboxes_for(2);
    let other = Mailer::new(Arc::clone(&mailboxes_of_two), Core(1));
    other.set_doorbell(-1, waker.clone());
    driver.port.mailer = Mailer::new(mailboxes_of_two, Core(0));
    drop(mailboxes);
    driver.port.forward(Core(1), 7);
    turn(&mut driver);
    turn(&mut driver);
    assert_eq!(kernel.taken(), [Operation::RingDoorbell]);
    assert!(other.has_mail() && !waker.is_signalled());
    kernel.completes(plain(Operation::RingDoorbell, 1), -libc::ENOMEM, 0);
    turn(&mut driver);
    assert!(waker.is_signalled());
}

#[test]
fn messages_are_fetched_though_no_doorbell_rang() {
    let (mut driver, _kernel, mailboxes) = core();
    let mut other: Mailer<u8> = Mailer::new(mailboxes, Core(1));
    let mut ring = Ring::new(Scripted::default());
    other.queue(Core(0), 9, 0);
    other.deliver(&mut ring);
    assert!(driver.is_urgent(), "it does not park");
    turn(&mut driver);
    assert_eq!(driver.shard.messages, [9]);
    assert!(!driver.is_urgent());
}

#[test]
fn a_core_that_ends_lets_its_last_entries_leave_and_takes_no_more_messages() {
    let (mut driver, kernel, mailboxes) = core();
    driver.port.forward(Core(1), 7);
    // As the last turn does; the kernel takes it only after a while.
    let mut ring = Ring::new(kernel.clone());
    driver.port.mailer.deliver(&mut ring);
    kernel.0.borrow_mut().keeps = 0;
    driver.finish();
    assert!(kernel.taken().contains(&Operation::RingDoorbell));
    let mut other: Mailer<u8> = Mailer::new(Arc::clone(&mailboxes), Core(1));
    other.queue(Core(0), 1, 0);
    other.deliver(&mut Ring::new(Scripted::default()));
    let own: Mailer<u8> = Mailer::new(mailboxes, Core(0));
    assert!(!own.has_mail());
}

#[test]
fn what_waits_in_mailboxes_counts_until_it_is_fetched_or_its_core_ends() {
    for ends in [false, true] {
        let (mut driver, _kernel, mailboxes) = core();
        let mut other: Mailer<u8> = Mailer::new(mailboxes, Core(1));
        other.queue(Core(0), 9, limits::MAIL_BYTES);
        other.deliver(&mut Ring::new(Scripted::default()));
        assert!(driver.port.mail_is_full());
        if ends {
            driver.finish();
        } else {
            turn(&mut driver);
        }
        assert!(!other.mail_is_full(), "{ends}");
    }
}

#[test]
fn a_doorbell_that_was_not_rung_wakes_though_the_core_that_rang_it_ends() {
    let (mut driver, kernel, _mailboxes) = core();
    let mailboxes = mailboxes_for(2);
    let waker = WakeHandle::new().unwrap();
    Mailer::<u8>::new(Arc::clone(&mailboxes), Core(1)).set_doorbell(-1, waker.clone());
    driver.port.mailer = Mailer::new(mailboxes, Core(0));
    driver.port.forward(Core(1), 7);
    let mut ring = Ring::new(kernel.clone());
    driver.port.mailer.deliver(&mut ring);
    kernel.completes(plain(Operation::RingDoorbell, 1), -libc::ENOMEM, 0);
    driver.finish();
    assert!(waker.is_signalled());
}

/// What a core says to itself is fetched in its next turn.
#[test]
fn nobody_rings_its_own_doorbell() {
    let (mut driver, kernel, _mailboxes) = core();
    let waker = WakeHandle::new().unwrap();
    driver.port.mailer.set_doorbell(-1, waker);
    driver.port.forward(Core(0), 7);
    turn(&mut driver);
    turn(&mut driver);
    assert_eq!(kernel.taken(), []);
    assert_eq!(driver.shard.messages, [7]);
}

#[test]
fn who_has_finished_hears_nothing_more() {
    let (mut driver, _kernel, mailboxes) = core();
    driver.shard.is_last = true;
    let mut other: Mailer<u8> = Mailer::new(mailboxes, Core(1));
    (1..4).for_each(|message| other.queue(Core(0), message, 0));
    other.deliver(&mut Ring::new(Scripted::default()));
    turn(&mut driver);
    assert_eq!(driver.shard.messages, [1]);
}

/// They cannot be told one by one any more: each core looks at its mailbox when it is woken.
#[test]
fn a_core_that_ends_and_whose_doorbells_never_left_wakes_everybody() {
    let (mut driver, kernel, _mailboxes) = core();
    let mailboxes = mailboxes_for(2);
    let waker = WakeHandle::new().unwrap();
    Mailer::<u8>::new(Arc::clone(&mailboxes), Core(1)).set_doorbell(-1, waker.clone());
    driver.port.mailer = Mailer::new(mailboxes, Core(0));
    driver.port.forward(Core(1), 7);
    let port = &mut *driver.port;
    port.mailer.deliver(port.rings.lead());
    kernel.0.borrow_mut().keeps = usize::MAX;
    driver.finish();
    assert!(waker.is_signalled());
}

//! Messages between cores where doorbells fail and where a core ends.

use super::*;
use crate::engine::ring::operation::plain;

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

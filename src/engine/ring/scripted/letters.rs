//! Letters between cores where doorbells fail and where a core ends.

use super::*;
use crate::engine::ring::operation::plain;

#[test]
fn a_doorbell_that_the_kernel_did_not_ring_rings_the_bell() {
    let (mut driver, kernel, post) = core();
    let bell = Ringing::new().unwrap();
    let post_of_two = mail::post(2);
    let other = Desk::new(Arc::clone(&post_of_two), Core(1));
    other.hang(-1, bell.clone());
    driver.port.desk = Desk::new(post_of_two, Core(0));
    drop(post);
    driver.port.forward(Core(1), 7);
    turn(&mut driver);
    turn(&mut driver);
    assert_eq!(kernel.taken(), [Operation::Ringing]);
    assert!(other.has_mail() && !bell.is_ringing());
    kernel.completes(plain(Operation::Ringing, 1), -libc::ENOMEM, 0);
    turn(&mut driver);
    assert!(bell.is_ringing());
}

#[test]
fn letters_are_read_though_no_doorbell_rang() {
    let (mut driver, _kernel, post) = core();
    let mut other: Desk<u8> = Desk::new(post, Core(1));
    let mut ring = Ring::new(Scripted::default());
    other.write(Core(0), 9);
    other.deliver(&mut ring);
    assert!(driver.is_urgent(), "it does not park");
    turn(&mut driver);
    assert_eq!(driver.shard.letters, [9]);
    assert!(!driver.is_urgent());
}

#[test]
fn a_core_that_ends_lets_its_last_entries_leave_and_takes_no_more_letters() {
    let (mut driver, kernel, post) = core();
    driver.port.forward(Core(1), 7);
    // As the last turn does; the kernel takes it only after a while.
    let mut ring = Ring::new(kernel.clone());
    driver.port.desk.deliver(&mut ring);
    kernel.0.borrow_mut().keeps = 0;
    driver.finish();
    assert!(kernel.taken().contains(&Operation::Ringing));
    let mut other: Desk<u8> = Desk::new(Arc::clone(&post), Core(1));
    other.write(Core(0), 1);
    other.deliver(&mut Ring::new(Scripted::default()));
    let own: Desk<u8> = Desk::new(post, Core(0));
    assert!(!own.has_mail());
}

//! How long a core waits in the kernel, and what it must be woken for.

use super::*;
use crate::limits;

const TICK: Duration = Duration::from_millis(10);

#[test]
fn a_wait_ends_with_the_tick_or_with_a_deadline_before_it() {
    let (mut driver, _kernel, _mailboxes) = core();
    let now = crate::engine::now();
    (driver.port.now, driver.tick) = (now, Some(now + Duration::from_secs(9)));
    assert_eq!(driver.patience(TICK), EnterWait::ForOne, "no deadline");
    driver.shard.deadline = Some(now + Duration::from_secs(10));
    assert_eq!(
        driver.patience(TICK),
        EnterWait::ForOne,
        "the tick is first"
    );
    let near = Duration::from_secs(8);
    driver.shard.deadline = Some(now + near);
    match driver.patience(TICK) {
        EnterWait::AtMost(span) => assert!(span <= near, "{span:?}"),
        other => panic!("{other:?}"),
    }
    driver.shard.deadline = Some(now);
    assert_eq!(driver.patience(TICK), EnterWait::Not, "it has passed");
    driver.shard.deadline = None;
    assert_eq!(driver.patience(Duration::ZERO), EnterWait::Not);
}

/// Success of other sends is told by nobody: they are proven whenever the core is next awake.
#[test]
fn a_send_from_which_something_follows_is_told_of_when_it_is_done() {
    for (bytes, closes, sent) in [
        (limits::BACKLOG_HIGH, false, Send::Unproven),
        (limits::BACKLOG_HIGH + 1, false, Send::Waiting),
        (5, true, Send::Waiting),
    ] {
        let (mut driver, _kernel, _mailboxes) = core();
        let id = accept(&mut driver, 4);
        driver.port.send(id, &vec![b'x'; bytes]).unwrap();
        if closes {
            driver.port.close(id, Close::Flush);
        }
        driver.port.settle_all();
        assert_eq!(send(&mut driver, id), sent, "{bytes} {closes}");
    }
}

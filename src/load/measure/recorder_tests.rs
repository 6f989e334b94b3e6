//! What the recorder counts, and what it leaves out.

use super::*;

fn at(ns: u64) -> Instant {
    Instant::from_nanos(ns)
}

fn pushed(sequence: u64, sent_ns: u64) -> Option<Pushed> {
    Some(Pushed { sequence, sent_ns })
}

#[test]
fn slip_service_and_response_are_measured_from_their_own_times() {
    let mut recorder = Recorder::new(true);
    recorder.measure(at(1_000), at(9_000));
    let times = SendTimes {
        intended: at(1_100),
        submitted: at(1_400),
    };
    recorder.sent(times);
    recorder.replied(times, at(2_000));
    let latencies = &recorder.outcome.latencies;
    let max = |latency: &crate::load::latency::Latency| latency.histogram().max();
    let all = [&latencies.slip, &latencies.service, &latencies.response].map(max);
    assert_eq!(all, [300, 600, 900]);
}

#[test]
fn a_closed_loop_has_no_slip_and_no_response() {
    let mut recorder = Recorder::new(false);
    recorder.measure(at(0), at(9_000));
    let times = SendTimes {
        intended: at(5),
        submitted: at(5),
    };
    recorder.sent(times);
    recorder.replied(times, at(20));
    let latencies = &recorder.outcome.latencies;
    assert!(latencies.slip.histogram().is_empty() && latencies.response.histogram().is_empty());
    assert_eq!(latencies.service.histogram().max(), 15);
}

#[test]
fn what_is_meant_for_the_unmeasured_is_not_measured_whenever_its_reply_comes() {
    // What is meant for the beginning is measured, and for the end it is not.
    for (intended, submitted, counts) in [
        (999, 1_005, (1, 0, 0)),
        (1_000, 1_005, (0, 1, 1)),
        (8_999, 9_005, (0, 1, 1)),
        (9_000, 9_000, (1, 0, 0)),
    ] {
        let mut recorder = Recorder::new(true);
        recorder.measure(at(1_000), at(9_000));
        let times = SendTimes {
            intended: at(intended),
            submitted: at(submitted),
        };
        recorder.sent(times);
        recorder.replied(times, at(submitted + 1_000));
        let it = recorder.outcome.messages;
        assert_eq!((it.unmeasured, it.sent, it.replied), counts, "{intended}");
        assert_eq!(recorder.in_flight, 0);
    }
}

#[test]
fn whatever_becomes_of_a_planned_message_the_sums_hold() {
    let mut recorder = Recorder::new(true);
    recorder.measure(at(100), at(200));
    let times = |ns| SendTimes {
        intended: at(ns),
        submitted: at(ns),
    };
    let planned: Vec<SendTimes> = (95..105).map(times).collect();
    for sent in planned.get(..8).unwrap() {
        recorder.sent(*sent);
    }
    recorder.dropped(planned.get(8..).unwrap(), Cause::Backlog);
    recorder.never_sent(7, Cause::Late);
    recorder.replied(times(96), at(130));
    recorder.replied(times(101), at(130));
    recorder.end_sending();
    recorder.replied(times(102), at(230));
    recorder.gone(5);
    recorder.end();
    let messages = recorder.outcome().messages;
    assert_eq!(messages.planned, messages.sent + messages.dropped.total());
    assert_eq!(messages.sent, messages.replied + messages.lost);
    assert_eq!((messages.sent, messages.dropped.total()), (3, 9));
    assert_eq!((messages.replied, messages.replied_in_time), (2, 1));
    assert_eq!(recorder.in_flight(), 0);
}

#[test]
fn gaps_repetitions_and_stamps_from_the_future_are_counted() {
    let mut recorder = Recorder::new(false);
    recorder.measure(at(0), at(9_000));
    recorder.stamped(pushed(7, 10), 0, Age::New, at(30));
    recorder.stamped(pushed(8, 10), 7, Age::New, at(30));
    recorder.stamped(pushed(12, 40), 8, Age::New, at(30));
    recorder.stamped(pushed(12, 10), 12, Age::New, at(30));
    recorder.stamped(None, 12, Age::New, at(30));
    let events = recorder.outcome.events;
    assert_eq!((events.gaps, events.repeated), (3, 1));
    assert_eq!((events.negative, events.unstamped), (1, 1));
    assert_eq!(recorder.outcome.latencies.one_way.histogram().len(), 3);
}

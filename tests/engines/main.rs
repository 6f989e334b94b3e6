//! The contract of the seam (`ringstorm::shard`), one suite for every engine on real sockets.

#![expect(clippy::unwrap_used, reason = "what must not fail in a test may panic")]

mod accepting;
#[path = "../agent.rs"]
mod agent;
mod bytes;
mod cores;
mod ends;
mod engine;
#[path = "../load_engines.rs"]
mod load_engines;
mod peer;
mod places;
mod script;
mod times;
mod vanished;

use engine::{Engine, engines};
use ringstorm::engine::{EngineConfig, EngineError, ring, tokio};
use ringstorm::shard::{Core, Shard};

engines! {
    Ring => ring::run;
    ManyRings => on_small_tables;
    Tokio => tokio::run;
}

/// The ring engine with file tables so small that every core has several rings.
fn on_small_tables<S: Shard + 'static>(
    plan: EngineConfig,
    make: impl Fn(Core) -> S + Send + Sync + 'static,
) -> Result<Vec<S::Outcome>, EngineError> {
    let table = (plan.slots / 4).clamp(1, 64);
    let slots = plan.slots.min(table * 16);
    ring::run(
        EngineConfig {
            slots,
            table,
            ..plan
        },
        make,
    )
}

macro_rules! suite {
    ($($module:ident: $($test:ident)*;)*) => {
        suite!(@ on_ring Ring $($($module::$test)*)*);
        suite!(@ on_many_rings ManyRings $($($module::$test)*)*);
        suite!(@ on_tokio Tokio $($($module::$test)*)*);
    };
    (@ $place:ident $engine:ident $($module:ident::$test:ident)*) => {
        mod $place {
            $(#[test]
            fn $test() {
                super::$module::$test::<super::$engine>();
            })*
        }
    };
}

suite! {
    accepting:
        every_slot_is_filled_whichever_listeners_are_idle
        slots_of_a_full_table_go_to_every_listener_in_its_turn
        a_slot_that_is_taken_and_left_again_and_again_stays_usable
        peers_that_wait_are_let_go_when_accepting_stops
        a_socket_that_cores_share_serves_every_peer
        a_panicked_cores_listener_leaves_the_others_the_newcomers;
    bytes:
        an_echo_returns_every_byte_in_order_to_every_peer
        what_is_queued_in_one_turn_leaves_in_one_send
        payloads_and_copies_arrive_interleaved_as_queued
        the_backlog_is_capped_and_drained_is_said_when_it_is_low
        a_paused_connection_receives_nothing_until_it_is_resumed
        a_flood_from_one_peer_does_not_starve_another
        many_connections_share_few_receive_buffers;
    ends:
        a_flush_close_delivers_everything_first
        an_abort_resets_and_drops_what_is_queued
        an_abort_after_a_flush_close_ends_at_once
        a_flush_close_waits_for_a_slow_steady_reader
        a_flush_close_does_not_wait_for_ever
        a_flush_close_throws_input_away
        a_peers_end_closes_once
        a_peers_reset_closes_once
        a_peer_that_ended_gets_what_was_queued
        a_peer_that_ended_gets_an_answer_that_came_later
        a_peer_that_ended_while_paused_is_heard_of_after_it
        a_close_in_opened_gives_only_closed
        after_closing_nothing_is_sent_and_a_second_close_is_ignored
        finishing_drops_what_is_open;
    times:
        nothing_is_received_before_it_was_sent
        nothing_is_forwarded_before_it_was_said
        nothing_is_opened_before_it_was_asked_for
        a_peer_ends_when_it_does_and_not_before
        a_peer_resets_when_it_does_and_not_before;
    vanished:
        a_peer_that_vanishes_is_noticed;
    places:
        a_connect_opens_talks_and_closes
        a_connect_uses_its_source_address
        a_connect_to_a_dead_port_is_refused_without_opened
        a_connect_from_a_foreign_address_fails_without_opened
        a_connect_that_is_closed_at_once_gives_only_closed
        connects_are_refused_when_every_slot_is_taken
        accepting_pauses_when_slots_run_out_and_goes_on
        a_slot_is_reused_under_another_id
        stop_accepting_refuses_new_peers_and_keeps_the_old;
    cores:
        messages_between_cores_arrive_once_and_in_order
        a_message_to_oneself_comes_as_an_event
        the_last_message_of_a_core_that_finishes_arrives
        a_deadline_is_kept_and_never_early
        a_moved_deadline_counts_from_its_last_place
        a_stop_reaches_every_parked_core
        a_stop_from_before_the_start_is_seen
        a_quiet_core_sleeps
        what_a_quiet_core_begins_ends_though_nothing_else_happens
        a_parked_core_wakes_for_a_message_and_for_a_byte
        a_panicking_shard_is_an_error_and_ends_the_others
        outcomes_are_in_the_order_of_the_cores;
}

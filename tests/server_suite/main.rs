//! What clients get from the server, byte for byte: one suite for every engine.

#![expect(clippy::unwrap_used, reason = "what must not fail in a test may panic")]

mod applications;
#[path = "../tls/certificates.rs"]
mod certificates;
mod chatting;
mod closing;
mod deflate;
#[path = "../engines/engine.rs"]
mod engine;
mod failing;
mod flood;
mod http;
mod listening;
mod memory;
mod middleware;
mod realtime;
mod rooms;
mod script;
mod secured;
mod simulated;
mod sockets;
mod takeover;
mod talking;
mod transport;

use engine::{Engine, engines};
use ringstorm::engine::{ring, tokio};
use ringstorm::limits;
use ringstorm::server::{Apps, Config, Outcome, built_in};
use ringstorm::time::Instant;
use script::Script;
use simulated::{OnSim, explore};
use sockets::{OnSockets, OnTls};
use std::time::Duration;

/// What a test needs of a place to run in.
trait Harness {
    /// Starts a server, lets clients do what the script says, stops the server, and gives what its
    /// cores counted. Panics if anything is not as the script wants it.
    fn run(setup: Setup, script: Script) -> Vec<Outcome> {
        Self::run_with(setup, script, built_in)
    }

    /// The same for a server with those applications.
    fn run_with<A: Apps>(setup: Setup, script: Script, apps: fn(&Config) -> A) -> Vec<Outcome>;
}

/// The server of a test.
struct Setup {
    config: Config,
    cores: usize,
    max_backlog: usize,
    /// Connections that each core may have.
    slots: u32,
}

impl Default for Setup {
    fn default() -> Self {
        let config = Config::new("test", Instant::default());
        let chunk = Duration::from_millis(20);
        Self {
            config: Config { chunk, ..config },
            cores: 1,
            max_backlog: limits::BACKLOG_BYTES,
            slots: 64,
        }
    }
}

impl Setup {
    fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut setup = Self::default();
        change(&mut setup.config);
        setup
    }
}

engines! {
    Ring => ring::run;
    Tokio => tokio::run;
}

fn run_once(test: impl Fn()) {
    test();
}

macro_rules! suite {
    (sockets: $($module:ident: $($test:ident)*;)*) => {
        suite!(@ half_on_ring run_once OnSockets<super::Ring>, $($($module::$test)*)*);
        suite!(@ half_on_tokio run_once OnSockets<super::Tokio>, $($($module::$test)*)*);
    };
    (tls: $($module:ident: $($test:ident)*;)*) => {
        suite!(@ tls_on_ring run_once OnTls<super::Ring>, $($($module::$test)*)*);
        suite!(@ tls_on_tokio run_once OnTls<super::Tokio>, $($($module::$test)*)*);
    };
    ($($module:ident: $($test:ident)*;)*) => {
        suite!(@ on_ring run_once OnSockets<super::Ring>, $($($module::$test)*)*);
        suite!(@ on_tokio run_once OnSockets<super::Tokio>, $($($module::$test)*)*);
        suite!(@ on_sim explore OnSim, $($($module::$test)*)*);
    };
    (@ $place:ident $how:ident $harness:ty, $($module:ident::$test:ident)*) => {
        mod $place {
            use super::*;

            $(#[test]
            fn $test() {
                $how(super::$module::$test::<$harness>);
            })*
        }
    };
}

suite! {
    applications:
        everyone_on_every_core_sees_the_counter
        what_is_mounted_beside_the_built_in_applications_leaves_them_as_they_are;
    chatting:
        two_who_come_are_matched_and_talk_on_whichever_cores
        what_is_no_message_of_a_chat_is_told_so_and_bytes_end_it;
    http:
        plain_routes_answer_on_one_connection
        pipelined_requests_are_answered_in_order_however_they_are_split
        each_bad_request_gets_its_status_and_the_end
        a_body_is_skipped_or_refused
        a_head_that_trickles_gets_408
        stats_add_up_over_two_cores
        a_draining_server_answers_what_has_begun;
    talking:
        an_echo_returns_messages_in_any_pieces
        a_large_message_comes_back_whole
        messages_of_many_lengths_come_back_one_after_the_other
        pings_are_answered_between_fragments
        a_close_is_answered_with_its_code
        each_bad_frame_gets_its_close_code
        an_echo_that_is_not_read_stops_reading_and_loses_nothing
        a_silent_websocket_is_pinged_and_then_closed
        a_draining_server_closes_with_1001
        a_draining_server_waits_for_who_reads_late;
    listening:
        push_and_events_carry_the_same_numbers
        who_comes_back_misses_nothing
        an_id_that_is_too_old_is_told_so
        a_quiet_stream_gets_heartbeats
        a_listener_that_does_not_read_is_ended_and_the_others_go_on
        a_draining_server_ends_streams
        who_does_not_take_what_is_left_in_the_time_to_drain_is_cut_off;
    deflate:
        a_deflated_message_comes_back_deflated_and_a_plain_one_may_be
        a_broadcast_reaches_deflating_and_plain_listeners_alike
        members_of_a_room_may_deflate_or_not
        a_large_message_of_repeats_comes_back
        who_makes_much_work_keeps_nobody_waiting
        what_cannot_be_inflated_gets_its_close_code
        without_the_flag_nothing_is_agreed_on;
    takeover:
        messages_that_refer_to_those_before_come_back_so
        each_side_keeps_context_only_if_the_other_lets_it
        what_refers_to_nothing_that_was_said_gets_its_close_code
        members_of_a_room_hear_each_other_with_context
        where_many_are_told_it_is_deflated_once_and_is_what_the_next_refers_to
        without_room_in_the_budget_no_context_is_kept;
    middleware:
        rules_refuse_requests_commands_and_publications
        members_speak_and_visitors_look_on;
    realtime:
        what_is_published_is_heard_in_every_protocol_on_every_core
        what_no_client_says_gets_its_close_code_and_the_others_go_on
        tokens_say_who_may_be_told_what
        sockets_of_one_browser_share_a_session_over_cores
        without_a_plan_there_are_no_channels
        sessions_of_engine_io_begin_with_a_request_that_has_no_body;
    rooms:
        members_hear_each_other_over_either_transport
        members_on_several_cores_hear_everything_in_one_order
        what_cannot_be_said_gets_its_status_or_close_code
        a_room_that_empties_is_used_again
        a_member_that_does_not_read_is_ended_and_the_others_go_on
        a_post_to_a_room_whose_members_are_behind_gets_429
        a_quiet_member_gets_heartbeats
        a_draining_server_ends_members;
}

suite! {
    sockets:
    closing:
        a_half_closed_peer_gets_the_answer_that_waits_for_another_core
        a_half_closed_post_is_answered
        a_half_closed_websocket_or_stream_is_over
        half_a_request_and_a_half_close_get_no_answer
        what_was_cut_off_is_not_heard
        a_slow_steady_reader_gets_what_was_said_before_a_close
        a_draining_server_waits_for_a_slow_steady_reader;
    flood:
        members_that_read_stay_whatever_one_of_them_says
        members_that_read_stay_whatever_all_of_them_say
        members_that_read_stay_on_two_cores
        long_texts_of_control_characters_end_nobody_that_reads;
    memory:
        rooms_that_do_not_read_hold_no_more_than_the_budget_and_give_it_back
        large_messages_that_have_begun_are_held_within_the_budget
        who_stops_in_a_large_message_or_reads_no_echo_is_ended_in_its_time;
}

suite! {
    tls:
    http:
        pipelined_requests_are_answered_in_order_however_they_are_split
        each_bad_request_gets_its_status_and_the_end
        a_draining_server_answers_what_has_begun;
    talking:
        an_echo_returns_messages_in_any_pieces
        a_large_message_comes_back_whole
        messages_of_many_lengths_come_back_one_after_the_other
        a_close_is_answered_with_its_code
        each_bad_frame_gets_its_close_code
        an_echo_that_is_not_read_stops_reading_and_loses_nothing
        a_draining_server_closes_with_1001;
    listening:
        push_and_events_carry_the_same_numbers
        a_listener_that_does_not_read_is_ended_and_the_others_go_on
        a_draining_server_ends_streams
        who_does_not_take_what_is_left_in_the_time_to_drain_is_cut_off;
    rooms:
        members_hear_each_other_over_either_transport
        members_on_several_cores_hear_everything_in_one_order;
    closing:
        a_half_closed_peer_gets_the_answer_that_waits_for_another_core
        a_half_closed_post_is_answered
        a_half_closed_websocket_or_stream_is_over
        half_a_request_and_a_half_close_get_no_answer
        what_was_cut_off_is_not_heard
        a_slow_steady_reader_gets_what_was_said_before_a_close
        a_draining_server_waits_for_a_slow_steady_reader;
    secured:
        keys_change_on_both_sides_while_messages_go_on
        keys_that_change_without_end_end_the_connection
        a_record_that_was_changed_ends_only_its_own_connection;
}

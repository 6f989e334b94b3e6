//! The closing handshake as a table, and which close codes mean something (RFC 6455, 7).

use super::{NOT_UTF8, broken};
use crate::protocol::Fault;

/// The purpose is fulfilled.
pub const NORMAL: u16 = 1000;
/// The endpoint goes away: a server that stops.
pub const GOING_AWAY: u16 = 1001;
/// The other side broke the protocol.
pub const PROTOCOL_ERROR: u16 = 1002;
/// A message of a type that is not wanted here.
pub const UNSUPPORTED: u16 = 1003;
/// A message whose content does not fit its type: text that is not UTF-8.
pub const INVALID_PAYLOAD: u16 = 1007;
/// Against a policy: too slow, too many.
pub const POLICY: u16 = 1008;
/// A message that is too big.
pub const TOO_BIG: u16 = 1009;
/// The server restarts: come back (IANA registry).
pub const SERVICE_RESTART: u16 = 1012;
/// Overloaded: come back later (IANA registry).
pub const TRY_AGAIN_LATER: u16 = 1013;

/// Whether a close frame may carry this code.
///
/// RFC 6455, 7.4 and the IANA registry: 1004 is reserved, 1005, 1006 and 1015 never travel, the
/// rest of 1000 to 2999 is unassigned, 3000 to 4999 is for libraries and applications.
#[must_use]
pub const fn may_be_received(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// The code to answer a close frame with: the same (RFC 6455, 5.5.1), or none to none.
#[must_use]
pub const fn reply_code(received: Option<u16>) -> Option<u16> {
    received
}

/// Where the closing handshake of one connection stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClosingState {
    /// No close frame in either direction.
    #[default]
    Open,
    /// Ours is sent, the peer's is awaited; what arrives before it still counts.
    CloseSent,
    /// The peer's is received, ours is owed; nothing that arrives counts any more.
    CloseReceived,
    /// Both are through, or the connection failed.
    Closed,
}

/// What can happen to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// This side wants to close, or to answer a close.
    Close,
    /// A close frame arrived.
    Received,
    /// A fault of the peer was found: it is told and not waited for (RFC 6455, 7.1.7).
    Failed,
    /// The connection ended or the time for the peer's answer is over.
    Ended,
}

/// What is to be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    Nothing,
    /// Send a close frame.
    Send,
    /// Send a close frame, then end the connection.
    SendAndEnd,
    /// End the connection.
    End,
}

/// The next state and what to do: the whole closing handshake (RFC 6455, 5.5.1 and 7.1).
///
/// Of the two sides the server ends the TCP connection first (7.1.1); a client that gets
/// [`Action::End`] after a complete handshake gives it a moment.
#[must_use]
pub const fn step(state: ClosingState, input: Input) -> (ClosingState, Action) {
    match (state, input) {
        (ClosingState::Open, Input::Close) => (ClosingState::CloseSent, Action::Send),
        (ClosingState::Open, Input::Received) => (ClosingState::CloseReceived, Action::Nothing),
        (ClosingState::Open, Input::Failed) => (ClosingState::Closed, Action::SendAndEnd),
        (ClosingState::CloseSent, Input::Close) => (ClosingState::CloseSent, Action::Nothing),
        (ClosingState::CloseSent, Input::Received | Input::Failed) => {
            (ClosingState::Closed, Action::End)
        }
        (ClosingState::CloseReceived, Input::Close) => (ClosingState::Closed, Action::SendAndEnd),
        (ClosingState::CloseReceived, Input::Received) => {
            (ClosingState::CloseReceived, Action::Nothing)
        }
        (ClosingState::CloseReceived, Input::Failed) => (ClosingState::Closed, Action::SendAndEnd),
        (
            ClosingState::Open | ClosingState::CloseSent | ClosingState::CloseReceived,
            Input::Ended,
        ) => (ClosingState::Closed, Action::End),
        (ClosingState::Closed, Input::Close | Input::Received | Input::Failed | Input::Ended) => {
            (ClosingState::Closed, Action::Nothing)
        }
    }
}

/// Reads the payload of a close frame (RFC 6455, 5.5.1 and 7.4): its code, if it has one, and its
/// reason.
pub(super) fn read(payload: &[u8]) -> Result<(Option<u16>, &str), Fault> {
    match payload {
        [] => Ok((None, "")),
        [_] => Err(broken("a close frame of one byte")),
        [a, b, reason @ ..] => {
            let code = u16::from_be_bytes([*a, *b]);
            if !may_be_received(code) {
                return Err(broken("a close code that may not travel"));
            }
            let reason = simdutf8::basic::from_utf8(reason).map_err(|_| NOT_UTF8)?;
            Ok((Some(code), reason))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [ClosingState; 4] = [
        ClosingState::Open,
        ClosingState::CloseSent,
        ClosingState::CloseReceived,
        ClosingState::Closed,
    ];
    const INPUTS: [Input; 4] = [Input::Close, Input::Received, Input::Failed, Input::Ended];

    /// The golden table: a change of any transition shows here.
    const TABLE: &str = "\
Open           Close     -> CloseSent      Send
Open           Received  -> CloseReceived  Nothing
Open           Failed    -> Closed         SendAndEnd
Open           Ended     -> Closed         End
CloseSent      Close     -> CloseSent      Nothing
CloseSent      Received  -> Closed         End
CloseSent      Failed    -> Closed         End
CloseSent      Ended     -> Closed         End
CloseReceived  Close     -> Closed         SendAndEnd
CloseReceived  Received  -> CloseReceived  Nothing
CloseReceived  Failed    -> Closed         SendAndEnd
CloseReceived  Ended     -> Closed         End
Closed         Close     -> Closed         Nothing
Closed         Received  -> Closed         Nothing
Closed         Failed    -> Closed         Nothing
Closed         Ended     -> Closed         Nothing
";

    #[test]
    fn the_closing_handshake_is_this_table() {
        let mut table = String::new();
        for state in STATES {
            for input in INPUTS {
                let (next, action) = step(state, input);
                let (state, input) = (format!("{state:?}"), format!("{input:?}"));
                let next = format!("{next:?}");
                table += &format!("{state:<14} {input:<9} -> {next:<14} {action:?}\n");
            }
        }
        println!("{table}");
        assert_eq!(table, TABLE);
    }

    #[test]
    fn a_close_after_close_is_ignored() {
        // RFC 6455, 5.5.1: after a close frame nothing more is sent.
        for first in INPUTS {
            let (state, action) = step(ClosingState::Open, first);
            let sent = matches!(action, Action::Send | Action::SendAndEnd);
            let again = step(state, Input::Close).1;
            assert!(!sent || again == Action::Nothing, "{first:?} then Close");
        }
    }

    #[test]
    fn at_most_one_close_frame_is_sent_and_the_connection_ended_once_whatever_happens() {
        for sequence in 0..4_usize.pow(6) {
            let (mut state, mut sent, mut ended) = (ClosingState::Open, 0, 0);
            for place in 0..6 {
                let (next, action) = step(state, INPUTS[sequence / 4_usize.pow(place) % 4]);
                state = next;
                sent += usize::from(matches!(action, Action::Send | Action::SendAndEnd));
                ended += usize::from(matches!(action, Action::End | Action::SendAndEnd));
            }
            assert!(sent <= 1 && ended <= 1, "sequence {sequence}");
            assert_eq!(
                ended == 1,
                state == ClosingState::Closed,
                "sequence {sequence}"
            );
        }
    }

    #[test]
    fn only_codes_that_may_travel_are_received() {
        // RFC 6455, 7.4.1 and 7.4.2; 1012 to 1014 from the IANA registry.
        let taken: Vec<u16> = (0..=u16::MAX)
            .filter(|code| may_be_received(*code))
            .collect();
        let mut expected = vec![1000, 1001, 1002, 1003];
        expected.extend(1007..=1014);
        expected.extend(3000..=4999);
        assert_eq!(taken, expected);
        assert!(
            taken
                .iter()
                .all(|code| reply_code(Some(*code)) == Some(*code))
        );
        assert_eq!(reply_code(None), None);
    }
}

//! What a broker's reply is to who asked.

use super::answer::{Delivery, HubAnswer, HubError};
use super::broker::BrokerReply;
use super::history::Catchup;
use std::sync::Arc;

/// The answer to who asked.
pub(super) fn answer(
    channel: &Arc<str>,
    reply: BrokerReply,
    (clients, cores): (u64, u16),
) -> HubAnswer {
    match reply {
        BrokerReply::Done => HubAnswer::Done,
        BrokerReply::Published(position) => HubAnswer::Published(Delivery {
            position,
            clients,
            cores,
        }),
        BrokerReply::Read(Catchup { whole: false, .. }) => {
            HubAnswer::Refused(HubError::UnrecoverablePosition)
        }
        BrokerReply::Read(caught) => HubAnswer::History(channel.clone(), caught),
        BrokerReply::Listed(list) => HubAnswer::Presence(list),
        BrokerReply::Counted(count) => HubAnswer::Headcount(count),
        BrokerReply::Full => HubAnswer::Refused(HubError::LimitExceeded),
        other @ (BrokerReply::Entered { .. }
        | BrokerReply::Gone { .. }
        | BrokerReply::Unavailable) => HubAnswer::Refused(refusal(&other)),
    }
}

/// Why nothing came of a command.
pub(super) fn refusal(reply: &BrokerReply) -> HubError {
    debug_assert!(
        matches!(reply, BrokerReply::Unavailable),
        "a broker answered something else than was asked: {reply:?}"
    );
    HubError::Unreachable
}

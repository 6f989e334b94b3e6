//! The hub's words as the codec of Centrifugo takes them.

use crate::app::hub::answer::{HubError, Subscribed};
use crate::app::hub::publication::{ClientInfo, Publication};
use crate::app::rules::RuleRefusal;
use crate::protocol::centrifugo::{
    ErrorCode, InfoView, PublicationView, StreamView, SubscribeReply,
};
use crate::protocol::socketcluster::ClusterError;

/// Who a client is.
#[must_use]
pub fn info(info: &ClientInfo) -> InfoView<'_> {
    InfoView {
        client: &info.client,
        user: info.user(),
        conn_info: info.info(),
    }
}

/// Something that was said.
#[must_use]
pub fn publication(it: &Publication) -> PublicationView<'_> {
    PublicationView {
        offset: it.offset,
        data: &it.data,
        by: it.by.as_ref().map(info),
        tags: it.tags.as_deref(),
        channel: None,
    }
}

/// Something that was said in that channel, for who has subscribed to a pattern: it has no number
/// to come back to.
#[must_use]
pub fn matched<'p>(channel: &'p str, it: &'p Publication) -> PublicationView<'p> {
    PublicationView {
        offset: 0,
        channel: Some(channel),
        ..publication(it)
    }
}

/// How a subscription stands, which ends in so many seconds if it does.
#[must_use]
pub fn subscribed(
    it: &Subscribed,
    ttl_s: Option<u64>,
) -> SubscribeReply<'_, impl Iterator<Item = PublicationView<'_>>> {
    let missed = it.missed.as_ref();
    SubscribeReply {
        position: place(it),
        ttl_s,
        recovered: missed.map(|caught| caught.whole),
        publications: missed
            .into_iter()
            .flat_map(|caught| caught.publications.iter().map(publication)),
    }
}

/// Where a subscription begins, if there is a history to come back to.
#[must_use]
pub fn place(it: &Subscribed) -> Option<StreamView<'_>> {
    let position = &it.position;
    it.options.history.is_on().then_some(StreamView {
        epoch: &position.epoch,
        offset: position.offset,
    })
}

/// Why a rule did not let something be done.
#[must_use]
pub const fn refusal(refusal: RuleRefusal) -> ErrorCode {
    let kind = match refusal.is_too_often {
        true => ErrorCode::TOO_MANY_REQUESTS,
        false => ErrorCode::PERMISSION_DENIED,
    };
    ErrorCode {
        code: match refusal.code {
            Some(code) => code,
            None => kind.code,
        },
        message: refusal.reason,
        ..kind
    }
}

/// Why something was not done, as a client of `SocketCluster` makes an error of it (`sc-errors`).
#[must_use]
pub const fn cluster_error(error: ErrorCode) -> ClusterError<'static> {
    let name = match error.code {
        100 => "BrokerError",
        101 | 103 => "AuthError",
        106 | 111 => "ResourceLimitError",
        107 => "InvalidArgumentsError",
        109 => "AuthTokenExpiredError",
        _ => "InvalidActionError",
    };
    ClusterError {
        name,
        message: error.message,
        code: Some(error.code),
    }
}

/// Why something was not done.
#[must_use]
pub const fn error(error: HubError) -> ErrorCode {
    match error {
        HubError::UnknownChannel => ErrorCode::UNKNOWN_CHANNEL,
        HubError::BadRequest => ErrorCode::BAD_REQUEST,
        HubError::AlreadySubscribed => ErrorCode::ALREADY_SUBSCRIBED,
        HubError::LimitExceeded => ErrorCode::LIMIT_EXCEEDED,
        HubError::PermissionDenied => ErrorCode::PERMISSION_DENIED,
        HubError::NotAvailable => ErrorCode::NOT_AVAILABLE,
        HubError::Unreachable => ErrorCode::INTERNAL,
        HubError::UnrecoverablePosition => ErrorCode::UNRECOVERABLE_POSITION,
    }
}

//! Errors of commands, codes of unsubscription and close codes: those of Centrifugo, as its clients
//! know them.

/// Why a command was not done. The first is the number, the second what the client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorCode {
    /// The number.
    pub code: u16,
    /// What it means.
    pub message: &'static str,
    /// Whether it is worth to try again.
    pub temporary: bool,
}

/// Why a connection is closed, and with it whether the client comes back: it does below 3500 and
/// from 4000 to 4499.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseAdvice {
    /// The close code (RFC 6455, 7.4.2: 3000 to 4999 are not the protocol's).
    pub code: u16,
    /// What the client is told: without it, `centrifuge` takes every code for one to come back
    /// after.
    pub reason: &'static str,
}

macro_rules! errors {
    ($($(#[$about:meta])* $name:ident = $code:literal, $message:literal, $temporary:literal;)*) => {
        impl ErrorCode {
            $($(#[$about])* pub const $name: Self = Self {
                code: $code,
                message: $message,
                temporary: $temporary,
            };)*
        }
    };
}

errors! {
    /// Something is wrong here.
    INTERNAL = 100, "internal server error", true;
    /// No token, or a wrong one.
    UNAUTHORIZED = 101, "unauthorized", false;
    /// No such channel, or none of that namespace.
    UNKNOWN_CHANNEL = 102, "unknown channel", false;
    /// Not for this client.
    PERMISSION_DENIED = 103, "permission denied", false;
    /// No such method.
    METHOD_NOT_FOUND = 104, "method not found", false;
    /// Subscribed before.
    ALREADY_SUBSCRIBED = 105, "already subscribed", false;
    /// Too many, or too long.
    LIMIT_EXCEEDED = 106, "limit exceeded", false;
    /// No such command.
    BAD_REQUEST = 107, "bad request", false;
    /// The channel does not have that.
    NOT_AVAILABLE = 108, "not available", false;
    /// The token was good.
    TOKEN_EXPIRED = 109, "token expired", false;
    /// The connection's time is over.
    EXPIRED = 110, "expired", false;
    /// Too often.
    TOO_MANY_REQUESTS = 111, "too many requests", true;
    /// What follows that place is not here any more.
    UNRECOVERABLE_POSITION = 112, "unrecoverable position", false;
}

macro_rules! closes {
    ($($(#[$about:meta])* $name:ident = $code:literal, $reason:literal;)*) => {
        impl CloseAdvice {
            $($(#[$about])* pub const $name: Self = Self { code: $code, reason: $reason };)*

            /// The advice that goes with a code of the application's.
            #[must_use]
            pub const fn of(code: u16) -> Self {
                match code {
                    $($code => Self::$name,)*
                    code if code >= 3500 && code < 4000 || code >= 4500 => {
                        Self { code, reason: "disconnected" }
                    }
                    code => Self { code, reason: "reconnect" },
                }
            }
        }
    };
}

closes! {
    /// The server ends.
    SHUTDOWN = 3001, "shutdown";
    /// The time of the connection's token is over: the client comes back with another.
    EXPIRED = 3005, "connection expired";
    /// The client does not read.
    SLOW = 3008, "slow";
    /// Something was lost: the client comes back for what it missed.
    INSUFFICIENT_STATE = 3010, "insufficient state";
    /// The client does not answer pings.
    NO_PONG = 3012, "no pong";
    /// The client comes too often: later it may.
    TOO_OFTEN = 3013, "too many requests";
    /// The token is none.
    INVALID_TOKEN = 3500, "invalid token";
    /// What came is no command, or out of turn.
    BAD_REQUEST = 3501, "bad request";
    /// No connect came.
    STALE = 3502, "stale";
    /// The application wants it.
    FORCE_NO_RECONNECT = 3503, "force disconnect";
    /// Not for this client.
    PERMISSION_DENIED = 3507, "permission denied";
}

/// The application ended the subscription: it is not begun again.
pub const UNSUBSCRIBED_BY_SERVER: u16 = 2000;
/// Something was lost: the client subscribes again, with the place that it has.
pub const UNSUBSCRIBED_INSUFFICIENT: u16 = 2500;
/// The time of the subscription's token is over: the client subscribes again with another.
pub const UNSUBSCRIBED_EXPIRED: u16 = 2501;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_of_the_application_s_keeps_its_meaning() {
        assert_eq!(CloseAdvice::of(3503), CloseAdvice::FORCE_NO_RECONNECT);
        assert_eq!(CloseAdvice::of(4500).code, 4500);
        assert_eq!(CloseAdvice::of(4000).reason, "reconnect");
    }

    #[test]
    fn what_may_be_tried_again_is_what_centrifugo_says_may() {
        // Centrifugo's client protocol, error codes: `temporary`.
        for (error, is_temporary) in [
            (ErrorCode::INTERNAL, true),
            (ErrorCode::UNAUTHORIZED, false),
            (ErrorCode::UNKNOWN_CHANNEL, false),
            (ErrorCode::PERMISSION_DENIED, false),
            (ErrorCode::METHOD_NOT_FOUND, false),
            (ErrorCode::ALREADY_SUBSCRIBED, false),
            (ErrorCode::LIMIT_EXCEEDED, false),
            (ErrorCode::BAD_REQUEST, false),
            (ErrorCode::NOT_AVAILABLE, false),
            (ErrorCode::TOKEN_EXPIRED, false),
            (ErrorCode::EXPIRED, false),
            (ErrorCode::TOO_MANY_REQUESTS, true),
            (ErrorCode::UNRECOVERABLE_POSITION, false),
        ] {
            assert_eq!(error.temporary, is_temporary, "{}", error.message);
        }
    }

    #[test]
    fn every_reason_fits_into_a_close_frame() {
        // RFC 6455, 5.5.
        for code in 3000..5000 {
            let advice = CloseAdvice::of(code);
            assert!((1..=123).contains(&advice.reason.len()) && advice.code == code);
        }
    }
}

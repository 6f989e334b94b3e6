//! What to try about a failure: one sentence for each kind, the same for a run of many and for one
//! connection.

use super::Record;
use super::record::Failure;

/// The server is not there.
pub const REFUSED: &str = "is a server running there?";
/// The proxy is not there.
pub const PROXY_REFUSED: &str = "is a proxy running there? --proxy has its URL";
/// It does not answer.
pub const TIMED_OUT: &str =
    "is the host reachable, its accept queue not full? A longer --connect-timeout may help";
/// It ends the connection instead of an answer.
pub const ENDED: &str = "is it an HTTP server? If it speaks TLS there: wss:// or https://";
/// It answers another status.
pub const STATUS: &str = "the path of the URL, or --debug to see the heads";
/// It speaks no TLS.
pub const NOT_TLS: &str = "ws:// or http://, if it speaks no TLS there";
/// It shows a certificate of nobody who is trusted.
pub const UNKNOWN_ISSUER: &str = "--ca FILE with the certificate of its authority, or --insecure";
/// It shows a certificate for another name.
pub const WRONG_NAME: &str = "--sni NAME with a name that its certificate has, or --insecure";
/// It shows a certificate that is no good.
pub const BAD_CERTIFICATE: &str = "another certificate for it, or --insecure";
/// It shows the certificate of an authority, as plain `openssl req -x509` makes them.
pub const CA_CERTIFICATE: &str = "making its certificate with openssl req -x509 -addext \
     basicConstraints=critical,CA:FALSE -addext subjectAltName=DNS:localhost, or --insecure";
/// It sends an alert.
pub const ALERT: &str = "--client-cert and --client-key, if it wants them";

/// What to try about each failure of the record, in their order; what was said already is not said
/// again.
pub(super) fn remedies(record: &Record) -> Vec<Option<&'static str>> {
    let asked = Asked::by(&record.run.url);
    let mut found: Vec<Option<&str>> = Vec::new();
    for failure in &record.failures {
        let remedy = remedy(failure, asked);
        found.push(remedy.filter(|_| !found.contains(&remedy)));
    }
    found
}

fn remedy(failure: &Failure, asked: Asked) -> Option<&'static str> {
    let stage = failure.stage.as_str();
    if let Some(status) = failure.kind.strip_prefix("http_") {
        return Some(of_status(status, asked));
    }
    if let Some(fault) = failure.kind.strip_prefix("tls_") {
        return of_tls_fault(fault);
    }
    if let Some(fault) = failure.kind.strip_prefix("proxy_") {
        return Some(of_proxy(fault));
    }
    Some(match (stage, failure.kind.as_str()) {
        (_, "dns") => "its address, or --resolve HOST:PORT:ADDR",
        ("connect", "refused") => REFUSED,
        ("connect", "timed_out") => TIMED_OUT,
        ("upgrade", "timed_out") => "a longer --connect-timeout; is it an HTTP server?",
        ("upgrade", "ended" | "reset") => ENDED,
        ("connect", "unreachable") => "is there a route to that host? `ip route get ADDRESS` says",
        (_, "no_source_port") => "--source-ip auto, or fewer connections",
        (_, "no_descriptor") => "a higher `ulimit -n`",
        (_, "no_slot") => "fewer connections for one core: more --cores, or a smaller -c",
        (_, "not_event_stream") => {
            "a path that is an event stream; for a WebSocket ws:// or wss://"
        }
        (_, "too_large") => "a larger --max-message or --max-fragments",
        ("open", "close_1009") => "a smaller --payload, or a server that takes larger messages",
        (_, "no_pong") => "a longer --ping; `ringstorm agent URL` shows whether the server is late",
        (_, "subprotocol_refused") => "--subprotocol NAME with one that the server speaks",
        ("upgrade", kind) if kind.contains("agree to permessage-deflate") => {
            "the run without --deflate, or compression switched on at the server"
        }
        ("upgrade", kind) if kind.contains("server_no_context_takeover") => {
            "--deflate=takeover: that server deflates each message with those before it"
        }
        ("upgrade", kind) if kind.contains("content coding") => {
            "a server that sends the stream as it is: Accept-Encoding: identity asks for that"
        }
        ("upgrade", kind) if kind.starts_with("bad_response") => {
            "--debug to see the heads; is it an HTTP server, and without TLS?"
        }
        _ => return None,
    })
}

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A 101.
    WebSocket,
    /// A 200 with `text/event-stream`.
    EventStream,
}

impl Asked {
    /// What a URL of that scheme asks for.
    fn by(url: &str) -> Self {
        if url.starts_with("ws") {
            Self::WebSocket
        } else {
            Self::EventStream
        }
    }
}

/// What to try about a status that is not the one that was asked for.
#[must_use]
pub fn of_status(status: &str, asked: Asked) -> &'static str {
    match (status, asked) {
        ("200", Asked::WebSocket) => {
            "the path of a WebSocket; for an event stream http:// or https://"
        }
        ("400" | "426", Asked::EventStream) => "ws:// or wss://, if that path is a WebSocket",
        ("401" | "407", _) => "--bearer TOKEN, --basic USER:PASSWORD, --cookie or -H",
        ("403", _) => "--origin ORIGIN that the server allows, or credentials (--bearer, --cookie)",
        ("301" | "302" | "303" | "307" | "308", _) => {
            "--follow for an event stream, or the URL of its Location"
        }
        ("429", _) => "a lower --connect-rate: the server asks for fewer",
        ("503", _) => "fewer connections, or a server with room for more: it says that it is full",
        ("502" | "504", _) => "the server behind that proxy: it does not answer",
        _ => STATUS,
    }
}

/// What to try about a proxy that gave no tunnel, by the word for that.
#[must_use]
pub fn of_proxy(fault: &str) -> &'static str {
    match fault {
        "refused" => PROXY_REFUSED,
        "unreachable" | "timed_out" => "is there a route to the proxy? --proxy has its URL",
        "http_407" | "socks_no_method" | "socks_login" => {
            "--proxy http://USER:PASSWORD@HOST:PORT that the proxy knows"
        }
        "http_403" | "http_405" | "socks_not_allowed" => {
            "a proxy that allows CONNECT to that host and port"
        }
        "malformed" | "reset" | "ended" | "http_400" => {
            "--proxy with the scheme that it speaks: http:// (CONNECT) or socks5h://"
        }
        _ => "the server behind the proxy: it does not reach it",
    }
}

fn of_tls_fault(fault: &str) -> Option<&'static str> {
    Some(match fault {
        "not_tls" | "ended" | "reset" => NOT_TLS,
        "handshake_time" => "a longer --connect-timeout, or a lower --connect-rate",
        "unknown_issuer" => UNKNOWN_ISSUER,
        "wrong_name" => WRONG_NAME,
        "ca_certificate" => CA_CERTIFICATE,
        "certificate_expired"
        | "certificate_not_yet_valid"
        | "certificate_revoked"
        | "bad_certificate" => BAD_CERTIFICATE,
        alert if alert.starts_with("alert") => ALERT,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(stage: &str, kind: &str, url: &str) -> Option<&'static str> {
        let failure = Failure {
            stage: stage.to_owned(),
            kind: kind.to_owned(),
            count: 1,
            said: None,
        };
        remedy(&failure, Asked::by(url))
    }

    #[test]
    fn each_way_not_to_connect_has_its_remedy() {
        for (stage, kind, word) in [
            ("connect", "refused", "running there"),
            ("connect", "timed_out", "--connect-timeout"),
            ("upgrade", "http_404", "the path"),
            ("upgrade", "http_200", "http://"),
            ("upgrade", "http_401", "--bearer"),
            ("upgrade", "http_418", "the path"),
            ("upgrade", "ended", "wss://"),
            ("upgrade", "tls_not_tls", "ws://"),
            ("upgrade", "tls_unknown_issuer", "--ca"),
            ("upgrade", "tls_wrong_name", "--sni"),
            ("upgrade", "tls_alert_certificate_required", "--client-cert"),
            ("upgrade", "bad_response: no status line", "--debug"),
            (
                "upgrade",
                "bad_response: the server does not agree to permessage-deflate",
                "without --deflate",
            ),
            (
                "upgrade",
                "bad_response: 101 without server_no_context_takeover, which was offered",
                "with those before it",
            ),
            (
                "upgrade",
                "bad_response: a content coding that was not asked for: br",
                "identity",
            ),
            ("open", "close_1009", "--payload"),
            ("upgrade", "tls_ca_certificate", "CA:FALSE"),
            ("connect", "proxy_refused", "a proxy running there"),
            ("connect", "proxy_http_407", "USER:PASSWORD"),
            ("connect", "proxy_http_502", "behind the proxy"),
            ("connect", "proxy_malformed", "socks5h://"),
        ] {
            let remedy = of(stage, kind, "wss://h/").unwrap_or_default();
            assert!(remedy.contains(word), "{stage} {kind}: {remedy:?}");
        }
        assert!(of("upgrade", "http_426", "http://h/").is_some_and(|it| it.starts_with("ws://")));
        assert_eq!(of("open", "close_1001", "ws://h/"), None);
        assert_eq!(
            of("open", "reset", "ws://h/"),
            None,
            "it was up: no flag helps"
        );
    }
}

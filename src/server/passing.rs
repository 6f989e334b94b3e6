//! A request that is passed on to a web application: its body goes there as it comes, the response
//! comes back as fast as the client reads it.

use super::answer::{Answer, Content, Reply};
use super::tally::CloseReason;
use crate::app::passing::{
    PassLine, PassPlan, PassedEnd, PassedExchange, PassedFields, PassedHead, PassedRequest,
    is_hop_by_hop,
};
use crate::limits;
use crate::protocol::Fault;
use crate::protocol::http::{BodyLength, BodyReader, Request};
use crate::shard::{ConnectionId, Core, Unsent, Wire};
use crate::time::Instant;
use std::net::IpAddr;
use std::sync::Arc;

/// The requests of one core that are passed on.
#[derive(Default)]
pub(super) struct PassBook {
    line: Option<PassLine>,
    is_secure: bool,
    /// Each request that is under way holds one more of it.
    open: Arc<()>,
    look_at: Instant,
}

/// A request that is under way.
pub(super) struct Passing {
    exchange: PassedExchange,
    reader: BodyReader,
    reply: Reply,
    framing: PassedFraming,
    /// The client speaks HTTP/1.0, which has no chunks.
    is_old: bool,
    /// It takes fields behind the body (RFC 9110, 10.1.4).
    takes_trailers: bool,
    /// All of the body has been passed on.
    is_asked: bool,
    /// The client is not heard until there is room for its body.
    waits: bool,
    /// What its browser is to keep.
    cookie: Option<Box<str>>,
    _open: Arc<()>,
}

/// How the client finds the end of the response (RFC 9112, 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PassedFraming {
    /// The head has not come.
    NoHead,
    /// There is no body.
    Nothing,
    /// So many bytes are left.
    Length(u64),
    Chunks,
    UntilEnd,
}

/// What becomes of a request that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PassedStep {
    /// More is to come.
    Waits,
    /// The client has got all of it.
    Done,
    /// There is no response: what the client gets instead.
    Failed(Fault),
    /// The response has ended before its end.
    Broken,
}

/// Who asks.
pub(super) struct PassedClient {
    pub(super) id: ConnectionId,
    /// Where it comes from.
    pub(super) peer: Option<IpAddr>,
    /// It is a proxy that may say for whom it asks.
    pub(super) is_trusted: bool,
    /// Its session, and what its browser is to keep if that is new.
    pub(super) session: Option<(Box<str>, Option<Box<str>>)>,
}

const BUSY: Fault = Fault::Http {
    status: 503,
    reason: "too many requests wait for the application",
};

impl PassBook {
    /// The core begins.
    pub(super) fn started(&mut self, here: Core, plan: Option<&PassPlan>) {
        self.line = plan.and_then(|plan| plan.lines.get(here.index()).cloned());
        self.is_secure = plan.is_some_and(|plan| plan.is_secure);
    }

    /// Whether what no route takes is passed on.
    pub(super) const fn is_on(&self) -> bool {
        self.line.is_some()
    }

    /// Passes a request on.
    ///
    /// # Errors
    /// Too many are under way.
    pub(super) fn pass(
        &mut self,
        request: &Request<'_>,
        client: PassedClient,
        now: Instant,
    ) -> Result<Box<Passing>, Fault> {
        let is_full = Arc::strong_count(&self.open) > limits::PASSED_OPEN;
        let Some(line) = self.line.as_ref().filter(|_| !is_full) else {
            return Err(BUSY);
        };
        let PassedClient { id, session, .. } = &client;
        let (session, cookie) = session.clone().unzip();
        let number = (u64::from(id.generation()) << 32) | id.slot() as u64;
        let exchange = PassedExchange::new(number, line.ready().clone());
        let query = request.query().map(|query| format!("?{query}"));
        line.pass(PassedRequest {
            method: request.method.into(),
            target: format!("{}{}", request.path(), query.unwrap_or_default()).into(),
            fields: fields(request, &client, self.is_secure),
            length: match request.body {
                BodyLength::None => Some(0),
                BodyLength::Known(bytes) => Some(bytes),
                BodyLength::Chunked | BodyLength::UntilEnd => None,
            },
            session,
            exchange: exchange.clone(),
        });
        self.look_at = now + limits::HOOK_LOOK_TIME;
        let reply = Reply::new(Answer::SaidLater, Content::Full, request);
        Ok(Box::new(Passing {
            exchange,
            reader: BodyReader::new(request.body),
            reply: reply.for_method(request.method),
            framing: PassedFraming::NoHead,
            is_old: request.minor_version == 0,
            takes_trailers: takes_trailers(request),
            is_asked: false,
            waits: false,
            cookie: cookie.flatten(),
            _open: Arc::clone(&self.open),
        }))
    }

    /// Connections to look at, if it is time.
    pub(super) fn take_ready(&mut self, now: Instant) -> Vec<ConnectionId> {
        let Some(line) = self.line.as_ref().filter(|_| self.look_at <= now) else {
            return Vec::new();
        };
        self.look_at = now + limits::HOOK_LOOK_TIME;
        let ready = line.ready().take().into_iter();
        #[expect(
            clippy::cast_possible_truncation,
            reason = "it was put together of two halves"
        )]
        let id = |number: u64| ConnectionId::new(number as u32, (number >> 32) as u32);
        ready.map(id).collect()
    }

    /// When to look, while something is under way.
    pub(super) fn deadline(&self) -> Option<Instant> {
        (Arc::strong_count(&self.open) > 1).then_some(self.look_at)
    }
}

impl Passing {
    /// Takes what `bytes` has of the request's body. Whether the client is heard on.
    ///
    /// # Errors
    /// The body is none.
    pub(super) fn take(&mut self, bytes: &[u8], at: &mut usize) -> Result<bool, Fault> {
        self.waits = !self.exchange.has_room();
        while !self.waits
            && let Some(piece) = self.reader.next(bytes, at)?
        {
            self.waits = !self.exchange.offer(piece);
        }
        if self.reader.is_done() {
            self.waits = false;
            if !std::mem::replace(&mut self.is_asked, true) {
                self.exchange.offered_all();
            }
        }
        Ok(!self.waits)
    }

    /// Whether a client that was not heard can be heard again.
    pub(super) fn hears_again(&mut self) -> bool {
        self.waits && self.exchange.has_room()
    }

    /// Whether all of the request has come.
    pub(super) const fn is_asked(&self) -> bool {
        self.is_asked
    }

    /// The answer, as far as the connection goes.
    pub(super) const fn reply(&mut self) -> &mut Reply {
        &mut self.reply
    }

    /// Sends what has come of the response, as far as the client reads.
    ///
    /// # Errors
    /// [`Unsent`]; then the response cannot be ended.
    pub(super) fn go_on<M>(
        &mut self,
        id: ConnectionId,
        wire: &mut impl Wire<M>,
    ) -> Result<PassedStep, Unsent> {
        self.exchange.look();
        if self.framing == PassedFraming::NoHead {
            match (self.exchange.take_head(), self.exchange.end()) {
                (Some(head), _) => self.begin(head, id, wire)?,
                (None, None) => return Ok(PassedStep::Waits),
                (None, Some(end)) => return Ok(PassedStep::Failed(fault(end))),
            }
        }
        while wire.backlog(id) <= limits::BACKLOG_HIGH
            && let Some(piece) = self.exchange.take_piece()
        {
            if !self.send(&piece, id, wire)? {
                return Ok(PassedStep::Broken);
            }
        }
        match (self.exchange.end(), self.framing) {
            (None, _) => Ok(PassedStep::Waits),
            (Some(PassedEnd::Broken | PassedEnd::TooLate), _) => Ok(PassedStep::Broken),
            (Some(PassedEnd::Whole), PassedFraming::Length(1..)) => Ok(PassedStep::Broken),
            (Some(PassedEnd::Whole), framing) => {
                if framing == PassedFraming::Chunks {
                    self.end_chunks(id, wire)?;
                }
                if !self.is_asked {
                    // What is left of the request would be taken for another one.
                    self.reply.end_with(CloseReason::Done);
                }
                Ok(PassedStep::Done)
            }
        }
    }

    /// Sends the head.
    fn begin<M>(
        &mut self,
        head: PassedHead,
        id: ConnectionId,
        wire: &mut impl Wire<M>,
    ) -> Result<(), Unsent> {
        let has_none = self.reply.is_head_only() || matches!(head.status, 204 | 304);
        self.framing = match head.length {
            _ if has_none => PassedFraming::Nothing,
            Some(length) => PassedFraming::Length(length),
            None if self.is_old => PassedFraming::UntilEnd,
            None => PassedFraming::Chunks,
        };
        if self.framing == PassedFraming::UntilEnd {
            self.reply.end_with(CloseReason::Done);
        }
        let mut text = format!("HTTP/1.1 {} {}\r\n", head.status, head.reason).into_bytes();
        let mut put = |name: &str, value: &[u8]| {
            for part in [name.as_bytes(), b": ", value, b"\r\n"] {
                text.extend_from_slice(part);
            }
        };
        for (name, value) in &head.fields {
            put(name, value);
        }
        if let Some(cookie) = self.cookie.take() {
            put("Set-Cookie", cookie.as_bytes());
        }
        if let Some(length) = head.length.filter(|_| head.status != 204) {
            put("Content-Length", length.to_string().as_bytes());
        }
        if self.framing == PassedFraming::Chunks {
            put("Transfer-Encoding", b"chunked");
        }
        let ends: &[u8] = match self.reply.is_last() {
            true => b"close",
            false => b"keep-alive",
        };
        put("Connection", ends);
        text.extend_from_slice(b"\r\n");
        wire.send(id, &text)
    }

    /// Sends the end of a body in chunks, and the fields behind it (RFC 9112, 7.1.2).
    fn end_chunks<M>(&self, id: ConnectionId, wire: &mut impl Wire<M>) -> Result<(), Unsent> {
        let mut text = b"0\r\n".to_vec();
        if self.takes_trailers {
            for (name, value) in self.exchange.take_trailers() {
                for part in [name.as_bytes(), b": ", &value, b"\r\n"] {
                    text.extend_from_slice(part);
                }
            }
        }
        text.extend_from_slice(b"\r\n");
        wire.send(id, &text)
    }

    /// Sends a piece of the body. Whether it fits what the head says.
    fn send<M>(
        &mut self,
        piece: &[u8],
        id: ConnectionId,
        wire: &mut impl Wire<M>,
    ) -> Result<bool, Unsent> {
        match &mut self.framing {
            PassedFraming::NoHead | PassedFraming::Nothing => {}
            PassedFraming::Length(left) => match left.checked_sub(piece.len() as u64) {
                Some(rest) => {
                    *left = rest;
                    wire.send(id, piece)?;
                }
                None => return Ok(false),
            },
            PassedFraming::Chunks => {
                let length = format!("{:x}\r\n", piece.len());
                wire.send_parts(id, &[length.as_bytes(), piece, b"\r\n"])?;
            }
            PassedFraming::UntilEnd => wire.send(id, piece)?,
        }
        Ok(true)
    }
}

impl Drop for Passing {
    /// However it ends, nobody waits for it any more.
    fn drop(&mut self) {
        self.exchange.leave();
    }
}

/// What a client gets that gets no response (RFC 9110, 15.6.3 and 15.6.5).
const fn fault(end: PassedEnd) -> Fault {
    match end {
        PassedEnd::Whole | PassedEnd::Broken => Fault::Http {
            status: 502,
            reason: "the application behind this server cannot be reached",
        },
        PassedEnd::TooLate => Fault::Http {
            status: 504,
            reason: "the application behind this server took too long",
        },
    }
}

/// The fields that are passed on: those of the request, without those about its connection, and who
/// asks (RFC 7239, and `X-Forwarded-*`, which most frameworks read).
fn fields(request: &Request<'_>, client: &PassedClient, is_secure: bool) -> PassedFields {
    let headers = &request.headers;
    let is_dropped = |name: &str| {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        let speaks_for = SPEAKS_FOR.into_iter().any(is);
        // RFC 9110, 10.1.1: the client has been told to go on.
        let is_own = is("Content-Length") || is("Expect") || is("X-Forwarded-For");
        let is_ours = name
            .get(..OURS.len())
            .is_some_and(|it| it.eq_ignore_ascii_case(OURS));
        let is_theirs = speaks_for && !client.is_trusted;
        is_own || is_ours || is_theirs || is_hop_by_hop(name, headers.all("Connection"))
    };
    let kept = headers.iter().filter(|(name, _)| !is_dropped(name));
    let mut fields: PassedFields = kept
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    let mut put = |name: &str, value: String| fields.push((name.into(), value.into_bytes().into()));
    if takes_trailers(request) {
        put("TE", "trailers".to_owned());
        put("Connection", "TE".to_owned());
    }
    let scheme = if is_secure { "https" } else { "http" };
    let host = headers.get("Host").unwrap_or_default();
    let has_said = |name: &str| client.is_trusted && headers.all(name).next().is_some();
    let mut whom: Vec<String> = Vec::new();
    if client.is_trusted {
        whom.extend(headers.all("X-Forwarded-For").map(str::to_owned));
    }
    whom.extend(client.peer.map(|peer| peer.to_string()));
    if !whom.is_empty() {
        put("X-Forwarded-For", whom.join(", "));
    }
    if !has_said("X-Forwarded-Proto") {
        put("X-Forwarded-Proto", scheme.to_owned());
    }
    if !has_said("X-Forwarded-Host") && !host.is_empty() {
        put("X-Forwarded-Host", host.to_owned());
    }
    let peer = match client.peer {
        Some(IpAddr::V4(four)) => four.to_string(),
        // RFC 7239, 6: in brackets, and quoted for the colons.
        Some(IpAddr::V6(six)) => format!("\"[{six}]\""),
        None => "unknown".to_owned(),
    };
    put("Forwarded", format!("for={peer};proto={scheme}"));
    fields
}

/// Whether a client takes fields behind the body of a response.
fn takes_trailers(request: &Request<'_>) -> bool {
    request.minor_version > 0 && request.headers.has_token("TE", "trailers")
}

/// What says for whom a proxy asks.
const SPEAKS_FOR: [&str; 3] = ["Forwarded", "X-Forwarded-Proto", "X-Forwarded-Host"];
/// What the names of this server's own fields begin with: nobody else's are passed on.
const OURS: &str = "X-Ringstorm-";

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(head: &str, is_trusted: bool) -> Vec<String> {
        let request = Request::parse(head.as_bytes()).unwrap();
        let client = PassedClient {
            id: ConnectionId::new(1, 1),
            peer: Some("10.0.0.1".parse().unwrap()),
            is_trusted,
            session: None,
        };
        let fields = fields(&request, &client, true).into_iter();
        let line = |(name, value): (Box<str>, Box<[u8]>)| {
            format!("{name}: {}", String::from_utf8_lossy(&value))
        };
        fields.map(line).collect()
    }

    #[test]
    fn who_asks_is_told_and_what_is_about_the_connection_is_not() {
        let head = "POST /a HTTP/1.1\r\nHost: a.test\r\nConnection: close, X-Mine\r\n\
                    X-Mine: 1\r\nTE: trailers\r\n\
                    Content-Length: 0\r\nCookie: b=c\r\nX-Forwarded-For: 1.1.1.1\r\n\
                    Forwarded: for=1.1.1.1\r\nX-Forwarded-Proto: http\r\n\
                    X-Ringstorm-Session: mine\r\n\r\n";
        let untrusted = passed(head, false);
        let expected = [
            "Host: a.test",
            "Cookie: b=c",
            "TE: trailers",
            "Connection: TE",
            "X-Forwarded-For: 10.0.0.1",
            "X-Forwarded-Proto: https",
            "X-Forwarded-Host: a.test",
            "Forwarded: for=10.0.0.1;proto=https",
        ];
        assert_eq!(untrusted, expected);
        let trusted = passed(head, true);
        let expected = [
            "Host: a.test",
            "Cookie: b=c",
            "Forwarded: for=1.1.1.1",
            "X-Forwarded-Proto: http",
            "TE: trailers",
            "Connection: TE",
            "X-Forwarded-For: 1.1.1.1, 10.0.0.1",
            "X-Forwarded-Host: a.test",
            "Forwarded: for=10.0.0.1;proto=https",
        ];
        assert_eq!(trusted, expected);
    }
}

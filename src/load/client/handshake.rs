//! The heads of a connect: the request that is sent, the response that makes a stream.

use super::http_answer::HttpAnswer;
use super::state::{Client, ClientParts};
use super::stream::{EventStream, PollStream, Stream};
use crate::limits;
use crate::load::config::Config;
use crate::load::measure::failure::Kind;
use crate::load::measure::recorder::Recorder;
use crate::load::redirect::{NotFollowed, Redirect};
use crate::load::scenario::AskedThen;
use crate::load::transport::Transport;
use crate::load::work::Scenario;
use crate::protocol::http::body::BodyReader;
use crate::protocol::http::date;
use crate::protocol::http::{BodyLength, Coding, Inflater, Request, Response, merged};
use crate::protocol::sse;
use crate::protocol::websocket::deflate::Agreement;
use crate::protocol::websocket::{ClientHandshake, Offer};
use std::borrow::Cow;
use std::time::Duration;

/// Bytes of a refusal's body that are looked at.
const SAID_BYTES: usize = 200;

/// The nonce of one attempt.
pub(super) type Key = [u8; 16];

/// Appends the request that a client's transport begins with.
pub(super) fn encode_request(into: &mut Vec<u8>, config: &Config, client: &mut Client, key: Key) {
    let asker = (client.number(), client.turn());
    let asked = ClientRequest::new(config, asker, client.redirect());
    let program = config.program();
    let first = program.and_then(|program| program.asks_first(&asked.target));
    match (config.transport, first) {
        (Transport::Sse, _) => encode_sse_request(into, &asked, client),
        (Transport::WebSocket, None) => {
            ClientHandshake::new(key).encode(into, &asked.offer(config, &asked.headers()));
        }
        (Transport::WebSocket, Some(target)) => {
            encode_get(into, &asked, &target);
            client.upgraded(Stream::First(Box::new(HttpAnswer::new(
                limits::FIRST_ANSWER_BYTES,
            ))));
        }
    }
}

/// Hears what is answered to what was asked first; appends the request that follows once that is
/// whole: for the upgrade, or the first poll. What was answered, if it is that.
pub(super) fn hear_answer(
    into: &mut Vec<u8>,
    config: &Config,
    client: &mut Client,
    (key, bytes): (Key, &[u8]),
) -> Result<Option<Stream>, Kind> {
    let asker = (client.number(), client.turn());
    let Stream::First(answer) = client.parts().stream else {
        return Ok(None);
    };
    if !answer.read(bytes)? {
        return Ok(None);
    }
    let mut asked = ClientRequest::new(config, asker, None);
    let follows = config
        .program()
        .map(|program| program.asks_then(&asked.target, answer.said()));
    match follows.transpose().map_err(Kind::Application)? {
        Some(AskedThen::Poll(target)) => {
            encode_get(into, &asked, &target);
            let polls = PollStream {
                answer: HttpAnswer::new(config.message_bytes_max),
                request: into.clone(),
            };
            return Ok(Some(client.upgraded(Stream::Polls(Box::new(polls)))));
        }
        Some(AskedThen::Upgrade(target)) => asked.target = target.into(),
        None => {}
    }
    ClientHandshake::new(key).encode(into, &asked.offer(config, &asked.headers()));
    Ok(None)
}

/// Appends a plain request.
fn encode_get(into: &mut Vec<u8>, asked: &ClientRequest<'_>, target: &str) {
    let own = [
        ("Host", asked.host),
        ("Accept", "*/*"),
        // RFC 9110, 12.5.3: without it, any coding is welcome.
        ("Accept-Encoding", "identity"),
    ];
    Request::encode(into, "GET", target, &merged(&own, &asked.headers()));
}

/// What one client asks for: the run's request, with what differs by client in its place.
pub(super) struct ClientRequest<'c> {
    host: &'c str,
    target: Cow<'c, str>,
    headers: Vec<(&'c str, Cow<'c, str>)>,
    subprotocols: Vec<String>,
}

impl<'c> ClientRequest<'c> {
    /// Of the client with that number in the run, whose turn that is among the targets.
    pub(super) fn new(
        config: &'c Config,
        (number, turn): (u32, u64),
        redirect: Option<&'c Redirect>,
    ) -> Self {
        let (host, target) = config.page(turn);
        let expanded = |text: &'c str| config.expanded(text, number);
        let (host, target) = match redirect {
            None => (host, expanded(target)),
            Some(redirect) => (redirect.host.as_str(), redirect.target.as_str().into()),
        };
        let is_home = redirect.is_none_or(|redirect| redirect.is_home);
        let headers = config.headers_of(number);
        Self {
            host,
            target,
            headers: headers
                .filter(|(name, _)| is_home || !is_for_one_server(name))
                .collect(),
            subprotocols: config
                .subprotocols
                .iter()
                .map(|name| expanded(name).into_owned())
                .collect(),
        }
    }

    /// What the stream is asked of.
    pub(super) fn target(&self) -> &str {
        &self.target
    }

    /// The Host header.
    pub(super) const fn host(&self) -> &'c str {
        self.host
    }

    /// The headers that the user gives, those that are for another server left out.
    pub(super) fn headers(&self) -> Vec<(&str, &str)> {
        let headers = self.headers.iter();
        headers
            .map(|(name, value)| (*name, value.as_ref()))
            .collect()
    }

    fn offer<'a>(&'a self, config: &'a Config, headers: &'a [(&'a str, &'a str)]) -> Offer<'a> {
        Offer {
            host: self.host,
            target: &self.target,
            headers,
            subprotocols: &self.subprotocols,
            deflate: config.deflate,
        }
    }
}

/// What is meant for one server, or names it, is not another's to read (RFC 9110, 15.4).
fn is_for_one_server(name: &str) -> bool {
    let names = ["Authorization", "Cookie", "Host"];
    names.iter().any(|own| own.eq_ignore_ascii_case(name))
}

/// Appends the request of an event stream (WHATWG HTML, 9.2).
fn encode_sse_request(into: &mut Vec<u8>, asked: &ClientRequest<'_>, client: &Client) {
    let own = [
        ("Host", asked.host),
        ("Accept", "text/event-stream"),
        // RFC 9110, 12.5.3: without it, any coding is welcome.
        ("Accept-Encoding", "identity"),
        ("Cache-Control", "no-store"),
    ];
    let mut fields = merged(&own, &asked.headers());
    if let Some(last) = client.last_event_id() {
        // What was heard is newer than what the user gave to begin with.
        fields.retain(|(name, _)| !name.eq_ignore_ascii_case("Last-Event-ID"));
        fields.push(("Last-Event-ID", last));
    }
    Request::encode(into, "GET", &asked.target, &fields);
}

/// What follows the right response head.
pub(super) enum Begun {
    /// An event stream.
    Events(Box<EventStream>),
    /// Frames, with what was agreed on.
    Frames(Option<Agreement>),
}

/// What a complete response head is.
pub(super) enum HeadEnd {
    /// The right one: what follows it.
    Begun(Begun),
    /// A redirect that is followed.
    Elsewhere(Box<Redirect>),
}

/// What a complete response head is; `None` while it is not complete. `bytes` are what came, and
/// how much of it is used.
pub(super) fn read_head(
    config: &Config,
    client: &mut Client,
    key: Key,
    (bytes, at): (&[u8], &mut usize),
    recorder: &mut Recorder,
) -> Result<Option<HeadEnd>, Kind> {
    let ClientParts {
        number,
        turn,
        stream,
        past,
        ..
    } = client.parts();
    let reader = match stream {
        Stream::Head(reader) => reader,
        Stream::First(answer) => answer.reader(),
        Stream::Polls(_) | Stream::WebSocket(_) | Stream::Sse(_) => return Ok(None),
    };
    loop {
        let head = reader.next(bytes, at).map_err(Kind::of_response)?;
        let Some(head) = head else { return Ok(None) };
        let response = Response::parse(head).map_err(Kind::of_response)?;
        // RFC 9110, 15.2: a client may be sent any number of interim responses before.
        if (100..200).contains(&response.status) && response.status != 101 {
            continue;
        }
        let begun = match config.transport {
            Transport::WebSocket => begin_websocket(config, (number, turn), key, &response),
            Transport::Sse => begin_sse(&response),
        };
        if let Err(Kind::HttpStatus(status)) = begun {
            let next = elsewhere(
                config,
                (
                    (number, turn),
                    past.as_ref().and_then(|past| past.redirect()),
                ),
                &response,
            );
            let why = match next {
                Some(Ok(redirect)) => return Ok(Some(HeadEnd::Elsewhere(redirect))),
                Some(Err(why)) => Some(why),
                None => None,
            };
            let rest = bytes.get(*at..).unwrap_or_default();
            recorder.refused(status, || said(&response, rest, why));
        }
        if begun.is_err()
            && let Some(time) = retry_after(&response)
        {
            past.get_or_insert_default().ask_wait(time);
        }
        return begun.map(HeadEnd::Begun).map(Some);
    }
}

/// Where the response to an event stream's request leads, if it is a redirect (RFC 9110, 15.4:
/// those that keep the method, and for GET the others as well).
fn elsewhere(
    config: &Config,
    (asker, redirect): ((u32, u64), Option<&Redirect>),
    response: &Response<'_>,
) -> Option<Result<Box<Redirect>, NotFollowed>> {
    let location = response.headers.get("location")?;
    if config.transport != Transport::Sse || !matches!(response.status, 301 | 302 | 303 | 307 | 308)
    {
        return None;
    }
    let (home, _) = config.page(asker.1);
    let asked = ClientRequest::new(config, asker, redirect);
    let hops = redirect.map_or(0, |redirect| redirect.hops);
    let from = (asked.host, asked.target.as_ref(), hops);
    Some(config.follow.next(from, home, location).map(Box::new))
}

fn begin_websocket(
    config: &Config,
    asker: (u32, u64),
    key: Key,
    response: &Response<'_>,
) -> Result<Begun, Kind> {
    if response.status != 101 {
        return Err(Kind::HttpStatus(response.status));
    }
    let asked = ClientRequest::new(config, asker, None);
    let headers = asked.headers();
    let offer = asked.offer(config, &headers);
    let handshake = ClientHandshake::new(key);
    let agreement = handshake
        .verify(response, &offer)
        .map_err(Kind::of_response)?;
    if let Scenario::Dialogue(program) = &config.scenario
        && let Some(needed) = program.subprotocol()
        && response.headers.get("sec-websocket-protocol") != Some(needed)
    {
        return Err(Kind::Application("subprotocol_refused"));
    }
    Ok(Begun::Frames(agreement))
}

fn begin_sse(response: &Response<'_>) -> Result<Begun, Kind> {
    // WHATWG HTML, 9.2.3: 200 and text/event-stream, or the connection fails.
    if response.status != 200 {
        return Err(Kind::HttpStatus(response.status));
    }
    let kind = response.headers.get("content-type").unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("text/event-stream") {
        return Err(Kind::NotEventStream);
    }
    let coding = Coding::of(&response.headers).map_err(Kind::of_response)?;
    Ok(Begun::Events(Box::new(EventStream {
        body: BodyReader::new(response.body),
        inflater: Inflater::new(coding).map(Box::new),
        parser: sse::Parser::new(),
        is_until_end: response.body == BodyLength::UntilEnd,
        retry: None,
    })))
}

/// What a refusal says for people: its challenge, where it leads and why nobody went there, and the
/// first line of its body as far as it came with the head.
fn said(response: &Response<'_>, rest: &[u8], why: Option<NotFollowed>) -> Option<String> {
    let mut body = BodyReader::new(response.body);
    let content = body.next(rest, &mut 0).ok().flatten().unwrap_or_default();
    let content = content.get(..SAID_BYTES).unwrap_or(content);
    let text = String::from_utf8_lossy(content);
    let mut lines = text.lines().map(str::trim);
    let line = lines.find(|line| !line.is_empty()).map(str::to_owned);
    let challenge = response.headers.get("www-authenticate");
    let challenge = challenge.map(|challenge| format!("WWW-Authenticate: {challenge}"));
    let why = why.map_or_else(String::new, |why| why.to_string());
    let location = response.headers.get("location");
    let location = location.map(|location| format!("Location: {location}{why}"));
    let all = challenge.into_iter().chain(location).chain(line);
    let all: Vec<String> = all.collect();
    let mut all = all.join("; ");
    all.retain(|c| !c.is_control());
    (!all.is_empty()).then_some(all)
}

/// How long the server asks to be left alone (RFC 9110, 10.2.3): in seconds, or until a date. That
/// is one of the server's clock, so it counts from the response's `Date`, not from a clock here.
fn retry_after(response: &Response<'_>) -> Option<Duration> {
    let asked = response.headers.get("retry-after")?;
    let seconds: u64 = match asked.parse() {
        Ok(seconds) => seconds,
        Err(_) => {
            let now = date::parse(response.headers.get("date")?)?;
            date::parse(asked)?.saturating_sub(now)
        }
    };
    // A day: a server that asks for more wants nobody back.
    Some(Duration::from_secs(seconds.min(86_400)))
}

const _: () = assert!(
    limits::HEAD_BYTES < limits::BACKLOG_BYTES,
    "a request always fits"
);
